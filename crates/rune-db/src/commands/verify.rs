//! `rune-db verify`: whether the stored rows are what RUNE could have written. Changes nothing.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    DatabaseOptions,
    target::{Place, Target},
};
use crate::{
    integrity::{self, Finding, Soundness, TableRows},
    transfer::TransferError,
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    failure::FailureKind,
    progress::Progress,
};
use rune_storage::migrations::Migrations;

const SHOWN_KEYS: usize = 5;

#[derive(Debug)]
pub(crate) struct VerifyOptions {
    pub(crate) database: DatabaseOptions,
    /// A directory of migrations instead of those that this program brings along.
    pub(crate) migrations: Option<Utf8PathBuf>,
    /// Whether what is only worth a warning fails the job.
    pub(crate) is_strict: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerifyReport {
    pub(crate) location: String,
    pub(crate) selected_by: String,
    pub(crate) tables: Vec<TableRows>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
    #[serde(skip)]
    is_refused: bool,
}

pub(crate) fn run(
    options: &VerifyOptions,
    progress: &dyn Progress,
) -> Result<VerifyReport, CommandError> {
    let migrations = super::migrations(options.migrations.as_deref())?;
    let target = options.database.resolve()?;
    let Soundness {
        tables,
        findings,
        warnings,
        notes,
        is_doubtful,
    } = check(&target, &migrations, progress).map_err(|error| target.explain(error))?;
    let notes = target.notes.into_iter().chain(notes).collect();
    let is_refused = options.is_strict && is_doubtful;
    Ok(VerifyReport {
        location: target.location,
        selected_by: target.origin,
        tables,
        findings,
        warnings,
        notes,
        is_refused,
    })
}

fn check(
    target: &Target,
    migrations: &Migrations,
    progress: &dyn Progress,
) -> Result<Soundness, CommandError> {
    match &target.place {
        Place::File(path) => {
            let file = rune_storage::SqliteFile::existing(path)?;
            file.check_single_name()?;
            if file.identity().size == 0 {
                return Err(TransferError::EmptyFile(path.clone()).into());
            }
            let connection = rune_storage::open_for_looking(path, rune_storage::LOCK_TIMEOUT)?;
            Ok(integrity::check_file(
                &connection,
                path,
                migrations,
                progress,
            )?)
        }
        Place::Server(url) => block_on(rune_storage::with_session(
            url,
            async |client| -> Result<_, CommandError> {
                Ok(integrity::check_server(client, &target.location, migrations, progress).await?)
            },
        )),
    }
}

impl Report for VerifyReport {
    const VERB: &'static str = "db-verify";

    fn text(&self) -> String {
        let mut text = String::new();
        for (word, findings) in [("wrong", &self.findings), ("warning", &self.warnings)] {
            for finding in findings {
                let _ = writeln!(text, "{word}: {}", finding_text(finding));
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        for TableRows { table, rows } in &self.tables {
            let _ = writeln!(text, "{table:<18} {rows:>12} rows");
        }
        let outcome = match self.findings.len() {
            0 => "valid".to_owned(),
            count => format!("not valid, {}", counted(count, "problem")),
        };
        let _ = writeln!(text, "{outcome}: {}", self.location);
        text
    }

    fn verdict(&self) -> Option<FailureKind> {
        if !self.findings.is_empty() {
            return Some(FailureKind::Drift);
        }
        self.is_refused.then_some(FailureKind::Conflict)
    }
}

fn finding_text(finding: &Finding) -> String {
    let Finding {
        problem,
        table,
        column,
        count,
        keys,
    } = finding;
    let place = [*table, column.as_deref()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(".");
    let place = if place.is_empty() {
        place
    } else {
        format!("{place} ")
    };
    if keys.is_empty() {
        return format!("{place}{problem}");
    }
    let shown: Vec<String> = keys
        .iter()
        .take(SHOWN_KEYS)
        .map(|key| format!("`{key}`"))
        .collect();
    let more = if usize::try_from(*count).is_ok_and(|count| count > shown.len()) {
        ", …"
    } else {
        ""
    };
    let rows = usize::try_from(*count).unwrap_or(usize::MAX);
    format!(
        "{place}{problem} in {}: {}{more}",
        counted(rows, "row"),
        shown.join(", ")
    )
}
