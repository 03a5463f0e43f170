//! `rune-db backup`: writes the whole database into one new SQLite file, whichever engine it is on.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    DatabaseOptions,
    export_sqlite::{export, exposure, table_lines},
    target::{Place, Target},
    warning_lines,
};
use crate::transfer::{CarriedTable, FileSnapshot, SourceTrust, into_new_file};
use rune_core::{
    command::{CommandError, Report},
    fsx::{self, FileMode},
    progress::Progress,
};
use rune_storage::migrations::Migrations;

#[derive(Debug)]
pub(crate) struct BackupOptions {
    pub(crate) database: DatabaseOptions,
    pub(crate) output: Utf8PathBuf,
    pub(crate) mode: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BackupReport {
    pub(crate) source: String,
    pub(crate) output: Utf8PathBuf,
    pub(crate) bytes: u64,
    pub(crate) tables: Vec<CarriedTable>,
    pub(crate) warnings: Vec<String>,
}

pub(crate) fn run(
    options: &BackupOptions,
    progress: &Arc<dyn Progress>,
) -> Result<BackupReport, CommandError> {
    let target = options.database.resolve()?;
    let tables = write(&target, options, progress).map_err(|error| target.explain(error))?;
    let bytes = fsx::file_size(&options.output)?;
    let warnings = exposure(&options.output, options.mode)?;
    Ok(BackupReport {
        source: target.location,
        output: options.output.clone(),
        bytes,
        tables,
        warnings,
    })
}

fn write(
    target: &Target,
    options: &BackupOptions,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<CarriedTable>, CommandError> {
    match &target.place {
        Place::File(path) => {
            let source = FileSnapshot::open(path, SourceTrust::Shared)?;
            Ok(into_new_file(
                &source,
                &options.output,
                FileMode::Exact(options.mode),
                &Migrations::embedded()?,
                progress.as_ref(),
            )?)
        }
        Place::Server(url) => export(
            url,
            &options.output,
            FileMode::Exact(options.mode),
            progress,
        ),
    }
}

impl Report for BackupReport {
    const VERB: &'static str = "db-backup";

    fn has_changed(&self) -> bool {
        true
    }

    fn text(&self) -> String {
        let warnings = warning_lines(&self.warnings);
        format!(
            "{}wrote {}, {} bytes, from {}\n{warnings}",
            table_lines(&self.tables),
            self.output,
            self.bytes,
            self.source
        )
    }
}
