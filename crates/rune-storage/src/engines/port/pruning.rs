//! Deleting what is old: events, and jobs that have ended, with what belongs to them.
//!
//! Evidence goes only when that is said. A batch is one transaction, so a run that is killed leaves
//! whole jobs or none of a job, and readers and writers never wait long.

use std::ops::AddAssign;

use super::{
    error::StoreError,
    session::{Session, Value, placeholders},
};

/// How many jobs or events one transaction deletes.
const BATCH: i64 = 500;
const ENDED: &str = "status IN ('succeeded', 'success', 'failed', 'cancelled') AND updated_at < ?1";

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PruneRule {
    /// What did not change since, in seconds since 1970.
    pub before: f64,
    /// Whether the evidence of jobs goes with them.
    pub with_artifacts: bool,
}

/// How much was deleted, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneCounts {
    /// Events.
    pub events: u64,
    /// Jobs that had ended.
    pub jobs: u64,
    /// Idempotency keys of these jobs.
    pub idempotency_keys: u64,
    /// Chain states of these jobs.
    pub chain_states: u64,
    /// Evidence of these jobs.
    pub audit_artifacts: u64,
}

/// The rows of a table before and after everything was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCount {
    /// The table.
    pub table: String,
    /// How many there were.
    pub before: u64,
    /// How many are left.
    pub after: u64,
}

/// The tables that rows are taken from, and the one that keeps its rows unless a foreign key
/// reaches it.
const COUNTED: [&str; 6] = [
    "jobs",
    "idempotency_keys",
    "workflow_events",
    "chain_state",
    "audit_artifact",
    "settings",
];

/// Counts the rows of RUNE's tables and of some others, given by their names in SQL.
pub(super) fn rows_of(
    session: &mut dyn Session,
    others: &[String],
) -> Result<Vec<(String, u64)>, StoreError> {
    let tables = COUNTED.into_iter().chain(others.iter().map(String::as_str));
    let mut counts = Vec::new();
    for table in tables {
        let rows = session.query(&format!("SELECT count(*) AS n FROM {table}"), &[])?;
        let number = rows.first().map_or(Ok(0), |row| row.integer("n"))?;
        counts.push((table.to_owned(), u64::try_from(number).unwrap_or_default()));
    }
    Ok(counts)
}

pub(super) fn count(session: &mut dyn Session, rule: PruneRule) -> Result<PruneCounts, StoreError> {
    let mut count = |sql: &str| {
        let rows = session.query(sql, &[Value::Float(rule.before)])?;
        let number = rows.first().map_or(Ok(0), |row| row.integer("n"))?;
        Ok::<_, StoreError>(u64::try_from(number).unwrap_or_default())
    };
    let of_jobs = |table: &str| {
        format!(
            "SELECT count(*) AS n FROM {table} WHERE job_id IN (SELECT job_id FROM jobs WHERE \
             {ENDED})"
        )
    };
    Ok(PruneCounts {
        events: count("SELECT count(*) AS n FROM workflow_events WHERE recorded_at < ?1")?,
        jobs: count(&format!("SELECT count(*) AS n FROM jobs WHERE {ENDED}"))?,
        idempotency_keys: count(&of_jobs("idempotency_keys"))?,
        chain_states: count(&of_jobs("chain_state"))?,
        audit_artifacts: if rule.with_artifacts {
            count(&of_jobs("audit_artifact"))?
        } else {
            0
        },
    })
}

impl AddAssign for PruneCounts {
    fn add_assign(&mut self, more: Self) {
        self.events += more.events;
        self.jobs += more.jobs;
        self.idempotency_keys += more.idempotency_keys;
        self.chain_states += more.chain_states;
        self.audit_artifacts += more.audit_artifacts;
    }
}

/// Takes one batch away; nothing when there is no more.
type Batch = fn(&mut dyn Session, PruneRule) -> Result<PruneCounts, StoreError>;

pub(super) const BATCHES: [Batch; 2] = [events, jobs];

fn events(session: &mut dyn Session, rule: PruneRule) -> Result<PruneCounts, StoreError> {
    const DELETE: &str = "DELETE FROM workflow_events WHERE id IN (
        SELECT id FROM workflow_events WHERE recorded_at < ?1
            ORDER BY id LIMIT ?2 /* FOR UPDATE SKIP LOCKED */)";
    let events = session.execute(DELETE, &[Value::Float(rule.before), Value::Integer(BATCH)])?;
    Ok(PruneCounts {
        events,
        ..PruneCounts::default()
    })
}

/// Takes one batch of jobs away, with what belongs to them.
fn jobs(session: &mut dyn Session, rule: PruneRule) -> Result<PruneCounts, StoreError> {
    let chosen = format!(
        "SELECT job_id FROM jobs WHERE {ENDED} ORDER BY job_id COLLATE BINARY LIMIT ?2 /* FOR \
         UPDATE SKIP LOCKED */"
    );
    let rows = session.query(&chosen, &[Value::Float(rule.before), Value::Integer(BATCH)])?;
    let ids = rows
        .iter()
        .map(|row| row.text("job_id"))
        .collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() {
        return Ok(PruneCounts::default());
    }
    let values: Vec<Value<'_>> = ids.iter().map(|id| Value::Text(id)).collect();
    let list = placeholders(1, ids.len());
    let mut delete = |table: &str| {
        session.execute(
            &format!("DELETE FROM {table} WHERE job_id IN ({list})"),
            &values,
        )
    };
    Ok(PruneCounts {
        events: 0,
        idempotency_keys: delete("idempotency_keys")?,
        chain_states: delete("chain_state")?,
        audit_artifacts: if rule.with_artifacts {
            delete("audit_artifact")?
        } else {
            0
        },
        jobs: delete("jobs")?,
    })
}
