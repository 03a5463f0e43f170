//! `rune-db jobs`: lists jobs, shows one, marks stale ones as failed.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use serde::Serialize;

use super::{
    instant::moment_text,
    records::{
        Cut, Missing, PageOptions, StoreOptions, TimeRangeOptions, Use, cut, effects, next_line,
        shown, table, unreadable_lines, unreadable_verdict,
    },
    warning_lines,
};
use rune_core::{
    command::{CommandError, Report, counted},
    failure::FailureKind,
};
use rune_storage::{
    port::{JobFilter, JobLine, OperatorPort, Page, StaleJobs, Unreadable},
    schema::{Events, SiteGuard, Verb},
};

const BATCH: u32 = 500;

#[derive(Debug)]
pub(crate) struct ListOptions {
    pub(crate) store: StoreOptions,
    pub(crate) tenant: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) created: TimeRangeOptions,
    pub(crate) page: PageOptions,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ListReport {
    pub(crate) jobs: Vec<JobLine>,
    pub(crate) unreadable: Vec<Unreadable>,
    /// What to go on after, when more follow.
    pub(crate) next: Option<String>,
}

pub(crate) fn list(options: &ListOptions) -> Result<ListReport, CommandError> {
    let limit = options.page.limit;
    let filter = JobFilter {
        tenant_id: options.tenant.as_deref(),
        kind: options.kind.as_deref(),
        status: options.status.as_deref(),
        created: options.created.span((options.store.now)()),
        stale_since: None,
    };
    let page = Page {
        after: options.page.after.as_deref(),
        limit: limit.saturating_add(1),
    };
    let listed = options
        .store
        .read_store(|store| Ok(store.list_jobs(&filter, page)?))?;
    let Cut {
        rows: jobs,
        unreadable,
        next,
    } = cut(listed, limit, |job| job.job_id.clone());
    Ok(ListReport {
        jobs,
        unreadable,
        next,
    })
}

impl Report for ListReport {
    const VERB: &'static str = "db-jobs-list";

    fn text(&self) -> String {
        if self.jobs.is_empty() && self.unreadable.is_empty() {
            return "no jobs\n".to_owned();
        }
        let row = |job: &JobLine| {
            let updated = moment_text(job.updated_at);
            [
                job.job_id.clone(),
                job.tenant_id.clone(),
                job.kind.clone(),
                job.status.clone(),
                moment_text(job.created_at),
                updated,
            ]
        };
        let text = table(
            ["JOB", "TENANT", "KIND", "STATUS", "CREATED", "UPDATED"],
            self.jobs.iter().map(row),
        );
        text + &unreadable_lines(&self.unreadable) + &next_line(self.next.as_deref())
    }

    fn verdict(&self) -> Option<FailureKind> {
        unreadable_verdict(&self.unreadable)
    }
}

#[derive(Debug)]
pub(crate) struct ShowOptions {
    pub(crate) store: StoreOptions,
    pub(crate) job_id: String,
    pub(crate) tenant: Option<String>,
    pub(crate) show_payload: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShowReport {
    pub(crate) job_id: String,
    pub(crate) tenant_id: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) message: Option<String>,
    /// When it was accepted, in seconds since 1970.
    #[serde(serialize_with = "rune_storage::json_float")]
    pub(crate) created_at: f64,
    /// When it changed last, in seconds since 1970.
    #[serde(serialize_with = "rune_storage::json_float")]
    pub(crate) updated_at: f64,
    pub(crate) request_bytes: usize,
    pub(crate) result_bytes: usize,
    pub(crate) request_json: Option<String>,
    pub(crate) result_json: Option<String>,
}

pub(crate) fn show(options: &ShowOptions) -> Result<ShowReport, CommandError> {
    let find = |store: &dyn OperatorPort| {
        let job = store.get_job(&options.job_id, options.tenant.as_deref())?;
        job.ok_or_else(|| {
            Missing {
                what: "job",
                name: shown(&options.job_id),
            }
            .into()
        })
    };
    let job = options.store.read_store(find)?;
    Ok(ShowReport {
        job_id: job.job_id,
        tenant_id: job.tenant_id,
        kind: job.kind,
        status: job.status,
        error: job.error,
        message: job.message,
        created_at: job.created_at,
        updated_at: job.updated_at,
        request_bytes: job.request_json.len(),
        result_bytes: job.result_json.as_ref().map_or(0, String::len),
        request_json: Some(job.request_json).filter(|_| options.show_payload),
        result_json: job.result_json.filter(|_| options.show_payload),
    })
}

