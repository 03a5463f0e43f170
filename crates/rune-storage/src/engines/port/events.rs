//! What happened while jobs ran.

use super::{
    error::StoreError,
    limits,
    readable::{self, Listed},
    records::{Event, EventSummary, NewEvent},
    rounding::to_tenth,
    session::{Row, Session, Value},
};

pub(super) const COLUMNS: &str = "id, job_id, event, status, duration_ms /* ::text::float8 */ AS duration_ms, error_type, labels_json,
    recorded_at /* ::text::float8 */ AS recorded_at";

pub(super) fn read(row: &Row) -> Result<Event, StoreError> {
    Ok(Event {
        id: row.integer("id")?,
        job_id: row.optional_text("job_id")?,
        event: row.text("event")?,
        status: row.text("status")?,
        duration_ms: row.optional_float("duration_ms")?,
        error_type: row.optional_text("error_type")?,
        labels_json: row
            .optional_text("labels_json")?
            .filter(|text| !text.is_empty()),
        recorded_at: row.float("recorded_at")?,
    })
}

pub(super) fn record(session: &mut dyn Session, event: &NewEvent<'_>) -> Result<i64, StoreError> {
    const RECORD: &str = "INSERT INTO workflow_events (job_id, event, status, duration_ms, error_type, labels_json, recorded_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id";
    if let Some(job_id) = event.job_id {
        limits::word("job_id", job_id, limits::MAX_JOB_ID)?;
    }
    limits::word("event", event.event, limits::MAX_KEY)?;
    limits::word("status", event.status, limits::MAX_WORD)?;
    limits::free(
        "error_type",
        event.error_type.unwrap_or_default(),
        limits::MAX_KEY,
    )?;
    if let Some(labels) = event.labels_json {
        limits::object("labels_json", labels)?;
    }
    let duration = event
        .duration_ms
        .map(|duration| limits::duration("duration_ms", duration))
        .transpose()?;
    let values = [
        Value::OptionalText(event.job_id),
        Value::Text(event.event),
        Value::Text(event.status),
        Value::OptionalFloat(duration),
        Value::OptionalText(event.error_type),
        // RUNE writes nothing for labels that say nothing.
        Value::OptionalText(event.labels_json.filter(|labels| *labels != "{}")),
        Value::Float(limits::number("recorded_at", event.recorded_at)?),
    ];
    let rows = session.query(RECORD, &values)?;
    rows.first()
        .ok_or(StoreError::Cell {
            column: "id".to_owned(),
            expected: "a whole number",
        })?
        .integer("id")
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope<'a> {
    pub(super) job_id: Option<&'a str>,
    pub(super) since: Option<f64>,
    pub(super) until: Option<f64>,
}

pub(super) fn summarise(
    session: &mut dyn Session,
    scope: Scope<'_>,
) -> Result<Vec<Listed<EventSummary>>, StoreError> {
    // The mean is `avg` on SQLite, whose sum keeps what it rounds off, and a decimal one on
    // PostgreSQL, whose order of adding is not known: both are right to 15 digits, whatever the
    // order.
    const SUMMARY: &str = "SELECT event, count(*) AS total,
        count(CASE WHEN status = 'ok' THEN 1 END) AS ok,
            count(CASE WHEN status = 'error' THEN 1 END) AS error,
            avg(duration_ms /* ::text::numeric */) /* ::float8 */ AS average_ms,
            min(duration_ms /* ::text::float8 */) AS min_ms, max(duration_ms /* ::text::float8 */) AS max_ms
        FROM workflow_events WHERE (?1 IS NULL OR job_id = ?1)
            AND (?2 IS NULL OR recorded_at /* ::text::float8 */ >= ?2)
            AND (?3 IS NULL OR recorded_at /* ::text::float8 */ < ?3)
        GROUP BY event ORDER BY event COLLATE BINARY";
    let values = [
        Value::OptionalText(scope.job_id),
        Value::OptionalFloat(scope.since),
        Value::OptionalFloat(scope.until),
    ];
    let rows = session.query(SUMMARY, &values)?;
    let summary = |row: &Row| {
        let tenth = |column| Ok::<_, StoreError>(row.optional_float(column)?.map_or(0.0, to_tenth));
        // The mean of both infinities is not a number, which SQLite gives as NULL.
        let has_no_mean =
            row.optional_float("average_ms")?.is_none() && row.optional_float("min_ms")?.is_some();
        Ok(EventSummary {
            event: row.text("event")?,
            total: row.integer("total")?,
            ok: row.integer("ok")?,
            error: row.integer("error")?,
            average_ms: if has_no_mean {
                f64::NAN
            } else {
                tenth("average_ms")?
            },
            min_ms: tenth("min_ms")?,
            max_ms: tenth("max_ms")?,
        })
    };
    readable::each("workflow_events", "event", &rows, summary)
}

pub(super) fn list_for_job(
    session: &mut dyn Session,
    job_id: &str,
    after_id: i64,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM workflow_events WHERE job_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    );
    let rows = session.query(
        &sql,
        &[
            Value::Text(job_id),
            Value::Integer(after_id),
            Value::Integer(i64::from(limit)),
        ],
    )?;
    rows.iter().map(read).collect()
}
