//! The backends of the behavioural suite, and how its cases run on each of them.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use camino::{Utf8Path, Utf8PathBuf};
use rune_core::failure::{Failure as _, FailureKind};
use rune_storage::{
    DatabaseUrl, Places, PostgresUrl,
    migrations::Migrations,
    port::{
        Clock, CreatedJob, Guard, NewEvent, NewJob, PoolLimits, PostgresStore, SqliteStore,
        StoragePort, StoreError,
    },
    schema::{MigrateSettings, Migrated, SchemaError, SiteGuard, Verb, on_sqlite},
};
use rune_testkit::postgres::{Database, Server, Session};

use rune_testkit::tool::rune_db;

/// Where a case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Memory,
    File,
    Postgres(u32),
}

/// One thing that the port does.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Bench),
}

/// Runs SQL beside the port.
type Sql = Box<dyn Fn(&str) -> String + Send + Sync>;

/// A fresh database with the port over it, a clock that stands still, and a transcript of what was
/// seen.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn StoragePort>,
    clock: Arc<AtomicU64>,
    seen: Mutex<Vec<String>>,
    sql: Option<Sql>,
}

pub(crate) fn clock(time: &Arc<AtomicU64>) -> Clock {
    let time = Arc::clone(time);
    Box::new(move || f64::from_bits(time.load(Ordering::SeqCst)))
}

/// The guard of those that only read: what a site did to the tables is no matter of these tests.
pub(crate) fn guard() -> Arc<dyn Guard> {
    Arc::new(SiteGuard::new(Verb::Read))
}

pub(crate) fn still_clock() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(1000.5_f64.to_bits()))
}

/// Makes the tables of a SQLite database.
pub(crate) fn migrate_sqlite(connection: &rusqlite::Connection) -> Result<(), SchemaError> {
    let migrations = Migrations::embedded()?;
    on_sqlite::migrate(
        connection,
        Utf8Path::new("test"),
        &migrations,
        &MigrateSettings::default(),
        &mut Migrated::default(),
    )
}

pub(crate) fn postgres_url(text: &str) -> PostgresUrl {
    match DatabaseUrl::parse(
        text,
        &Places {
            working_directory: None,
            home: None,
        },
    )
    .unwrap()
    {
        DatabaseUrl::Postgres(url) => *url,
        DatabaseUrl::Sqlite(_) => panic!("not PostgreSQL"),
    }
}

pub(crate) fn memory_store(time: &Arc<AtomicU64>) -> SqliteStore {
    SqliteStore::in_memory(clock(time), guard(), |connection| {
        migrate_sqlite(connection).unwrap();
        Ok::<(), StoreError>(())
    })
    .unwrap()
}

pub(crate) fn migrated_file(directory: &Utf8Path) -> Utf8PathBuf {
    let path = directory.join("jobs.db");
    migrate_sqlite(&rusqlite::Connection::open(&path).unwrap()).unwrap();
    path
}

/// A database that is made empty between cases.
enum Ground<'a> {
    Sqlite(Backend),
    Postgres {
        store: Arc<PostgresStore>,
        time: Arc<AtomicU64>,
        session: Arc<Mutex<Session>>,
        _database: Database<'a>,
    },
}

impl<'a> Ground<'a> {
    fn new(backend: Backend, server: Option<&'a Server>) -> Self {
        let Some(server) = server else {
            return Self::Sqlite(backend);
        };
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        let time = still_clock();
        let store = PostgresStore::open(
            &postgres_url(&database.url()),
            PoolLimits::default(),
            clock(&time),
            guard(),
        )
        .unwrap();
        let session = Arc::new(Mutex::new(server.session(database.name())));
        Self::Postgres {
            store: Arc::new(store),
            time,
            session,
            _database: database,
        }
    }

