//! `rune-db prune`: takes away old events, and jobs that ended long ago with what belongs to them.

use std::time::Duration;

use serde::Serialize;

use super::records::{StoreOptions, Use};
use crate::{
    commands::{CommandError, Report},
    storage::port::PruneRule,
};

/// What to take away.
#[derive(Debug)]
pub struct PruneOptions {
    /// Where.
    pub store: StoreOptions,
    /// How old it must be.
    pub older_than: Duration,
    /// Whether the evidence of jobs goes with them.
    pub with_artifacts: bool,
    /// Whether to count it, and change nothing.
    pub is_dry_run: bool,
}

/// How much was taken away, or would be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// What did not change since, in seconds since 1970.
    pub before: f64,
    /// Events.
    pub events: u64,
    /// Jobs that had ended.
    pub jobs: u64,
    /// Their idempotency keys.
    pub idempotency_keys: u64,
    /// Their chain states.
    pub chain_states: u64,
    /// Their evidence.
    pub audit_artifacts: u64,
}

/// Takes away what is old.
///
/// # Errors
/// When the database cannot be changed; what was taken away before that is gone.
pub fn run(options: &PruneOptions) -> Result<PruneReport, CommandError> {
    let before = (options.store.now)() - options.older_than.as_secs_f64();
    let rule = PruneRule { before, with_artifacts: options.with_artifacts };
    let counts = if options.is_dry_run {
        options.store.with_store(Use::Looking, |store| Ok(store.count_prunable(rule)?))?
    } else {
        let mut note = |counts: &_| tracing::debug!(?counts, "taken away so far");
        options.store.with_store(Use::Changing, |store| Ok(store.prune(rule, &mut note)?))?
    };
    Ok(PruneReport {
        dry_run: options.is_dry_run,
        before,
        events: counts.events,
        jobs: counts.jobs,
        idempotency_keys: counts.idempotency_keys,
        chain_states: counts.chain_states,
        audit_artifacts: counts.audit_artifacts,
    })
}

impl Report for PruneReport {
    const VERB: &'static str = "db-prune";

    fn text(&self) -> String {
        let did = if self.dry_run { "would take away" } else { "took away" };
        let note = if self.dry_run { "; nothing was changed" } else { "" };
        format!(
            "{did} {} events, {} jobs with {} idempotency keys, {} chain states and {} audit artifacts{note}\n",
            self.events, self.jobs, self.idempotency_keys, self.chain_states, self.audit_artifacts
        )
    }
}
