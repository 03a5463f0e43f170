//! The port over any engine.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    StoragePort, artifacts, chains,
    error::StoreError,
    events,
    guard::Guard,
    jobs, limits,
    records::{
        ArtifactInfo, ChainEdge, ChainNode, ChainState, CreatedJob, Event, EventSummary, FinopsJob,
        Job, JobChange, NewArtifact, NewEvent, NewJob, NodeChange, Setting, StaleJobs,
    },
    session::{Engine, Purpose, Session, Value},
    settings,
};
use crate::{engines::schema::TABLES, migrations};
use rune_core::failure::Failure;

/// Gives the time, in seconds since 1970.
pub type Clock = Box<dyn Fn() -> f64 + Send + Sync>;

/// The schema version that the port is written for.
pub const SCHEMA_VERSION: i64 = migrations::LAST;
const BOOK: &str = "schema_version";

/// Limits on the sessions of a store with a server (SR-Q-007).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many sessions are kept open.
    pub min: usize,
    /// How many sessions there are at most.
    pub max: usize,
    /// How long is waited for a free session, or for a new one.
    pub connect_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// After how long a session that nobody needs is closed.
    pub idle_timeout: Duration,
    /// Whether SIGINT and SIGTERM end what the store does, instead of the process at once: the
    /// server is told to stop.
    pub ends_on_signals: bool,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            min: 2,
            max: 10,
            connect_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_mins(5),
            ends_on_signals: false,
        }
    }
}

/// Why limits of the pool make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Usage)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PoolLimitError {
    #[error("`{0}` must be a whole number from 1 to 1000")]
    NotANumber(&'static str),
    #[error("`RUNE_PG_POOL_MAX` is {max}, less than `RUNE_PG_POOL_MIN`, which is {min}")]
    Crossed { min: usize, max: usize },
}

impl PoolLimits {
    /// The limits with the values of `RUNE_PG_POOL_MIN` and `RUNE_PG_POOL_MAX`; blank is not given.
    ///
    /// # Errors
    /// When one is not a number from 1 to 1000, or the least is above the most.
    pub fn parse(min: Option<&str>, max: Option<&str>) -> Result<Self, PoolLimitError> {
        let number =
            |name, text: Option<&str>| match text.map(str::trim).filter(|text| !text.is_empty()) {
                None => Ok(None),
                Some(text) => match text.parse() {
                    Ok(number @ 1..=1000) => Ok(Some(number)),
                    _ => Err(PoolLimitError::NotANumber(name)),
                },
            };
        let default = Self::default();
        let (given_min, given_max) = (
            number("RUNE_PG_POOL_MIN", min)?,
            number("RUNE_PG_POOL_MAX", max)?,
        );
        // A limit that was given moves the one that was not.
        let max = given_max
            .unwrap_or(default.max)
            .max(if given_max.is_none() {
                given_min.unwrap_or(0)
            } else {
                0
            });
        let min = given_min.unwrap_or(default.min.min(max));
        if min > max {
            return Err(PoolLimitError::Crossed { min, max });
        }
        Ok(Self {
            min,
            max,
            ..default
        })
    }
}

/// The port over an engine. Made by [`SqliteStore`](super::SqliteStore) and
/// [`PostgresStore`](super::PostgresStore).
pub struct Store<E> {
    engine: E,
    clock: Clock,
    guard: Arc<dyn Guard>,
}

impl<E> fmt::Debug for Store<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}

#[expect(private_bounds, reason = "engines are this module's own")]
impl<E: Engine> Store<E> {
    /// Puts the port over an engine, if the database is one that the port knows.
    pub(super) fn over(engine: E, clock: Clock, guard: Arc<dyn Guard>) -> Result<Self, StoreError> {
        let store = Self {
            engine,
            clock,
            guard,
        };
        store.read(&mut |_| Ok(()))?;
        Ok(store)
    }

