//! Why rows are not transferred, or not compared.

use camino::Utf8PathBuf;

use super::finding::Finding;
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
};
use rune_storage::{
    ConnectError, OpenError, ServerError, SqliteError, SqliteFileError,
    migrations::MigrationFileError,
    schema::{RoleError, SchemaError, Table},
};

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error(transparent)]
    File(#[from] PathError),
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("the rows of table `{table}` cannot be transferred")]
    Rows {
        table: &'static str,
        source: ServerError,
    },
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("SQLite cannot read `{path}` without changing anything there")]
    ReadOnly {
        path: Utf8PathBuf,
        source: SqliteError,
    },
    #[error(
        "`{0}` was left in the middle of a transaction, which has to be undone before it can be \
         read"
    )]
    HotJournal(Utf8PathBuf),
    #[error("`{path}` cannot be taken as immutable: `{beside}` beside it holds changes")]
    NotImmutable {
        path: Utf8PathBuf,
        beside: Utf8PathBuf,
    },
    #[error("`{0}` is an empty file, so there is no database in it")]
    EmptyFile(Utf8PathBuf),
    #[error("`{path}` holds its texts as {encoding}, and RUNE's files as UTF-8")]
    Encoding { path: Utf8PathBuf, encoding: String },
    #[error("`{0}` has none of RUNE's tables")]
    NotRune(String),
    #[error("`{location}` has {what} that this program does not know: {}", names.join(", "))]
    Unknown {
        location: String,
        /// `schema versions`, `tables` or `columns`.
        what: &'static str,
        names: Vec<String>,
    },
    #[error("`{location}` should have tables that are not there: {}", tables.join(", "))]
    Incomplete {
        location: String,
        tables: Vec<&'static str>,
    },
    #[error("there are columns of types that RUNE never uses, and their values cannot be read \
             exactly: {}", .0.join("; "))]
    ForeignTypes(Vec<String>),
    #[error("the tables of the target are not as RUNE creates them: {}", .0.join("; "))]
    TargetTables(Vec<String>),
    #[error("the target has columns of types that would lose digits: {}", .0.join("; "))]
    TargetDrift(Vec<String>),
    #[error("`{location}` has rows already, in {}", tables.join(", "))]
    NotEmpty {
        location: String,
        tables: Vec<String>,
    },
    #[error("`{location}` has what is not RUNE's and would be deleted: {}", objects.join(", "))]
    Overwritten {
        location: String,
        objects: Vec<String>,
    },
    #[error("some values cannot be transferred exactly: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    CannotCarry(Vec<Finding>),
    #[error("the encoding of the target is {encoding}, which cannot hold all texts: {}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NotEncodable {
        encoding: String,
        findings: Vec<Finding>,
    },
    #[error("`{0}` was written to meanwhile; nothing was kept")]
    SourceChanged(String),
    #[error(
        "table `{table}` did not arrive as it was: {expected} in the source, {actual} in the \
         target; nothing was kept"
    )]
    Mismatch {
        table: &'static str,
        /// The digest of the source.
        expected: String,
        /// The digest of the target.
        actual: String,
    },
    #[error("SQLite's integrity check finds faults in `{path}`: {first}")]
    Integrity { path: Utf8PathBuf, first: String },
    #[error("`workflow_events.id` of the target: {}", .0.join("; "))]
    TargetIds(Vec<String>),
    #[error(
        "the connection ended during COMMIT, so it is not known whether the rows are in the target"
    )]
    Uncertain(#[source] ServerError),
    #[error("unexpected data in binary COPY: not the columns that were asked for")]
    Protocol,
    #[error("the work on one of the databases ended unexpectedly")]
    Lost,
}

impl From<SqliteFileError> for TransferError {
    fn from(error: SqliteFileError) -> Self {
        Self::Open(error.into())
    }
}

impl TransferError {
    pub(super) fn rows(table: &Table) -> impl Fn(tokio_postgres::Error) -> Self {
        let table = table.name;
        move |error| Self::Rows {
            table,
            source: error.into(),
        }
    }

    /// Whether the same thing may work in a moment.
    pub(super) fn is_race(&self) -> bool {
        match self {
            Self::Server(error) => error.is_race(),
            Self::Schema(error) => error.is_race(),
            _ => false,
        }
    }
}

impl From<RoleError> for TransferError {
    fn from(error: RoleError) -> Self {
        Self::Schema(error.into())
    }
}

impl From<MigrationFileError> for TransferError {
    fn from(error: MigrationFileError) -> Self {
        Self::Schema(error.into())
    }
}

impl From<tokio_postgres::Error> for TransferError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error.into())
    }
}

