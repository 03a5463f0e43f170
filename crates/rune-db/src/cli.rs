//! The command line of `rune-db`.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]
#![expect(clippy::doc_markdown, reason = "the texts are read in a terminal")]

mod guide;
mod records;
mod transfer;

pub use guide::GUIDE;

use std::{
    convert::Infallible,
    process::ExitCode,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use camino::Utf8PathBuf;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::commands::{
    DatabaseOptions, Environment, backup, compare, doctor, export_sqlite, migrate,
    migrate_to_postgres, repair, restore, status, verify, wait,
};
use rune_core::cli::{GlobalArgs, arguments, documents};
use rune_core::{duration::parse_duration, secret::Secret};
use rune_storage::port::SCHEMA_VERSION;

/// What `--version` says after the name: whoever reports an error copies it.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\nfor {} on {}\nschema version {SCHEMA_VERSION}, SQLite {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        rusqlite::version(),
    )
});

/// Manage RUNE's database on SQLite and PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "rune-db", version, long_version = LONG_VERSION.as_str(), max_term_width = 100,
    after_long_help = GUIDE.exit_codes_text())]
pub struct RuneDb {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create or upgrade the schema
    Migrate(Migrate),
    /// Show the version of the schema and pending migrations
    Status(Status),
    /// Repair types and indexes of the schema in one transaction
    Repair(Repair),
    /// Verify schema, sequences, JSON, artifacts and the SQLite file
    Verify(Verify),
    /// Check connection, permissions and schema, line by line
    Doctor(Doctor),
    /// Wait until the database answers or its schema is up to date
    Wait(Wait),
    /// Copy every row of a SQLite file into an empty PostgreSQL database
    MigrateToPostgres(transfer::MigrateToPostgres),
    /// Compare the rows of two databases
    Compare(transfer::Compare),
    /// Export every row of a PostgreSQL database into a new SQLite file
    ExportSqlite(transfer::ExportSqlite),
    /// Back up the database into a new SQLite file while RUNE runs
    Backup(transfer::Backup),
    /// Restore a backup into an empty database
    Restore(transfer::Restore),
    /// List jobs, and mark stale ones as failed
    Jobs(records::Jobs),
    /// List the events of jobs
    Events(records::Events),
    /// List, export and verify the audit evidence of jobs
    Audit(records::Audit),
    /// List and change settings
    Settings(records::Settings),
    /// Delete old events and finished jobs
    Prune(records::Prune),
    /// Print completions for a shell
    Completions(documents::Completions),
    /// Print a man page, or write all of them into a directory
    Man(documents::Man),
}

/// Which database.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
struct DatabaseArgs {
    /// The database: sqlite:////absolute/path.db, sqlite:///./relative/path.db,
    /// postgresql://user:password@host:5432/database, or env:NAME or file:PATH that hold such a
    /// URL, because other users of the machine can read command lines. Without it: RUNE_DB_URL,
    /// RUNE_DATABASE_URL, RUNE_API_DB_PATH (a path), ~/.rune-api/jobs.db
    #[arg(long, value_name = "URL", value_parser = secret)]
    db_url: Option<Secret>,
    /// Read the password of the PostgreSQL role from this file. Without it: the URL, then
    /// PGPASSFILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<Utf8PathBuf>,
}

/// Which schema.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
struct SchemaArgs {
    /// Use the migrations of this directory instead of those built in
    #[arg(long, value_name = "DIR")]
    migrations: Option<Utf8PathBuf>,
}

/// What a warning is worth.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
struct StrictArgs {
    /// Fail with exit code 12 on what is otherwise a warning: versions that are not known here,
    /// column types that lose digits
    #[arg(long)]
    strict: bool,
}

/// Create or upgrade the schema; safe to run from any number of places at once.
#[derive(Debug, Args)]
struct Migrate {
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The PostgreSQL role that owns RUNE's tables, or is to own them, when it is not the one that
    /// connects
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    /// Wait at most this long (90s, 10m, 2h) for a database that is not ready yet: server, role,
    /// password or database still to come
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    schema: SchemaArgs,
    #[command(flatten)]
    strict: StrictArgs,
}

/// Show the version of the schema and pending migrations; changes nothing.
#[derive(Debug, Args)]
struct Status {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    schema: SchemaArgs,
    #[command(flatten)]
    strict: StrictArgs,
}

/// Repair types and indexes of the schema in one transaction.
#[derive(Debug, Args)]
struct Repair {
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The PostgreSQL role that owns RUNE's tables, when it is not the one that connects
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    /// Try again for this time (90s, 10m, 2h) when the tables are in use; no try holds readers up
    /// for longer than a second
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1m")]
    wait: Duration,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    schema: SchemaArgs,
}

