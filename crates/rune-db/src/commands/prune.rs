//! `rune-db prune`: deletes old events, and jobs that ended long ago with what belongs to them.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    records::{StoreOptions, Use},
    warning_lines,
};
use rune_core::command::{CommandError, Report};
use rune_storage::{
    port::{OperatorPort, PruneRule, TableCount},
    schema::{SiteGuard, Verb},
};

#[derive(Debug)]
pub(crate) struct PruneOptions {
    pub(crate) store: StoreOptions,
    pub(crate) older_than: Duration,
    pub(crate) with_artifacts: bool,
    /// Whether foreign keys, triggers and rules of the site may change more than what is deleted.
    pub(crate) allow_cascade: bool,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PruneReport {
    pub(crate) dry_run: bool,
    /// What did not change since, in seconds since 1970.
    pub(crate) before: f64,
    pub(crate) events: u64,
    pub(crate) jobs: u64,
    pub(crate) idempotency_keys: u64,
    pub(crate) chain_states: u64,
    pub(crate) audit_artifacts: u64,
    /// With `--allow-cascade`: the rows of every table that the deletes reach.
    pub(crate) tables: Vec<TableRows>,
    /// What is worth knowing; what triggers and rules did elsewhere is not known.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TableRows {
    pub(crate) table: String,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// What was deleted before a failure is gone.
pub(crate) fn run(options: &PruneOptions) -> Result<PruneReport, CommandError> {
    let before = (options.store.now)() - options.older_than.as_secs_f64();
    let rule = PruneRule {
        before,
        with_artifacts: options.with_artifacts,
    };
    let verb = Verb::Prune {
        with_artifacts: options.with_artifacts,
    };
    let purpose = if options.is_dry_run {
        Use::ReadOnly
    } else {
        Use::ReadWrite
    };
    let guard = Arc::new(if options.allow_cascade {
        SiteGuard::allowing_cascades(verb)
    } else {
        SiteGuard::new(verb)
    });
    let act = |store: &dyn OperatorPort| {
        if options.is_dry_run {
            return Ok((store.count_prunable(rule)?, Vec::new()));
        }
        if options.allow_cascade {
            return Ok(store.prune_counted(rule)?);
        }
        let mut note = |counts: &_| tracing::debug!(?counts, "deleted so far");
        Ok((store.prune(rule, &mut note)?, Vec::new()))
    };
    let (counts, tables) = options.store.with_store(purpose, &guard, act)?;
    let site = guard.seen();
    let mut warnings = site.notes(verb);
    if options.allow_cascade {
        let unknown = if options.is_dry_run {
            "what it would do elsewhere is unknown"
        } else {
            "what it did elsewhere is unknown"
        };
        warnings.extend(
            site.unknown_effects(verb)
                .iter()
                .map(|effect| format!("{effect}; {unknown}")),
        );
    }
    if options.is_dry_run {
        warnings.extend(
            site.reached()
                .iter()
                .map(|table| format!("foreign keys reach table {table}")),
        );
    }
    let table = |TableCount {
                     table,
                     before,
                     after,
                 }| TableRows {
        table,
        before,
        after,
    };
    Ok(PruneReport {
        dry_run: options.is_dry_run,
        before,
        events: counts.events,
        jobs: counts.jobs,
        idempotency_keys: counts.idempotency_keys,
        chain_states: counts.chain_states,
        audit_artifacts: counts.audit_artifacts,
        tables: tables.into_iter().map(table).collect(),
        warnings,
    })
}

impl Report for PruneReport {
    const VERB: &'static str = "db-prune";

    fn has_changed(&self) -> bool {
        !self.dry_run
    }

    fn text(&self) -> String {
        let did = if self.dry_run {
            "would delete"
        } else {
            "deleted"
        };
        let note = if self.dry_run {
            "; nothing was changed"
        } else {
            ""
        };
        let mut text = String::new();
        for TableRows {
            table,
            before,
            after,
        } in &self.tables
        {
            let _ = writeln!(text, "{table:<18} {before:>12} rows before, {after} after");
        }
        text.push_str(&warning_lines(&self.warnings));
        let _ = writeln!(
            text,
            "{did} {} events, {} jobs with {} idempotency keys, {} chain states and {} audit \
             artifacts{note}",
            self.events, self.jobs, self.idempotency_keys, self.chain_states, self.audit_artifacts
        );
        text
    }
}
