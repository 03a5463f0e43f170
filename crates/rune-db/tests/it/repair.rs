//! Repairing what RUNE's releases got wrong.

use rune_testkit::postgres::{PASSWORD, Server};

use crate::legacy::ERA_B;
use rune_testkit::tool::{rune_db, sqlite_execute, sqlite_query, sqlite_url};

const ROWS: &str = "INSERT INTO jobs VALUES ('j1', 't', 'k', 's', '{}', NULL, NULL, NULL, 1775000000.123456, 12.3), ('j2', 't', 'k', 's', '{}', NULL, NULL, NULL, 1, 'NaN');
    INSERT INTO workflow_events (job_id, event, status, duration_ms, recorded_at) VALUES ('j1', 'e', 'ok', 1234567.25, 1), ('j1', 'e', 'ok', NULL, 'Infinity')";

#[test]
fn a_database_of_era_b_gets_64_bits_and_is_told_what_is_lost() {
    let server = Server::shared(17);
    let database = server.database();
    database.query(&format!(
        "SET ROLE {}; {ERA_B}; {ROWS}; DROP INDEX idx_workflow_events_event",
        database.name()
    ));
    let types = "SELECT string_agg(DISTINCT data_type, ' ' ORDER BY data_type) FROM information_schema.columns WHERE table_name IN ('jobs', 'workflow_events')";
    let plan = rune_db(&["repair", "--dry-run"])
        .on(&database.url())
        .report();
    assert_eq!(
        database.query(types),
        "integer real text",
        "a plan changes nothing"
    );
    let text = rune_db(&["repair"]).on(&database.url()).run().succeeds();
    assert!(text.contains("made jobs.created_at `double precision` from `real`, 2 values\n      its values may be 128 off"), "{text}");
    assert!(
        text.contains("lost for good")
            && text.contains("idx_workflow_events_event")
            && text.contains("repaired: postgresql://"),
        "{text}"
    );
    assert_eq!(database.query(types), "bigint double precision text");
    assert_eq!(
        database.query("SELECT updated_at, created_at FROM jobs ORDER BY 1"),
        "12.3|1775000100\nNaN|1"
    );
    assert_eq!(
        database.query("SELECT duration_ms, recorded_at FROM workflow_events ORDER BY id"),
        "1234567.2|1\n|Infinity"
    );
    assert_eq!(
        database.query(
            "SELECT data_type, last_value FROM pg_sequences WHERE sequencename LIKE 'workflow%'"
        ),
        "bigint|2"
    );
    assert_eq!(
        database.query("SELECT count(*) FROM rune_db_repairs"),
        plan["repairs"].as_array().unwrap().len().to_string()
    );
    assert_eq!(
        database.query("SELECT version FROM schema_version ORDER BY 1"),
        "1\n2\n3",
        "a repair has no number"
    );
    rune_db(&["migrate", "--strict"])
        .on(&database.url())
        .run()
        .succeeds();
    let again = rune_db(&["repair"]).on(&database.url()).report();
    assert_eq!(
        (&again["repairs"], &again["left"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    let status = rune_db(&["status", "--strict"])
        .on(&database.url())
        .run()
        .succeeds();
    assert!(
        status.contains(": jobs.created_at `double precision` from `real`, 2 values, by rune-db "),
        "{status}"
    );
    let status = rune_db(&["status"]).on(&database.url()).report();
    let subjects = |list: &serde_json::Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["subject"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        subjects(&status["database"]["repairs"]),
        subjects(&plan["repairs"])
    );
    // What no repair can give a value is left, and named.
    database.query("UPDATE jobs SET updated_at = 1 WHERE updated_at = 'NaN'");
    rune_db(&["verify"]).on(&database.url()).run().succeeds();
}

#[test]
fn a_repair_that_cannot_be_done_leaves_everything_as_it_was() {
    let server = Server::shared(17);
    let database = server.database();
    database.query(&format!("SET ROLE {}; {ERA_B}; {ROWS}", database.name()));
    // The type of a column in use cannot be altered.
    database.query("CREATE VIEW report AS SELECT duration_ms FROM workflow_events");
    rune_db(&["repair"]).on(&database.url()).run().fails(
        12,
        &["view report prevents altering the type of `workflow_events.duration_ms`"],
    );
    let real = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'report' AND data_type = 'real'";
    assert_eq!(database.query(real), "5");
    assert_eq!(
        database.query("SELECT to_regclass('rune_db_repairs') IS NULL"),
        "t"
    );
}

#[test]
fn repairs_are_made_only_as_the_role_that_owns_the_tables() {
    let server = Server::start(17);
    let database = server.database();
    let owner = database.name();
    database.query(&format!("SET ROLE {owner}; {ERA_B}"));
    database.query(&format!("CREATE ROLE other LOGIN PASSWORD '{PASSWORD}'"));
    rune_db(&["repair"])
        .on(&database.url_of("other"))
        .run()
        .fails(9, &["belongs to role", &format!("--owner {owner}")]);
    rune_db(&["repair", "--owner", owner])
        .on(&database.admin_url())
        .run()
        .succeeds();
    assert_eq!(
        database.query("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"),
        owner
    );
}

#[test]
fn a_file_gets_the_indexes_it_lacks_and_its_columns_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (path, url) = (
        directory.path().join("jobs.db"),
        sqlite_url(&directory.path().join("jobs.db")),
    );
    rune_db(&["repair"]).on(&url).run().fails(4, &["jobs.db"]);
    assert!(!path.exists());
    rune_db(&["migrate"]).on(&url).run().succeeds();
    sqlite_execute(
        &path,
        "DROP INDEX idx_audit_artifact_job_id; DROP INDEX idx_workflow_events_event;
        CREATE INDEX idx_workflow_events_event ON workflow_events (status); ALTER TABLE jobs ADD COLUMN more TEXT",
    );
    let report = rune_db(&["repair"]).on(&url).report();
    assert_eq!(report["repairs"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(
        report["left"],
        serde_json::json!(["jobs.more is not RUNE's"])
    );
    assert_eq!(
        sqlite_query(
            &path,
            "SELECT name FROM pragma_index_info('idx_workflow_events_event')"
        ),
        "event"
    );
    assert_eq!(
        sqlite_query(&path, "SELECT subject, was FROM rune_db_repairs ORDER BY 1"),
        "idx_audit_artifact_job_id|missing\nidx_workflow_events_event|workflow_events (status)"
    );
    let status = rune_db(&["status"]).on(&url).run().succeeds();
    assert!(
        status.contains(
            ": idx_audit_artifact_job_id `audit_artifact (job_id)` from `missing`, by rune-db "
        ),
        "{status}"
    );
    rune_db(&["repair", "--owner", "rune"])
        .on(&url)
        .run()
        .fails(2, &["--owner"]);
}

#[test]
fn a_connection_that_was_open_during_a_repair_fails_once_and_a_new_one_does_not() {
    const READ: &str = "PREPARE jobs_of AS SELECT created_at FROM jobs WHERE job_id = $1";
    const EXECUTE: &str = "EXECUTE jobs_of ('j1');\n\\echo :LAST_ERROR_MESSAGE\n";
    let server = Server::shared(17);
    let database = server.database();
    database.query(&format!("SET ROLE {}; {ERA_B}; {ROWS}", database.name()));
    let mut running = server.session(database.name());
    running.run(&format!("\\set ON_ERROR_STOP off\n{READ}"));
    assert!(running.run(EXECUTE).starts_with("1.7750001e+09"));
    rune_db(&["repair"]).on(&database.url()).run().succeeds();
    let said = running.run(EXECUTE);
    assert!(
        said.contains("cached plan must not change result type"),
        "{said}"
    );
    // What `docs/operations/upgrade.md` says to do: RUNE is restarted, so its connections are new
    // ones.
    let mut restarted = server.session(database.name());
    restarted.run(READ);
    assert!(restarted.run(EXECUTE).starts_with("1775000100"));
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/operations/upgrade.md"
    ))
    .unwrap();
    assert!(
        page.contains("Restart RUNE after `repair`.")
            && page.contains("cached plan must not change result type")
    );
}
