//! The verbs of `rune-db`.

mod duration;
mod overview;
mod patience;
mod target;

pub mod doctor;
pub mod migrate;
pub mod repair;
pub mod status;
pub mod verify;
pub mod wait;

use camino::Utf8Path;

pub use duration::{DurationError, duration_text, parse_duration};
pub use overview::{Overview, Pending};
pub use target::{DatabaseOptions, Environment, Variables};

use crate::{
    failure::{Failure, FailureKind},
    schema::{MigrationFileError, Migrations},
};

/// A role for a database that knows none.
#[derive(Debug, thiserror::Error)]
#[error("`--owner` is for PostgreSQL; in a SQLite file nobody owns anything")]
struct OwnerError;

impl Failure for OwnerError {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }
}

/// The migrations of a directory, or those that this program brings along.
fn migrations(directory: Option<&Utf8Path>) -> Result<Migrations, MigrationFileError> {
    directory.map_or_else(Migrations::embedded, Migrations::from_dir)
}
