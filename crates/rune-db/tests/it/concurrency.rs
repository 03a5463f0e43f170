//! Any number of `rune-db migrate` at once leave one database that is migrated once.

use std::path::Path;

use rune_testkit::{postgres::Server, sized};

use rune_testkit::tool::{ALL_VERSIONS, Ended, rune_db, sqlite_query, sqlite_url, sqlite_versions};

/// How many start at once. Two prove the lock, four that those who wait for it are served one after
/// the other.
fn starters() -> usize {
    sized(4, 16)
}

/// Starts several `rune-db migrate` at once and waits for all of them; gives how often each version
/// was applied.
pub(crate) fn migrate_at_once(url: &str) -> Vec<u64> {
    let children: Vec<_> = (0..starters())
        .map(|_| {
            rune_db(&["migrate", "--json"])
                .on(url)
                .command()
                .spawn()
                .unwrap()
        })
        .collect();
    let mut counts = vec![0; 6];
    for child in children {
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{ended:?}");
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["database"]["schemaVersion"], 6, "{ended:?}");
        for applied in report["applied"].as_array().unwrap() {
            counts[usize::try_from(applied["version"].as_u64().unwrap()).unwrap() - 1] += 1;
        }
    }
    counts
}

#[test]
fn several_starters_on_one_new_sqlite_file_apply_each_migration_once() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..rounds() {
        let path = directory.path().join(format!("new/{round}.db"));
        assert_eq!(migrate_at_once(&sqlite_url(&path)), [1; 6]);
        assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
        assert_eq!(
            sqlite_query(&path, "SELECT count(*), count(sha256) FROM rune_db_ledger"),
            "6|6"
        );
        assert_eq!(sqlite_query(&path, "PRAGMA integrity_check"), "ok");
        assert_eq!(sqlite_query(&path, "PRAGMA journal_mode"), "wal");
    }
}

#[test]
fn several_starters_on_one_legacy_sqlite_file_take_it_over_once() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..rounds() {
        let path = directory.path().join(format!("{round}.db"));
        crate::legacy::make_legacy(&path);
        assert_eq!(migrate_at_once(&sqlite_url(&path)), [0, 0, 0, 1, 1, 1]);
        assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
        assert_eq!(
            sqlite_query(&path, "SELECT count(*), count(sha256) FROM rune_db_ledger"),
            "6|3"
        );
    }
}

#[test]
fn several_starters_on_one_empty_postgres_15_database_apply_each_migration_once() {
    race_on_postgres(15);
}

#[test]
fn several_starters_on_one_empty_postgres_16_database_apply_each_migration_once() {
    race_on_postgres(16);
}

#[test]
fn several_starters_on_one_empty_postgres_17_database_apply_each_migration_once() {
    race_on_postgres(17);
}

#[test]
fn several_starters_on_one_empty_postgres_18_database_apply_each_migration_once() {
    race_on_postgres(18);
}

fn race_on_postgres(major: u32) {
    let server = Server::shared(major);
    for _ in 0..rounds() {
        let database = server.database();
        assert_eq!(migrate_at_once(&database.url()), [1; 6]);
        let versions = database
            .query("SELECT string_agg(version::text, ' ' ORDER BY version) FROM schema_version");
        assert_eq!(versions, ALL_VERSIONS, "PostgreSQL {major}");
        assert_eq!(
            database.query("SELECT count(*), count(sha256) FROM rune_db_ledger"),
            "6|6"
        );
    }
}