impl Report for ShowReport {
    const VERB: &'static str = "db-jobs-show";

    fn text(&self) -> String {
        let mut lines = vec![
            ("job", self.job_id.clone()),
            ("tenant", self.tenant_id.clone()),
            ("kind", self.kind.clone()),
            ("status", self.status.clone()),
            ("created", moment_text(self.created_at)),
            ("updated", moment_text(self.updated_at)),
        ];
        lines.extend(self.message.clone().map(|message| ("message", message)));
        lines.extend(self.error.clone().map(|error| ("error", error)));
        let or_size = |json: Option<&String>, bytes: usize| {
            json.cloned().unwrap_or_else(|| counted(bytes, "byte"))
        };
        lines.push((
            "request",
            or_size(self.request_json.as_ref(), self.request_bytes),
        ));
        lines.push((
            "result",
            or_size(self.result_json.as_ref(), self.result_bytes),
        ));
        lines
            .into_iter()
            .fold(String::new(), |mut text, (name, value)| {
                let _ = writeln!(text, "{name:<8} {}", shown(&value));
                text
            })
    }
}

#[derive(Debug)]
pub(crate) struct FailStaleOptions {
    pub(crate) store: StoreOptions,
    pub(crate) tenant: Option<String>,
    pub(crate) older_than: Duration,
    pub(crate) message: String,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailStaleReport {
    pub(crate) dry_run: bool,
    pub(crate) job_ids: Vec<String>,
    /// Jobs that have not ended and were left as they are, because it cannot be read since when.
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn fail_stale(options: &FailStaleOptions) -> Result<FailStaleReport, CommandError> {
    let unchanged_since = (options.store.now)() - options.older_than.as_secs_f64();
    let tenant_id = options.tenant.as_deref();
    let purpose = if options.is_dry_run {
        Use::ReadOnly
    } else {
        Use::ReadWrite
    };
    // A dry run says what the run would be refused for.
    let guard = Arc::new(SiteGuard::new(Verb::Write {
        table: "jobs",
        statements: Events::UPDATE,
    }));
    options.store.with_store(purpose, &guard, |store| {
        let job_ids = if options.is_dry_run {
            stale(store, tenant_id, unchanged_since)?
        } else {
            store.fail_stale_jobs(&StaleJobs {
                tenant_id,
                unchanged_since,
                message: &options.message,
            })?
        };
        let unreadable = store.list_unreadable_unfinished(tenant_id)?;
        Ok(FailStaleReport {
            dry_run: options.is_dry_run,
            job_ids,
            unreadable,
            warnings: effects(&guard),
        })
    })
}

fn stale(
    store: &dyn OperatorPort,
    tenant_id: Option<&str>,
    unchanged_since: f64,
) -> Result<Vec<String>, CommandError> {
    let filter = JobFilter {
        tenant_id,
        stale_since: Some(unchanged_since),
        ..JobFilter::default()
    };
    let mut ids: Vec<String> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = Page {
            after: after.as_deref(),
            limit: BATCH.saturating_add(1),
        };
        let Cut {
            rows,
            unreadable,
            next,
        } = cut(store.list_jobs(&filter, page)?, BATCH, |line| {
            line.job_id.clone()
        });
        ids.extend(rows.into_iter().map(|line| line.job_id));
        // What else of a row cannot be read does not matter to whether it is stale.
        ids.extend(
            unreadable
                .into_iter()
                .filter(|row| row.column != "job_id" && row.column != "updated_at")
                .filter_map(|row| row.key),
        );
        if next.is_none() || next == after {
            ids.sort();
            return Ok(ids);
        }
        after = next;
    }
}

impl Report for FailStaleReport {
    const VERB: &'static str = "db-jobs-fail-stale";

    fn has_changed(&self) -> bool {
        !self.dry_run
    }

    fn text(&self) -> String {
        let ids = self.job_ids.iter().map(|id| format!("{}\n", shown(id)));
        let mut text: String = std::iter::once(warning_lines(&self.warnings))
            .chain(ids)
            .collect();
        let count = counted(self.job_ids.len(), "job");
        let _ = if self.dry_run {
            writeln!(text, "would mark {count} as failed; nothing was changed")
        } else {
            writeln!(text, "marked {count} as failed")
        };
        text + &unreadable_lines(&self.unreadable)
    }

    fn verdict(&self) -> Option<FailureKind> {
        unreadable_verdict(&self.unreadable)
    }
}
