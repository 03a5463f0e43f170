//! What operators read: lists by filter and page, without payloads.
//!
//! A page goes on after the key of the last one's last row, so that no page costs more than the
//! first, and rows that come or go meanwhile shift nothing.

use serde::Serialize;

use super::{
    artifacts,
    error::StoreError,
    events, limits,
    readable::{self, Listed},
    records::{ArtifactInfo, Event},
    session::{Row, Session, Value},
};

/// A span of time: from the first moment up to, and without, the second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TimeRange {
    /// Seconds since 1970.
    pub since: Option<f64>,
    /// Seconds since 1970.
    pub until: Option<f64>,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The key of the last row that is known; from the beginning without it.
    pub after: Option<&'a str>,
    /// How many rows at most.
    pub limit: u32,
}

/// Which jobs; what is not given does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobFilter<'a> {
    /// Whose.
    pub tenant_id: Option<&'a str>,
    /// What they do.
    pub kind: Option<&'a str>,
    /// How far they are.
    pub status: Option<&'a str>,
    /// When they were accepted.
    pub created: TimeRange,
    /// Only those that have not ended, and have not changed since this moment.
    pub stale_since: Option<f64>,
}

/// A job, without what it was asked and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobLine {
    /// A UUID.
    pub job_id: String,
    /// Whose it is.
    pub tenant_id: String,
    /// What is done.
    pub kind: String,
    /// How far it is.
    pub status: String,
    /// Whether an error is on record; its text may hold anything.
    pub has_error: bool,
    /// The size of the request.
    pub request_bytes: i64,
    /// The size of the result, if there is one.
    pub result_bytes: i64,
    /// When it was accepted, in seconds since 1970.
    #[serde(serialize_with = "crate::json_float")]
    pub created_at: f64,
    /// When it changed last, in seconds since 1970.
    #[serde(serialize_with = "crate::json_float")]
    pub updated_at: f64,
}

/// Which events.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventFilter<'a> {
    /// Of which job.
    pub job_id: Option<&'a str>,
    /// Of which name.
    pub event: Option<&'a str>,
    /// `ok` or `error`.
    pub status: Option<&'a str>,
    /// When they happened.
    pub recorded: TimeRange,
}

/// Which evidence.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArtifactFilter<'a> {
    /// Of which job.
    pub job_id: Option<&'a str>,
    /// Of which kind.
    pub kind: Option<&'a str>,
    /// When it was kept.
    pub created: TimeRange,
}

/// A setting, without its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingLine {
    /// Its name.
    pub key: String,
    /// The size of its value.
    pub value_bytes: i64,
    /// When it changed last, in seconds since 1970.
    #[serde(serialize_with = "crate::json_float")]
    pub updated_at: f64,
}

fn check(filters: &[Option<&str>]) -> Result<(), StoreError> {
    filters
        .iter()
        .flatten()
        .try_for_each(|filter| limits::lookup("filter", filter))
}

/// Refuses a row that is not there as the one that a page goes on after. Its value is compared
/// where it stands.
fn check_after(session: &mut dyn Session, sql: &str, key: Option<&str>) -> Result<(), StoreError> {
    let Some(key) = key else { return Ok(()) };
    check(&[Some(key)])?;
    if session.query(sql, &[Value::Text(key)])?.is_empty() {
        Err(StoreError::PageNotFound(key.to_owned()))
    } else {
        Ok(())
    }
}

pub(super) fn jobs(
    session: &mut dyn Session,
    filter: &JobFilter<'_>,
    page: Page<'_>,
) -> Result<Vec<Listed<JobLine>>, StoreError> {
    const AFTER: &str = "SELECT 1 AS found FROM jobs WHERE job_id = ?1";
    const LIST: &str = "SELECT job_id, tenant_id, kind, status, CASE WHEN COALESCE(error, '') = ''
        THEN 0 ELSE 1 END AS has_error,
            octet_length(request_json) AS request_bytes,
            COALESCE(octet_length(result_json), 0) AS result_bytes, created_at /* ::text::float8 */ AS created_at,
            updated_at /* ::text::float8 */ AS updated_at
        FROM jobs WHERE (?1 IS NULL OR tenant_id = ?1) AND (?2 IS NULL OR kind = ?2)
            AND (?3 IS NULL OR status = ?3)
            AND (?4 IS NULL OR created_at /* ::text::float8 */ >= ?4)
            AND (?5 IS NULL OR created_at /* ::text::float8 */ < ?5)
            AND (?6 IS NULL OR (status IN ('queued', 'running') AND updated_at <= ?6))
            AND (?7 IS NULL OR (jobs.created_at, job_id COLLATE BINARY) < (SELECT j.created_at,
                j.job_id FROM jobs j WHERE j.job_id = ?7))
        ORDER BY jobs.created_at DESC, job_id COLLATE BINARY DESC LIMIT ?8";
    check(&[filter.tenant_id, filter.kind, filter.status])?;
    check_after(session, AFTER, page.after)?;
    let values = [
        Value::OptionalText(filter.tenant_id),
        Value::OptionalText(filter.kind),
        Value::OptionalText(filter.status),
        Value::OptionalFloat(filter.created.since),
        Value::OptionalFloat(filter.created.until),
        Value::OptionalFloat(filter.stale_since),
        Value::OptionalText(page.after),
        Value::Integer(page.limit.into()),
    ];
    let line = |row: &Row| {
        Ok(JobLine {
            job_id: row.text("job_id")?,
            tenant_id: row.text("tenant_id")?,
            kind: row.text("kind")?,
            status: row.text("status")?,
            has_error: row.integer("has_error")? != 0,
            request_bytes: row.integer("request_bytes")?,
            result_bytes: row.integer("result_bytes")?,
            created_at: row.float("created_at")?,
            updated_at: row.float("updated_at")?,
        })
    };
    readable::each("jobs", "job_id", &session.query(LIST, &values)?, line)
}

