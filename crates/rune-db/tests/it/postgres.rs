//! `rune-db` on PostgreSQL servers: what it makes, for whom, and what it says when it may not.

use rune_testkit::postgres::{ENCODED_PASSWORD, MAJORS, PASSWORD, Server};

use rune_testkit::tool::rune_db;

const COLUMNS: &str = "\
audit_artifact|artifact_id|text|NO|
audit_artifact|job_id|text|NO|
audit_artifact|kind|text|NO|
audit_artifact|name|text|NO|
audit_artifact|size_bytes|integer|NO|
audit_artifact|sha256|text|NO|
audit_artifact|content|bytea|NO|
audit_artifact|created_at|double precision|NO|
chain_state|job_id|text|NO|
chain_state|state_json|text|NO|
chain_state|overall_status|text|NO|
chain_state|updated_at|double precision|NO|
idempotency_keys|tenant_id|text|NO|
idempotency_keys|operation|text|NO|
idempotency_keys|idempotency_key|text|NO|
idempotency_keys|job_id|text|NO|
idempotency_keys|created_at|double precision|NO|
jobs|job_id|text|NO|
jobs|tenant_id|text|NO|
jobs|kind|text|NO|
jobs|status|text|NO|
jobs|request_json|text|NO|
jobs|result_json|text|YES|
jobs|error|text|YES|
jobs|message|text|YES|
jobs|created_at|double precision|NO|
jobs|updated_at|double precision|NO|
schema_version|version|integer|NO|
schema_version|applied_at|double precision|NO|
settings|key|text|NO|
settings|value_json|text|NO|
settings|updated_at|double precision|NO|
workflow_events|id|bigint|NO|nextval('workflow_events_id_seq'::regclass)
workflow_events|job_id|text|YES|
workflow_events|event|text|NO|
workflow_events|status|text|NO|
workflow_events|duration_ms|double precision|YES|
workflow_events|error_type|text|YES|
workflow_events|labels_json|text|YES|
workflow_events|recorded_at|double precision|NO|";

const INDEXES: &str = "\
audit_artifact_pkey|(artifact_id)
chain_state_pkey|(job_id)
idempotency_keys_pkey|(tenant_id, operation, idempotency_key)
idx_audit_artifact_job_id|(job_id)
idx_workflow_events_event|(event)
idx_workflow_events_job_id|(job_id)
jobs_pkey|(job_id)
rune_db_ledger_pkey|(version)
schema_version_pkey|(version)
settings_pkey|(key)
workflow_events_pkey|(id)";

#[test]
fn a_new_database_has_exactly_runes_tables_owned_by_its_role() {
    for major in MAJORS {
        let server = Server::shared(major);
        let database = server.database();
        let report = rune_db(&["migrate"]).on(&database.url()).report();
        assert!(
            report["database"]["engineVersion"]
                .as_str()
                .unwrap()
                .starts_with(&major.to_string()),
            "{report}"
        );
        assert_eq!(report["database"]["schema"], "public");
        let columns = "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> 'rune_db_ledger' ORDER BY table_name, ordinal_position";
        assert_eq!(database.query(columns), COLUMNS, "PostgreSQL {major}");
        let indexes = "SELECT indexname, substring(indexdef FROM '\\(.*\\)') FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
        assert_eq!(database.query(indexes), INDEXES, "PostgreSQL {major}");
        let sequence = "SELECT sequencename, data_type, start_value FROM pg_sequences";
        assert_eq!(database.query(sequence), "workflow_events_id_seq|bigint|1");
        assert_eq!(
            database.query("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"),
            database.name()
        );
        let status = rune_db(&["status", "--strict"])
            .on(&database.url())
            .report();
        assert_eq!(
            (&status["database"]["found"], &status["upToDate"]),
            (&"ours".into(), &true.into())
        );
        assert_eq!(
            status["database"]["warnings"],
            serde_json::json!([]),
            "PostgreSQL {major}"
        );
        let again = rune_db(&["migrate"]).on(&database.url()).report();
        assert_eq!(again["applied"], serde_json::json!([]));
    }
}

#[test]
fn a_plan_changes_nothing() {
    let server = Server::shared(17);
    let database = server.database();
    let before = database.query("SELECT count(*) FROM pg_class");
    let plan = rune_db(&["migrate", "--dry-run"])
        .on(&database.url())
        .report();
    assert_eq!(plan["applied"].as_array().unwrap().len(), 6);
    let status = rune_db(&["status"]).on(&database.url()).report();
    assert_eq!(
        (&status["database"]["found"], &status["upToDate"]),
        (&"empty".into(), &false.into())
    );
    assert_eq!(database.query("SELECT count(*) FROM pg_class"), before);
}

