//! `rune-db status`: what a database is and what it lacks. Changes nothing, makes nothing.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    DatabaseOptions, Overview,
    instant::moment_text,
    overview::TableSummary,
    target::{Place, Target},
};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::FailureKind,
};
use rune_storage::{
    migrations::Migrations,
    schema::{RepairRow, SchemaOrigin, Verb},
};

#[derive(Debug)]
pub(crate) struct StatusOptions {
    pub(crate) database: DatabaseOptions,
    /// A directory of migrations instead of those that this program brings along.
    pub(crate) migrations: Option<Utf8PathBuf>,
    /// Whether what is only worth a warning fails the job.
    pub(crate) is_strict: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusReport {
    pub(crate) database: Overview,
    #[serde(rename = "upToDate")]
    pub(crate) is_up_to_date: bool,
    #[serde(skip)]
    is_strict: bool,
}

pub(crate) fn run(options: &StatusOptions) -> Result<StatusReport, CommandError> {
    let migrations = super::migrations(options.migrations.as_deref())?;
    let target = options.database.resolve()?;
    let database = look(&target, &migrations).map_err(|error| target.explain(error))?;
    let is_up_to_date = database.pending.is_empty() && database.unrecorded.is_empty();
    Ok(StatusReport {
        database,
        is_up_to_date,
        is_strict: options.is_strict,
    })
}

fn look(target: &Target, migrations: &Migrations) -> Result<Overview, CommandError> {
    let look = match &target.place {
        Place::File(path) => {
            rune_storage::SqliteFile::existing(path)?;
            TableSummary::at_file(path, rune_storage::LOCK_TIMEOUT)?
        }
        Place::Server(url) => block_on(rune_storage::with_session(url, async |client| {
            TableSummary::at_server(client, None).await
        }))?,
    };
    Ok(Overview::describe(target, look, migrations, Verb::Status))
}

impl Report for StatusReport {
    const VERB: &'static str = "db-status";

    fn text(&self) -> String {
        let database = &self.database;
        let mut text = database.heading();
        let _ = writeln!(text, "{}", found_text(database.found));
        for applied in &database.applied {
            let file = applied.file.as_deref().unwrap_or("(not known here)");
            let by = match applied.origin.as_deref() {
                None => "applied by RUNE",
                Some("rune-db") => "applied",
                Some(_) => "applied by RUNE, adopted",
            };
            let _ = writeln!(text, "{:>4}  {file:<26}  {by}", applied.version);
        }
        for version in &database.unrecorded {
            let _ = writeln!(text, "{version:>4}  {:<26}  there, not on record", "");
        }
        for pending in &database.pending {
            let _ = writeln!(
                text,
                "{:>4}  {:<26}  pending",
                pending.version, pending.file
            );
        }
        for edited in &database.edited {
            let _ = writeln!(
                text,
                "edited: `{}` was applied as {} and is {} now",
                edited.file, edited.applied, edited.now
            );
        }
        for repair in &database.repairs {
            let rows = repair
                .rows
                .map_or_else(String::new, |rows| format!(", {rows} values"));
            let RepairRow {
                subject,
                was,
                became,
                tool,
                repaired_at,
                ..
            } = repair;
            let _ = writeln!(
                text,
                "repaired {}: {subject} `{became}` from `{was}`{rows}, by {tool}",
                moment_text(*repaired_at)
            );
        }
        text.push_str(&database.warning_lines());
        text.push_str(if self.is_up_to_date {
            "up to date\n"
        } else {
            "run `rune-db migrate` to bring it up to date\n"
        });
        text
    }

    fn verdict(&self) -> Option<FailureKind> {
        let database = &self.database;
        if !database.edited.is_empty() {
            return Some(FailureKind::Drift);
        }
        let is_doubtful = !(database.unknown.is_empty() && database.drift.is_empty());
        (self.is_strict && is_doubtful).then_some(FailureKind::Conflict)
    }
}

const fn found_text(era: SchemaOrigin) -> &'static str {
    match era {
        SchemaOrigin::Empty => "found: an empty database",
        SchemaOrigin::Legacy => {
            "found: a database without schema versions (era L: RUNE up to v0.0.0a5, and main \
             until 2026-04-09)"
        }
        SchemaOrigin::AOrX => {
            "found: a database of RUNE v0.0.0a6, or of main from 2026-04-10 to 2026-04-30 (era A \
             or X)"
        }
        SchemaOrigin::A => "found: a database of RUNE's main of 2026-04-10 to 2026-04-12 (era A)",
        SchemaOrigin::X => "found: a database that RUNE v0.0.0a6 could not finish (era X)",
        SchemaOrigin::B => "found: a database of RUNE's main since 2026-04-30 (era B)",
        SchemaOrigin::Ours => "found: a database in the care of rune-db",
        SchemaOrigin::Foreign => "found: tables with names of RUNE that are not RUNE's",
    }
}
