//! `rune-db wait`: waits until a database answers, or until its schema is up to date. Changes
//! nothing.

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    DatabaseOptions, Overview,
    overview::TableSummary,
    retry_deadline::{RetryDeadline, lock_timeout},
    target::{Place, Target},
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    duration::duration_text,
    failure::Failure,
    progress::Progress,
};
use rune_storage::{migrations::Migrations, schema::Verb};

#[derive(Debug)]
pub(crate) struct WaitOptions {
    pub(crate) database: DatabaseOptions,
    /// A directory of migrations instead of those that this program brings along.
    pub(crate) migrations: Option<Utf8PathBuf>,
    pub(crate) timeout: Duration,
    pub(crate) needs_schema: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WaitReport {
    pub(crate) location: String,
    pub(crate) selected_by: String,
    /// The version of the server, or of the SQLite library in this program.
    pub(crate) engine_version: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) waited_ms: u64,
    pub(crate) schema_version: Option<i64>,
    #[serde(rename = "upToDate")]
    pub(crate) is_up_to_date: bool,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the schema is not up to date: {} pending", counted(*.pending, "version"))]
#[failure(Drift: "run `rune-db migrate`", may_pass)]
struct Outdated {
    pending: usize,
}

pub(crate) fn run(
    options: &WaitOptions,
    progress: &dyn Progress,
) -> Result<WaitReport, CommandError> {
    let migrations = super::migrations(options.migrations.as_deref())?;
    let target = options.database.resolve()?;
    let patience = RetryDeadline {
        limit: Some(options.timeout),
        passes: CommandError::may_pass,
        progress,
    };
    let done = patience.until(&target.location, |left| {
        let overview = look(&target.limited(left), &migrations, lock_timeout(left))?;
        let pending = overview.pending.len() + overview.unrecorded.len();
        if options.needs_schema && pending > 0 {
            return Err(Outdated { pending }.into());
        }
        Ok((overview, pending == 0))
    });
    let done = done.map_err(|error| target.explain(error))?;
    let (overview, is_up_to_date) = done.outcome;
    Ok(WaitReport {
        location: overview.location,
        selected_by: overview.selected_by,
        engine_version: overview.engine_version,
        attempts: done.attempts,
        waited_ms: u64::try_from(done.waited.as_millis()).unwrap_or(u64::MAX),
        schema_version: overview.schema_version,
        is_up_to_date,
    })
}

fn look(
    target: &Target,
    migrations: &Migrations,
    lock_timeout: Duration,
) -> Result<Overview, CommandError> {
    let look = match &target.place {
        Place::File(path) => {
            rune_storage::open_for_looking(path, lock_timeout)?;
            TableSummary::at_file(path, lock_timeout)?
        }
        Place::Server(url) => block_on(rune_storage::with_session(url, async |client| {
            TableSummary::at_server(client, None).await
        }))?,
    };
    Ok(Overview::describe(target, look, migrations, Verb::Status))
}

impl Report for WaitReport {
    const VERB: &'static str = "db-wait";

    fn text(&self) -> String {
        let schema = match (self.schema_version, self.is_up_to_date) {
            (None, _) => "without a schema yet".to_owned(),
            (Some(version), true) => format!("schema version {version}, up to date"),
            (Some(version), false) => format!("schema version {version}, not up to date"),
        };
        let waited = duration_text(Duration::from_millis(self.waited_ms));
        format!(
            "{} is available, {schema}; waited {waited}\n",
            self.location
        )
    }
}
