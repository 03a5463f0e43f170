//! The set of migrations: files named `NNNN_name.sql`, numbered from 1 without gaps.

use camino::Utf8Path;

use super::{
    dialect::{self, Dialect, UnknownMarker},
    embedded,
    splitter::{SplitError, Statement, split},
};
use rune_core::{
    digest::Digest,
    failure::Failure,
    fsx::{self, PathError},
};

const MAX_FILE_BYTES: u64 = 4 << 20;

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    version: u32,
    file: String,
    sha256: Digest,
    text: String,
    has_markers: bool,
}

/// All migrations, in order; never empty.
///
/// ```
/// use rune_storage::migrations::Migrations;
/// let migrations = Migrations::embedded()?;
/// assert_eq!(migrations.schema_version() as usize, migrations.iter().count());
/// # Ok::<(), rune_storage::migrations::MigrationFileError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations(Vec<Migration>);

/// Why files are not a set of migrations.
#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum MigrationFileError {
    #[error(transparent)]
    File(#[from] PathError),
    #[error("the name of `{0}` is not `NNNN_name.sql`")]
    #[failure(help: "name it like `0007_more.sql`: four digits, `_`, a word, `.sql`")]
    Name(String),
    #[error("`{first}` and `{second}` have the same number")]
    Twice { first: String, second: String },
    #[error("there is no migration {0}")]
    #[failure(help: "add the file `{0:04}_….sql`; every database was made with it")]
    Missing(u32),
    #[error("migration file `{0}` is not UTF-8 text")]
    NotText(String),
    #[error("line {line} of migration file `{file}` has the unknown marker `migrate:{marker}`")]
    #[failure(help: "write `-- migrate:sqlite`, `-- migrate:postgres` or `-- migrate:all`")]
    Marker {
        file: String,
        line: usize,
        marker: String,
    },
    #[error("migration file `{file}` cannot be read as SQL of {dialect}")]
    Sql {
        file: String,
        dialect: Dialect,
        source: SplitError,
    },
    #[error(
        "line {line} of migration file `{file}` says `{word}`, but a migration is one transaction \
         and cannot leave it"
    )]
    Transaction {
        file: String,
        line: usize,
        word: String,
    },
    /// SQL for SQLite only, by age.
    #[error(
        "migration {version} ({file}) has no `-- migrate:` markers, so it is SQLite's SQL and not \
         for PostgreSQL"
    )]
    #[failure(help: "use the migrations that this program brings along: leave `--migrations` out")]
    Unmarked { version: u32, file: String },
    #[error("migration {version} ({file}) rendered no SQL for dialect {dialect}")]
    Empty {
        version: u32,
        file: String,
        dialect: Dialect,
    },
}

