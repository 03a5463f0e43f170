//! Why rows are not transferred, or not compared.

use camino::Utf8PathBuf;

use super::finding::Finding;
use rune_core::{failure::Failure, fsx::PathError};
use rune_storage::{
    ConnectError, OpenError, ServerError, SqliteError, SqliteFileError,
    migrations::MigrationFileError,
    schema::{RoleError, SchemaError, Table},
};

#[derive(Debug, thiserror::Error, Failure)]
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
    #[failure(inner)]
    Rows {
        table: &'static str,
        source: ServerError,
    },
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("SQLite cannot read `{path}` without changing anything there")]
    #[failure(Access: "let this user make files beside `{path}`, or work on a copy; if nothing \
        ever writes to it, `rune-db migrate-to-postgres --immutable-source` moves it as it stands")]
    ReadOnly {
        path: Utf8PathBuf,
        source: SqliteError,
    },
    #[error(
        "`{0}` was left in the middle of a transaction, which has to be undone before it can be \
         read"
    )]
    #[failure(Conflict: "stop RUNE, run `sqlite3 {0} 'PRAGMA integrity_check'`, which undoes the \
        transaction, and run the same command again")]
    HotJournal(Utf8PathBuf),
    #[error("`{path}` cannot be taken as immutable: `{beside}` beside it holds changes")]
    #[failure(Conflict: "leave `--immutable-source` out; it is for files that nothing has changed \
        since they were closed")]
    NotImmutable {
        path: Utf8PathBuf,
        beside: Utf8PathBuf,
    },
    #[error("`{0}` is an empty file, so there is no database in it")]
    #[failure(NotFound: "check the path; a copy that broke off leaves such a file, so use another \
        backup")]
    EmptyFile(Utf8PathBuf),
    #[error("`{path}` holds its texts as {encoding}, and RUNE's files as UTF-8")]
    #[failure(Input: "dump it with `sqlite3` and load the dump into a new file")]
    Encoding { path: Utf8PathBuf, encoding: String },
    #[error("`{0}` has none of RUNE's tables")]
    #[failure(NotFound: "check the URL; `rune-db status` shows what the database is")]
    NotRune(String),
    #[error("`{location}` has {what} that this program does not know: {}", names.join(", "))]
    #[failure(Conflict: "use the `rune-db` that belongs to this version of RUNE; what is not \
        RUNE's has to leave first")]
    Unknown {
        location: String,
        /// `schema versions`, `tables` or `columns`.
        what: &'static str,
        names: Vec<String>,
    },
    #[error("`{location}` should have tables that are not there: {}", tables.join(", "))]
    #[failure(Input: "restore the whole database; no version of RUNE leaves it like this")]
    Incomplete {
        location: String,
        tables: Vec<&'static str>,
    },
    #[error("there are columns of types that RUNE never uses, and their values cannot be read \
             exactly: {}", .0.join("; "))]
    #[failure(Drift: "give them their types back, `ALTER TABLE … ALTER COLUMN … TYPE … USING …`")]
    ForeignTypes(Vec<String>),
    #[error("the tables of the target are not as RUNE creates them: {}", .0.join("; "))]
    #[failure(Drift: "`rune-db repair` mends types that RUNE chose and indexes; change the rest by \
        hand, or name an empty database")]
    TargetTables(Vec<String>),
    #[error("the target has columns of types that would lose digits: {}", .0.join("; "))]
    #[failure(Drift: "run `rune-db repair` on the target first")]
    TargetDrift(Vec<String>),
    #[error("`{location}` has rows already, in {}", tables.join(", "))]
    #[failure(Conflict: "name an empty database; rows are never mixed with others. Whether an \
        earlier run has put them there, `rune-db compare` says")]
    NotEmpty {
        location: String,
        tables: Vec<String>,
    },
    #[error("`{location}` has what is not RUNE's and would be deleted: {}", objects.join(", "))]
    #[failure(Conflict: "choose a file that does not exist; the objects can be created in it \
        afterwards")]
    Overwritten {
        location: String,
        objects: Vec<String>,
    },
    #[error("some values cannot be transferred exactly: {}",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    #[failure(Input: "change these rows in the source, or delete them, and run the same command \
        again", details: .0)]
    CannotCarry(Vec<Finding>),
    #[error("the encoding of the target is {encoding}, which cannot hold all texts: {}",
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    #[failure(Input: "create the target database with `ENCODING 'UTF8'`", details: .findings)]
    NotEncodable {
        encoding: String,
        findings: Vec<Finding>,
    },
    #[error("`{0}` was written to meanwhile; nothing was kept")]
    #[failure(Conflict: "stop RUNE and run the same command again; `--allow-live-source` transfers \
        what was there at the start")]
    SourceChanged(String),
    #[error(
        "table `{table}` did not arrive as it was: {expected} in the source, {actual} in the \
         target; nothing was kept"
    )]
    #[failure(Content: "a trigger or rule of the site on this table may change rows: drop it and \
        run the same command again; without one, check the disks and memory of both machines")]
    Mismatch {
        table: &'static str,
        expected: String,
        actual: String,
    },
    #[error("SQLite's integrity check finds faults in `{path}`: {first}")]
    #[failure(Content: "use another backup; what can be saved, `sqlite3 FILE .recover` shows")]
    Integrity { path: Utf8PathBuf, first: String },
    #[error("`workflow_events.id` of the target: {}", .0.join("; "))]
    #[failure(Drift: "run `rune-db repair` on the target; what it leaves must become a \
        `bigserial`, as `rune-db migrate` creates it")]
    TargetIds(Vec<String>),
    #[error(
        "the connection ended during COMMIT, so it is not known whether the rows are in the target"
    )]
    #[failure(inner: "run `rune-db compare SOURCE TARGET`: either all rows are there or none")]
    Uncertain(#[source] ServerError),
    #[error("unexpected data in binary COPY: not the columns that were asked for")]
    #[failure(Internal)]
    Protocol,
    #[error("the work on one of the databases ended unexpectedly")]
    #[failure(Internal)]
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
