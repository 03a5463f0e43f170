//! A SQLite file as a source: opened so that nothing is ever changed, read in one snapshot,
//! recognised by what it has.

use std::time::Duration;

use camino::Utf8Path;
use rusqlite::{Connection, OpenFlags, ffi};

use super::{error::TransferError, sealed};
use rune_core::{
    failure::{Failure as _, FailureKind},
    fsx::{self, Stamp},
};
use rune_storage::{
    DatabaseUrl, Log, SqliteFile, SqliteUrl, check_whole,
    migrations::{Dialect, Migrations},
    retry_while_busy,
    schema::{Assessment, Catalog, SchemaError, TABLES, Table, Verb, on_sqlite},
};

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

#[derive(Debug)]
pub struct FileSnapshot {
    file: SqliteFile,
    location: String,
    connection: Connection,
    watch: Watch,
    found: Catalog,
}

#[derive(Debug)]
enum Watch {
    /// A second connection that sees them, and what it saw first.
    Version(Connection, i64),
    /// Without locks: what the file looks like from outside.
    Stamp(Option<Stamp>),
}

impl FileSnapshot {
    /// Opens an existing file and begins the one transaction that everything is read in. Links to
    /// the file are resolved first, so that what lies beside it is what SQLite finds.
    pub fn open(path: &Utf8Path, trust: SourceTrust) -> Result<Self, TransferError> {
        let file = SqliteFile::existing(path)?;
        file.check_single_name()?;
        let watch = match trust {
            SourceTrust::Shared => {
                let watcher = connect(&file, trust)?.0;
                let version = data_version(&watcher, &file)?;
                Watch::Version(watcher, version)
            }
            SourceTrust::UnsafeImmutable => {
                if let Some(beside) = file.changes_beside().into_iter().next() {
                    return Err(TransferError::NotImmutable {
                        path: file.path().to_owned(),
                        beside,
                    });
                }
                Watch::Stamp(stamp(&file)?)
            }
        };
        let (connection, flags) = connect(&file, trust)?;
        let read = || {
            connection.execute_batch("BEGIN")?;
            // Only a read takes the snapshot.
            on_sqlite::read(&connection).inspect_err(|_| {
                let _ = connection.execute_batch("ROLLBACK");
            })
        };
        let found = retry_while_busy(&connection, read).map_err(|error| refusal(&file, error))?;
        file.check_current()?;
        file.check_log(&connection)?;
        check_whole(&connection, file.path(), flags)?;
        let encoding: String = connection
            .query_row("PRAGMA encoding", [], |row| row.get(0))
            .map_err(file.failed())?;
        if encoding != "UTF-8" {
            return Err(TransferError::Encoding {
                path: file.path().to_owned(),
                encoding,
            });
        }
        let location = DatabaseUrl::Sqlite(SqliteUrl::File(path.to_owned())).to_string();
        Ok(Self {
            file,
            location,
            connection,
            watch,
            found,
        })
    }

