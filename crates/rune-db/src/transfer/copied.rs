//! Copying a whole SQLite database into another file, page by page, while others may write to it.
//!
//! This is SQLite's online backup from within the snapshot of the source, so it never starts over.
//! The copy is proved by digest and by SQLite's own check.

use std::thread;

use camino::Utf8Path;
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};

use super::{
    digest::TableDigest,
    error::TransferError,
    file::FileSnapshot,
    new_database::NewDatabase,
    sealed::{self, CarriedTable},
};
use rune_core::{
    fsx::{self, FileMode},
    progress::{Progress, Silent},
};
use rune_storage::{
    SqliteError, SqliteFile, SqliteFileError, adopt_log,
    migrations::Migrations,
    open_existing, retry_while_busy,
    schema::{SchemaError, Verb, is_name_of_rune, on_sqlite, quoted},
};

const PAGES: i32 = 256;

/// Copies a database into a file that does not exist yet, which appears whole or not at all.
pub fn into_new_file(
    source: &FileSnapshot,
    destination: &Utf8Path,
    mode: FileMode,
    migrations: &Migrations,
    progress: &dyn Progress,
) -> Result<Vec<CarriedTable>, TransferError> {
    source.check_is_rune(migrations)?;
    let file = NewDatabase::copy_of(source.file(), destination, mode)?;
    let path = file.path();
    let mut connection = file.connect()?;
    connection
        .execute_batch("PRAGMA synchronous = OFF")
        .map_err(SqliteError::on(path))?;
    let expected = copy(source, &mut connection, path, progress)?;
    sealed::without_wal(&connection, path)?;
    drop(connection);
    let tables = prove(path, &expected, progress)?;
    file.publish()?;
    Ok(tables)
}

/// Copies a database into a file that exists and has no rows, in one transaction of that file.
pub(crate) fn into_empty_file(
    source: &FileSnapshot,
    destination: &Utf8Path,
    migrations: &Migrations,
    progress: &dyn Progress,
) -> Result<Vec<CarriedTable>, TransferError> {
    let file = check_destination(source.file(), destination)?;
    source.check_is_rune(migrations)?;
    sealed::check_integrity(source.connection(), source.path())?;
    let destination = file.path();
    let mut connection = open_existing(destination)?;
    file.check_current()?;
    // In this mode the lock of the look outlives its transaction, so nobody writes between look and
    // copy.
    let lock =
        || connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT");
    retry_while_busy(&connection, lock).map_err(SqliteError::on(destination))?;
    let tables = tables_with_rows(&connection).map_err(SqliteError::on(destination))?;
    if !tables.is_empty() {
        return Err(TransferError::NotEmpty {
            location: destination.to_string(),
            tables,
        });
    }
    let objects = objects_of_others(&connection).map_err(SqliteError::on(destination))?;
    if !objects.is_empty() {
        return Err(TransferError::Overwritten {
            location: destination.to_string(),
            objects,
        });
    }
    let site = on_sqlite::look_around(&connection).map_err(SqliteError::on(destination))?;
    site.check(Verb::Fill).map_err(SchemaError::from)?;
    take_page_size(source, &connection).map_err(SqliteError::on(destination))?;
    let expected = copy(source, &mut connection, destination, progress)?;
    adopt_log(&connection, destination)?;
    drop(connection);
    let tables = prove(destination, &expected, progress)?;
    file.check_current()?;
    Ok(tables)
}

pub(crate) fn check_destination(
    source: &SqliteFile,
    destination: &Utf8Path,
) -> Result<SqliteFile, TransferError> {
    if fsx::is_link(destination) {
        return Err(SqliteFileError::Link(destination.to_owned()).into());
    }
    let file = SqliteFile::existing(destination)?;
    if file.identity() == source.identity() {
        return Err(SqliteFileError::Same {
            path: source.path().to_owned(),
            destination: destination.to_owned(),
        }
        .into());
    }
    file.check_single_name()?;
    file.check_fillable()?;
    Ok(file)
}

