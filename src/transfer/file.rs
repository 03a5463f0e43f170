//! A SQLite file as a source: opened so that nothing is ever changed, read in one snapshot, recognised by what it has.

use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags, ffi};

use super::error::TransferError;
use crate::{
    failure::{Failure as _, FailureKind},
    fsx::{self, Action, PathError},
    schema::{Assessment, Dialect, Found, Migrations, SchemaError, TABLES, Table, on_sqlite},
    storage::{DatabaseUrl, SqliteError, SqliteUrl, retry_while_busy},
};

/// What may stand in the path of a SQLite URI as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// What SQLite says when a broken-off transaction has to be undone first.
const READONLY_ROLLBACK: i32 = ffi::SQLITE_READONLY_ROLLBACK;

/// What is believed about who else has the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceTrust {
    /// Others may read and write: locks are taken, changes are noticed.
    Shared,
    /// The caller says that nothing has the file open, so it is read without locks and side files.
    UnsafeImmutable,
}

/// One moment of a SQLite database.
#[derive(Debug)]
pub struct FileSnapshot {
    path: Utf8PathBuf,
    location: String,
    connection: Connection,
    watch: Watch,
    found: Found,
}

/// How changes by others are noticed.
#[derive(Debug)]
enum Watch {
    /// A second connection that sees them, and what it saw first.
    Version(Connection, i64),
    /// Without locks: the size and the time of the file.
    Stamp(u64, Option<SystemTime>),
}

impl FileSnapshot {
    /// Opens an existing file and begins the one transaction that everything is read in.
    ///
    /// # Errors
    /// When it is missing, cannot be read without changing anything, or is no SQLite database.
    pub fn open(path: &Utf8Path, trust: SourceTrust) -> Result<Self, TransferError> {
        fsx::open(path)?;
        let watch = match trust {
            SourceTrust::Shared => {
                let watcher = connect(path, trust)?;
                let version = data_version(&watcher, path)?;
                Watch::Version(watcher, version)
            }
            SourceTrust::UnsafeImmutable => {
                check_immutable(path)?;
                let (size, modified) = stamp(path)?;
                Watch::Stamp(size, modified)
            }
        };
        let connection = connect(path, trust)?;
        let read = || {
            connection.execute_batch("BEGIN")?;
            // Only a read takes the snapshot.
            on_sqlite::read(&connection).inspect_err(|_| {
                let _ = connection.execute_batch("ROLLBACK");
            })
        };
        let found = retry_while_busy(read).map_err(|error| refusal(path, error))?;
        let encoding: String = connection.query_row("PRAGMA encoding", [], |row| row.get(0)).map_err(SqliteError::on(path))?;
        if encoding != "UTF-8" {
            return Err(TransferError::Encoding { path: path.to_owned(), encoding });
        }
        let location = DatabaseUrl::Sqlite(SqliteUrl::File(path.to_owned())).to_string();
        Ok(Self { path: path.to_owned(), location, connection, watch, found })
    }

    /// Whether somebody else has changed the file since it was opened.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn has_changed(&self) -> Result<bool, TransferError> {
        Ok(match &self.watch {
            Watch::Version(watcher, version) => data_version(watcher, &self.path)? != *version,
            Watch::Stamp(size, modified) => stamp(&self.path)? != (*size, *modified),
        })
    }

    /// The path of the file.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The URL of the file.
    pub fn location(&self) -> &str {
        &self.location
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn has(&self, table: &Table) -> bool {
        self.found.tables.contains_key(table.name)
    }

    /// Refuses what is no database of RUNE.
    pub(super) fn check_is_rune(&self, migrations: &Migrations) -> Result<(), TransferError> {
        check_is_rune(&self.found, migrations, Dialect::Sqlite, &self.location)
    }

    /// Refuses what holds more than this program knows, and so more than it would carry.
    pub(super) fn check_is_known(&self, migrations: &Migrations) -> Result<(), TransferError> {
        check_is_known(&self.found, migrations, Dialect::Sqlite, &self.location)?;
        let others = self.other_tables().map_err(SqliteError::on(&self.path))?;
        unknown(&self.location, "tables", others)
    }

    fn other_tables(&self) -> rusqlite::Result<Vec<String>> {
        const SQL: &str = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let mut statement = self.connection.prepare(SQL)?;
        let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        Ok(names.into_iter().filter(|name| !self.found.tables.keys().any(|known| known.eq_ignore_ascii_case(name))).collect())
    }

    /// The highest id that was ever given out, if SQLite keeps that.
    pub(super) fn last_sequence(&self, table: &Table) -> Result<i64, TransferError> {
        const IS_KEPT: &str = "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'sqlite_sequence'";
        const SQL: &str = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
        let read = || {
            let is_kept: bool = self.connection.query_row(IS_KEPT, [], |row| row.get(0))?;
            if is_kept { self.connection.query_row(SQL, [table.name], |row| row.get(0)) } else { Ok(0) }
        };
        Ok(read().map_err(SqliteError::on(&self.path))?)
    }
}

