//! `rune-db migrate-to-postgres`: moves every row of a SQLite file into an empty PostgreSQL
//! database.

use std::{fmt::Write as _, sync::Arc};

use camino::Utf8Path;
use serde::Serialize;

use super::{DatabaseOptions, target::Place, warning_lines};
use crate::transfer::{
    CheckedSource, FileSnapshot, MoveSettings, Moved, SourceTrust, into_server, plan_into_server,
};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::Failure,
    progress::Progress,
};
use rune_storage::{PostgresUrl, migrations::Migrations, schema::MigrateSettings, with_session};

#[derive(Debug)]
pub(crate) struct MoveOptions {
    pub(crate) source: DatabaseOptions,
    pub(crate) target: DatabaseOptions,
    /// After how many rows at the latest what is there goes to the server; at least 1.
    pub(crate) batch_size: i64,
    pub(crate) is_dry_run: bool,
    pub(crate) allow_live_source: bool,
    /// Whether nothing has the source open, so that it can be read without locks and side files.
    pub(crate) is_source_immutable: bool,
    pub(crate) owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MoveReport {
    pub(crate) dry_run: bool,
    pub(crate) source: String,
    pub(crate) target: String,
    #[serde(rename = "move")]
    pub(crate) moved: Moved,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
enum MoveUsageError {
    #[error("batch_size must be >= 1")]
    BatchSize,
    #[error("source must be a sqlite:// URL")]
    #[failure(help: "the way back is `rune-db export-sqlite`")]
    Source,
    #[error("target must be a postgresql:// URL")]
    Target,
}

/// When the move is refused or fails, the target is as it was before.
pub(crate) fn run(
    options: &MoveOptions,
    progress: &Arc<dyn Progress>,
) -> Result<MoveReport, CommandError> {
    let batch_rows = u64::try_from(options.batch_size)
        .ok()
        .filter(|rows| *rows > 0)
        .ok_or(MoveUsageError::BatchSize)?;
    let source = options.source.resolve_as("--source")?;
    let Place::File(path) = &source.place else {
        return Err(MoveUsageError::Source.into());
    };
    let target = options.target.resolve_as("--target")?;
    let Place::Server(url) = &target.place else {
        return Err(MoveUsageError::Target.into());
    };
    let migrate = MigrateSettings {
        owner: options.owner.clone(),
        is_strict: false,
    };
    let settings = MoveSettings {
        migrate,
        batch_rows,
        allow_live_source: options.allow_live_source,
    };
    let trust = if options.is_source_immutable {
        SourceTrust::UnsafeImmutable
    } else {
        SourceTrust::Shared
    };
    let moved = move_file(path, trust, url, options.is_dry_run, &settings, progress)?;
    Ok(MoveReport {
        dry_run: options.is_dry_run,
        source: source.location,
        target: target.location,
        moved,
    })
}

pub(super) fn move_file(
    path: &Utf8Path,
    trust: SourceTrust,
    url: &PostgresUrl,
    is_dry_run: bool,
    settings: &MoveSettings,
    progress: &Arc<dyn Progress>,
) -> Result<Moved, CommandError> {
    let migrations = Migrations::embedded()?;
    let checked = CheckedSource::check(
        FileSnapshot::open(path, trust)?,
        &migrations,
        progress.as_ref(),
    )?;
    let location = url.to_string();
    block_on(with_session(url, async |client| {
        if is_dry_run {
            plan_into_server(client, &location, checked, &migrations, settings).await
        } else {
            into_server(client, &location, checked, &migrations, settings, progress).await
        }
    }))
}

impl Report for MoveReport {
    const VERB: &'static str = "db-migrate-to-postgres";

    fn has_changed(&self) -> bool {
        !self.dry_run
    }

    fn text(&self) -> String {
        let moved = &self.moved;
        let mut text = String::from(if self.dry_run {
            "Database Migration Plan\n"
        } else {
            "Database Migration Summary\n"
        });
        let _ = writeln!(
            text,
            "from {} to {}, schema `{}`",
            self.source, self.target, moved.schema
        );
        for version in &moved.applied {
            let _ = writeln!(
                text,
                "schema version {version} {}",
                if self.dry_run {
                    "would be applied"
                } else {
                    "applied"
                }
            );
        }
        text.push_str(&table_lines(moved));
        if let Some(id) = moved.next_event_id {
            let _ = writeln!(text, "next event id {id}");
        }
        text.push_str(&warning_lines(&moved.warnings));
        let seconds = moved.seconds;
        if self.dry_run {
            text.push_str("Dry run complete: no rows were written.\n");
            return text;
        }
        if moved.source_changed {
            text.push_str(
                "warning: the source was written to meanwhile; what came after the start was not \
                 moved\n",
            );
        }
        let _ = writeln!(
            text,
            "check {:.1} s, copy {:.1} s, verification {:.1} s",
            seconds.check, seconds.copy, seconds.verification
        );
        text.push_str("Migration complete.\n");
        text
    }
}

pub(super) fn table_lines(moved: &Moved) -> String {
    let mut text = format!(
        "{:<18} {:>12} {:>14} {:>16}\n",
        "Table", "Source Rows", "Migrated Rows", "Bytes"
    );
    for table in &moved.tables {
        let rows = table
            .migrated_rows
            .map_or_else(|| "-".to_owned(), |rows| rows.to_string());
        let _ = writeln!(
            text,
            "{:<18} {:>12} {rows:>14} {:>16}",
            table.table, table.source_rows, table.bytes
        );
    }
    text
}
