//! The command line of the verbs that look into RUNE's tables.

#![expect(clippy::disallowed_methods, reason = "cli is where the clock is read")]

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::{DatabaseArgs, secret};
use crate::commands::{
    PageOptions, StoreOptions, TimeRangeOptions, TimeSpec, audit, chain, events, jobs, prune,
    settings,
};
use rune_core::cli::output_path::output_path;
use rune_core::{
    cli::output::Printer,
    duration::{parse_age, parse_duration},
    secret::Secret,
};

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

fn store(database: DatabaseArgs) -> StoreOptions {
    StoreOptions {
        database: database.options(),
        now,
    }
}

/// Which part of a list.
#[derive(Debug, Args)]
struct PageArgs {
    /// Go on after this row: what the page before said at its end
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

/// How much of a list.
#[derive(Debug, Args)]
struct LimitArgs {
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// From when to when.
#[derive(Debug, Args)]
struct SpanArgs {
    /// Only those since this time: 2026-05-01T12:00:00Z, 2026-05-01, or an age such as 7d
    #[arg(long, value_name = "TIME", value_parser = TimeSpec::parse)]
    since: Option<TimeSpec>,
    /// Only those until this time
    #[arg(long, value_name = "TIME", value_parser = TimeSpec::parse)]
    until: Option<TimeSpec>,
}

impl From<PageArgs> for PageOptions {
    fn from(page: PageArgs) -> Self {
        Self {
            after: page.after,
            limit: page.limit.limit,
        }
    }
}

impl From<SpanArgs> for TimeRangeOptions {
    fn from(span: SpanArgs) -> Self {
        Self {
            since: span.since,
            until: span.until,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Jobs {
    #[command(subcommand)]
    verb: JobsVerb,
}

#[derive(Debug, Subcommand)]
enum JobsVerb {
    /// List jobs, newest first, without what they were asked and what came of it
    List {
        /// Only jobs of this tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Only jobs of this kind: benchmark, agentic-agent, llm-instance, cost-estimate
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Only jobs with this status: queued, running, succeeded, failed, cancelled
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        #[command(flatten)]
        created: SpanArgs,
        #[command(flatten)]
        page: PageArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show one job
    Show {
        /// Its id
        #[arg(value_name = "JOB")]
        job_id: String,
        /// Only a job of this tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Show request and result too
        #[arg(long)]
        payload: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Show the steps of a chained job
    Chain {
        /// The id of the job
        #[arg(value_name = "JOB")]
        job_id: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Mark jobs as failed that have not changed for long
    FailStale {
        /// Those that have not changed for so long: 30m, 12h, 7d
        #[arg(long, value_name = "AGE", value_parser = parse_duration)]
        older_than: Duration,
        /// Only jobs of this tenant
        #[arg(long, value_name = "TENANT", required_unless_present = "all_tenants")]
        tenant: Option<String>,
        /// Jobs of all tenants
        #[arg(long, conflicts_with = "tenant")]
        all_tenants: bool,
        /// What is written into the error and the message of the jobs
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "marked as failed: no progress for too long"
        )]
        message: String,
        /// Say which jobs, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

impl Jobs {
    pub(super) fn run(self, printer: Printer) -> ExitCode {
        match self.verb {
            JobsVerb::List {
                tenant,
                kind,
                status,
                created,
                page,
                database,
            } => printer.finish(jobs::list(&jobs::ListOptions {
                store: store(database),
                tenant,
                kind,
                status,
                created: created.into(),
                page: page.into(),
            })),
            JobsVerb::Show {
                job_id,
                tenant,
                payload,
                database,
            } => printer.finish(jobs::show(&jobs::ShowOptions {
                store: store(database),
                job_id,
                tenant,
                show_payload: payload,
            })),
            JobsVerb::Chain { job_id, database } => {
                printer.finish(chain::run(&chain::ChainOptions {
                    store: store(database),
                    job_id,
                }))
            }
            JobsVerb::FailStale {
                older_than,
                tenant,
                all_tenants: _,
                message,
                dry_run,
                database,
            } => printer.finish(jobs::fail_stale(&jobs::FailStaleOptions {
                store: store(database),
                tenant,
                older_than,
                message,
                is_dry_run: dry_run,
            })),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Events {
    #[command(subcommand)]
    verb: EventsVerb,
}

#[derive(Debug, Subcommand)]
enum EventsVerb {
    /// List events in the order in which they were recorded
    List {
        /// Only events of this job
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        /// Only events of this name
        #[arg(long, value_name = "EVENT")]
        event: Option<String>,
        /// Only events with this status: ok, error
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Show their labels too
        #[arg(long)]
        labels: bool,
        #[command(flatten)]
        recorded: SpanArgs,
        /// Go on after the event of this id
        #[arg(long, value_name = "ID", allow_negative_numbers = true)]
        after: Option<i64>,
        #[command(flatten)]
        limit: LimitArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Count events by name, with mean, shortest and longest durations
    Summary {
        /// Only events of this job
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        #[command(flatten)]
        recorded: SpanArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

impl Events {
    pub(super) fn run(self, printer: Printer) -> ExitCode {
        match self.verb {
            EventsVerb::List {
                job,
                event,
                status,
                labels,
                recorded,
                after,
                limit,
                database,
            } => printer.finish(events::list(&events::ListOptions {
                store: store(database),
                job_id: job,
                event,
                status,
                recorded: recorded.into(),
                show_labels: labels,
                after,
                limit: limit.limit,
            })),
            EventsVerb::Summary {
                job,
                recorded,
                database,
            } => printer.finish(events::summary(&events::SummaryOptions {
                store: store(database),
                job_id: job,
                recorded: recorded.into(),
            })),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    verb: AuditVerb,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    /// List evidence without its content, oldest first
    List {
        /// Only evidence of this job
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        /// Only evidence of this kind: sbom, slsa_provenance, sigstore_bundle, log, …
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        #[command(flatten)]
        created: SpanArgs,
        #[command(flatten)]
        page: PageArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Write the content of a piece of evidence into a new file, checked and whole or not at all
    Export {
        /// Its id
        #[arg(value_name = "ARTIFACT")]
        artifact_id: String,
        /// The file, which must not exist
        #[arg(long, short, value_name = "FILE", value_parser = output_path)]
        output: Utf8PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Check size and sha256 of all evidence
    Verify {
        /// Only evidence of this job
        #[arg(long, value_name = "JOB")]
        job: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

impl Audit {
    pub(super) fn run(self, printer: Printer) -> ExitCode {
        match self.verb {
            AuditVerb::List {
                job,
                kind,
                created,
                page,
                database,
            } => printer.finish(audit::list(&audit::ListOptions {
                store: store(database),
                job_id: job,
                kind,
                created: created.into(),
                page: page.into(),
            })),
            AuditVerb::Export {
                artifact_id,
                output,
                database,
            } => printer.finish(audit::export(&audit::ExportOptions {
                store: store(database),
                artifact_id,
                output,
            })),
            AuditVerb::Verify { job, database } => {
                let options = audit::VerifyOptions {
                    store: store(database),
                    job_id: job,
                };
                printer.finish(audit::verify(&options, &*printer.progress()))
            }
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Settings {
    #[command(subcommand)]
    verb: SettingsVerb,
}

#[derive(Debug, Subcommand)]
enum SettingsVerb {
    /// List the keys of settings
    List {
        /// Only keys that begin with this text
        #[arg(long, value_name = "TEXT", default_value = "")]
        prefix: String,
        #[command(flatten)]
        page: PageArgs,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Print the value of a setting
    Get {
        /// Its key
        key: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Set a setting to a JSON object
    Set {
        /// Its key
        key: String,
        /// The value, or - to read it from standard input, because other users of the machine can
        /// read command lines
        #[arg(value_name = "JSON", value_parser = secret, required_unless_present = "file")]
        value: Option<Secret>,
        /// Read the value from this file instead
        #[arg(long, value_name = "FILE", conflicts_with = "value")]
        file: Option<Utf8PathBuf>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Delete a setting
    Delete {
        /// Its key
        key: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

impl Settings {
    pub(super) fn run(self, printer: Printer) -> ExitCode {
        match self.verb {
            SettingsVerb::List {
                prefix,
                page,
                database,
            } => printer.finish(settings::list(&settings::ListOptions {
                store: store(database),
                prefix,
                page: page.into(),
            })),
            SettingsVerb::Get { key, database } => {
                printer.finish(settings::get(&settings::KeyOptions {
                    store: store(database),
                    key,
                }))
            }
            SettingsVerb::Set {
                key,
                value,
                file,
                database,
            } => {
                let value = match (file, value) {
                    (Some(file), _) => Ok(settings::NewValue::File(file)),
                    (None, Some(value)) if value.expose() == "-" => {
                        settings::NewValue::read(std::io::stdin().lock())
                    }
                    (None, value) => Ok(settings::NewValue::Text(
                        value.unwrap_or_else(|| Secret::new("")),
                    )),
                };
                let set = |value| {
                    settings::set(&settings::SetOptions {
                        store: store(database),
                        key,
                        value,
                    })
                };
                printer.finish(value.and_then(set))
            }
            SettingsVerb::Delete { key, database } => {
                printer.finish(settings::delete(&settings::KeyOptions {
                    store: store(database),
                    key,
                }))
            }
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// What is older than this: 90d, 12h. Of jobs counts when they ended
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Duration,
    /// Delete the audit artifacts of these jobs too
    #[arg(long)]
    with_audit_artifacts: bool,
    /// Go on although foreign keys, triggers or rules of others act on these deletes; then all is
    /// one transaction, and rows are counted
    #[arg(long)]
    allow_cascade: bool,
    /// Say how much it would be, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Prune {
    pub(super) fn run(self, printer: Printer) -> ExitCode {
        printer.finish(prune::run(&prune::PruneOptions {
            store: store(self.database),
            older_than: self.older_than,
            with_artifacts: self.with_audit_artifacts,
            allow_cascade: self.allow_cascade,
            is_dry_run: self.dry_run,
        }))
    }
}
