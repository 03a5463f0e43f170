//! `rune-db repair`: gives a database of RUNE's the types and indexes that it should have.

use std::{fmt::Write as _, time::Duration};

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{DatabaseOptions, retry_deadline::RetryDeadline, target::Place, warning_lines};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::FailureKind,
    progress::Progress,
};
use rune_storage::schema::{Repair, Repaired, on_postgres, on_sqlite};

#[derive(Debug)]
pub(crate) struct RepairOptions {
    pub(crate) database: DatabaseOptions,
    /// A directory of migrations instead of those that this program brings along.
    pub(crate) migrations: Option<Utf8PathBuf>,
    pub(crate) owner: Option<String>,
    pub(crate) is_dry_run: bool,
    /// How long to try again when tables are in use.
    pub(crate) wait: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RepairReport {
    pub(crate) dry_run: bool,
    pub(crate) location: String,
    pub(crate) selected_by: String,
    pub(crate) repairs: Vec<Repair>,
    /// What is not right and cannot be repaired here.
    pub(crate) left: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// After a failure nothing is changed.
pub(crate) fn run(
    options: &RepairOptions,
    progress: &dyn Progress,
) -> Result<RepairReport, CommandError> {
    let migrations = super::migrations(options.migrations.as_deref())?;
    let target = options.database.resolve()?;
    let (owner, is_dry_run) = (options.owner.as_deref(), options.is_dry_run);
    let act = || -> Result<Repaired, CommandError> {
        match &target.place {
            Place::File(_) if owner.is_some() => Err(super::OwnerError.into()),
            Place::File(path) => {
                let connection = if is_dry_run {
                    rune_storage::open_for_looking(path, rune_storage::LOCK_TIMEOUT)?
                } else {
                    rune_storage::open_existing(path)?
                };
                Ok(on_sqlite::repair(
                    &connection,
                    path,
                    &migrations,
                    is_dry_run,
                )?)
            }
            Place::Server(url) => block_on(rune_storage::with_session(
                url,
                async |client| -> Result<_, CommandError> {
                    Ok(on_postgres::repair(client, &migrations, owner, is_dry_run).await?)
                },
            )),
        }
    };
    // Between the tries everybody else gets at the tables again.
    let passes = |error: &CommandError| error.kind() == FailureKind::Conflict && error.may_pass();
    let patience = RetryDeadline {
        limit: Some(options.wait),
        passes,
        progress,
    };
    let Repaired {
        repairs,
        left,
        notes,
    } = patience
        .until(&target.location, |_| act())
        .map_err(|error| target.explain(error))?
        .outcome;
    let warnings = target.notes.into_iter().chain(notes).collect();
    Ok(RepairReport {
        dry_run: is_dry_run,
        location: target.location,
        selected_by: target.origin,
        repairs,
        left,
        warnings,
    })
}

impl Report for RepairReport {
    const VERB: &'static str = "db-repair";

    fn has_changed(&self) -> bool {
        !self.dry_run
    }

    fn text(&self) -> String {
        let made = if self.dry_run { "would make" } else { "made" };
        let mut text = String::new();
        for Repair {
            subject,
            was,
            became,
            rows,
            lost_precision,
        } in &self.repairs
        {
            let rows = rows.map_or_else(String::new, |rows| format!(", {rows} values"));
            let _ = writeln!(text, "{made} {subject} `{became}` from `{was}`{rows}");
            if let Some(lost) = lost_precision {
                let _ = writeln!(
                    text,
                    "      its values may be {lost} off; what RUNE rounded away when it wrote \
                     them is lost for good"
                );
            }
        }
        for left in &self.left {
            let _ = writeln!(text, "left as it is: {left}");
        }
        text.push_str(&warning_lines(&self.warnings));
        let outcome = match (self.repairs.is_empty(), self.dry_run) {
            (true, _) => "nothing to repair",
            (false, true) => "nothing was changed",
            (false, false) => "repaired",
        };
        let _ = writeln!(text, "{outcome}: {}", self.location);
        text
    }
}
