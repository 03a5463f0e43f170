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
#[derive(Debug, thiserror::Error)]
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
    PoolExhausted {
        /// How long was waited.
        seconds: u64,
        /// How many there are.
        max: usize,
    },
    /// Removing old rows ended early, after whole batches.
    #[error("stopped; removed so far: {} events, and {} jobs with what belongs to them", done.events, done.jobs)]
    PrunedInPart {
        /// What is gone.
        done: PruneCounts,
        /// Why it stopped.
        source: Box<StoreError>,
    },
    /// The program was asked to end.
    #[error("interrupted")]
    Interrupted,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// No threads, no random numbers, or the like.
    #[error("this machine does not give what the store needs: {0}")]
    Machine(String),
    /// What the guard of the store found.
    #[error("{0}")]
    Site(Box<dyn Failure>),
    /// Tables are missing.
    #[error("the database is not initialized for RUNE: {0}")]
    NotMigrated(String),
    /// A newer RUNE has been here.
    #[error(
        "the database has schema version {version}, and this program knows versions up to {known}"
    )]
    Newer {
        /// What is there.
        version: i64,
        /// What is known.
        known: i64,
    },
    /// A value that must not be stored.
    #[error("`{field}` {problem}")]
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
    Undone(&'static str),
    /// There is no such job.
    #[error("job `{0}` not found")]
    JobNotFound(String),
    /// The row that a page of a list goes on after.
    #[error("there is no row `{0}` to go on after")]
    PageNotFound(String),
    /// A job would go back.
    #[error("job `{job_id}` is `{from}` and cannot become `{to}`")]
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
    ChainNotInitialized(String),
    /// A step that is not one of the job's.
    #[error("chain node '{node_id}' not found in state for job_id={job_id}")]
    ChainNodeNotFound {
        /// The job.
        job_id: String,
        /// The step.
        node_id: String,
    },
    /// A chain state that is not what RUNE writes.
    #[error("`chain_state.state_json` of job `{0}` cannot be read as a chain")]
    ChainUnreadable(String),
    /// An invalid kind.
    #[error("unknown audit artifact kind `{0}`")]
    UnknownArtifactKind(String),
    /// Content that is not what was stored.
    #[error("the content of audit artifact `{artifact_id}` is not what was stored: {problem}")]
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

impl Failure for StoreError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Sqlite(error) => error.kind(),
            Self::Connect(error) => error.kind(),
            Self::Server(error) => error.kind(),
            Self::Site(error) => error.kind(),
            Self::PrunedInPart { source, .. } => source.kind(),
            Self::PoolExhausted { .. } => FailureKind::Space,
            Self::Interrupted => FailureKind::Interrupted,
            Self::Closed | Self::Machine(_) => FailureKind::Internal,
            Self::NotMigrated(_) => FailureKind::Drift,
            Self::Newer { .. }
            | Self::Undone(_)
            | Self::Regression { .. }
            | Self::Refused {
                problem: Problem::Contended,
                ..
            } => FailureKind::Conflict,
            Self::Refused { .. }
            | Self::UnknownArtifactKind(_)
            | Self::ChainUnreadable(_)
            | Self::Cell { .. } => FailureKind::Input,
            Self::JobNotFound(_)
            | Self::PageNotFound(_)
            | Self::ChainNotInitialized(_)
            | Self::ChainNodeNotFound { .. } => FailureKind::NotFound,
            Self::ArtifactDamaged { .. } => FailureKind::Content,
            Self::File(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Open(error) => return error.help(),
            Self::Sqlite(error) => return error.help(),
            Self::Connect(error) => return error.help(),
            Self::Server(error) => return error.help(),
            Self::Site(error) => return error.help(),
            Self::PrunedInPart { source, .. } => return source.help(),
            Self::File(error) => return error.help(),
            Self::PoolExhausted { .. } => {
                "set RUNE_PG_POOL_MAX higher, if the server has connections to give".to_owned()
            }
            Self::NotMigrated(_) => {
                "run `rune-db migrate` first; `rune-db status` shows what is missing".to_owned()
            }
            Self::Newer { .. } => "use the release of rune-db that belongs to this RUNE".to_owned(),
            Self::Undone(_) => {
                "run `rune-db status`, which names the triggers and rules on RUNE's tables"
                    .to_owned()
            }
            Self::UnknownArtifactKind(_) => {
                format!("use one of {}", super::ARTIFACT_KINDS.join(", "))
            }
            Self::ArtifactDamaged { .. } => {
                "restore it from a backup, and run `rune-db audit verify` to see what else is \
                 damaged"
                    .to_owned()
            }
            Self::Cell { .. } => "run `rune-db verify`, which names the rows".to_owned(),
            _ => return None,
        })
    }
}
