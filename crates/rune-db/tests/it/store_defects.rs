//! What RUNE's own storage gets wrong around the operations: connecting, pooling, schemas of other
//! versions. The defects of single operations are cases of the suite.

use std::time::Duration;

use camino::Utf8Path;
use rune_core::failure::{Failure as _, FailureKind};
use rune_storage::{
    DatabaseUrl, Places,
    port::{
        JobChange, NewArtifact, PoolLimitError, PoolLimits, PostgresStore, SqliteStore,
        StoragePort as _, StoreError,
    },
};
use rune_testkit::postgres::{Database, Server};

use crate::store_support::{clock, guard, job, migrated_file, postgres_url, still_clock};
use rune_testkit::tool::{rune_db, sqlite_execute};

fn open(database: &Database<'_>, limits: PoolLimits) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(
        &postgres_url(&database.url()),
        limits,
        clock(&still_clock()),
        guard(),
    )
}

fn migrated(server: &Server) -> Database<'_> {
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database
}

#[test]
fn s04_the_types_on_postgres_keep_every_digit() {
    let server = Server::shared(17);
    let database = migrated(&server);
    let sql = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND data_type IN ('real', 'numeric')";
    assert_eq!(database.query(sql), "0");
    let id = "SELECT data_type FROM information_schema.columns WHERE table_name = 'workflow_events' AND column_name = 'id'";
    assert_eq!(database.query(id), "bigint");
    database.query("SELECT setval('workflow_events_id_seq', 3000000000)");
    let store = open(&database, PoolLimits::default()).unwrap();
    assert_eq!(
        crate::store_support::event(&store, Some("j"), "e", "ok", None),
        3_000_000_001
    );
}

#[test]
fn s13_the_limits_of_the_pool_are_read_with_clear_errors() {
    let limits = PoolLimits::parse(None, Some(" ")).unwrap();
    assert_eq!(
        (limits.min, limits.max, limits.connect_timeout),
        (2, 10, Duration::from_secs(30))
    );
    assert_eq!(
        (limits.statement_timeout, limits.idle_timeout),
        (Duration::from_mins(1), Duration::from_mins(5))
    );
    for (min, max, expected) in [
        (Some("3"), Some("7"), (3, 7)),
        (None, Some("1"), (1, 1)),
        (Some("20"), None, (20, 20)),
    ] {
        let limits = PoolLimits::parse(min, max).unwrap();
        assert_eq!((limits.min, limits.max), expected);
    }
    for text in ["0", "-1", "ten", "1.5", "1001", "1e3"] {
        let error = PoolLimits::parse(None, Some(text)).unwrap_err();
        assert_eq!(error, PoolLimitError::NotANumber("RUNE_PG_POOL_MAX"));
        assert_eq!(error.kind(), FailureKind::Usage);
    }
    assert_eq!(
        PoolLimits::parse(Some("5"), Some("4")),
        Err(PoolLimitError::Crossed { min: 5, max: 4 })
    );
}

#[test]
fn s13_the_pool_keeps_to_its_limits() {
    let server = Server::start(17);
    let database = migrated(&server);
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        database.name()
    );
    server.wait_for("postgres", &count, "0");
    let limits = PoolLimits {
        max: 3,
        idle_timeout: Duration::from_millis(400),
        ..PoolLimits::default()
    };
    let store = open(&database, limits).unwrap();
    assert_eq!(server.query("postgres", &count), "2");
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| job(&store, "t", "k", None));
        }
    });
    assert!(server.query("postgres", &count).parse::<u32>().unwrap() <= 3);
    // What nobody needs is closed, down to the least number.
    server.wait_for("postgres", &count, "2");
    store.close();
    server.wait_for("postgres", &count, "0");
    assert!(matches!(store.get_job("j", None), Err(StoreError::Closed)));
    let broken = "could not receive data from client|unexpected EOF";
    assert!(
        !broken.split('|').any(|words| server.log().contains(words)),
        "{}",
        server.log()
    );
}

