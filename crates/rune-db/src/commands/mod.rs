//! The verbs of `rune-db`.

mod instant;
mod overview;
mod records;
mod retry_deadline;
mod target;

pub mod audit;
pub mod backup;
pub mod chain;
pub mod compare;
pub mod doctor;
pub mod events;
pub mod export_sqlite;
pub mod jobs;
pub mod migrate;
pub mod migrate_to_postgres;
pub mod prune;
pub mod repair;
pub mod restore;
pub mod settings;
pub mod status;
pub mod verify;
pub mod wait;

use camino::Utf8Path;

pub use instant::{MomentError, TimeSpec};
pub use overview::{Overview, Pending};
pub use records::{Now, PageOptions, StoreOptions, TimeRangeOptions};
pub use target::{DatabaseOptions, Environment, Variables};

use rune_core::failure::{Failure, FailureKind};
use rune_storage::migrations::{MigrationFileError, Migrations};

/// A role for a database that knows none.
#[derive(Debug, thiserror::Error)]
#[error("`--owner` is for PostgreSQL; in a SQLite file nobody owns anything")]
struct OwnerError;

impl Failure for OwnerError {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }
}

/// What people have to know about an outcome, a line each.
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
