//! What goes into the port and comes out of it.
//!
//! JSON is the text that arrived. Times are seconds since 1970, durations milliseconds unless they
//! say otherwise. What is listed for operators stands in reports as it is.

use serde::Serialize;

/// A job as it stands in the database.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// A UUID.
    pub job_id: String,
    /// Whose it is.
    pub tenant_id: String,
    /// What is to be done: `benchmark`, `agentic-agent`, …
    pub kind: String,
    /// How far it is, as [`JobStatus`](super::JobStatus) where RUNE's present words are used.
    pub status: String,
    /// What was asked for; a JSON object.
    pub request_json: String,
    /// What came of it; a JSON object.
    pub result_json: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// A word for people.
    pub message: Option<String>,
    /// When it was accepted.
    pub created_at: f64,
    /// When it changed last.
    pub updated_at: f64,
}

/// A job to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// Whose it is.
    pub tenant_id: &'a str,
    /// What is to be done.
    pub kind: &'a str,
    /// What is asked for; a JSON object.
    pub request_json: &'a str,
    /// What makes a repeated request the same one, within a tenant and kind; empty means no key.
    pub idempotency_key: Option<&'a str>,
}

/// The answer to a request for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedJob {
    /// The job.
    pub job_id: String,
    /// Whether it was made now, and not by an earlier request with the same key.
    pub is_new: bool,
}

/// What is to change about a job; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobChange<'a> {
    /// How far it is.
    pub status: Option<super::JobStatus>,
    /// What came of it; a JSON object.
    pub result_json: Option<&'a str>,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// A word for people.
    pub message: Option<&'a str>,
}

/// Which unfinished jobs are taken for dead.
#[derive(Debug, Clone, Copy)]
pub struct StaleJobs<'a> {
    /// Whose jobs; `None` is everybody's, and a deliberate choice.
    pub tenant_id: Option<&'a str>,
    /// Those that did not change since.
    pub unchanged_since: f64,
    /// What is written into `error` and `message`.
    pub message: &'a str,
}

/// A job as the cost report sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct FinopsJob {
    /// What was done.
    pub kind: String,
    /// What was asked for; a JSON object.
    pub request_json: String,
    /// What came of it; a JSON object.
    pub result_json: Option<String>,
    /// How long it took, in seconds, at least a thousandth.
    pub duration_seconds: f64,
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// The job it belongs to, if any.
    pub job_id: Option<&'a str>,
    /// What happened.
    pub event: &'a str,
    /// `ok` or `error`; other words count only in totals.
    pub status: &'a str,
    /// How long it took.
    pub duration_ms: Option<f64>,
    /// The kind of error.
    pub error_type: Option<&'a str>,
    /// More about it; a JSON object.
    pub labels_json: Option<&'a str>,
    /// When it happened.
    pub recorded_at: f64,
}

/// Something that happened, as it stands in the database.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Grows with every event; never given out twice.
    pub id: i64,
    /// The job it belongs to, if any.
    pub job_id: Option<String>,
    /// What happened.
    pub event: String,
    /// `ok` or `error`.
    pub status: String,
    /// How long it took.
    #[serde(serialize_with = "crate::json_optional_float")]
    pub duration_ms: Option<f64>,
    /// The kind of error.
    pub error_type: Option<String>,
    /// More about it; a JSON object.
    pub labels_json: Option<String>,
    /// When it happened.
    #[serde(serialize_with = "crate::json_float")]
    pub recorded_at: f64,
}

/// All events of one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSummary {
    /// The name.
    pub event: String,
    /// How many.
    pub total: i64,
    /// How many went well.
    pub ok: i64,
    /// How many did not.
    pub error: i64,
    /// The mean duration, to one decimal; 0 when none is known.
    #[serde(serialize_with = "crate::json_float")]
    pub average_ms: f64,
    /// The shortest, likewise.
    #[serde(serialize_with = "crate::json_float")]
    pub min_ms: f64,
    /// The longest, likewise.
    #[serde(serialize_with = "crate::json_float")]
    pub max_ms: f64,
}

/// A step of a chained job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainNode {
    /// Its name within the job.
    pub id: String,
    /// Who does it.
    pub agent_name: String,
    /// `pending`, `running`, `success`, `failed` or `skipped`.
    pub status: String,
    /// When it began.
    #[serde(serialize_with = "crate::json_optional_float")]
    pub started_at: Option<f64>,
    /// When it ended.
    #[serde(serialize_with = "crate::json_optional_float")]
    pub finished_at: Option<f64>,
    /// What went wrong.
    pub error: Option<String>,
}

impl ChainNode {
    /// A step that has not begun.
    pub fn pending(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            agent_name: String::new(),
            status: "pending".to_owned(),
            started_at: None,
            finished_at: None,
            error: None,
        }
    }
}

/// That one step comes after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainEdge {
    /// The earlier step.
    pub from: String,
    /// The later step.
    pub to: String,
}

/// The steps of a chained job.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainState {
    /// The steps.
    pub nodes: Vec<ChainNode>,
    /// What comes after what.
    pub edges: Vec<ChainEdge>,
    /// What the steps amount to.
    pub overall_status: String,
}

/// What changes about a step; `None` leaves it as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeChange<'a> {
    /// How far it is.
    pub status: &'a str,
    /// When it began.
    pub started_at: Option<f64>,
    /// When it ended.
    pub finished_at: Option<f64>,
    /// What went wrong.
    pub error: Option<&'a str>,
}

/// Evidence to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewArtifact<'a> {
    /// The job that left it.
    pub job_id: &'a str,
    /// One of [`ARTIFACT_KINDS`](super::ARTIFACT_KINDS).
    pub kind: &'a str,
    /// A file name for people.
    pub name: &'a str,
    /// The bytes.
    pub content: &'a [u8],
}

/// Evidence, without its content.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactInfo {
    /// A UUID.
    pub artifact_id: String,
    /// The job that left it.
    pub job_id: String,
    /// What kind it is.
    pub kind: String,
    /// A file name for people; not safe as a path.
    pub name: String,
    /// How many bytes.
    pub size_bytes: i64,
    /// Their SHA-256, 64 hex digits.
    pub sha256: String,
    /// When it was kept.
    #[serde(serialize_with = "crate::json_float")]
    pub created_at: f64,
}

/// A setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// What it is set to; a JSON object.
    pub value_json: String,
    /// When it changed last.
    pub updated_at: f64,
}
