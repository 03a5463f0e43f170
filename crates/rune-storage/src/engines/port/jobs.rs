//! Jobs and the keys that make repeated requests one.

use super::{
    error::StoreError,
    limits,
    readable::{self, Unreadable},
    records::{CreatedJob, FinopsJob, Job, JobChange, NewJob, StaleJobs},
    session::{Row, Session, Value, placeholders},
    status::{FINOPS_KINDS, JobStatus},
    uuid,
};

/// Columns that era B of RUNE made 32 bits wide are read by their text, as RUNE reads them: 12.3
/// does not become 12.300000190734863.
pub(super) const COLUMNS: &str =
    "job_id, tenant_id, kind, status, request_json, result_json, error, message,
    created_at /* ::text::float8 */ AS created_at, updated_at /* ::text::float8 */ AS updated_at";

/// How often a key is looked for that somebody else takes and gives back meanwhile.
const ATTEMPTS: usize = 5;
const MAX_FINOPS_JOBS: u32 = 5000;
/// How many jobs one transaction marks as failed.
const STALE_BATCH: i64 = 500;

pub(super) fn read(row: &Row) -> Result<Job, StoreError> {
    Ok(Job {
        job_id: row.text("job_id")?,
        tenant_id: row.text("tenant_id")?,
        kind: row.text("kind")?,
        status: row.text("status")?,
        request_json: row.text("request_json")?,
        result_json: row
            .optional_text("result_json")?
            .filter(|text| !text.is_empty()),
        error: row.optional_text("error")?,
        message: row.optional_text("message")?,
        created_at: row.float("created_at")?,
        updated_at: row.float("updated_at")?,
    })
}

pub(super) fn check_new(job: &NewJob<'_>) -> Result<(), StoreError> {
    limits::word("tenant_id", job.tenant_id, limits::MAX_TENANT_ID)?;
    limits::word("kind", job.kind, limits::MAX_WORD)?;
    limits::object("request_json", job.request_json)?;
    limits::free(
        "idempotency_key",
        job.idempotency_key.unwrap_or_default(),
        limits::MAX_KEY,
    )
}

pub(super) fn create(
    session: &mut dyn Session,
    job: &NewJob<'_>,
    now: f64,
) -> Result<CreatedJob, StoreError> {
    const KEY: &str =
        "INSERT INTO idempotency_keys (tenant_id, operation, idempotency_key, job_id, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant_id, operation, idempotency_key) DO NOTHING";
    const OWNER: &str = "SELECT job_id FROM idempotency_keys WHERE tenant_id = ?1 AND operation = \
                         ?2 AND idempotency_key = ?3";
    const JOB: &str =
        "INSERT INTO jobs (job_id, tenant_id, kind, status, request_json, result_json, error,
            message, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, NULL, NULL, ?6, ?7, ?7)";
    let job_id = uuid::random()?;
    if let Some(key) = job.idempotency_key.filter(|key| !key.is_empty()) {
        let scope = [
            Value::Text(job.tenant_id),
            Value::Text(job.kind),
            Value::Text(key),
        ];
        // The key is taken before the job is made: whoever else wants it waits here, and then sees
        // whose it is.
        let mut is_taken = false;
        for _ in 0..ATTEMPTS {
            let [tenant, kind, key] = scope;
            if session.execute(
                KEY,
                &[tenant, kind, key, Value::Text(&job_id), Value::Float(now)],
            )? == 1
            {
                is_taken = true;
                break;
            }
            if let Some(row) = session.query(OWNER, &scope)?.first() {
                return Ok(CreatedJob {
                    job_id: row.text("job_id")?,
                    is_new: false,
                });
            }
        }
        if !is_taken {
            return Err(StoreError::Refused {
                field: "idempotency_key",
                problem: super::error::Problem::Contended,
            });
        }
    }
    let values = [
        Value::Text(&job_id),
        Value::Text(job.tenant_id),
        Value::Text(job.kind),
        Value::Text(JobStatus::Queued.word()),
        Value::Text(job.request_json),
        Value::Text("accepted"),
        Value::Float(now),
    ];
    session.execute(JOB, &values)?;
    Ok(CreatedJob {
        job_id,
        is_new: true,
    })
}

pub(super) fn check_change(change: &JobChange<'_>) -> Result<(), StoreError> {
    if let Some(result) = change.result_json {
        limits::object("result_json", result)?;
    }
    limits::free("error", change.error.unwrap_or_default(), limits::MAX_ERROR)?;
    limits::free(
        "message",
        change.message.unwrap_or_default(),
        limits::MAX_ERROR,
    )
}

pub(super) fn update(
    session: &mut dyn Session,
    job_id: &str,
    change: &JobChange<'_>,
    now: f64,
) -> Result<(), StoreError> {
    const STATUS: &str = "SELECT status FROM jobs WHERE job_id = ?1 /* FOR UPDATE */";
    const CHANGE: &str =
        "UPDATE jobs SET status = COALESCE(?2, status), result_json = COALESCE(?3, result_json),
        error = COALESCE(?4, error), message = COALESCE(?5, message), updated_at = ?6
            WHERE job_id = ?1";
    let rows = session.query(STATUS, &[Value::Text(job_id)])?;
    let status = rows
        .first()
        .ok_or_else(|| StoreError::JobNotFound(job_id.to_owned()))?
        .text("status")?;
    if let (Some(from), Some(to)) = (JobStatus::parse(&status), change.status)
        && !from.may_become(to)
    {
        return Err(StoreError::Regression {
            job_id: job_id.to_owned(),
            from: status,
            to: to.word(),
        });
    }
    let values = [
        Value::Text(job_id),
        Value::OptionalText(change.status.map(JobStatus::word)),
        Value::OptionalText(change.result_json),
        Value::OptionalText(change.error),
        Value::OptionalText(change.message),
        Value::Float(now),
    ];
    session.execute(CHANGE, &values)?;
    Ok(())
}