    /// The same snapshot for another thread. None when it cannot be the same, because a write-ahead
    /// log lets writers in meanwhile, or when a writer waits already: it would wait for this one,
    /// and this one for it.
    pub(super) fn second(&self) -> Option<Self> {
        let mode: String = self
            .connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .ok()?;
        if !matches!(mode.as_str(), "delete" | "truncate" | "persist") {
            return None;
        }
        let connection = self.file.connect(OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection.busy_timeout(Duration::ZERO).ok()?;
        connection.execute_batch("BEGIN").ok()?;
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .ok()?;
        self.file.check_current().ok()?;
        let (file, location, found) =
            (self.file.clone(), self.location.clone(), self.found.clone());
        Some(Self {
            file,
            location,
            connection,
            watch: Watch::Stamp(None),
            found,
        })
    }

    /// A check of every page and index, for another thread beside the reading of rows.
    pub(super) fn integrity_check(
        &self,
    ) -> Result<impl FnOnce() -> Result<(), TransferError> + Send + use<>, TransferError> {
        let trust = if matches!(self.watch, Watch::Version(..)) {
            SourceTrust::Shared
        } else {
            SourceTrust::UnsafeImmutable
        };
        let (connection, path) = (connect(&self.file, trust)?.0, self.file.path().to_owned());
        Ok(move || sealed::check_integrity(&connection, &path))
    }

    /// Ends the transaction, and with it the lock that keeps writers out of a file without
    /// write-ahead log.
    pub(super) fn release(&self) -> Result<(), TransferError> {
        Ok(self
            .connection
            .execute_batch("ROLLBACK")
            .map_err(self.file.failed())?)
    }

    pub(crate) fn has_changed(&self) -> Result<bool, TransferError> {
        Ok(match &self.watch {
            Watch::Version(watcher, version) => data_version(watcher, &self.file)? != *version,
            Watch::Stamp(before) => stamp(&self.file)? != *before,
        } || self.file.check_current().is_err())
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        self.file.path()
    }

    pub(super) const fn file(&self) -> &SqliteFile {
        &self.file
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn has(&self, table: &Table) -> bool {
        self.found.tables.contains_key(table.name)
    }

    /// Refuses what is not a database of RUNE, and what a site put in the way of reading it.
    pub(super) fn check_is_rune(&self, migrations: &Migrations) -> Result<(), TransferError> {
        check_is_rune(&self.found, migrations, Dialect::Sqlite, &self.location)?;
        let site = on_sqlite::look_around(&self.connection).map_err(self.file.failed())?;
        Ok(site.check(Verb::Read).map_err(SchemaError::from)?)
    }

    /// Refuses what holds more than this program knows, and so would not transfer.
    pub(super) fn check_is_known(&self, migrations: &Migrations) -> Result<(), TransferError> {
        check_is_known(&self.found, migrations, Dialect::Sqlite, &self.location)?;
        let others = self.other_tables().map_err(self.file.failed())?;
        unknown(&self.location, "tables", others)
    }

    fn other_tables(&self) -> rusqlite::Result<Vec<String>> {
        const SQL: &str = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND \
                           name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let mut statement = self.connection.prepare(SQL)?;
        let names = statement
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        Ok(names
            .into_iter()
            .filter(|name| {
                !self
                    .found
                    .tables
                    .keys()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
            .collect())
    }

    /// The highest id that was ever given out, if SQLite keeps that.
    pub(super) fn last_sequence(&self, table: &Table) -> Result<i64, TransferError> {
        const IS_KEPT: &str =
            "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'sqlite_sequence'";
        const SQL: &str = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1 AND \
                           typeof(seq) = 'integer'";
        let read = || {
            let is_kept: bool = self.connection.query_row(IS_KEPT, [], |row| row.get(0))?;
            if is_kept {
                self.connection
                    .query_row(SQL, [table.name], |row| row.get(0))
            } else {
                Ok(0)
            }
        };
        Ok(read().map_err(self.file.failed())?)
    }
}

/// Refuses what is not a database of RUNE: nothing, something else under the same names, or only a
/// part.
pub(super) fn check_is_rune(
    found: &Catalog,
    migrations: &Migrations,
    dialect: Dialect,
    location: &str,
) -> Result<(), TransferError> {
    let assessment = Assessment::of(found, migrations, dialect);
    if let Some((table, column)) = assessment.foreign.first().copied() {
        return Err(SchemaError::Foreign { table, column }.into());
    }
    if !TABLES
        .iter()
        .any(|table| found.tables.contains_key(table.name))
    {
        return Err(TransferError::NotRune(location.to_owned()));
    }
    if !assessment.missing.is_empty() {
        let tables = assessment.missing.iter().map(|table| table.name).collect();
        return Err(TransferError::Incomplete {
            location: location.to_owned(),
            tables,
        });
    }
    let unreadable: Vec<String> = assessment
        .drift
        .iter()
        .filter(|drift| drift.is_unreadable())
        .map(ToString::to_string)
        .collect();
    if unreadable.is_empty() {
        Ok(())
    } else {
        Err(TransferError::ForeignTypes(unreadable))
    }
}

/// Refuses versions and columns that this program does not know.
pub(super) fn check_is_known(
    found: &Catalog,
    migrations: &Migrations,
    dialect: Dialect,
    location: &str,
) -> Result<(), TransferError> {
    let assessment = Assessment::of(found, migrations, dialect);
    unknown(
        location,
        "schema versions",
        assessment.unknown.iter().map(i64::to_string).collect(),
    )?;
    let mut columns = Vec::new();
    for table in TABLES {
        let found = found
            .tables
            .get(table.name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_unknown = |name: &&String| !table.columns.iter().any(|column| column.name == **name);
        columns.extend(
            found
                .iter()
                .map(|column| &column.name)
                .filter(is_unknown)
                .map(|name| format!("{}.{name}", table.name)),
        );
    }
    unknown(location, "columns", columns)
}

fn unknown(location: &str, what: &'static str, names: Vec<String>) -> Result<(), TransferError> {
    if names.is_empty() {
        Ok(())
    } else {
        Err(TransferError::Unknown {
            location: location.to_owned(),
            what,
            names,
        })
    }
}

/// Opens it so that it can only be read; says how. A connection that could write removes the side
/// files that it makes, and the pragma keeps it from writing anything else. Only a journal would be
/// rolled back by it.
fn connect(
    file: &SqliteFile,
    trust: SourceTrust,
) -> Result<(Connection, OpenFlags), TransferError> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = match trust {
        SourceTrust::Shared if file.has_journal() => file
            .connect(read_only)
            .map(|connection| (connection, read_only)),
        SourceTrust::Shared => {
            connect_tidy(file).or_else(|_| Ok((file.connect(read_only)?, read_only)))
        }
        SourceTrust::UnsafeImmutable => file
            .connect_immutable()
            .map(|connection| (connection, read_only)),
    };
    connection.map_err(|error| refusal(file, error))
}

fn connect_tidy(file: &SqliteFile) -> rusqlite::Result<(Connection, OpenFlags)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = file.connect(flags)?;
    Log::found(file).apply(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    // SQLite makes side files only when it must. Where it cannot, the file is opened again without
    // the wish to write.
    retry_while_busy(&connection, || {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
    })?;
    Ok((connection, flags))
}

fn data_version(connection: &Connection, file: &SqliteFile) -> Result<i64, TransferError> {
    retry_while_busy(connection, || {
        connection.query_row("PRAGMA data_version", [], |row| row.get(0))
    })
    .map_err(|error| refusal(file, error))
}

fn refusal(file: &SqliteFile, error: rusqlite::Error) -> TransferError {
    let path = file.path().to_owned();
    if error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == READONLY_ROLLBACK)
    {
        return TransferError::HotJournal(path);
    }
    let source = file.failed()(error);
    match source.kind() {
        FailureKind::Access => TransferError::ReadOnly { path, source },
        _ => source.into(),
    }
}

fn stamp(file: &SqliteFile) -> Result<Option<Stamp>, TransferError> {
    Ok(Stamp::of(&fsx::open(file.path())?))
}
