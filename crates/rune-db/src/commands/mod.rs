//! The verbs of `rune-db`.

mod instant;
mod overview;
mod records;
mod retry_deadline;
mod target;

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod chain;
pub(crate) mod compare;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod export_sqlite;
pub(crate) mod jobs;
pub(crate) mod migrate;
pub(crate) mod migrate_to_postgres;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod wait;

use camino::Utf8Path;

pub(crate) use instant::TimeSpec;
pub(crate) use overview::Overview;
pub(crate) use records::{PageOptions, StoreOptions, TimeRangeOptions};
pub(crate) use target::{DatabaseOptions, Environment};

use rune_core::failure::Failure;
use rune_storage::migrations::{MigrationFileError, Migrations};

#[derive(Debug, thiserror::Error, Failure)]
#[error("`--owner` is for PostgreSQL; in a SQLite file nobody owns anything")]
#[failure(Usage)]
struct OwnerError;

fn warning_lines(warnings: &[String]) -> String {
    warnings
        .iter()
        .map(|warning| format!("warning: {warning}\n"))
        .collect()
}

/// The migrations of a directory, or those that this program brings along.
fn migrations(directory: Option<&Utf8Path>) -> Result<Migrations, MigrationFileError> {
    directory.map_or_else(Migrations::embedded, Migrations::from_dir)
}
