//! A store's verbs inspect their database in the transaction that acts: what a site puts there
//! while they wait is met by the inspection.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use camino::Utf8Path;
use rune_storage::{
    port::{Guard, PoolLimits, PostgresStore, PruneRule, Reached, SqliteStore, StoreError},
    schema::{SiteGuard, Verb},
};
use rune_testkit::postgres::Server;

use crate::store_support::{clock, migrated_file, postgres_url, still_clock};
use rune_testkit::tool::{Ended, rune_db, sqlite_query};

const OLD_JOB: &str = "INSERT INTO jobs VALUES ('j1', 't', 'k', 'failed', '{}', NULL, NULL, NULL, 1, 1), ('j2', 't', 'k', 'running', '{}', NULL, NULL, NULL, 1, 1);
    INSERT INTO settings VALUES ('k', '{}', 1)";

/// What a site does in a transaction that is open when a verb begins: the verb, the statement, exit
/// code and words.
const CASES: &[(&[&str], &str, i32, &str)] = &[
    (
        &["prune", "--older-than", "300d"],
        "CREATE TRIGGER late BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION f()",
        12,
        "trigger `late`",
    ),
    (
        &["prune", "--older-than", "300d"],
        "CREATE RULE late AS ON DELETE TO jobs DO INSTEAD NOTHING",
        12,
        "rule `late`",
    ),
    (
        &["prune", "--older-than", "300d"],
        "CREATE TABLE other (job_id text REFERENCES jobs ON DELETE CASCADE)",
        12,
        "foreign key `other_job_id_fkey`",
    ),
    (
        &["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"],
        "ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; ALTER TABLE jobs FORCE ROW LEVEL SECURITY",
        9,
        "row-level security of table `jobs`",
    ),
    (
        &["jobs", "list"],
        "ALTER TABLE jobs ENABLE ROW LEVEL SECURITY; ALTER TABLE jobs FORCE ROW LEVEL SECURITY",
        9,
        "row-level security of table `jobs`",
    ),
    (
        &["events", "list"],
        "ALTER TABLE settings RENAME TO kept; CREATE VIEW settings AS SELECT * FROM kept",
        12,
        "`settings` is a view",
    ),
    (
        &["settings", "set", "k", "{\"a\": 1}"],
        "ALTER TABLE settings DROP COLUMN updated_at; ALTER TABLE settings ADD updated_at float8 GENERATED ALWAYS AS (length(key)) STORED",
        12,
        "column `updated_at` of table `settings` is generated",
    ),
    (
        &["settings", "delete", "k"],
        "LOCK settings; CREATE TABLE child () INHERITS (settings)",
        12,
        "table `child` inherits",
    ),
    (
        &["jobs", "list"],
        "LOCK jobs; INSERT INTO schema_version VALUES (7, 1)",
        12,
        "schema version 7",
    ),
];

#[test]
fn what_a_site_commits_while_a_verb_waits_is_refused_by_name_and_nothing_is_changed() {
    let server = Server::shared(17);
    for (verb, sql, code, words) in CASES {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(OLD_JOB);
        database.query(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        );
        let mut session = server.session(database.name());
        session.run(&format!("SET ROLE {}; BEGIN; {sql}", database.name()));
        let child = rune_db(verb).on(&database.url()).command().spawn().unwrap();
        server.wait_for(
            database.name(),
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted",
            "1",
        );
        session.run("COMMIT");
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.fails(*code, &[words, "help: "]);
        assert_eq!(
            database.query("SELECT string_agg(status, ' ' ORDER BY job_id) FROM jobs"),
            "failed running",
            "{verb:?}"
        );
        assert_eq!(
            database.query("SELECT count(*) FROM settings WHERE value_json = '{}'"),
            "1",
            "{verb:?}"
        );
    }
}

/// Looks whether it is asked within a transaction that has locks already, and refuses after some
/// times.
#[derive(Debug)]
struct Counting {
    times: AtomicUsize,
    most: usize,
    site: SiteGuard,
}

impl Counting {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            times: AtomicUsize::new(0),
            most,
            site: SiteGuard::new(Verb::Read),
        })
    }

    fn count(&self) -> Result<(), StoreError> {
        if self.times.fetch_add(1, Ordering::SeqCst) < self.most {
            Ok(())
        } else {
            Err(StoreError::Interrupted)
        }
    }
}

impl Guard for Counting {
    fn check_file(
        &self,
        connection: &rusqlite::Connection,
        path: &Utf8Path,
    ) -> Result<Reached, StoreError> {
        assert!(!connection.is_autocommit(), "no transaction is open");
        self.count()?;
        self.site.check_file(connection, path)
    }

    fn check_server<'a>(
        &'a self,
        client: &'a tokio_postgres::Client,
    ) -> Pin<Box<dyn Future<Output = Result<Reached, StoreError>> + Send + 'a>> {
        const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'jobs'::regclass";
        Box::pin(async move {
            let locks: i64 = client.query_typed_one(LOCKS, &[]).await.unwrap().get(0);
            assert!(locks > 0, "the tables are not locked");
            self.count()?;
            self.site.check_server(client).await
        })
    }
}

#[test]
fn every_operation_asks_its_guard_in_its_own_transaction_on_both_engines() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let rule = PruneRule {
        before: 100.0,
        with_artifacts: false,
    };
    for is_file in [true, false] {
        let guard = Counting::new(4);
        let open = |guard: Arc<Counting>| -> Box<dyn rune_storage::port::OperatorPort> {
            if is_file {
                Box::new(SqliteStore::open(&path, clock(&still_clock()), guard).unwrap())
            } else {
                let url = postgres_url(&database.url());
                Box::new(
                    PostgresStore::open(&url, PoolLimits::default(), clock(&still_clock()), guard)
                        .unwrap(),
                )
            }
        };
        // Opening is the first, and three operations follow.
        let store = open(Arc::clone(&guard));
        store.set_setting("k", "{}").unwrap();
        assert!(store.get_setting("k").unwrap().is_some());
        store.prune_counted(rule).unwrap();
        assert_eq!(guard.times.load(Ordering::SeqCst), 4);
        assert!(matches!(
            store.set_setting("k", "{\"a\": 1}"),
            Err(StoreError::Interrupted)
        ));
        assert!(matches!(
            store.delete_setting("k"),
            Err(StoreError::Interrupted)
        ));
        assert!(matches!(
            store.prune(rule, &mut |_| ()),
            Err(StoreError::Interrupted)
        ));
        assert!(matches!(
            store.list_settings(""),
            Err(StoreError::Interrupted)
        ));
        store.close();
    }
    let kept = "SELECT value_json FROM settings";
    assert_eq!(
        (sqlite_query(path.as_std_path(), kept), database.query(kept)),
        ("{}".to_owned(), "{}".to_owned())
    );
}

#[test]
fn a_file_that_is_refused_keeps_its_mode_of_logging() {
    let directory = tempfile::tempdir().unwrap();
    let path = migrated_file(Utf8Path::from_path(directory.path()).unwrap());
    let sql = "PRAGMA journal_mode = DELETE; CREATE TRIGGER t DELETE ON jobs BEGIN SELECT 1; END";
    rune_testkit::tool::sqlite_execute(path.as_std_path(), sql);
    let before = std::fs::read(&path).unwrap();
    rune_db(&["prune", "--older-than", "300d"])
        .on(&format!("sqlite:///{path}"))
        .run()
        .fails(12, &["trigger `t`"]);
    assert!(
        std::fs::read(&path).unwrap() == before,
        "the file was changed"
    );
}
