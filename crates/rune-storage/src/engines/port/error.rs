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
#[expect(missing_docs, reason = "the messages say it")]
pub enum StoreError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("no free connection within {seconds} s; all {max} of the pool are at work")]
    #[failure(Space: "set RUNE_PG_POOL_MAX higher, if the server has connections to give")]
    PoolExhausted { seconds: u64, max: usize },
    /// Removing old rows ended early, after whole batches.
    #[error("stopped; removed so far: {} events, and {} jobs with what belongs to them",
        done.events, done.jobs)]
    #[failure(inner)]
    PrunedInPart {
        done: PruneCounts,
        source: Box<StoreError>,
    },
    #[error("interrupted")]
    #[failure(Interrupted)]
    Interrupted,
    #[error("the store is closed")]
    #[failure(Internal)]
    Closed,
    #[error("this machine does not give what the store needs: {0}")]
    #[failure(Internal)]
    Machine(String),
    #[error("{0}")]
    #[failure(inner)]
    Site(Box<dyn Failure>),
    #[error("the database is not initialized for RUNE: {0}")]
    #[failure(Drift: "run `rune-db migrate` first; `rune-db status` shows what is missing")]
    NotMigrated(String),
    #[error(
        "the database has schema version {version}, and this program knows versions up to {known}"
    )]
    #[failure(Conflict: "use the release of rune-db that belongs to this RUNE")]
    Newer { version: i64, known: i64 },
    #[error("`{field}` {problem}")]
    #[failure(kind:
        if *.problem == Problem::Contended { FailureKind::Conflict } else { FailureKind::Input })]
    Refused {
        field: &'static str,
        problem: Problem,
    },
    #[error(
        "the change of table `{0}` was undone or altered by a trigger or rule of this site, and \
         rolled back"
    )]
    #[failure(Conflict: "run `rune-db status`, which names the triggers and rules on RUNE's \
        tables")]
    Undone(&'static str),
    #[error("job `{0}` not found")]
    #[failure(NotFound)]
    JobNotFound(String),
    #[error("there is no row `{0}` to go on after")]
    #[failure(NotFound)]
    PageNotFound(String),
    #[error("job `{job_id}` is `{from}` and cannot become `{to}`")]
    #[failure(Conflict)]
    Regression {
        job_id: String,
        from: String,
        to: &'static str,
    },
    #[error("chain state not initialized for job_id={0}")]
    #[failure(NotFound)]
    ChainNotInitialized(String),
    #[error("chain node '{node_id}' not found in state for job_id={job_id}")]
    #[failure(NotFound)]
    ChainNodeNotFound { job_id: String, node_id: String },
    #[error("`chain_state.state_json` of job `{0}` cannot be read as a chain")]
    #[failure(Input)]
    ChainUnreadable(String),
    #[error("unknown audit artifact kind `{0}`")]
    #[failure(Input: format!("use one of {}", super::ARTIFACT_KINDS.join(", ")))]
    UnknownArtifactKind(String),
    #[error("the content of audit artifact `{artifact_id}` is not what was stored: {problem}")]
    #[failure(Content: "restore it from a backup, and run `rune-db audit verify` to see what else \
        is damaged")]
    ArtifactDamaged {
        artifact_id: String,
        problem: &'static str,
    },
    #[error(transparent)]
    File(#[from] PathError),
    #[error("the column `{column}` holds something other than {expected}")]
    #[failure(Input: "run `rune-db verify`, which names the rows")]
    Cell {
        column: String,
        expected: &'static str,
    },
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Problem {
    #[error("is empty")]
    Empty,
    /// U+0000, which PostgreSQL cannot store.
    #[error("contains U+0000")]
    Nul,
    #[error("has more than {0} characters")]
    Characters(usize),
    #[error("has more than {0} bytes")]
    Bytes(usize),
    #[error("is not JSON from byte {0} on")]
    NotJson(usize),
    #[error("is not a JSON object")]
    NotObject,
    #[error("is not a finite number")]
    NotFinite,
    /// A duration of more than 30,000 years.
    #[error("is beyond 10^15 milliseconds")]
    TooLong,
    #[error("is being taken and given back by others at the same time")]
    Contended,
}
