//! Why an operation of the port failed.
//!
//! Messages name table, key and column, never content.

use super::pruning::PruneCounts;
use crate::{ConnectError, OpenError, ServerError, SqliteError};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
};

/// Why an operation of the port failed.
#[derive(Debug, thiserror::Error, Failure)]
pub enum StoreError {
    /// The SQLite file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    /// No session with the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// All sessions of the pool are at work.
    #[error("no free connection within {seconds} s; all {max} of the pool are at work")]
    #[failure(Space: "set RUNE_PG_POOL_MAX higher, if the server has connections to give")]
    PoolExhausted {
        /// How long was waited.
        seconds: u64,
        /// How many there are.
        max: usize,
    },
    /// Removing old rows ended early, after whole batches.
    #[error("stopped; removed so far: {} events, and {} jobs with what belongs to them", done.events, done.jobs)]
    #[failure(inner)]
    PrunedInPart {
        /// What is gone.
        done: PruneCounts,
        /// Why it stopped.
        source: Box<StoreError>,
    },
    /// The program was asked to end.
    #[error("interrupted")]
    #[failure(Interrupted)]
    Interrupted,
    /// The store was closed.
    #[error("the store is closed")]
    #[failure(Internal)]
    Closed,
    /// No threads, no random numbers, or the like.
    #[error("this machine does not give what the store needs: {0}")]
    #[failure(Internal)]
    Machine(String),
    /// What the guard of the store found.
    #[error("{0}")]
    #[failure(inner)]
    Site(Box<dyn Failure>),
    /// Tables are missing.
    #[error("the database is not initialized for RUNE: {0}")]
    #[failure(Drift: "run `rune-db migrate` first; `rune-db status` shows what is missing")]
    NotMigrated(String),
    /// A newer RUNE has been here.
    #[error(
        "the database has schema version {version}, and this program knows versions up to {known}"
    )]
    #[failure(Conflict: "use the release of rune-db that belongs to this RUNE")]
    Newer {
        /// What is there.
        version: i64,
        /// What is known.
        known: i64,
    },
    /// A value that must not be stored.
    #[error("`{field}` {problem}")]
    #[failure(kind: if *.problem == Problem::Contended { FailureKind::Conflict } else { FailureKind::Input })]
    Refused {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
    /// What was written did not stay.
    #[error(
        "the change of table `{0}` was undone or altered by a trigger or rule of this site, and \
         rolled back"
    )]
    #[failure(Conflict: "run `rune-db status`, which names the triggers and rules on RUNE's \
        tables")]
    Undone(&'static str),
    /// There is no such job.
    #[error("job `{0}` not found")]
    #[failure(NotFound)]
    JobNotFound(String),
    /// The row that a page of a list goes on after.
    #[error("there is no row `{0}` to go on after")]
    #[failure(NotFound)]
    PageNotFound(String),
    /// A job would go back.
    #[error("job `{job_id}` is `{from}` and cannot become `{to}`")]
    #[failure(Conflict)]
    Regression {
        /// The job.
        job_id: String,
        /// Its status.
        from: String,
        /// The status that was asked for.
        to: &'static str,
    },
    /// A step of a job whose steps are not known.
    #[error("chain state not initialized for job_id={0}")]
    #[failure(NotFound)]
    ChainNotInitialized(String),
    /// A step that is not one of the job's.
    #[error("chain node '{node_id}' not found in state for job_id={job_id}")]
    #[failure(NotFound)]
    ChainNodeNotFound {
        /// The job.
        job_id: String,
        /// The step.
        node_id: String,
    },
    /// A chain state that is not what RUNE writes.
    #[error("`chain_state.state_json` of job `{0}` cannot be read as a chain")]
    #[failure(Input)]
    ChainUnreadable(String),
    /// An invalid kind.
    #[error("unknown audit artifact kind `{0}`")]
    #[failure(Input: format!("use one of {}", super::ARTIFACT_KINDS.join(", ")))]
    UnknownArtifactKind(String),
    /// Content that is not what was stored.
    #[error("the content of audit artifact `{artifact_id}` is not what was stored: {problem}")]
    #[failure(Content: "restore it from a backup, and run `rune-db audit verify` to see what else \
        is damaged")]
    ArtifactDamaged {
        /// The artifact.
        artifact_id: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file that content goes into.
    #[error(transparent)]
    File(#[from] PathError),
    /// A value that RUNE never writes there.
    #[error("the column `{column}` holds something other than {expected}")]
    #[failure(Input: "run `rune-db verify`, which names the rows")]
    Cell {
        /// The column.
        column: String,
        /// What belongs there.
        expected: &'static str,
    },
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing where something must be.
    #[error("is empty")]
    Empty,
    /// U+0000, which PostgreSQL cannot store.
    #[error("contains U+0000")]
    Nul,
    /// Too many characters.
    #[error("has more than {0} characters")]
    Characters(usize),
    /// Too many bytes.
    #[error("has more than {0} bytes")]
    Bytes(usize),
    /// Not JSON.
    #[error("is not JSON from byte {0} on")]
    NotJson(usize),
    /// JSON, but no object.
    #[error("is not a JSON object")]
    NotObject,
    /// NaN or an infinity.
    #[error("is not a finite number")]
    NotFinite,
    /// A duration of more than 30,000 years.
    #[error("is beyond 10^15 milliseconds")]
    TooLong,
    /// Taken and given back by others again and again.
    #[error("is being taken and given back by others at the same time")]
    Contended,
}
