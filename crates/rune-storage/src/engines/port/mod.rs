//! RUNE's storage port: every operation that RUNE has on its database, the same on every engine.
//!
//! The operations, their SQL and their rules are written once; an engine opens transactions and
//! translates the few words that differ. Where engines differ by nature the port decides: U+0000
//! and NaN and infinities are refused, -0.0 becomes 0.0, text is ordered by code point, means are
//! rounded half away from zero to one decimal. JSON is checked and stored as the text that arrived;
//! only the state of chains is built here, in the spelling of Python's `json.dumps`.
//!
//! The port makes no tables and changes none: a database that is not migrated, or that a newer RUNE
//! has migrated, is refused when it is opened. The invariant: an operation is one transaction, done
//! whole or not at all, and an operation that reads before it writes holds the lock in between.
//!
//! The port is synchronous and may be called from any number of threads, but not from asynchronous
//! code: the PostgreSQL adapter blocks the calling thread on a runtime of its own.

mod artifacts;
mod chains;
mod encoding;
mod error;
mod events;
mod guard;
mod jobs;
mod json_tree;
mod limits;
mod listing;
mod operators;
mod postgres;
mod pruning;
mod readable;
mod records;
mod rounding;
mod session;
mod settings;
mod sqlite;
mod status;
mod store;
mod uuid;

pub use artifacts::CheckedArtifact;
pub use error::{Problem, StoreError};
pub use guard::{Guard, Reached};
pub use limits::{
    MAX_ARTIFACT_BYTES, MAX_ERROR, MAX_JOB_ID, MAX_JSON_BYTES, MAX_KEY, MAX_TENANT_ID, MAX_WORD,
};
pub use listing::{ArtifactFilter, EventFilter, JobFilter, JobLine, Page, SettingLine, TimeRange};
pub use operators::OperatorPort;
pub use postgres::PostgresStore;
pub use pruning::{PruneCounts, PruneRule, TableCount};
pub use readable::{Listed, Unreadable};
pub use records::{
    ArtifactInfo, ChainEdge, ChainNode, ChainState, CreatedJob, Event, EventSummary, FinopsJob,
    Job, JobChange, NewArtifact, NewEvent, NewJob, NodeChange, Setting, StaleJobs,
};
pub use sqlite::SqliteStore;
pub use status::{ARTIFACT_KINDS, JobStatus, overall_status};
pub use store::{Clock, PoolLimitError, PoolLimits, SCHEMA_VERSION};

/// RUNE's database, whatever the engine.
///
/// # Errors
/// Every operation fails when the database cannot be reached, and when a value must not be stored.
/// What else can go wrong stands with the operation.
#[expect(clippy::missing_errors_doc, reason = "said once for all operations")]
pub trait StoragePort: Send + Sync {
    /// Makes a job, `queued` and `accepted`; or finds the one that an earlier request with the same
    /// key made for the same tenant and kind. Of any number of requests at the same time, exactly
    /// one makes the job.
    fn create_job(&self, job: &NewJob<'_>) -> Result<CreatedJob, StoreError>;

    /// Changes a job. Fails when there is none with this id, and when its status would go back: a
    /// job that has ended stays as it ended.
    fn update_job(&self, job_id: &str, change: &JobChange<'_>) -> Result<(), StoreError>;

    /// Finds a job; when a tenant is given, only among its own.
    fn get_job(&self, job_id: &str, tenant_id: Option<&str>) -> Result<Option<Job>, StoreError>;

    /// Marks jobs as failed that are queued or running and have not changed for long; gives their
    /// ids in order. Unlike RUNE's own, which takes every unfinished job of everybody for dead,
    /// this names an age and a tenant.
    fn fail_stale_jobs(&self, stale: &StaleJobs<'_>) -> Result<Vec<String>, StoreError>;

    /// Lists what succeeded for the cost report, newest first; `limit` is kept within 1 and 5000.
    fn list_jobs_for_finops(
        &self,
        tenant_id: &str,
        limit: u32,
    ) -> Result<Vec<FinopsJob>, StoreError>;

    /// Records that something happened; gives its id.
    fn record_workflow_event(&self, event: &NewEvent<'_>) -> Result<i64, StoreError>;

    /// Sums events up by name, of one job or of all, in the order of their names.
    fn get_events_summary(&self, job_id: Option<&str>) -> Result<Vec<EventSummary>, StoreError>;

    /// Lists the events of a job with ids above `after_id`, in the order of their ids, `limit` at
    /// most.
    fn get_events_for_job(
        &self,
        job_id: &str,
        after_id: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError>;

    /// Sets the steps of a chained job, in place of any older ones.
    fn record_chain_initialized(
        &self,
        job_id: &str,
        nodes: &[ChainNode],
        edges: &[ChainEdge],
    ) -> Result<(), StoreError>;

    /// Changes one step. Fails when the job has no steps, or none of this name. Changes of other
    /// steps at the same time are not lost.
    fn record_chain_node_transition(
        &self,
        job_id: &str,
        node_id: &str,
        change: &NodeChange<'_>,
    ) -> Result<(), StoreError>;

    /// Gives the steps of a chained job.
    fn get_chain_state(&self, job_id: &str) -> Result<Option<ChainState>, StoreError>;

    /// Keeps evidence; gives its id. Fails when its kind is unknown, or its content beyond
    /// [`MAX_ARTIFACT_BYTES`].
    fn record_audit_artifact(&self, artifact: &NewArtifact<'_>) -> Result<String, StoreError>;

    /// Lists the evidence of a job without its content, oldest first.
    fn list_audit_artifacts(&self, job_id: &str) -> Result<Vec<ArtifactInfo>, StoreError>;

    /// Passes on the content of a piece of evidence, in pieces, and says what it is. Fails after
    /// the last piece when size or SHA-256 are not what was stored: until then nothing of it is to
    /// be trusted.
    fn read_audit_artifact(
        &self,
        job_id: &str,
        artifact_id: &str,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<Option<ArtifactInfo>, StoreError>;

    /// Gives the content of a piece of evidence whole, and says what it is.
    fn get_audit_artifact(
        &self,
        job_id: &str,
        artifact_id: &str,
    ) -> Result<Option<(ArtifactInfo, Vec<u8>)>, StoreError> {
        let mut content = Vec::new();
        let mut keep = |piece: &[u8]| {
            content.extend_from_slice(piece);
            Ok(())
        };
        Ok(self
            .read_audit_artifact(job_id, artifact_id, &mut keep)?
            .map(|info| (info, content)))
    }

    /// Sets a setting to a JSON object.
    fn set_setting(&self, key: &str, value_json: &str) -> Result<(), StoreError>;

    /// Replaces a setting by what `change` makes of its present value, while nobody else can change
    /// it; `None` takes it away. `change` must not call the store.
    fn update_setting(
        &self,
        key: &str,
        change: &mut dyn FnMut(Option<&str>) -> Option<String>,
    ) -> Result<(), StoreError>;

    /// Gives a setting.
    fn get_setting(&self, key: &str) -> Result<Option<Setting>, StoreError>;

    /// Takes a setting away; says whether it was there.
    fn delete_setting(&self, key: &str) -> Result<bool, StoreError>;

    /// Lists the settings whose keys begin with `prefix`, in the order of their keys; all, when it
    /// is empty.
    fn list_settings(&self, prefix: &str) -> Result<Vec<Setting>, StoreError>;

    /// Lets go of all connections. Operations after that fail.
    fn close(&self);
}
