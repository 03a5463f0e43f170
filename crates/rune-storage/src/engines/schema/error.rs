//! Why a database cannot be brought up to date.

use super::{
    assessment::{Assessment, Edited},
    inspection::Obstacle,
    roles::RoleError,
};
use crate::migrations::{Dialect, MigrationFileError};
use crate::{ServerError, SqliteError};
use rune_core::failure::{Failure, FailureKind};

/// Why a database cannot be brought up to date.
#[derive(Debug, thiserror::Error, Failure)]
#[failure(Conflict)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SchemaError {
    #[error(transparent)]
    Files(#[from] MigrationFileError),
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(transparent)]
    Site(#[from] Obstacle),
    /// A statement of a migration; everything the migration did is undone.
    #[error("migration {version} ({file}) failed in the statement of line {line}")]
    // What the engine calls an error of nobody's is one of the file here.
    #[failure(inner: if is_of_file(.source) {
        Some("correct the statement in the file; everything the migration did is undone".to_owned())
    } else {
        .source.help()
    }, kind: if is_of_file(.source) { FailureKind::Input } else { .source.kind() })]
    Failed {
        version: u32,
        file: String,
        line: usize,
        source: Box<SchemaError>,
    },
    #[error("{}", edited_text(.0))]
    #[failure(Drift: "put the file back as it was; a change belongs into a new migration")]
    Edited(Vec<Edited>),
    #[error("refused by --strict: {}", .0.join("; "))]
    #[failure(help: "leave `--strict` out to go on regardless")]
    Strict(Vec<String>),
    /// A table that only has a name in common with RUNE's.
    #[error("there is a table `{table}` that is not RUNE's: it has no column `{column}`")]
    #[failure(help: "use a database, or on PostgreSQL a schema, that is RUNE's alone")]
    Foreign {
        table: &'static str,
        column: &'static str,
    },
    /// Tables of RUNE on PostgreSQL without a record of how they were made.
    #[error("RUNE's tables are there, but their versions are not on record: {}", .0.join(", "))]
    #[failure(help: "no version of RUNE leaves them like this; restore the whole database, \
        `schema_version` included")]
    Unrecorded(Vec<&'static str>),
}

fn is_of_file(error: &SchemaError) -> bool {
    matches!(error.kind(), FailureKind::Internal | FailureKind::Drift)
}

impl Assessment<'_> {
    /// Refuses a database that must not be touched.
    ///
    /// # Errors
    /// With what is in the way.
    pub fn check(&self, dialect: Dialect, is_strict: bool) -> Result<(), SchemaError> {
        if let Some((table, column)) = self.foreign.first().copied() {
            return Err(SchemaError::Foreign { table, column });
        }
        if !self.edited.is_empty() {
            return Err(SchemaError::Edited(self.edited.clone()));
        }
        // SQLite files without records are what RUNE's first releases left; on PostgreSQL it never
        // worked so.
        if dialect == Dialect::Postgres && !self.unrecorded.is_empty() {
            return Err(SchemaError::Unrecorded(
                self.unrecorded.iter().map(|table| table.name).collect(),
            ));
        }
        if is_strict && !(self.unknown.is_empty() && self.drift.is_empty()) {
            return Err(SchemaError::Strict(self.warnings()));
        }
        // All of them are checked before the first is applied.
        for migration in &self.pending {
            migration.statements(dialect)?;
        }
        Ok(())
    }
}

impl SchemaError {
    /// Whether the same thing may work in a moment.
    pub fn is_race(&self) -> bool {
        match self {
            Self::Server(error) => error.is_race(),
            Self::Failed { source, .. } => source.is_race(),
            _ => false,
        }
    }
}

fn edited_text(edited: &[Edited]) -> String {
    let one = |one: &Edited| {
        format!(
            "`{}` was applied as {} and is {} now",
            one.file, one.applied, one.now
        )
    };
    edited.iter().map(one).collect::<Vec<_>>().join("; ")
}