#[test]
fn s13_a_statement_that_takes_too_long_is_ended() {
    let server = Server::shared(17);
    let database = migrated(&server);
    let store = open(
        &database,
        PoolLimits {
            statement_timeout: Duration::from_millis(300),
            ..PoolLimits::default()
        },
    )
    .unwrap();
    let id = job(&store, "t", "k", None).job_id;
    let mut session = server.session(database.name());
    session.run("BEGIN");
    session.run(&format!(
        "SELECT 1 FROM jobs WHERE job_id = '{id}' FOR UPDATE"
    ));
    let error = store.update_job(&id, &JobChange::default()).unwrap_err();
    assert!(error.to_string().contains("statement timeout"), "{error}");
    assert_eq!(error.kind(), FailureKind::Network);
    session.run("ROLLBACK");
    store.update_job(&id, &JobChange::default()).unwrap();
}

#[test]
fn s13_waiting_for_a_free_session_ends() {
    let server = Server::shared(17);
    let database = migrated(&server);
    let limits = PoolLimits {
        min: 1,
        max: 1,
        connect_timeout: Duration::from_millis(300),
        ..PoolLimits::default()
    };
    let store = open(&database, limits).unwrap();
    let id = job(&store, "t", "k", None).job_id;
    let mut session = server.session(database.name());
    session.run("BEGIN");
    session.run(&format!(
        "SELECT 1 FROM jobs WHERE job_id = '{id}' FOR UPDATE"
    ));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.update_job(&id, &JobChange::default()));
        server.wait_for(
            "postgres",
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
            "1",
        );
        let error = store.get_job(&id, None).unwrap_err();
        assert_eq!(
            (
                error.kind(),
                error.to_string().contains("all 1 of the pool")
            ),
            (FailureKind::Space, true),
            "{error}"
        );
        session.run("ROLLBACK");
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_session_that_the_server_ended_is_replaced() {
    let server = Server::shared(17);
    let database = migrated(&server);
    let store = open(&database, PoolLimits::default()).unwrap();
    let sessions = format!(
        "FROM pg_stat_activity WHERE usename = '{}'",
        database.name()
    );
    server.query(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid) {sessions}"),
    );
    server.wait_for("postgres", &format!("SELECT count(*) {sessions}"), "0");
    // A call may find a session whose end it had not heard of; the next does not.
    let _ = store.get_job("j", None);
    let _ = store.get_job("j", None);
    assert_eq!(store.get_job("j", None).unwrap(), None);
}

#[test]
fn s14_no_spelling_of_a_url_brings_its_password_into_a_message() {
    let places = Places {
        working_directory: Some("/".into()),
        home: None,
    };
    for text in [
        "POSTGRESQL+psycopg2://rune:hunter2@db/rune",
        "postgresql:/rune:hunter2@db/rune",
        "postgresql://rune:hunter2@db@x/rune",
        "postgresql://rune:hunter2#@db/rune?bad",
        "mysql://rune:hunter2@db/rune",
        "postgresql://rune@db/rune?password=hunter2&sslmod=require",
    ] {
        let error = DatabaseUrl::parse(text, &places).unwrap_err();
        let said = format!("{error} {error:?} {:?}", error.help());
        assert!(!said.contains("hunter2"), "{said}");
    }
    let url = postgres_url("postgresql://rune:hunter2@127.0.0.1:1/rune?connect_timeout=2");
    let error = PostgresStore::open(&url, PoolLimits::default(), clock(&still_clock()), guard())
        .unwrap_err();
    let said = format!("{error} {error:?} {:?}", error.help());
    assert!(
        !said.contains("hunter2") && said.contains("127.0.0.1:1"),
        "{said}"
    );
    assert_eq!(error.kind(), FailureKind::Network);
}

#[test]
fn s15_a_url_that_is_given_beats_every_variable() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let url = format!("sqlite:///{path}");
    let report = rune_db(&["status", "--db-url", &url])
        .env("RUNE_DB_URI", "postgresql://elsewhere/rune")
        .env("RUNE_POSTGRES_URL", "postgresql://elsewhere/rune")
        .on("postgresql://elsewhere/rune")
        .report();
    assert_eq!(report["database"]["selectedBy"], "--db-url");
}