    pub(super) fn read<T>(
        &self,
        act: &mut dyn FnMut(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(Purpose::Reading, act)
    }

    pub(super) fn write<T>(
        &self,
        act: &mut dyn FnMut(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(Purpose::Writing, act)
    }

    /// A write that counts rows before and after: everything it sees is of one moment and its own.
    pub(super) fn write_counted<T>(
        &self,
        act: &mut dyn FnMut(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(Purpose::Counting, act)
    }

    /// Every operation sees the database as the guard and the check of the schema saw it: they are
    /// of the same transaction.
    fn transaction<T>(
        &self,
        purpose: Purpose,
        act: &mut dyn FnMut(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.engine
            .transaction(purpose, &*self.guard, &mut |session| {
                check_schema::<E>(session)?;
                act(session)
            })
    }

    pub(super) fn now(&self) -> Result<f64, StoreError> {
        limits::number("now", (self.clock)())
    }
}

/// Refuses a database that is behind this program, or ahead of it.
fn check_schema<E: Engine>(session: &mut dyn Session) -> Result<(), StoreError> {
    let tables = TABLES.iter().map(|table| table.name);
    let tables: Vec<&'static str> = std::iter::once(BOOK).chain(tables).collect();
    let missing = E::missing_table(session, &tables)?;
    if missing == Some(BOOK) {
        return Err(StoreError::NotMigrated(
            "it has no record of schema versions".to_owned(),
        ));
    }
    let newest = session.query(
        "SELECT max(version) AS newest FROM schema_version WHERE version > ?1",
        &[Value::Integer(SCHEMA_VERSION)],
    )?;
    if let Some(Ok(version)) = newest.first().map(|row| row.integer("newest")) {
        return Err(StoreError::Newer {
            version,
            known: SCHEMA_VERSION,
        });
    }
    match missing {
        Some(table) => Err(StoreError::NotMigrated(format!(
            "the table `{table}` is missing"
        ))),
        None => Ok(()),
    }
}

impl<E: Engine> StoragePort for Store<E> {
    fn create_job(&self, job: &NewJob<'_>) -> Result<CreatedJob, StoreError> {
        jobs::check_new(job)?;
        let now = self.now()?;
        self.write(&mut |session| jobs::create(session, job, now))
    }

    fn update_job(&self, job_id: &str, change: &JobChange<'_>) -> Result<(), StoreError> {
        jobs::check_change(change)?;
        let now = self.now()?;
        if job_id.contains('\0') {
            return Err(StoreError::JobNotFound(job_id.replace('\0', "\u{fffd}")));
        }
        self.write(&mut |session| jobs::update(session, job_id, change, now))
    }

    fn get_job(&self, job_id: &str, tenant_id: Option<&str>) -> Result<Option<Job>, StoreError> {
        if job_id.contains('\0') || tenant_id.is_some_and(|tenant| tenant.contains('\0')) {
            return Ok(None);
        }
        self.read(&mut |session| jobs::get(session, job_id, tenant_id))
    }

    fn fail_stale_jobs(&self, stale: &StaleJobs<'_>) -> Result<Vec<String>, StoreError> {
        limits::lookup("tenant_id", stale.tenant_id.unwrap_or_default())?;
        limits::word("message", stale.message, limits::MAX_ERROR)?;
        let unchanged_since = limits::number("unchanged_since", stale.unchanged_since)?;
        let stale = StaleJobs {
            unchanged_since,
            ..*stale
        };
        let (mut all, mut skipped) = (Vec::new(), 0);
        loop {
            let now = self.now()?;
            let batch =
                self.write(&mut |session| jobs::fail_stale(session, &stale, skipped, now))?;
            all.extend(batch.ids);
            skipped += batch.unreadable;
            if !batch.may_be_more {
                all.sort();
                return Ok(all);
            }
        }
    }

    fn list_jobs_for_finops(
        &self,
        tenant_id: &str,
        limit: u32,
    ) -> Result<Vec<FinopsJob>, StoreError> {
        limits::lookup("tenant_id", tenant_id)?;
        self.read(&mut |session| jobs::list_for_finops(session, tenant_id, limit))
    }

    fn record_workflow_event(&self, event: &NewEvent<'_>) -> Result<i64, StoreError> {
        self.write(&mut |session| events::record(session, event))
    }

    fn get_events_summary(&self, job_id: Option<&str>) -> Result<Vec<EventSummary>, StoreError> {
        limits::lookup("job_id", job_id.unwrap_or_default())?;
        let listed = self.read(&mut |session| {
            events::summarise(
                session,
                events::Scope {
                    job_id,
                    ..events::Scope::default()
                },
            )
        })?;
        listed
            .into_iter()
            .map(|event| event.map_err(StoreError::from))
            .collect()
    }

    fn get_events_for_job(
        &self,
        job_id: &str,
        after_id: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        limits::lookup("job_id", job_id)?;
        self.read(&mut |session| events::list_for_job(session, job_id, after_id, limit))
    }

    fn record_chain_initialized(
        &self,
        job_id: &str,
        nodes: &[ChainNode],
        edges: &[ChainEdge],
    ) -> Result<(), StoreError> {
        let now = self.now()?;
        self.write(&mut |session| chains::initialize(session, job_id, nodes, edges, now))
    }

    fn record_chain_node_transition(
        &self,
        job_id: &str,
        node_id: &str,
        change: &NodeChange<'_>,
    ) -> Result<(), StoreError> {
        limits::word("job_id", job_id, limits::MAX_JOB_ID)?;
        limits::word("node.id", node_id, limits::MAX_KEY)?;
        let now = self.now()?;
        self.write(&mut |session| chains::transition(session, job_id, node_id, change, now))
    }

    fn get_chain_state(&self, job_id: &str) -> Result<Option<ChainState>, StoreError> {
        limits::lookup("job_id", job_id)?;
        self.read(&mut |session| chains::get(session, job_id))
    }

    fn record_audit_artifact(&self, artifact: &NewArtifact<'_>) -> Result<String, StoreError> {
        artifacts::check_new(artifact)?;
        let now = self.now()?;
        self.write(&mut |session| artifacts::record(session, artifact, now))
    }

    fn list_audit_artifacts(&self, job_id: &str) -> Result<Vec<ArtifactInfo>, StoreError> {
        limits::lookup("job_id", job_id)?;
        self.read(&mut |session| artifacts::list(session, job_id))
    }

    fn read_audit_artifact(
        &self,
        job_id: &str,
        artifact_id: &str,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<Option<ArtifactInfo>, StoreError> {
        limits::lookup("job_id", job_id)?;
        limits::lookup("artifact_id", artifact_id)?;
        self.read(&mut |session| {
            let Some(info) = artifacts::find(session, artifact_id, Some(job_id))? else {
                return Ok(None);
            };
            artifacts::read_content(session, &info, sink)?;
            Ok(Some(info))
        })
    }

    fn set_setting(&self, key: &str, value_json: &str) -> Result<(), StoreError> {
        let now = self.now()?;
        self.write(&mut |session| settings::set(session, key, value_json, now))
    }

    fn update_setting(
        &self,
        key: &str,
        change: &mut dyn FnMut(Option<&str>) -> Option<String>,
    ) -> Result<(), StoreError> {
        let now = self.now()?;
        self.write(&mut |session| settings::update(session, key, change, now))
    }

    fn get_setting(&self, key: &str) -> Result<Option<Setting>, StoreError> {
        limits::lookup("key", key)?;
        self.read(&mut |session| settings::get(session, key))
    }

    fn delete_setting(&self, key: &str) -> Result<bool, StoreError> {
        limits::lookup("key", key)?;
        self.write(&mut |session| settings::delete(session, key))
    }

    fn list_settings(&self, prefix: &str) -> Result<Vec<Setting>, StoreError> {
        limits::lookup("prefix", prefix)?;
        self.read(&mut |session| settings::list(session, prefix))
    }

    fn close(&self) {
        self.engine.close();
    }
}