/// Verify schema, sequences, JSON, artifacts, and on SQLite the file itself; changes nothing.
#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    schema: SchemaArgs,
    #[command(flatten)]
    strict: StrictArgs,
}

/// Check connection, permissions and schema, line by line; changes nothing.
#[derive(Debug, Args)]
struct Doctor {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    schema: SchemaArgs,
}

/// Wait until the database answers, or until its schema is up to date; changes nothing.
#[derive(Debug, Args)]
struct Wait {
    /// Time limit (90s, 10m, 2h)
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10m")]
    timeout: Duration,
    /// Wait until nothing is left for `migrate` to do
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    migrations: SchemaArgs,
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn database_options(url: Option<Secret>, password_file: Option<Utf8PathBuf>) -> DatabaseOptions {
    let variable =
        |name: &str| std::env::var_os(name).map(|value| Secret::new(value.to_string_lossy()));
    let working_directory = std::env::current_dir()
        .ok()
        .and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    DatabaseOptions {
        url,
        password_file,
        environment: Environment {
            variable: Box::new(variable),
            working_directory,
        },
    }
}

impl DatabaseArgs {
    fn options(self) -> DatabaseOptions {
        database_options(self.db_url, self.password_file)
    }
}

impl From<Migrate> for migrate::MigrateOptions {
    fn from(verb: Migrate) -> Self {
        Self {
            migrations: verb.schema.migrations,
            is_strict: verb.strict.strict,
            is_dry_run: verb.dry_run,
            owner: verb.owner,
            wait: verb.wait,
            database: verb.database.options(),
        }
    }
}

impl From<Status> for status::StatusOptions {
    fn from(verb: Status) -> Self {
        Self {
            migrations: verb.schema.migrations,
            is_strict: verb.strict.strict,
            database: verb.database.options(),
        }
    }
}

impl From<Repair> for repair::RepairOptions {
    fn from(verb: Repair) -> Self {
        Self {
            migrations: verb.schema.migrations,
            owner: verb.owner,
            is_dry_run: verb.dry_run,
            wait: verb.wait,
            database: verb.database.options(),
        }
    }
}

impl From<Verify> for verify::VerifyOptions {
    fn from(verb: Verify) -> Self {
        Self {
            migrations: verb.schema.migrations,
            is_strict: verb.strict.strict,
            database: verb.database.options(),
        }
    }
}

impl From<Doctor> for doctor::DoctorOptions {
    fn from(verb: Doctor) -> Self {
        Self {
            migrations: verb.schema.migrations,
            database: verb.database.options(),
            clock: SystemTime::now,
        }
    }
}

impl From<Wait> for wait::WaitOptions {
    fn from(verb: Wait) -> Self {
        Self {
            migrations: verb.migrations.migrations,
            timeout: verb.timeout,
            needs_schema: verb.schema,
            database: verb.database.options(),
        }
    }
}

pub fn main() -> ExitCode {
    let arguments: RuneDb = match arguments::parse(&GUIDE) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let printer = arguments.global.printer();
    match arguments.verb {
        Verb::Migrate(verb) => printer.finish(migrate::run(&verb.into(), &*printer.progress())),
        Verb::Status(verb) => printer.finish(status::run(&verb.into())),
        Verb::Repair(verb) => printer.finish(repair::run(&verb.into(), &*printer.progress())),
        Verb::Verify(verb) => printer.finish(verify::run(&verb.into(), &*printer.progress())),
        Verb::Doctor(verb) => printer.finish(doctor::run(&verb.into())),
        Verb::Wait(verb) => printer.finish(wait::run(&verb.into(), &*printer.progress())),
        Verb::MigrateToPostgres(verb) => {
            printer.finish(migrate_to_postgres::run(&verb.into(), &printer.progress()))
        }
        Verb::Compare(verb) => printer.finish(compare::run(&verb.into(), &printer.progress())),
        Verb::ExportSqlite(verb) => {
            printer.finish(export_sqlite::run(&verb.into(), &printer.progress()))
        }
        Verb::Backup(verb) => printer.finish(backup::run(&verb.into(), &printer.progress())),
        Verb::Restore(verb) => printer.finish(restore::run(&verb.into(), &printer.progress())),
        Verb::Jobs(verb) => verb.run(printer),
        Verb::Events(verb) => verb.run(printer),
        Verb::Audit(verb) => verb.run(printer),
        Verb::Settings(verb) => verb.run(printer),
        Verb::Prune(verb) => verb.run(printer),
        Verb::Completions(verb) => verb.run(RuneDb::command(), printer),
        Verb::Man(verb) => verb.run(RuneDb::command(), &GUIDE, printer),
    }
}