pub(super) fn events(
    session: &mut dyn Session,
    filter: &EventFilter<'_>,
    after_id: Option<i64>,
    limit: u32,
) -> Result<Vec<Listed<Event>>, StoreError> {
    let sql = format!(
        "SELECT {} FROM workflow_events WHERE (?1 IS NULL OR job_id = ?1)
            AND (?2 IS NULL OR event = ?2) AND (?3 IS NULL OR status = ?3)
            AND (?4 IS NULL OR recorded_at /* ::text::float8 */ >= ?4)
            AND (?5 IS NULL OR recorded_at /* ::text::float8 */ < ?5) AND (?6 IS NULL OR id > ?6)
        ORDER BY id LIMIT ?7",
        events::COLUMNS
    );
    check(&[filter.job_id, filter.event, filter.status])?;
    let values = [
        Value::OptionalText(filter.job_id),
        Value::OptionalText(filter.event),
        Value::OptionalText(filter.status),
        Value::OptionalFloat(filter.recorded.since),
        Value::OptionalFloat(filter.recorded.until),
        Value::OptionalInteger(after_id),
        Value::Integer(limit.into()),
    ];
    readable::each(
        "workflow_events",
        "id",
        &session.query(&sql, &values)?,
        events::read,
    )
}

pub(super) fn artifacts(
    session: &mut dyn Session,
    filter: &ArtifactFilter<'_>,
    page: Page<'_>,
) -> Result<Vec<Listed<ArtifactInfo>>, StoreError> {
    const AFTER: &str = "SELECT 1 AS found FROM audit_artifact WHERE artifact_id = ?1";
    let sql = format!(
        "SELECT {} FROM audit_artifact WHERE (?1 IS NULL OR job_id = ?1)
            AND (?2 IS NULL OR kind = ?2)
            AND (?3 IS NULL OR created_at /* ::text::float8 */ >= ?3)
            AND (?4 IS NULL OR created_at /* ::text::float8 */ < ?4)
            AND (?5 IS NULL OR (audit_artifact.created_at, artifact_id COLLATE BINARY)
                > (SELECT a.created_at, a.artifact_id FROM audit_artifact a
                    WHERE a.artifact_id = ?5))
        ORDER BY audit_artifact.created_at, artifact_id COLLATE BINARY LIMIT ?6",
        artifacts::COLUMNS
    );
    check(&[filter.job_id, filter.kind])?;
    check_after(session, AFTER, page.after)?;
    let values = [
        Value::OptionalText(filter.job_id),
        Value::OptionalText(filter.kind),
        Value::OptionalFloat(filter.created.since),
        Value::OptionalFloat(filter.created.until),
        Value::OptionalText(page.after),
        Value::Integer(page.limit.into()),
    ];
    readable::each(
        "audit_artifact",
        "artifact_id",
        &session.query(&sql, &values)?,
        artifacts::read,
    )
}

pub(super) fn settings(
    session: &mut dyn Session,
    prefix: &str,
    page: Page<'_>,
) -> Result<Vec<Listed<SettingLine>>, StoreError> {
    const LIST: &str = "SELECT key, octet_length(value_json) AS value_bytes,
        updated_at /* ::text::float8 */ AS updated_at
        FROM settings
        WHERE substr(key, 1, length(?1)) = ?1 AND (?2 IS NULL OR key COLLATE BINARY > ?2)
            ORDER BY key COLLATE BINARY LIMIT ?3";
    check(&[Some(prefix), page.after])?;
    let rows = session.query(
        LIST,
        &[
            Value::Text(prefix),
            Value::OptionalText(page.after),
            Value::Integer(page.limit.into()),
        ],
    )?;
    let line = |row: &Row| {
        Ok(SettingLine {
            key: row.text("key")?,
            value_bytes: row.integer("value_bytes")?,
            updated_at: row.float("updated_at")?,
        })
    };
    readable::each("settings", "key", &rows, line)
}