#[test]
fn holes_are_filled_and_unknown_versions_are_left_alone() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query("DROP TABLE chain_state; DELETE FROM schema_version WHERE version = 4; INSERT INTO schema_version VALUES (99, 1)");
    let report = rune_db(&["migrate"]).on(&database.url()).report();
    assert_eq!(report["applied"][0]["file"], "0004_chain_state.sql");
    assert_eq!(report["database"]["unknown"], serde_json::json!([99]));
    rune_db(&["migrate", "--strict"])
        .on(&database.url())
        .run()
        .fails(12, &["99"]);
}

#[test]
fn tables_are_made_only_by_and_for_the_role_that_rune_will_use() {
    let server = Server::shared(17);
    let database = server.database();
    let owner = database.name();
    // A superuser that owns nothing here: RUNE would be locked out of what it makes.
    rune_db(&["migrate"]).on(&database.admin_url()).run().fails(
        9,
        &["`postgres` is a superuser", &format!("--owner {owner}")],
    );
    assert_eq!(database.query("SELECT to_regclass('jobs') IS NULL"), "t");
    let plan = rune_db(&["migrate", "--dry-run"])
        .on(&database.admin_url())
        .run();
    assert_eq!(plan.code, 9, "the plan says so too: {plan:?}");
    rune_db(&["migrate", "--owner", "nobody"])
        .on(&database.admin_url())
        .run()
        .fails(4, &["role `nobody`", "does not exist"]);
    rune_db(&["migrate", "--owner", owner])
        .on(&database.admin_url())
        .run()
        .succeeds();
    assert_eq!(
        database.query("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"),
        owner
    );
    // Nothing to do: then nobody makes anything, whoever asks.
    rune_db(&["migrate"])
        .on(&database.admin_url())
        .run()
        .succeeds();
}

#[test]
fn tables_of_another_role_are_not_touched() {
    let server = Server::start(17);
    let database = server.database();
    let owner = database.name();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(&format!(
        "DELETE FROM schema_version WHERE version = 6; DROP TABLE settings; CREATE ROLE other LOGIN PASSWORD '{PASSWORD}'"
    ));
    database.query(
        "GRANT CREATE ON SCHEMA public TO other; GRANT ALL ON ALL TABLES IN SCHEMA public TO other",
    );
    let words = format!("belongs to role `{owner}`, not to `other`");
    rune_db(&["migrate"])
        .on(&database.url_of("other"))
        .run()
        .fails(9, &[&words, &format!("--owner {owner}")]);
    rune_db(&["migrate", "--owner", owner])
        .on(&database.url_of("other"))
        .run()
        .fails(9, &["cannot act as role", "permission denied"]);
    database.query(&format!("GRANT {owner} TO other"));
    rune_db(&["migrate", "--owner", owner])
        .on(&database.url_of("other"))
        .run()
        .succeeds();
    assert_eq!(
        database.query("SELECT tableowner FROM pg_tables WHERE tablename = 'settings'"),
        owner
    );
}