/// Gives an empty database the page size of the source: the copy of pages cannot change it in a
/// database with a write-ahead log.
fn take_page_size(source: &FileSnapshot, to: &Connection) -> rusqlite::Result<()> {
    let page_bytes = |connection: &Connection| {
        connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))
    };
    let (wanted, present) = (page_bytes(source.connection())?, page_bytes(to)?);
    if wanted == present {
        return Ok(());
    }
    retry_while_busy(to, || {
        to.execute_batch(&format!(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = {wanted}; VACUUM"
        ))
    })
}

fn prove(
    path: &Utf8Path,
    expected: &[TableDigest],
    progress: &dyn Progress,
) -> Result<Vec<CarriedTable>, TransferError> {
    progress.begin("verification", fsx::file_size(path)?);
    let tables = sealed::verify(path, expected, progress)?;
    progress.end();
    Ok(tables)
}

/// Copies a source and lets go of it; gives the digests of its tables.
///
/// A source without write-ahead log keeps writers out as long as it is read. So it is hashed while
/// it is copied, from a second connection, and not after that.
fn copy(
    source: &FileSnapshot,
    to: &mut Connection,
    path: &Utf8Path,
    progress: &dyn Progress,
) -> Result<Vec<TableDigest>, TransferError> {
    let digests = if let Some(second) = source.second() {
        thread::scope(|scope| {
            let hashing = scope.spawn(move || sealed::digests(&second, &Silent));
            let copied = copy_pages(source, to, path, progress);
            let digests = hashing.join().map_err(|_| TransferError::Lost)?;
            copied.and(digests)
        })?
    } else {
        copy_pages(source, to, path, progress)?;
        sealed::digests(source, &Silent)?
    };
    source.release()?;
    Ok(digests)
}

fn copy_pages(
    source: &FileSnapshot,
    to: &mut Connection,
    path: &Utf8Path,
    progress: &dyn Progress,
) -> Result<(), TransferError> {
    let from = source.connection();
    let page_bytes: u64 = from
        .query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))
        .map(u64::from)
        .map_err(SqliteError::on(source.path()))?;
    progress.begin("copy", fsx::file_size(source.path())?);
    let backup = Backup::new(from, to).map_err(SqliteError::on(path))?;
    let step = || match backup.step(PAGES) {
        Ok(StepResult::Done) => Ok(true),
        Ok(StepResult::More) => Ok(false),
        // Busy or locked, and whatever else may come: tried again a little later, as often as one
        // waits for a lock.
        Ok(_) => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        )),
        Err(error) => Err(error),
    };
    while !retry_while_busy(from, step).map_err(|error| SqliteError::on(path)(error))? {
        progress.advance(page_bytes.saturating_mul(u64::from(PAGES.unsigned_abs())));
    }
    progress.end();
    Ok(())
}

fn tables_with_rows(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    const SQL: &str = "SELECT name FROM sqlite_schema
        WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        AND name NOT IN ('schema_version', 'rune_db_ledger')";
    let mut statement = connection.prepare(SQL)?;
    let names = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let mut full = Vec::new();
    for name in names {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(&name));
        if connection.query_row(&sql, [], |row| row.get(0))? {
            full.push(name);
        }
    }
    Ok(full)
}

/// What is not RUNE's in a database without rows: a copy of pages would delete it.
fn objects_of_others(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    const SQL: &str = "SELECT type || ' `' || name || '`', type IN ('table', 'index'), tbl_name
        FROM sqlite_schema
        WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1";
    let mut statement = connection.prepare(SQL)?;
    let mut rows = statement.query([])?;
    let mut objects = Vec::new();
    while let Some(row) = rows.next()? {
        let (may_be_of_rune, table): (bool, String) = (row.get(1)?, row.get(2)?);
        if !(may_be_of_rune && is_name_of_rune(&table)) {
            objects.push(row.get(0)?);
        }
    }
    Ok(objects)
}
