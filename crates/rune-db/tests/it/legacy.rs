//! Databases that RUNE made are recognised and brought under versioning.

use std::path::Path;

use rune_testkit::postgres::Server;

use rune_testkit::tool::{
    ALL_VERSIONS, rune_db, sqlite_execute, sqlite_query, sqlite_url, sqlite_versions,
};

const JOBS: &str = "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, kind TEXT NOT NULL,
    status TEXT NOT NULL, request_json TEXT NOT NULL, result_json TEXT, error TEXT, message TEXT, created_at REAL NOT NULL,
    updated_at REAL NOT NULL);";
const KEYS: &str =
    "CREATE TABLE IF NOT EXISTS idempotency_keys (tenant_id TEXT NOT NULL, operation TEXT NOT NULL,
    idempotency_key TEXT NOT NULL, job_id TEXT NOT NULL, created_at REAL NOT NULL,
    PRIMARY KEY (tenant_id, operation, idempotency_key));";
const EVENTS: &str = "CREATE TABLE IF NOT EXISTS workflow_events (id INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT, event TEXT NOT NULL,
    status TEXT NOT NULL, duration_ms REAL, error_type TEXT, labels_json TEXT, recorded_at REAL NOT NULL);";
const EVENT_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS idx_workflow_events_job_id ON workflow_events(job_id);";

/// A file as RUNE up to v0.0.0a5 leaves it, but for one index, with a row in it.
pub(crate) fn make_legacy(path: &Path) {
    let row = "INSERT INTO jobs VALUES ('j1', 't', 'benchmark', 'succeeded', '{\"x\": NaN}', NULL, NULL, NULL, 1775000000.123456, 0.1);";
    sqlite_execute(path, &format!("{JOBS}{KEYS}{EVENTS}{EVENT_INDEX}{row}"));
}

#[test]
fn a_legacy_file_is_adopted_with_its_rows_and_gets_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    make_legacy(&path);
    let url = sqlite_url(&path);
    let status = rune_db(&["status"]).on(&url).report();
    assert_eq!(status["database"]["found"], "legacy");
    assert_eq!(
        status["database"]["unrecorded"],
        serde_json::json!([1, 2, 3])
    );
    assert_eq!(
        sqlite_query(
            &path,
            "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"
        ),
        "0"
    );
    let report = rune_db(&["migrate"]).on(&url).report();
    assert_eq!(report["adopted"], serde_json::json!([1, 2, 3]));
    assert_eq!(report["applied"].as_array().unwrap().len(), 3);
    assert_eq!(report["database"]["warnings"], serde_json::json!([]));
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
    assert_eq!(
        sqlite_query(
            &path,
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'idx_workflow%' ORDER BY name"
        ),
        "idx_workflow_events_event\nidx_workflow_events_job_id"
    );
    assert_eq!(
        sqlite_query(&path, "SELECT request_json, created_at FROM jobs"),
        "{\"x\": NaN}|1775000000.123456"
    );
    let ledger =
        "SELECT version, origin, sha256 IS NULL FROM rune_db_ledger ORDER BY version LIMIT 4";
    assert_eq!(
        sqlite_query(&path, ledger),
        "1|rune-legacy|1\n2|rune-legacy|1\n3|rune-legacy|1\n4|rune-db|0"
    );
}

/// RUNE's newer releases fail on such a file after they have made an empty `schema_version`.
#[test]
fn a_legacy_file_that_a_newer_rune_stumbled_over_is_adopted_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    make_legacy(&path);
    sqlite_execute(
        &path,
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL)",
    );
    assert_eq!(
        rune_db(&["status"]).on(&sqlite_url(&path)).report()["database"]["found"],
        "legacy"
    );
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
}

