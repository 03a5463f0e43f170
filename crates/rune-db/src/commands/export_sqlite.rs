//! `rune-db export-sqlite`: writes every row of a PostgreSQL database into one new SQLite file.

use std::{fmt::Write as _, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{DatabaseOptions, target::Place, warning_lines};
use crate::transfer::{CarriedTable, into_file};
use rune_core::{
    command::{CommandError, Report, block_on},
    failure::Failure,
    fsx::{self, FileMode},
    progress::Progress,
};
use rune_storage::{PostgresUrl, migrations::Migrations, with_session};

#[derive(Debug)]
pub(crate) struct ExportOptions {
    pub(crate) source: DatabaseOptions,
    pub(crate) output: Utf8PathBuf,
    pub(crate) mode: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ExportReport {
    pub(crate) source: String,
    pub(crate) output: Utf8PathBuf,
    pub(crate) tables: Vec<CarriedTable>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("source must be a postgresql:// URL")]
#[failure(Usage: "a SQLite file is copied by `rune-db backup`")]
struct ExportUsageError;

pub(crate) fn run(
    options: &ExportOptions,
    progress: &Arc<dyn Progress>,
) -> Result<ExportReport, CommandError> {
    let source = options.source.resolve_as("--source")?;
    let Place::Server(url) = &source.place else {
        return Err(ExportUsageError.into());
    };
    let tables = export(
        url,
        &options.output,
        FileMode::Exact(options.mode),
        progress,
    )?;
    let warnings = exposure(&options.output, options.mode)?;
    Ok(ExportReport {
        source: source.location,
        output: options.output.clone(),
        tables,
        warnings,
    })
}

pub(super) fn export(
    url: &PostgresUrl,
    output: &Utf8Path,
    mode: FileMode,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<CarriedTable>, CommandError> {
    let migrations = Migrations::embedded()?;
    let location = url.to_string();
    block_on(with_session(url, async |client| {
        into_file(client, &location, output, mode, &migrations, progress).await
    }))
}

/// Says that a file has not the permissions that were asked for, where the file system keeps none.
pub(super) fn exposure(path: &Utf8Path, asked: u32) -> Result<Vec<String>, CommandError> {
    let mode = fsx::identity(path)?.mode & 0o777;
    let is_exposed = mode & !asked != 0;
    let warning = || {
        format!(
            "the file system of `{path}` does not keep mode {asked:04o} but shows {mode:04o}: \
             others may read the file"
        )
    };
    Ok(is_exposed.then(warning).into_iter().collect())
}

pub(super) fn table_lines(tables: &[CarriedTable]) -> String {
    tables.iter().fold(String::new(), |mut text, table| {
        let _ = writeln!(
            text,
            "{:<18} {:>12} rows  {}",
            table.table, table.rows, table.digest
        );
        text
    })
}

impl Report for ExportReport {
    const VERB: &'static str = "db-export-sqlite";

    fn has_changed(&self) -> bool {
        true
    }

    fn text(&self) -> String {
        let warnings = warning_lines(&self.warnings);
        format!(
            "{}wrote {} from {}\n{warnings}",
            table_lines(&self.tables),
            self.output,
            self.source
        )
    }
}
