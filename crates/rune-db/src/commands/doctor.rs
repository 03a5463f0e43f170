//! `rune-db doctor`: whether this machine and this role can work with a database, line by line.
//! Changes nothing.

mod file;
mod server;

use std::{
    fmt::{self, Write as _},
    time::SystemTime,
};

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    DatabaseOptions, Overview,
    target::{Place, Target},
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    failure::FailureKind,
};
use rune_storage::{
    migrations::Migrations,
    schema::{Drift, SchemaOrigin, Verb},
};

pub(crate) struct DoctorOptions {
    pub(crate) database: DatabaseOptions,
    /// A directory of migrations instead of those that this program brings along.
    pub(crate) migrations: Option<Utf8PathBuf>,
    /// Says what time it is here; handed in, because nothing else reads the clock.
    pub(crate) clock: fn() -> SystemTime,
}

impl fmt::Debug for DoctorOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DoctorOptions")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DoctorReport {
    pub(crate) location: String,
    pub(crate) selected_by: String,
    pub(crate) checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) found: String,
    pub(crate) help: Option<String>,
    #[serde(skip)]
    kind: Option<FailureKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    Ok,
    Warning,
    Error,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            found: found.into(),
            help: None,
            kind: None,
        }
    }

    fn warning(name: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Warning,
            found: found.into(),
            help: Some(help.into()),
            kind: None,
        }
    }

    fn error(name: &'static str, error: &CommandError) -> Self {
        let help = error.help().map(str::to_owned);
        Self {
            name,
            state: State::Error,
            found: error.messages().join(": "),
            help,
            kind: Some(error.kind()),
        }
    }

    /// An outcome, or the error in its place.
    fn of(name: &'static str, outcome: Result<Self, CommandError>) -> Self {
        outcome.unwrap_or_else(|error| Self::error(name, &error))
    }
}

pub(crate) fn run(options: &DoctorOptions) -> Result<DoctorReport, CommandError> {
    let migrations = super::migrations(options.migrations.as_deref())?;
    let target = options.database.resolve()?;
    let mut checks: Vec<Check> = target
        .notes
        .iter()
        .map(|note| {
            Check::warning(
                "choice",
                note.as_str(),
                "set one variable, to a URL that RUNE takes",
            )
        })
        .collect();
    checks.extend(match &target.place {
        Place::File(path) => file::examine(path, &target, &migrations),
        Place::Server(url) => block_on(async {
            Ok::<_, CommandError>(server::examine(url, &target, &migrations, options.clock).await)
        })?,
    });
    Ok(DoctorReport {
        location: target.location,
        selected_by: target.origin,
        checks,
    })
}

fn schema(target: &Target, look: super::overview::TableSummary, migrations: &Migrations) -> Check {
    const NAME: &str = "schema";
    let overview = Overview::describe(
        &Target {
            notes: Vec::new(),
            ..target.clone()
        },
        look,
        migrations,
        Verb::Status,
    );
    let version = overview.schema_version.map_or_else(
        || "none yet".to_owned(),
        |version| format!("version {version}"),
    );
    if overview.found == SchemaOrigin::Foreign || !overview.edited.is_empty() {
        return Check {
            kind: Some(FailureKind::Conflict),
            state: State::Error,
            ..Check::warning(
                NAME,
                format!("{version}; {}", overview.warnings.join("; ")),
                "run `rune-db status`, which says more",
            )
        };
    }
    if !overview.unknown.is_empty() {
        let help = "use the release of rune-db that belongs to this RUNE";
        return Check::warning(
            NAME,
            format!("{version}; {}", overview.warnings.join("; ")),
            help,
        );
    }
    let pending = overview.pending.len() + overview.unrecorded.len();
    if pending > 0 {
        return Check::warning(
            NAME,
            format!("{version}, {} pending", counted(pending, "migration")),
            "run `rune-db migrate`",
        );
    }
    if overview.drift.iter().any(Drift::is_lossy) {
        return Check::warning(
            NAME,
            format!("{version}; {}", overview.warnings.join("; ")),
            "run `rune-db repair`",
        );
    }
    if !overview.warnings.is_empty() {
        return Check::warning(
            NAME,
            format!("{version}; {}", overview.warnings.join("; ")),
            "run `rune-db status`, which says more",
        );
    }
    Check::ok(NAME, format!("{version}, up to date"))
}

impl Report for DoctorReport {
    const VERB: &'static str = "db-doctor";

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.location);
        for Check {
            name,
            state,
            found,
            help,
            ..
        } in &self.checks
        {
            let state = match state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Error => "error",
            };
            let _ = writeln!(text, "{state:<8} {name:<12} {found}");
            if let Some(help) = help {
                let _ = writeln!(text, "{:<8} {:<12} -> {help}", "", "");
            }
        }
        text
    }

    /// The kind of the first error; warnings fail nothing.
    fn verdict(&self) -> Option<FailureKind> {
        self.checks.iter().find_map(|check| check.kind)
    }
}