impl Migration {
    fn new(name: &str, bytes: Vec<u8>) -> Result<Self, MigrationFileError> {
        let version = version_of(name).ok_or_else(|| MigrationFileError::Name(name.to_owned()))?;
        let sha256 = Digest::of(&bytes);
        let text =
            String::from_utf8(bytes).map_err(|_| MigrationFileError::NotText(name.to_owned()))?;
        let has_markers =
            dialect::has_markers(&text).map_err(|UnknownMarker { line, marker }| {
                MigrationFileError::Marker {
                    file: name.to_owned(),
                    line,
                    marker,
                }
            })?;
        let migration = Self {
            version,
            file: name.to_owned(),
            sha256,
            text,
            has_markers,
        };
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            if dialect == Dialect::Sqlite || has_markers {
                migration.check(dialect)?;
            }
        }
        Ok(migration)
    }

    fn check(&self, dialect: Dialect) -> Result<(), MigrationFileError> {
        for statement in self.split(dialect)? {
            let word = statement.leading_words.first().map_or("", String::as_str);
            let leaves = matches!(
                word,
                "ABORT"
                    | "BEGIN"
                    | "COMMIT"
                    | "END"
                    | "RELEASE"
                    | "ROLLBACK"
                    | "SAVEPOINT"
                    | "START"
                    | "VACUUM"
                    | "ATTACH"
                    | "DETACH"
            );
            if leaves {
                return Err(MigrationFileError::Transaction {
                    file: self.file.clone(),
                    line: statement.line,
                    word: word.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn split(&self, dialect: Dialect) -> Result<Vec<Statement>, MigrationFileError> {
        split(&dialect::section(&self.text, dialect), dialect).map_err(|source| {
            MigrationFileError::Sql {
                file: self.file.clone(),
                dialect,
                source,
            }
        })
    }

    /// The number in the file's name: the schema version that the migration reaches.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The hash of the file's bytes.
    pub const fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The file's bytes.
    pub const fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The statements to run in a dialect; at least one.
    ///
    /// # Errors
    /// When the file has nothing for this dialect.
    pub fn statements(&self, dialect: Dialect) -> Result<Vec<Statement>, MigrationFileError> {
        let (version, file) = (self.version, self.file.clone());
        if dialect == Dialect::Postgres && !self.has_markers {
            return Err(MigrationFileError::Unmarked { version, file });
        }
        let statements = self.split(dialect)?;
        if statements.is_empty() {
            Err(MigrationFileError::Empty {
                version,
                file,
                dialect,
            })
        } else {
            Ok(statements)
        }
    }
}

impl Migrations {
    /// The migrations that this program brings along.
    ///
    /// # Errors
    /// Never, in a program that was tested.
    pub fn embedded() -> Result<Self, MigrationFileError> {
        Self::from_files(
            embedded::FILES
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())),
        )
    }

    /// The migrations of a directory: its `.sql` files, not those of directories in it.
    ///
    /// # Errors
    /// When it cannot be read, or its files are not a set of migrations.
    pub fn from_dir(directory: &Utf8Path) -> Result<Self, MigrationFileError> {
        let mut files = Vec::new();
        for path in fsx::list_files(directory)? {
            if path.extension() == Some("sql") && path.components().count() == 1 {
                files.push((
                    path.to_string(),
                    fsx::read(&directory.join(&path), MAX_FILE_BYTES)?,
                ));
            }
        }
        Self::from_files(files)
    }

    /// A set of migrations from names and texts of files, in any order.
    pub(crate) fn from_files(
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, MigrationFileError> {
        let migrations = files
            .into_iter()
            .map(|(name, bytes)| Migration::new(&name, bytes));
        let mut migrations = migrations.collect::<Result<Vec<_>, _>>()?;
        migrations.sort_by(|a, b| a.file.cmp(&b.file));
        for (migration, expected) in migrations.iter().zip(1..) {
            if migration.version > expected {
                return Err(MigrationFileError::Missing(expected));
            }
            if let Some(other) = migrations
                .iter()
                .find(|other| other.version == migration.version && other.file != migration.file)
            {
                return Err(MigrationFileError::Twice {
                    first: migration.file.clone(),
                    second: other.file.clone(),
                });
            }
        }
        if migrations.is_empty() {
            Err(MigrationFileError::Missing(1))
        } else {
            Ok(Self(migrations))
        }
    }

    /// Goes through them in order.
    pub fn iter(&self) -> impl Iterator<Item = &Migration> {
        self.0.iter()
    }

    /// The one with a number.
    pub fn get(&self, version: u32) -> Option<&Migration> {
        self.0.iter().find(|migration| migration.version == version)
    }

    /// The schema version that all of them together reach.
    pub fn schema_version(&self) -> u32 {
        self.0.last().map_or(0, Migration::version)
    }
}

fn version_of(name: &str) -> Option<u32> {
    let (digits, rest) = name.split_once('_')?;
    let slug = rest.strip_suffix(".sql")?;
    let is_slug = !slug.is_empty()
        && slug
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let is_number = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|version| is_slug && is_number && *version > 0)
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Migrations};

    fn load(files: &[(&str, &str)]) -> Result<Migrations, String> {
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        Migrations::from_files(files).map_err(|error| error.to_string())
    }

    #[test]
    fn the_embedded_migrations_are_those_of_the_directory() {
        let directory = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let embedded = Migrations::embedded().unwrap();
        assert_eq!(embedded, Migrations::from_dir(&directory).unwrap());
        assert_eq!(embedded.schema_version(), 6);
        assert_eq!(embedded.get(3).unwrap().file(), "0003_workflow_events.sql");
    }

    #[test]
    fn every_embedded_migration_has_sql_for_both_dialects_and_no_semicolon_that_fools_runes_own_splitter()
     {
        for migration in Migrations::embedded().unwrap().iter() {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                let statements = migration.statements(dialect).unwrap();
                let naive = super::dialect::section(&migration.text, dialect);
                assert_eq!(
                    naive.matches(';').count(),
                    statements.len(),
                    "{} {dialect}",
                    migration.file()
                );
            }
        }
    }

    #[test]
    fn files_may_come_in_any_order_and_are_numbered_without_gaps() {
        let migrations = load(&[("0002_b.sql", "SELECT 2"), ("0001_a.sql", "SELECT 1")]).unwrap();
        assert_eq!(
            migrations
                .iter()
                .map(super::Migration::version)
                .collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(
            load(&[("0001_a.sql", "SELECT 1"), ("0003_c.sql", "SELECT 3")]).unwrap_err(),
            "there is no migration 2"
        );
        assert_eq!(load(&[]).unwrap_err(), "there is no migration 1");
        let twice = load(&[("0001_a.sql", "SELECT 1"), ("0001_b.sql", "SELECT 1")]).unwrap_err();
        assert_eq!(twice, "`0001_a.sql` and `0001_b.sql` have the same number");
    }

    #[test]
    fn a_name_without_four_digits_is_refused() {
        for name in [
            "1_a.sql",
            "00001_a.sql",
            "0000_a.sql",
            "0001.sql",
            "0001_.sql",
            "0001_a.SQL",
            "+001_a.sql",
            "0001_a/b.sql",
        ] {
            assert!(
                load(&[(name, "SELECT 1")])
                    .unwrap_err()
                    .contains("is not `NNNN_name.sql`"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_marker_that_names_no_dialect_is_refused_with_its_line() {
        let error = load(&[("0001_a.sql", "\n-- migrate:mysql\n")]).unwrap_err();
        assert_eq!(
            error,
            "line 2 of migration file `0001_a.sql` has the unknown marker `migrate:mysql`"
        );
    }

    #[test]
    fn a_migration_cannot_leave_its_transaction() {
        let error =
            load(&[("0001_a.sql", "CREATE TABLE a (b);\n-- COMMIT\n commit;")]).unwrap_err();
        assert_eq!(
            error,
            "line 3 of migration file `0001_a.sql` says `COMMIT`, but a migration is one \
             transaction and cannot leave it"
        );
    }

    #[test]
    fn an_unmarked_file_is_for_sqlite_only_and_an_empty_section_is_an_error() {
        let migrations = load(&[
            ("0001_a.sql", "SELECT 1"),
            ("0002_b.sql", "-- migrate:sqlite\nSELECT 1; -- x\n"),
        ])
        .unwrap();
        assert_eq!(
            migrations
                .get(1)
                .unwrap()
                .statements(Dialect::Sqlite)
                .unwrap()
                .len(),
            1
        );
        let error = |version: u32| {
            migrations
                .get(version)
                .unwrap()
                .statements(Dialect::Postgres)
                .unwrap_err()
                .to_string()
        };
        assert!(
            error(1).contains("has no `-- migrate:` markers"),
            "{}",
            error(1)
        );
        assert_eq!(
            error(2),
            "migration 2 (0002_b.sql) rendered no SQL for dialect postgres"
        );
    }
}
