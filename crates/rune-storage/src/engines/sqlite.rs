//! Opening SQLite files.

use std::{
    thread,
    time::{Duration, Instant},
};

use camino::Utf8Path;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::{
    sqlite_error::SqliteError,
    sqlite_file::{LOCK_TIMEOUT, SqliteFile, SqliteFileError, check_whole, connect, new_name},
};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
};

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error, Failure)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error(transparent)]
    File(#[from] SqliteFileError),
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
}

impl From<PathError> for OpenError {
    fn from(error: PathError) -> Self {
        Self::File(error.into())
    }
}

/// Opens a file for reading and writing; creates it, and its directory, when they are missing.
///
/// # Errors
/// When it cannot be created or opened, or is not a SQLite database; when side files of another
/// database wait for it; when another program holds it for longer than the timeout.
pub fn open_for_writing(path: &Utf8Path, lock_timeout: Duration) -> Result<Connection, OpenError> {
    if fsx::exists(path) {
        return existing(path, lock_timeout);
    }
    fsx::create_dir_all(fsx::parent(path))?;
    let path = match new_name(path) {
        Ok(path) => path,
        // Another program was quicker, and what lies beside the file is its own.
        Err(_) if fsx::exists(path) && !fsx::is_link(path) => return existing(path, lock_timeout),
        Err(error) => return Err(error.into()),
    };
    open(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Log::IsOurs,
        lock_timeout,
    )
}

/// Opens a file for reading and writing that must be there.
///
/// # Errors
/// When it is missing, cannot be opened, or is not a SQLite database; when its log may lie beside
/// another name.
pub fn open_existing(path: &Utf8Path) -> Result<Connection, OpenError> {
    existing(path, LOCK_TIMEOUT)
}

fn existing(path: &Utf8Path, lock_timeout: Duration) -> Result<Connection, OpenError> {
    let file = SqliteFile::existing(path)?;
    let connection = open(
        file.path(),
        OpenFlags::SQLITE_OPEN_READ_WRITE,
        Log::found(&file),
        lock_timeout,
    )?;
    file.check_log(&connection)?;
    Ok(connection)
}

/// Opens an existing file for reading; nothing is created, and no statement can change anything.
///
/// # Errors
/// When it is missing, cannot be read, or is not a SQLite database; when its log may lie beside
/// another name; when another program holds it for longer than the timeout.
pub fn open_for_looking(path: &Utf8Path, lock_timeout: Duration) -> Result<Connection, OpenError> {
    let file = SqliteFile::existing(path)?;
    let path = file.path();
    let log = Log::found(&file);
    // A read-only connection to a file in WAL mode makes side files that it cannot remove again. A
    // connection that could write cleans up after itself; the pragma keeps it from writing anything
    // else.
    let connection =
        open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, log, lock_timeout).or_else(|error| {
            match error.kind() {
                FailureKind::Access => {
                    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, log, lock_timeout)
                }
                _ => Err(error),
            }
        })?;
    file.check_log(&connection)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(SqliteError::on(path))?;
    Ok(connection)
}

/// What becomes of the write-ahead log when the last connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// It is written into the file and removed.
    IsOurs,
    /// It stays as it was found. It may be that of another file, left beside one that was copied
    /// here; as long as nobody has written it into the file, removing it saves both.
    Stays,
}

impl Log {
    /// What there is to be done with what lies beside a file now.
    pub fn found(file: &SqliteFile) -> Self {
        if file.changes_beside().is_empty() {
            Self::IsOurs
        } else {
            Self::Stays
        }
    }

    /// Makes a connection do it when it is closed.
    pub fn apply(self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .set_db_config(
                DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                self == Self::Stays,
            )
            .map(|_| ())
    }
}

/// Says that a change was committed: what was found beside the file belongs to it now.
///
/// # Errors
/// When SQLite refuses.
pub fn adopt_log(connection: &Connection, path: &Utf8Path) -> Result<(), SqliteError> {
    Log::IsOurs.apply(connection).map_err(SqliteError::on(path))
}

fn open(
    path: &Utf8Path,
    flags: OpenFlags,
    log: Log,
    lock_timeout: Duration,
) -> Result<Connection, OpenError> {
    let connection = connect(path, flags).map_err(SqliteError::on(path))?;
    log.apply(&connection).map_err(SqliteError::on(path))?;
    connection
        .busy_timeout(lock_timeout)
        .map_err(SqliteError::on(path))?;
    // Whatever the library was built with: what a site's foreign keys say holds for what is changed
    // here.
    connection
        .pragma_update(None, "foreign_keys", true)
        .map_err(SqliteError::on(path))?;
    // SQLite reads the file only when it must. This makes it read.
    let look = || {
        connection.execute_batch("BEGIN")?;
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .inspect_err(|_| {
                let _ = connection.execute_batch("ROLLBACK");
            })
    };
    retry_while_busy(&connection, look).map_err(SqliteError::on(path))?;
    check_whole(&connection, path, flags)?;
    connection
        .execute_batch("ROLLBACK")
        .map_err(SqliteError::on(path))?;
    Ok(connection)
}

/// Switches a database to write-ahead logging; says whether it is in that mode now.
pub(crate) fn switch_to_wal(connection: &Connection, path: &Utf8Path) -> Result<bool, SqliteError> {
    // The switch needs the file for itself and does not wait for it, whatever the busy timeout is.
    let mode: String = retry_while_busy(connection, || {
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
    })
    .map_err(SqliteError::on(path))?;
    Ok(mode.eq_ignore_ascii_case("wal"))
}

/// Runs something again while SQLite says that the database is busy, for as long as the connection
/// waits for a lock: there are locks for which SQLite itself does not wait.
///
/// # Errors
/// The last error.
pub fn retry_while_busy<T>(
    connection: &Connection,
    mut act: impl FnMut() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let limit = Duration::from_millis(
        connection
            .query_row("PRAGMA busy_timeout", [], |row| row.get::<_, u32>(0))?
            .into(),
    );
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match act() {
            Err(error) if is_busy(&error) && started.elapsed() < limit => {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            outcome => return outcome,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}