impl Failure for TransferError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::File(error) => error.kind(),
            Self::Sqlite(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Connect(error) => error.kind(),
            Self::Server(error) | Self::Rows { source: error, .. } | Self::Uncertain(error) => {
                error.kind()
            }
            Self::Schema(error) => error.kind(),
            Self::ReadOnly { .. } => FailureKind::Access,
            Self::HotJournal(_)
            | Self::NotImmutable { .. }
            | Self::NotEmpty { .. }
            | Self::SourceChanged(_)
            | Self::Unknown { .. }
            | Self::Overwritten { .. } => FailureKind::Conflict,
            Self::Encoding { .. }
            | Self::CannotCarry(_)
            | Self::NotEncodable { .. }
            | Self::Incomplete { .. } => FailureKind::Input,
            Self::NotRune(_) | Self::EmptyFile(_) => FailureKind::NotFound,
            Self::ForeignTypes(_)
            | Self::TargetTables(_)
            | Self::TargetDrift(_)
            | Self::TargetIds(_) => FailureKind::Drift,
            Self::Mismatch { .. } | Self::Integrity { .. } => FailureKind::Content,
            Self::Protocol | Self::Lost => FailureKind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.help(),
            Self::Sqlite(error) => return error.help(),
            Self::Open(error) => return error.help(),
            Self::Connect(error) => return error.help(),
            Self::Server(error) | Self::Rows { source: error, .. } => return error.help(),
            Self::Schema(error) => return error.help(),
            Self::ReadOnly { path, .. } => {
                format!(
                    "let this user make files beside `{path}`, or work on a copy; if nothing ever \
                     writes to it, `rune-db migrate-to-postgres --immutable-source` moves it as \
                     it stands"
                )
            }
            Self::HotJournal(path) => {
                format!(
                    "stop RUNE, run `sqlite3 {path} 'PRAGMA integrity_check'`, which undoes the \
                     transaction, and run the same command again"
                )
            }
            Self::NotImmutable { .. } => {
                "leave `--immutable-source` out; it is for files that nothing has changed since \
                 they were closed"
                    .to_owned()
            }
            Self::Encoding { .. } => {
                "dump it with `sqlite3` and load the dump into a new file".to_owned()
            }
            Self::EmptyFile(_) => {
                "check the path; a copy that broke off leaves such a file, so use another backup"
                    .to_owned()
            }
            Self::NotRune(_) => {
                "check the URL; `rune-db status` shows what the database is".to_owned()
            }
            Self::Unknown { .. } => {
                "use the `rune-db` that belongs to this version of RUNE; what is not RUNE's has \
                 to leave first"
                    .to_owned()
            }
            Self::Incomplete { .. } => {
                "restore the whole database; no version of RUNE leaves it like this".to_owned()
            }
            Self::ForeignTypes(_) => {
                "give them their types back, `ALTER TABLE … ALTER COLUMN … TYPE … USING …`"
                    .to_owned()
            }
            Self::TargetTables(_) => {
                "`rune-db repair` mends types that RUNE chose and indexes; change the rest by \
                 hand, or name an empty database"
                    .to_owned()
            }
            Self::TargetDrift(_) => "run `rune-db repair` on the target first".to_owned(),
            Self::NotEmpty { .. } => {
                "name an empty database; rows are never mixed with others. Whether an earlier run \
                 has put them there, `rune-db compare` says"
                    .to_owned()
            }
            Self::Overwritten { .. } => {
                "choose a file that does not exist; the objects can be created in it afterwards"
                    .to_owned()
            }
            Self::CannotCarry(_) => {
                "change these rows in the source, or delete them, and run the same command again"
                    .to_owned()
            }
            Self::NotEncodable { .. } => {
                "create the target database with `ENCODING 'UTF8'`".to_owned()
            }
            Self::SourceChanged(_) => {
                "stop RUNE and run the same command again; `--allow-live-source` transfers what \
                 was there at the start"
                    .to_owned()
            }
            Self::Mismatch { .. } => {
                "a trigger or rule of the site on this table may change rows: drop it and run the \
                 same command again; without one, check the disks and memory of both machines"
                    .to_owned()
            }
            Self::Integrity { .. } => {
                "use another backup; what can be saved, `sqlite3 FILE .recover` shows".to_owned()
            }
            Self::TargetIds(_) => {
                "run `rune-db repair` on the target; what it leaves must become a `bigserial`, as \
                 `rune-db migrate` creates it"
                    .to_owned()
            }
            Self::Uncertain(_) => {
                "run `rune-db compare SOURCE TARGET`: either all rows are there or none".to_owned()
            }
            Self::Protocol | Self::Lost => return None,
        })
    }

    fn details(&self) -> Option<serde_json::Value> {
        match self {
            Self::CannotCarry(findings) | Self::NotEncodable { findings, .. } => {
                serde_json::to_value(findings).ok()
            }
            _ => None,
        }
    }
}
