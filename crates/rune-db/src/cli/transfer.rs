//! The verbs that transfer rows from one database into another, or compare them.

use camino::Utf8PathBuf;
use clap::Args;

use super::{database_options, secret};
use crate::commands::{backup, compare, export_sqlite, migrate_to_postgres, restore};
use rune_core::cli::output_path::output_path;
use rune_core::secret::Secret;

/// Moves every row of a SQLite file into an empty PostgreSQL database, exactly and in one
/// transaction.
#[derive(Debug, Args)]
pub(super) struct MigrateToPostgres {
    /// The SQLite file: sqlite:////absolute/path.db, or env:NAME or file:PATH that hold such a URL.
    /// It is never changed
    #[arg(long, value_name = "URL", value_parser = secret,
        default_value = "sqlite:///~/.rune-api/jobs.db")]
    source: Secret,
    /// The PostgreSQL database: postgresql://user:password@host:5432/database, or env:NAME or
    /// file:PATH that hold such a URL
    #[arg(long, value_name = "URL", value_parser = secret)]
    target: Secret,
    /// After how many rows at the latest what is there goes to the server
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        allow_negative_numbers = true
    )]
    batch_size: i64,
    /// Check the source and the target, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Move what is there at the start even when the source is written to meanwhile, instead of
    /// failing with exit code 12
    #[arg(long)]
    allow_live_source: bool,
    /// Read the source without locks and side files: for files on read-only media that nothing has
    /// open
    #[arg(long)]
    immutable_source: bool,
    /// The PostgreSQL role that owns RUNE's tables, or is to own them, when it is not the one that
    /// connects
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    /// Read the password of the target's role from this file. Without it: the URL, then PGPASSFILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<Utf8PathBuf>,
}

/// Says whether two databases have the same rows; ends with exit code 5 when they have not.
#[derive(Debug, Args)]
pub(super) struct Compare {
    /// One database: a URL of SQLite or PostgreSQL, or env:NAME or file:PATH that hold such a URL
    #[arg(value_name = "LEFT", value_parser = secret)]
    left: Secret,
    /// The other
    #[arg(value_name = "RIGHT", value_parser = secret)]
    right: Secret,
    /// List the keys of the rows that differ, at most 100 of each table
    #[arg(long)]
    rows: bool,
}

/// Who may use a file.
#[derive(Debug, Args)]
struct ModeArg {
    /// Permissions of the file in octal, such as 0640. The umask does not change them
    #[arg(long, value_name = "MODE", default_value = "0600", value_parser = parse_mode)]
    mode: u32,
}

/// Reads permission bits; the owner must be able to read the file.
fn parse_mode(text: &str) -> Result<u32, String> {
    let bits =
        Some(text).filter(|text| text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit()));
    match bits.and_then(|text| u32::from_str_radix(text, 8).ok()) {
        Some(bits) if bits <= 0o777 && bits & 0o400 != 0 => Ok(bits),
        _ => Err(
            "must be three octal digits of which the first lets the owner read, such as 600 or 640"
                .to_owned(),
        ),
    }
}

/// Writes every row of a PostgreSQL database into one new SQLite file that RUNE can open.
#[derive(Debug, Args)]
pub(super) struct ExportSqlite {
    /// The PostgreSQL database: postgresql://user:password@host:5432/database, or env:NAME or
    /// file:PATH that hold such a URL
    #[arg(long, value_name = "URL", value_parser = secret)]
    source: Secret,
    /// The file to write; it must not exist
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Utf8PathBuf,
    #[command(flatten)]
    mode: ModeArg,
    /// Read the password of the PostgreSQL role from this file. Without it: the URL, then
    /// PGPASSFILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<Utf8PathBuf>,
}

/// Which database.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
struct OneDatabase {
    /// The database: a URL of SQLite or PostgreSQL, or env:NAME or file:PATH that hold such a URL.
    /// Without it: RUNE_DB_URL, RUNE_DATABASE_URL, RUNE_API_DB_PATH (a path), ~/.rune-api/jobs.db
    #[arg(long, value_name = "URL", value_parser = secret)]
    db_url: Option<Secret>,
    /// Read the password of the PostgreSQL role from this file. Without it: the URL, then
    /// PGPASSFILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<Utf8PathBuf>,
}

/// Writes the whole database into one new SQLite file, proved to be equal; RUNE may go on
/// meanwhile.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write; it must not exist
    #[arg(long, short, value_name = "FILE", value_parser = output_path)]
    output: Utf8PathBuf,
    #[command(flatten)]
    mode: ModeArg,
    #[command(flatten)]
    database: OneDatabase,
}

/// Fills an empty database from a backup: a SQLite file that does not exist or has no rows, or a
/// PostgreSQL database.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup; it is never changed
    #[arg(long, value_name = "FILE")]
    from: Utf8PathBuf,
    /// The PostgreSQL role that owns RUNE's tables, or is to own them, when it is not the one that
    /// connects
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    #[command(flatten)]
    database: OneDatabase,
}

impl From<MigrateToPostgres> for migrate_to_postgres::MoveOptions {
    fn from(verb: MigrateToPostgres) -> Self {
        Self {
            source: database_options(Some(verb.source), None),
            target: database_options(Some(verb.target), verb.password_file),
            batch_size: verb.batch_size,
            is_dry_run: verb.dry_run,
            allow_live_source: verb.allow_live_source,
            is_source_immutable: verb.immutable_source,
            owner: verb.owner,
        }
    }
}

impl From<Compare> for compare::CompareOptions {
    fn from(verb: Compare) -> Self {
        Self {
            left: database_options(Some(verb.left), None),
            right: database_options(Some(verb.right), None),
            list_rows: verb.rows,
        }
    }
}

impl From<ExportSqlite> for export_sqlite::ExportOptions {
    fn from(verb: ExportSqlite) -> Self {
        Self {
            source: database_options(Some(verb.source), verb.password_file),
            output: verb.output,
            mode: verb.mode.mode,
        }
    }
}

impl From<Backup> for backup::BackupOptions {
    fn from(verb: Backup) -> Self {
        Self {
            database: database_options(verb.database.db_url, verb.database.password_file),
            output: verb.output,
            mode: verb.mode.mode,
        }
    }
}

impl From<Restore> for restore::RestoreOptions {
    fn from(verb: Restore) -> Self {
        Self {
            database: database_options(verb.database.db_url, verb.database.password_file),
            from: verb.from,
            owner: verb.owner,
        }
    }
}