#[test]
fn a_file_that_rune_has_versioned_is_noted_in_the_ledger_with_its_own_times() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let versions =
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL);
        INSERT INTO schema_version VALUES (1, 1.5), (2, 2.5), (3, 3.5);";
    sqlite_execute(
        &path,
        &format!("{JOBS}{KEYS}{EVENTS}{EVENT_INDEX}{versions}"),
    );
    assert_eq!(
        rune_db(&["status"]).on(&sqlite_url(&path)).report()["database"]["found"],
        "aOrX"
    );
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    let ledger = "SELECT version, origin, sha256 IS NULL, applied_at FROM rune_db_ledger WHERE version < 4 ORDER BY version";
    assert_eq!(
        sqlite_query(&path, ledger),
        "1|rune|1|1.5\n2|rune|1|2.5\n3|rune|1|3.5"
    );
    // The index that RUNE's own take-over forgets.
    assert_eq!(
        sqlite_query(
            &path,
            "SELECT count(*) FROM sqlite_schema WHERE name = 'idx_workflow_events_event'"
        ),
        "1"
    );
}

#[test]
fn a_table_that_only_shares_its_name_with_runes_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    sqlite_execute(
        &path,
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, title TEXT)",
    );
    let before = std::fs::read(&path).unwrap();
    rune_db(&["migrate"]).on(&sqlite_url(&path)).run().fails(
        12,
        &["there is a table `jobs` that is not RUNE's", "`job_id`"],
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(
        rune_db(&["status"]).on(&sqlite_url(&path)).report()["database"]["found"],
        "foreign"
    );
}

#[test]
fn bookkeeping_of_another_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    let server = Server::shared(17);
    let database = server.database();
    let other = "CREATE TABLE schema_version (installed_rank integer, version text)";
    sqlite_execute(&path, other);
    database.query(&format!("SET ROLE {}; {other}", database.name()));
    for url in [sqlite_url(&path), database.url()] {
        rune_db(&["migrate"])
            .on(&url)
            .run()
            .fails(12, &["`schema_version` that is not RUNE's", "`applied_at`"]);
        assert_eq!(
            rune_db(&["status"]).on(&url).report()["database"]["found"],
            "foreign"
        );
    }
}

/// What RUNE makes on PostgreSQL since the end of April 2026: 32-bit floats and numbers.
pub(crate) const ERA_B: &str = "CREATE TABLE schema_version (version integer PRIMARY KEY, applied_at double precision NOT NULL);
    CREATE TABLE jobs (job_id text PRIMARY KEY, tenant_id text NOT NULL, kind text NOT NULL, status text NOT NULL,
        request_json text NOT NULL, result_json text, error text, message text, created_at real NOT NULL, updated_at real NOT NULL);
    CREATE TABLE idempotency_keys (tenant_id text NOT NULL, operation text NOT NULL, idempotency_key text NOT NULL, job_id text NOT NULL,
        created_at real NOT NULL, PRIMARY KEY (tenant_id, operation, idempotency_key));
    CREATE TABLE workflow_events (id serial PRIMARY KEY, job_id text, event text NOT NULL, status text NOT NULL, duration_ms real,
        error_type text, labels_json text, recorded_at real NOT NULL);
    CREATE INDEX idx_workflow_events_job_id ON workflow_events (job_id);
    CREATE INDEX idx_workflow_events_event ON workflow_events (event);
    INSERT INTO schema_version VALUES (1, 1), (2, 2), (3, 3)";