#[test]
fn a_role_that_may_not_create_is_told_what_to_grant() {
    let server = Server::start(17);
    let database = server.database();
    database.query(&format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"));
    rune_db(&["migrate"])
        .on(&database.url_of("reader"))
        .run()
        .fails(
            9,
            &[
                "may not create tables in schema `public`",
                "GRANT USAGE, CREATE",
            ],
        );
    database.query("ALTER ROLE reader SET search_path = nowhere");
    rune_db(&["status"])
        .on(&database.url_of("reader"))
        .run()
        .fails(4, &["names no schema that exists"]);
}

#[test]
fn tables_in_two_schemas_are_refused_and_strangers_with_the_same_name_are_not_mistaken_for_them() {
    let server = Server::shared(17);
    let database = server.database();
    let owner = database.name();
    database.query("CREATE SCHEMA app; CREATE TABLE app.jobs (id integer); CREATE TABLE app.settings (key text)");
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(&format!("CREATE SCHEMA {owner} AUTHORIZATION {owner}"));
    rune_db(&["migrate"]).on(&database.url()).run().fails(
        12,
        &[
            "exist in schema `public`",
            &format!("leads to schema `{owner}`"),
        ],
    );
    assert_eq!(
        database.query(&format!(
            "SELECT count(*) FROM pg_tables WHERE schemaname = '{owner}'"
        )),
        "0"
    );
}

#[test]
fn a_schema_of_its_own_with_an_odd_name_is_used_when_the_search_path_says_so() {
    let server = Server::start(17);
    let database = server.database();
    let owner = database.name();
    database.query(&format!(
        "CREATE SCHEMA \"odd, \"\"name\" AUTHORIZATION {owner}"
    ));
    database.query(&format!(
        "ALTER ROLE {owner} SET search_path = pg_temp, \"odd, \"\"name\", public"
    ));
    let report = rune_db(&["migrate"]).on(&database.url()).report();
    assert_eq!(report["database"]["schema"], "odd, \"name");
    assert_eq!(database.query("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('jobs', 'rune_db_ledger')"), "odd, \"name");
}

#[test]
fn limits_of_the_session_do_not_cut_a_migration_short() {
    let files = rune_testkit::tool::migrations(&[(
        "0007_slow.sql",
        "-- migrate:postgres\nSELECT pg_sleep(2);\n-- migrate:sqlite\nSELECT 1;",
    )]);
    let server = Server::shared(17);
    let database = server.database();
    let settings = [
        "transaction_timeout = '1s'",
        "statement_timeout = '1s'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
    ];
    for setting in settings {
        database.query(&format!("ALTER ROLE {} SET {setting}", database.name()));
    }
    rune_db(&["migrate", "--migrations", files.path().to_str().unwrap()])
        .on(&database.url())
        .run()
        .succeeds();
}

#[test]
fn who_cannot_get_in_is_told_why() {
    let server = Server::shared(17);
    let database = server.database();
    let (name, port) = (database.name(), server.port());
    let url =
        |login: &str, database: &str| format!("postgresql://{login}@127.0.0.1:{port}/{database}");
    rune_db(&["migrate"])
        .on(&url(&format!("{name}:wrong"), name))
        .run()
        .fails(9, &["password authentication failed", "percent-encoded"]);
    rune_db(&["migrate"])
        .on(&url("nobody:wrong", name))
        .run()
        .fails(9, &["password authentication failed"]);
    rune_db(&["migrate"])
        .on(&url(name, name))
        .run()
        .fails(9, &["password missing", "--password-file"]);
    let login = format!("{name}:{ENCODED_PASSWORD}");
    rune_db(&["status"])
        .on(&url(&login, "nothing"))
        .run()
        .fails(4, &["\"nothing\" does not exist"]);
    rune_db(&["status"])
        .on("postgresql://rune@127.0.0.1:1/rune")
        .run()
        .fails(10, &["cannot connect", "127.0.0.1:1"]);
    rune_db(&["status"])
        .on("postgresql://rune@no-such-host.invalid/rune")
        .run()
        .fails(10, &["no-such-host.invalid"]);
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!(
        "postgresql://rune@127.0.0.1:{}/rune?connect_timeout=1",
        listener.local_addr().unwrap().port()
    );
    rune_db(&["status"])
        .on(&url)
        .run()
        .fails(10, &["no answer within 1 s", "connect_timeout"]);
}

#[test]
fn the_password_may_stand_in_a_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::shared(17);
    let database = server.database();
    let directory = tempfile::tempdir().unwrap();
    let (plain, passfile) = (
        directory.path().join("password"),
        directory.path().join("pgpass"),
    );
    std::fs::write(&plain, format!("{PASSWORD}\n")).unwrap();
    std::fs::write(
        &passfile,
        format!(
            "127.0.0.1:*:*:{}:{}\n",
            database.name(),
            PASSWORD.replace(':', "\\:")
        ),
    )
    .unwrap();
    let url = format!(
        "postgresql://{0}@127.0.0.1:{1}/{0}",
        database.name(),
        server.port()
    );
    rune_db(&["migrate", "--password-file", plain.to_str().unwrap()])
        .on(&url)
        .run()
        .succeeds();
    let status = || {
        rune_db(&["status"])
            .on(&url)
            .env("PGPASSFILE", passfile.to_str().unwrap())
            .run()
    };
    status().fails(9, &["can be read by others", "chmod 600"]);
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    status().succeeds();
}

#[test]
fn a_server_that_only_reads_can_be_inspected_and_says_so_otherwise() {
    let server = Server::shared(17);
    let (empty, full) = (server.database(), server.database());
    rune_db(&["migrate"]).on(&full.url()).run().succeeds();
    for database in [&empty, &full] {
        database.query(&format!(
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            database.name()
        ));
    }
    rune_db(&["migrate"])
        .on(&empty.url())
        .run()
        .fails(9, &["`default_transaction_read_only` is on"]);
    rune_db(&["status"]).on(&empty.url()).run().succeeds();
    rune_db(&["migrate"]).on(&full.url()).run().succeeds();
    let url = format!("{}?target_session_attrs=read-write", full.url());
    rune_db(&["status"])
        .on(&url)
        .run()
        .fails(10, &["the session only reads"]);
}