/// RUNE's own migrator takes no lock: it makes `schema_version` and tables whenever it likes.
#[test]
fn starters_that_take_no_lock_do_no_harm() {
    const RIVAL: &str = "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, applied_at double precision NOT NULL);
        CREATE TABLE jobs (job_id text PRIMARY KEY, tenant_id text NOT NULL, kind text NOT NULL, status text NOT NULL,
            request_json text NOT NULL, result_json text, error text, message text, created_at real NOT NULL, updated_at real NOT NULL);
        INSERT INTO schema_version VALUES (1, 0)";
    let server = Server::shared(17);
    for _ in 0..rounds() {
        let database = server.database();
        let (name, url) = (database.name().to_owned(), database.url());
        let mut rival = server.session(&name);
        rival.run(&format!("SET ROLE {name}; BEGIN; {RIVAL}"));
        let counts = std::thread::scope(|scope| {
            let migrating = scope.spawn(|| migrate_at_once(&url));
            // One of us has the lock and waits for the rival's uncommitted table.
            let waiting = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock' AND wait_event = 'transactionid'"
            );
            server.wait_for("postgres", &waiting, "1");
            rival.run("COMMIT");
            migrating.join().unwrap()
        });
        assert_eq!(counts, [0, 1, 1, 1, 1, 1]);
        assert_eq!(database.query("SELECT count(*) FROM schema_version"), "6");
        assert_eq!(
            database.query("SELECT origin, count(*) FROM rune_db_ledger GROUP BY 1 ORDER BY 1"),
            "rune|1\nrune-db|5"
        );
    }
}

/// How often each race is run.
fn rounds() -> usize {
    sized(5, 40)
}

#[test]
fn a_migrate_that_is_killed_leaves_whole_migrations_and_a_rerun_finishes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::shared(17);
    for round in 0..10 {
        let path = directory.path().join(format!("{round}.db"));
        let database = server.database();
        for url in [sqlite_url(&path), database.url()] {
            kill_after(&url, round);
            let versions = rune_db(&["migrate"]).on(&url).report();
            assert_eq!(versions["database"]["schemaVersion"], 6);
            assert_eq!(
                versions["database"]["warnings"].as_array().unwrap().len(),
                0,
                "{versions}"
            );
        }
        assert_eq!(sqlite_query(&path, "PRAGMA integrity_check"), "ok");
        assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
        assert_eq!(
            database.query("SELECT count(*), count(sha256) FROM rune_db_ledger"),
            "6|6"
        );
    }
}

/// Starts a migration with `strace`, which kills it at its n-th write, wherever that is.
fn kill_after(url: &str, writes: usize) {
    let nth = 4 + writes * 3;
    let inject = format!("inject=write,pwrite64,sendto:signal=KILL:when={nth}");
    let rune_db = rune_db(&["migrate"]).on(url).command();
    let mut strace = std::process::Command::new("strace");
    strace
        .args([
            "-f",
            "-q",
            "-o",
            "/dev/null",
            "-e",
            "trace=write,pwrite64,sendto",
            "-e",
            &inject,
        ])
        .arg(rune_db.get_program());
    strace
        .args(rune_db.get_args())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    let output = strace.env("RUNE_DB_URL", url).output().unwrap();
    assert!(
        !output.status.success() || nth > 30,
        "nothing was killed at write {nth}: {output:?}"
    );
}

#[test]
fn two_starters_of_which_one_is_killed_hinder_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    kill_after(&sqlite_url(&path), 3);
    let expected = [1, 2, 3, 4, 5, 6]
        .map(|version: u64| u64::from(!on_record(&path).contains(&version.to_string())));
    assert_eq!(
        migrate_at_once(&sqlite_url(&path)),
        expected,
        "what the killed one recorded is applied again, or something is left out"
    );
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
    assert!(!leftovers(&path), "side files remain");
}

/// The versions that a file has on record, if it says so at all.
fn on_record(path: &Path) -> String {
    let is_recorded = path.exists()
        && sqlite_query(
            path,
            "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'",
        ) == "1";
    if is_recorded {
        sqlite_versions(path)
    } else {
        String::new()
    }
}

fn leftovers(path: &Path) -> bool {
    ["-wal", "-shm", "-journal"]
        .iter()
        .any(|suffix| Path::new(&format!("{}{suffix}", path.display())).exists())
}
