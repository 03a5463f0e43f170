//! `rune-db migrate`: brings a database up to date, whoever else tries at the same time.

use std::{fmt::Write as _, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use tokio_postgres::Client;

use super::{
    DatabaseOptions, Overview,
    overview::{Pending, TableSummary},
    retry_deadline::{RetryDeadline, lock_timeout},
    target::Place,
};
use rune_core::{
    command::{CommandError, Report, block_on},
    fsx,
    progress::Progress,
};
use rune_storage::{
    migrations::{Dialect, Migrations},
    schema::{Assessment, MigrateSettings, Migrated, SchemaError, Verb, on_postgres, on_sqlite},
};

#[derive(Debug)]
pub(crate) struct MigrateOptions {
    pub(crate) database: DatabaseOptions,
    /// A directory of migrations instead of those that this program brings along.
    pub(crate) migrations: Option<Utf8PathBuf>,
    pub(crate) owner: Option<String>,
    pub(crate) is_dry_run: bool,
    /// How long to wait for a database that is not ready yet; `None` is not at all.
    pub(crate) wait: Option<Duration>,
    /// Whether what is only worth a warning stops the work before it begins.
    pub(crate) is_strict: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrateReport {
    pub(crate) dry_run: bool,
    /// Whether the SQLite file did not exist.
    pub(crate) created: bool,
    pub(crate) applied: Vec<Pending>,
    /// Versions whose tables were there without a record and were put on record, or would be.
    pub(crate) adopted: Vec<u32>,
    pub(crate) database: Overview,
}

pub(crate) fn run(
    options: &MigrateOptions,
    progress: &dyn Progress,
) -> Result<MigrateReport, CommandError> {
    let migrations = super::migrations(options.migrations.as_deref())?;
    let target = options.database.resolve()?;
    let settings = MigrateSettings {
        owner: options.owner.clone(),
        is_strict: options.is_strict,
    };
    let patience = RetryDeadline {
        limit: options.wait,
        passes: CommandError::may_pass,
        progress,
    };
    let mut created = false;
    // What an attempt applied stays applied when the next one has to finish the work.
    let mut done = Migrated::default();
    let look = patience.until(&target.location, |left| match &target.limited(left).place {
        Place::File(path) => {
            created |= !fsx::exists(path);
            on_file(
                path,
                lock_timeout(left),
                &migrations,
                &settings,
                options.is_dry_run,
                &mut done,
            )
        }
        Place::Server(url) => block_on(rune_storage::with_session(url, async |client| {
            on_server(
                client,
                &migrations,
                &settings,
                options.is_dry_run,
                &mut done,
            )
            .await
        })),
    });
    let look = look.map_err(|error| target.explain(error))?.outcome;
    let pending = |version: &u32| migrations.get(*version).map(Pending::from);
    // What acts on changes of the schema matters only where there are some.
    let verb = if done == Migrated::default() {
        Verb::Status
    } else {
        Verb::Migrate
    };
    Ok(MigrateReport {
        dry_run: options.is_dry_run,
        created,
        applied: done.applied.iter().filter_map(pending).collect(),
        adopted: done.adopted,
        database: Overview::describe(&target, look, &migrations, verb),
    })
}

fn on_file(
    path: &Utf8Path,
    lock_timeout: Duration,
    migrations: &Migrations,
    settings: &MigrateSettings,
    is_dry_run: bool,
    done: &mut Migrated,
) -> Result<TableSummary, CommandError> {
    if settings.owner.is_some() {
        return Err(super::OwnerError.into());
    }
    if is_dry_run {
        let look = TableSummary::at_file(path, lock_timeout)?;
        *done = plan(&look, migrations, Dialect::Sqlite, settings)?;
        return Ok(look);
    }
    let connection = rune_storage::open_for_writing(path, lock_timeout)?;
    on_sqlite::migrate(&connection, path, migrations, settings, done)?;
    drop(connection);
    TableSummary::at_file(path, lock_timeout)
}

async fn on_server(
    client: &Client,
    migrations: &Migrations,
    settings: &MigrateSettings,
    is_dry_run: bool,
    done: &mut Migrated,
) -> Result<TableSummary, CommandError> {
    let owner = settings.owner.as_deref();
    if is_dry_run {
        let look = TableSummary::at_server(client, owner).await?;
        *done = plan(&look, migrations, Dialect::Postgres, settings)?;
        if !done.applied.is_empty() {
            on_postgres::check_roles(client, owner).await?;
        }
        return Ok(look);
    }
    let Migrated {
        applied,
        adopted,
        is_changed,
    } = on_postgres::migrate(client, migrations, settings).await?;
    done.applied.extend(applied);
    done.adopted.extend(adopted);
    done.is_changed |= is_changed;
    let look = TableSummary::at_server(client, owner).await;
    look.map_err(|error| {
        if done.is_changed {
            error.context("the schema is up to date now, but what there is beside it is not known")
        } else {
            error
        }
    })
}

fn plan(
    look: &TableSummary,
    migrations: &Migrations,
    dialect: Dialect,
    settings: &MigrateSettings,
) -> Result<Migrated, SchemaError> {
    let assessment = Assessment::of(look.found(), migrations, dialect);
    assessment.check(dialect, settings.is_strict)?;
    if !assessment.is_up_to_date() {
        look.site().check(Verb::Migrate)?;
    }
    Ok(Migrated {
        applied: assessment
            .pending
            .iter()
            .map(|migration| migration.version())
            .collect(),
        adopted: assessment
            .unrecorded
            .iter()
            .map(|table| table.version)
            .collect(),
        is_changed: false,
    })
}

impl Report for MigrateReport {
    const VERB: &'static str = "db-migrate";

    fn has_changed(&self) -> bool {
        !self.dry_run
    }

    fn text(&self) -> String {
        let (made, took, applied) = if self.dry_run {
            ("would create", "would adopt", "would apply")
        } else {
            ("created", "adopted", "applied")
        };
        let mut text = String::new();
        if self.created {
            let _ = writeln!(text, "{made} {}", self.database.location);
        }
        for version in &self.adopted {
            let _ = writeln!(
                text,
                "{took} {version}, whose table was there without a record"
            );
        }
        for migration in &self.applied {
            let _ = writeln!(text, "{applied} {} ({})", migration.version, migration.file);
        }
        text.push_str(&self.database.warning_lines());
        let version = self.database.schema_version.unwrap_or(0);
        let note = if self.dry_run {
            "; nothing was changed"
        } else {
            ""
        };
        let _ = write!(
            text,
            "schema version {version}{note}: {}",
            self.database.heading()
        );
        text
    }
}