    /// Runs a case on an empty database; gives what it saw, or why it failed.
    fn run(&self, case: &Case) -> Result<Vec<String>, String> {
        let _directory;
        let (store, time, sql): (Arc<dyn StoragePort>, _, Option<Sql>) = match self {
            Self::Sqlite(Backend::Memory) => {
                let time = still_clock();
                (Arc::new(memory_store(&time)), time, None)
            }
            Self::Sqlite(_) => {
                let directory = tempfile::tempdir().unwrap();
                let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
                _directory = directory;
                let time = still_clock();
                let store = SqliteStore::open(&path, clock(&time), guard()).unwrap();
                (
                    Arc::new(store),
                    time,
                    Some(Box::new(move |sql: &str| {
                        rune_testkit::tool::sqlite_query(path.as_std_path(), sql)
                    })),
                )
            }
            Self::Postgres {
                store,
                time,
                session,
                ..
            } => {
                const EMPTY: &str = "TRUNCATE jobs, idempotency_keys, workflow_events, chain_state, audit_artifact, settings RESTART IDENTITY";
                session
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .run(EMPTY);
                time.store(1000.5_f64.to_bits(), Ordering::SeqCst);
                let session = Arc::clone(session);
                (
                    Arc::clone(store) as _,
                    Arc::clone(time),
                    Some(Box::new(move |sql: &str| session.lock().unwrap().run(sql))),
                )
            }
        };
        let bench = Bench {
            store,
            clock: time,
            seen: Mutex::default(),
            sql,
        };
        match catch_unwind(AssertUnwindSafe(|| (case.run)(&bench))) {
            Ok(()) => Ok(bench.seen.into_inner().unwrap()),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
                Err(text.unwrap_or_default())
            }
        }
    }
}

/// Runs all cases of an area on a backend, and compares what each saw with what it sees on SQLite
/// in memory.
pub(crate) fn run_area(cases: &[Case], backend: Backend) {
    let server = if let Backend::Postgres(major) = backend {
        Some(Server::shared(major))
    } else {
        None
    };
    let ground = Ground::new(backend, server.as_ref());
    let reference = Ground::Sqlite(Backend::Memory);
    let mut failures = Vec::new();
    for case in cases {
        match (ground.run(case), reference.run(case)) {
            (Err(failure), _) => failures.push(format!("{}: {failure}", case.name)),
            (Ok(seen), Ok(expected)) if seen != expected => {
                failures.push(format!(
                    "{}: saw\n  {}\nbut in memory\n  {}",
                    case.name,
                    seen.join("\n  "),
                    expected.join("\n  ")
                ));
            }
            (Ok(seen), _) if seen.is_empty() => {
                failures.push(format!("{}: saw nothing", case.name));
            }
            _ => {}
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases failed on {backend:?}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

impl Bench {
    /// Sets the clock.
    pub(crate) fn at(&self, time: f64) -> &Self {
        self.clock.store(time.to_bits(), Ordering::SeqCst);
        self
    }

    /// Asserts what something is, and writes it down; random ids are left out of the transcript.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "literals are easier to read without `&`"
    )]
    pub(crate) fn sees<T: Debug + PartialEq<U>, U: Debug>(&self, found: T, expected: U) {
        assert_eq!(found, expected);
        self.seen.lock().unwrap().push(format!("{found:?}"));
    }

    /// Asserts that something fails in a certain way, and writes it down.
    #[track_caller]
    pub(crate) fn fails<T: Debug>(
        &self,
        outcome: Result<T, StoreError>,
        kind: FailureKind,
        words: &str,
    ) {
        let error = outcome.expect_err("this must fail");
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(words), "`{words}` is missing: {text}");
        self.seen
            .lock()
            .unwrap()
            .push(format!("{kind:?}: {}", without_ids(&text)));
    }

    /// Runs SQL beside the port; nothing where no other program can, because the database is in
    /// memory.
    pub(crate) fn sql(&self, sql: &str) -> Option<String> {
        self.sql.as_ref().map(|run| run(sql))
    }

    pub(crate) fn job(&self, tenant_id: &str, kind: &str, key: Option<&str>) -> CreatedJob {
        job(self.store.as_ref(), tenant_id, kind, key)
    }

    pub(crate) fn event(
        &self,
        job_id: Option<&str>,
        name: &str,
        status: &str,
        duration_ms: Option<f64>,
    ) -> i64 {
        event(self.store.as_ref(), job_id, name, status, duration_ms)
    }
}

pub(crate) fn job(
    store: &dyn StoragePort,
    tenant_id: &str,
    kind: &str,
    idempotency_key: Option<&str>,
) -> CreatedJob {
    store
        .create_job(&NewJob {
            tenant_id,
            kind,
            request_json: r#"{"model": "m"}"#,
            idempotency_key,
        })
        .unwrap()
}

pub(crate) fn event(
    store: &dyn StoragePort,
    job_id: Option<&str>,
    event: &str,
    status: &str,
    duration_ms: Option<f64>,
) -> i64 {
    let event = NewEvent {
        job_id,
        event,
        status,
        duration_ms,
        error_type: None,
        labels_json: None,
        recorded_at: 50.0,
    };
    store.record_workflow_event(&event).unwrap()
}

fn without_ids(text: &str) -> String {
    let id =
        regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
            .unwrap();
    id.replace_all(text, "(id)").into_owned()
}