/// Refuses what is no database of RUNE: nothing, something else under the same names, or only a part.
pub(super) fn check_is_rune(found: &Found, migrations: &Migrations, dialect: Dialect, location: &str) -> Result<(), TransferError> {
    let assessment = Assessment::of(found, migrations, dialect);
    if let Some((table, column)) = assessment.foreign.first().copied() {
        return Err(SchemaError::Foreign { table, column }.into());
    }
    if !TABLES.iter().any(|table| found.tables.contains_key(table.name)) {
        return Err(TransferError::NotRune(location.to_owned()));
    }
    if !assessment.missing.is_empty() {
        let tables = assessment.missing.iter().map(|table| table.name).collect();
        return Err(TransferError::Incomplete { location: location.to_owned(), tables });
    }
    Ok(())
}

/// Refuses versions and columns that this program does not know.
pub(super) fn check_is_known(found: &Found, migrations: &Migrations, dialect: Dialect, location: &str) -> Result<(), TransferError> {
    let assessment = Assessment::of(found, migrations, dialect);
    unknown(location, "schema versions", assessment.unknown.iter().map(i64::to_string).collect())?;
    let mut columns = Vec::new();
    for table in TABLES {
        let found = found.tables.get(table.name).map(Vec::as_slice).unwrap_or_default();
        let is_unknown = |name: &&String| !table.columns.iter().any(|column| column.name == **name);
        columns.extend(found.iter().map(|column| &column.name).filter(is_unknown).map(|name| format!("{}.{name}", table.name)));
    }
    unknown(location, "columns", columns)
}

fn unknown(location: &str, what: &'static str, names: Vec<String>) -> Result<(), TransferError> {
    if names.is_empty() { Ok(()) } else { Err(TransferError::Unknown { location: location.to_owned(), what, names }) }
}

fn connect(path: &Utf8Path, trust: SourceTrust) -> Result<Connection, TransferError> {
    let immutable = if trust == SourceTrust::UnsafeImmutable { "&immutable=1" } else { "" };
    let uri = format!("file:{}?mode=ro{immutable}", utf8_percent_encode(path.as_str(), PATH));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(|error| refusal(path, error))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(SqliteError::on(path))?;
    Ok(connection)
}

fn data_version(connection: &Connection, path: &Utf8Path) -> Result<i64, TransferError> {
    retry_while_busy(|| connection.query_row("PRAGMA data_version", [], |row| row.get(0))).map_err(|error| refusal(path, error))
}

/// What SQLite's refusal of a reader means.
fn refusal(path: &Utf8Path, error: rusqlite::Error) -> TransferError {
    if error.sqlite_error().is_some_and(|error| error.extended_code == READONLY_ROLLBACK) {
        return TransferError::HotJournal(path.to_owned());
    }
    let source = SqliteError::on(path)(error);
    match source.kind() {
        FailureKind::Access => TransferError::ReadOnly { path: path.to_owned(), source },
        _ => source.into(),
    }
}

fn check_immutable(path: &Utf8Path) -> Result<(), TransferError> {
    for suffix in ["-wal", "-journal"] {
        let beside = Utf8PathBuf::from(format!("{path}{suffix}"));
        if fsx::exists(&beside) && fsx::file_size(&beside)? > 0 {
            return Err(TransferError::NotImmutable { path: path.to_owned(), beside });
        }
    }
    Ok(())
}

fn stamp(path: &Utf8Path) -> Result<(u64, Option<SystemTime>), TransferError> {
    let metadata = fsx::open(path)?.metadata().map_err(PathError::of(Action::Inspect, path))?;
    Ok((metadata.len(), metadata.modified().ok()))
}