#[test]
fn s16_a_legacy_file_can_be_used_once_it_is_migrated() {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(directory.path())
        .unwrap()
        .join("jobs.db");
    crate::legacy::make_legacy(path.as_std_path());
    let open = || SqliteStore::open(&path, clock(&still_clock()), guard());
    let error = open().unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().contains("not initialized")),
        (FailureKind::Drift, true),
        "{error}"
    );
    rune_db(&["migrate"])
        .on(&format!("sqlite:///{path}"))
        .run()
        .succeeds();
    assert!(job(&open().unwrap(), "t", "k", None).is_new);
}

#[test]
fn s17_a_newer_schema_is_refused_on_both_engines() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    sqlite_execute(
        path.as_std_path(),
        "INSERT INTO schema_version VALUES (7, 1.0)",
    );
    let server = Server::shared(17);
    let database = migrated(&server);
    database.query("INSERT INTO schema_version VALUES (7, 1.0)");
    let errors = [
        SqliteStore::open(&path, clock(&still_clock()), guard()).unwrap_err(),
        SqliteStore::open_for_looking(&path, clock(&still_clock()), guard()).unwrap_err(),
        open(&database, PoolLimits::default()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            error.to_string(),
            "the database has schema version 7, and this program knows versions up to 6"
        );
        assert_eq!(error.kind(), FailureKind::Conflict);
    }
}

#[test]
fn a_missing_table_is_named_on_both_engines() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    sqlite_execute(path.as_std_path(), "DROP TABLE settings");
    let server = Server::shared(17);
    let database = migrated(&server);
    database.query("DROP TABLE settings");
    for error in [
        SqliteStore::open(&path, clock(&still_clock()), guard()).unwrap_err(),
        open(&database, PoolLimits::default()).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "the database is not initialized for RUNE: the table `settings` is missing"
        );
    }
    let empty = server.database();
    assert!(
        open(&empty, PoolLimits::default())
            .unwrap_err()
            .to_string()
            .contains("not initialized")
    );
}

#[test]
fn a_table_that_goes_away_is_named_on_both_engines() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let sqlite = SqliteStore::open(&path, clock(&still_clock()), guard()).unwrap();
    sqlite_execute(path.as_std_path(), "DROP TABLE settings");
    let server = Server::shared(17);
    let database = migrated(&server);
    let postgres = open(&database, PoolLimits::default()).unwrap();
    database.query("DROP TABLE settings");
    for error in [
        sqlite.get_setting("k").unwrap_err(),
        postgres.get_setting("k").unwrap_err(),
    ] {
        assert_eq!(error.kind(), FailureKind::Drift, "{error}");
        assert!(error.to_string().contains("settings"), "{error}");
    }
}

#[test]
fn a_file_is_never_made_by_opening_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(directory.path())
        .unwrap()
        .join("jobs.db");
    for error in [
        SqliteStore::open(&path, clock(&still_clock()), guard()).unwrap_err(),
        SqliteStore::open_for_looking(&path, clock(&still_clock()), guard()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), FailureKind::NotFound);
    }
    assert!(!path.exists());
}

#[test]
fn a_store_for_looking_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let store = SqliteStore::open_for_looking(&path, clock(&still_clock()), guard()).unwrap();
    assert_eq!(
        store.set_setting("k", "{}").unwrap_err().kind(),
        FailureKind::Access
    );
    assert_eq!(store.get_setting("k").unwrap(), None);
}

#[test]
fn s12_content_beyond_the_limit_is_refused_before_it_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let store = SqliteStore::open(&path, clock(&still_clock()), guard()).unwrap();
    let content = vec![0; rune_storage::port::MAX_ARTIFACT_BYTES + 1];
    let error = store
        .record_audit_artifact(&NewArtifact {
            job_id: "j",
            kind: "log",
            name: "n",
            content: &content,
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "`content` has more than 500000000 bytes");
    assert_eq!(store.list_audit_artifacts("j").unwrap(), []);
}