#[test]
fn era_b_types_are_a_warning_and_with_strict_a_refusal() {
    let server = Server::shared(17);
    let database = server.database();
    database.query(&format!("SET ROLE {}; {ERA_B}", database.name()));
    let status = rune_db(&["status"]).on(&database.url()).report();
    assert_eq!(status["database"]["found"], "b");
    assert_eq!(status["database"]["drift"].as_array().unwrap().len(), 6);
    assert_eq!(status["database"]["drift"][3]["found"], "integer");
    let strict = rune_db(&["status", "--strict"]).on(&database.url()).run();
    assert_eq!(strict.code, 12);
    assert!(
        strict
            .stdout
            .contains("workflow_events.id is `integer`, not `bigint`"),
        "{strict:?}"
    );
    rune_db(&["migrate", "--strict"])
        .on(&database.url())
        .run()
        .fails(12, &["jobs.created_at is `real`"]);
    assert_eq!(database.query("SELECT count(*) FROM schema_version"), "3");
    let report = rune_db(&["migrate"]).on(&database.url()).report();
    assert_eq!(report["applied"].as_array().unwrap().len(), 3);
    assert_eq!(report["database"]["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn postgres_tables_without_records_are_refused_because_no_rune_makes_them() {
    let server = Server::shared(17);
    let database = server.database();
    database.query(&format!(
        "SET ROLE {}; {ERA_B}; DROP TABLE schema_version",
        database.name()
    ));
    rune_db(&["migrate"]).on(&database.url()).run().fails(
        12,
        &["not on record", "jobs, idempotency_keys, workflow_events"],
    );
}

#[test]
fn every_era_of_rune_on_postgres_is_recognised() {
    let server = Server::shared(17);
    let era_a = ERA_B
        .replace("real", "double precision")
        .replace("serial", "bigserial");
    // Its third file never worked on PostgreSQL: the first two are there.
    let era_x = ERA_B
        .split("CREATE TABLE workflow_events")
        .next()
        .unwrap()
        .to_owned()
        + "INSERT INTO schema_version VALUES (1, 1), (2, 2)";
    for (sql, era, drift) in [
        ("SELECT 1", "empty", 0),
        (era_a.as_str(), "a", 0),
        (era_x.as_str(), "x", 3),
        (ERA_B, "b", 6),
    ] {
        let database = server.database();
        database.query(&format!("SET ROLE {}; {sql}", database.name()));
        let status = rune_db(&["status"]).on(&database.url()).report();
        assert_eq!(status["database"]["found"], era);
        assert_eq!(
            status["database"]["drift"].as_array().unwrap().len(),
            drift,
            "{era}: {status}"
        );
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        rune_db(&["repair"]).on(&database.url()).run().succeeds();
        let status = rune_db(&["status", "--strict"])
            .on(&database.url())
            .report();
        assert_eq!(
            (&status["database"]["found"], &status["upToDate"]),
            (&"ours".into(), &true.into()),
            "{era}"
        );
    }
}

#[test]
fn every_era_of_rune_in_a_file_is_recognised() {
    const LATER: &str = "CREATE TABLE chain_state (job_id TEXT PRIMARY KEY, state_json TEXT NOT NULL, overall_status TEXT NOT NULL,
            updated_at REAL NOT NULL);
        CREATE TABLE audit_artifact (artifact_id TEXT PRIMARY KEY, job_id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
            size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, content BLOB NOT NULL, created_at REAL NOT NULL);
        CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL);
        INSERT INTO schema_version VALUES (1, 1), (2, 1), (3, 1), (4, 1), (5, 1);";
    const LAST: &str = "CREATE TABLE settings (key TEXT PRIMARY KEY, value_json TEXT NOT NULL, updated_at REAL NOT NULL);
        INSERT INTO schema_version VALUES (6, 1);";
    let directory = tempfile::tempdir().unwrap();
    let unversioned = LATER
        .split("CREATE TABLE schema_version")
        .next()
        .unwrap()
        .to_owned();
    for (name, more, era, words) in [
        (
            "l",
            String::new(),
            "legacy",
            "era L: RUNE up to v0.0.0a5, and main until 2026-04-09",
        ),
        (
            "m",
            unversioned,
            "legacy",
            "era L: RUNE up to v0.0.0a5, and main until 2026-04-09",
        ),
        (
            "a",
            LATER.to_owned(),
            "aOrX",
            "RUNE v0.0.0a6, or of main from 2026-04-10 to 2026-04-30 (era A or X)",
        ),
        (
            "b",
            format!("{LATER}{LAST}"),
            "b",
            "RUNE's main since 2026-04-30 (era B)",
        ),
    ] {
        let path = directory.path().join(name);
        make_legacy(&path);
        sqlite_execute(&path, &more);
        assert_eq!(
            rune_db(&["status"]).on(&sqlite_url(&path)).report()["database"]["found"],
            era
        );
        let status = rune_db(&["status"]).on(&sqlite_url(&path)).run().succeeds();
        assert!(status.contains(words), "{status}");
        rune_db(&["migrate"])
            .on(&sqlite_url(&path))
            .run()
            .succeeds();
        assert_eq!(sqlite_versions(&path), ALL_VERSIONS);
        assert_eq!(
            rune_db(&["status", "--strict"])
                .on(&sqlite_url(&path))
                .report()["database"]["warnings"],
            serde_json::json!([])
        );
    }
}