pub(super) fn get(
    session: &mut dyn Session,
    job_id: &str,
    tenant_id: Option<&str>,
) -> Result<Option<Job>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM jobs WHERE job_id = ?1 AND (?2 IS NULL OR tenant_id = ?2)");
    session
        .query(&sql, &[Value::Text(job_id), Value::OptionalText(tenant_id)])?
        .first()
        .map(read)
        .transpose()
}

/// What one transaction marked as failed.
pub(super) struct StaleBatch {
    pub(super) ids: Vec<String>,
    /// How many rows have no id that can be read, and are left as they are.
    pub(super) unreadable: i64,
    pub(super) may_be_more: bool,
}

/// Marks one batch of jobs as failed, after so many that cannot be read.
pub(super) fn fail_stale(
    session: &mut dyn Session,
    stale: &StaleJobs<'_>,
    skipped: i64,
    now: f64,
) -> Result<StaleBatch, StoreError> {
    const FIND: &str = "SELECT job_id FROM jobs
        WHERE status IN ('queued', 'running') AND updated_at <= ?2
            AND (?1 IS NULL OR tenant_id = ?1)
        ORDER BY job_id COLLATE BINARY LIMIT ?3 OFFSET ?4 /* FOR UPDATE */";
    let values = [
        Value::OptionalText(stale.tenant_id),
        Value::Float(stale.unchanged_since),
        Value::Integer(STALE_BATCH),
        Value::Integer(skipped),
    ];
    let rows = session.query(FIND, &values)?;
    let mut ids: Vec<String> = rows
        .iter()
        .filter_map(|row| row.text("job_id").ok())
        .collect();
    ids.sort();
    if !ids.is_empty() {
        let list = placeholders(3, ids.len());
        let sql = format!(
            "UPDATE jobs SET status = 'failed', error = ?1, message = ?1, updated_at = ?2 WHERE \
             job_id IN ({list})"
        );
        let values = [Value::Text(stale.message), Value::Float(now)]
            .into_iter()
            .chain(ids.iter().map(|id| Value::Text(id)));
        session.execute(&sql, &values.collect::<Vec<_>>())?;
        let sql = format!(
            "SELECT count(*) AS n FROM jobs WHERE status = 'failed' AND error = ?1 AND message = \
             ?1 AND job_id IN ({})",
            placeholders(2, ids.len())
        );
        let values: Vec<_> = std::iter::once(Value::Text(stale.message))
            .chain(ids.iter().map(|id| Value::Text(id)))
            .collect();
        let kept = session
            .query(&sql, &values)?
            .first()
            .map_or(Ok(0), |row| row.integer("n"))?;
        if usize::try_from(kept) != Ok(ids.len()) {
            return Err(StoreError::Undone("jobs"));
        }
    }
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Ok(StaleBatch {
        unreadable: count(rows.len() - ids.len()),
        may_be_more: count(rows.len()) >= STALE_BATCH,
        ids,
    })
}

/// Jobs that have not ended, and of which it cannot be said since when.
pub(super) fn unreadable_unfinished(
    session: &mut dyn Session,
    tenant_id: Option<&str>,
) -> Result<Vec<Unreadable>, StoreError> {
    const LIST: &str = "SELECT job_id, updated_at /* ::text::float8 */ AS updated_at FROM jobs
        WHERE status IN ('queued', 'running') AND (?1 IS NULL OR tenant_id = ?1)";
    let rows = session.query(LIST, &[Value::OptionalText(tenant_id)])?;
    let read = |row: &Row| {
        let time = row.text("job_id").and_then(|_| row.float("updated_at"))?;
        if time.is_finite() {
            Ok(())
        } else {
            Err(StoreError::Cell {
                column: "updated_at".to_owned(),
                expected: "a finite number",
            })
        }
    };
    Ok(readable::each("jobs", "job_id", &rows, read)?
        .into_iter()
        .filter_map(Result::err)
        .collect())
}

pub(super) fn list_for_finops(
    session: &mut dyn Session,
    tenant_id: &str,
    limit: u32,
) -> Result<Vec<FinopsJob>, StoreError> {
    const LIST: &str =
        "SELECT kind, request_json, result_json, created_at /* ::text::float8 */ AS created_at,
            updated_at /* ::text::float8 */ AS updated_at FROM jobs
        WHERE tenant_id = ?1 AND status = 'succeeded' AND kind IN (?2, ?3)
        ORDER BY jobs.updated_at DESC, job_id COLLATE BINARY LIMIT ?4";
    let [benchmark, agentic] = FINOPS_KINDS;
    let limit = i64::from(limit.clamp(1, MAX_FINOPS_JOBS));
    let rows = session.query(
        LIST,
        &[
            Value::Text(tenant_id),
            Value::Text(benchmark),
            Value::Text(agentic),
            Value::Integer(limit),
        ],
    )?;
    let job = |row: &Row| {
        Ok(FinopsJob {
            kind: row.text("kind")?,
            request_json: row.text("request_json")?,
            result_json: row
                .optional_text("result_json")?
                .filter(|text| !text.is_empty()),
            duration_seconds: (row.float("updated_at")? - row.float("created_at")?).max(0.001),
        })
    };
    rows.iter().map(job).collect()
}
