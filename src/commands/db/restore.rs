//! `rune-db restore`: fills an empty database, of either engine, from a backup.

use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    DatabaseOptions,
    export_sqlite::table_lines,
    migrate_to_postgres::move_file,
    target::{Place, Target},
};
use crate::{
    commands::{CommandError, Report},
    fsx,
    progress::Progress,
    schema::{MigrateSettings, Migrations},
    transfer::{CarriedTable, FileSnapshot, MoveSettings, SourceTrust, into_empty_file, into_new_file},
};

/// After how many rows at the latest what is there goes to a server.
const BATCH_ROWS: u64 = 1000;

/// What to restore, and where to.
#[derive(Debug)]
pub struct RestoreOptions {
    /// The database to fill.
    pub database: DatabaseOptions,
    /// The backup.
    pub from: Utf8PathBuf,
    /// The role that owns RUNE's tables on PostgreSQL.
    pub owner: Option<String>,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// The backup.
    pub from: Utf8PathBuf,
    /// The URL of the database, without password.
    pub target: String,
    /// The tables, as both sides have them.
    pub tables: Vec<CarriedTable>,
}

/// Restores.
///
/// # Errors
/// When the backup is not right, the database has rows, or the two are not equal in the end.
pub fn run(options: &RestoreOptions, progress: &Arc<dyn Progress>) -> Result<RestoreReport, CommandError> {
    let target = options.database.resolve()?;
    let tables = fill(&target, options, progress).map_err(|error| target.explain(error))?;
    Ok(RestoreReport { from: options.from.clone(), target: target.location, tables })
}

fn fill(target: &Target, options: &RestoreOptions, progress: &Arc<dyn Progress>) -> Result<Vec<CarriedTable>, CommandError> {
    let path = match &target.place {
        Place::File(_) if options.owner.is_some() => return Err(super::OwnerError.into()),
        Place::File(path) => path,
        Place::Server(url) => {
            let migrate = MigrateSettings { owner: options.owner.clone(), is_strict: false };
            let settings = MoveSettings { migrate, batch_rows: BATCH_ROWS, allows_live_source: false };
            let moved = move_file(&options.from, SourceTrust::Shared, url, false, &settings, progress)?;
            let table = |table: crate::transfer::MovedTable| CarriedTable {
                table: table.table,
                rows: table.source_rows,
                digest: table.digest.unwrap_or_default(),
            };
            return Ok(moved.tables.into_iter().map(table).collect());
        }
    };
    let (source, migrations) = (FileSnapshot::open(&options.from, SourceTrust::Shared)?, Migrations::embedded()?);
    if fsx::exists(path) {
        Ok(into_empty_file(&source, path, &migrations, progress.as_ref())?)
    } else {
        fsx::create_dir_all(fsx::parent(path))?;
        Ok(into_new_file(&source, path, &migrations, progress.as_ref())?)
    }
}

impl Report for RestoreReport {
    const VERB: &'static str = "db-restore";

    fn text(&self) -> String {
        format!("{}restored {} from {}\n", table_lines(&self.tables), self.target, self.from)
    }
}
