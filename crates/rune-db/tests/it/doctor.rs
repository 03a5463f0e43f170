//! Examining databases, and going through poolers.

use rune_testkit::{
    pgbouncer::PgBouncer,
    postgres::{PASSWORD, Server, Setup},
};
use serde_json::Value;

use rune_testkit::certificates::Authority;
use rune_testkit::tool::{rune_db, sqlite_url};

/// The state of each check, and what was found.
fn examine(url: &str, code: i32) -> Value {
    let ended = rune_db(&["doctor", "--json"]).on(url).run();
    assert_eq!(ended.code, code, "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[track_caller]
fn check(report: &Value, name: &str, state: &str, words: &str) {
    let check = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no `{name}` in {report}"));
    assert_eq!(check["state"], state, "{check}");
    assert!(
        check["found"].as_str().unwrap().contains(words),
        "`{words}` is missing: {check}"
    );
    assert_eq!(check["help"].is_null(), state == "ok", "{check}");
}

#[test]
fn a_good_server_is_called_good_in_every_line() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority.server("127.0.0.1", false);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        database.url(),
        authority.file(directory.path()).display()
    );
    let report = examine(&url, 0);
    assert!(
        report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["state"] == "ok"),
        "{report}"
    );
    check(
        &report,
        "tls",
        "ok",
        "TLSv1.3, TLS_AES_256_GCM_SHA384; certificate verified for this host, valid until",
    );
    check(&report, "pooler", "ok", "none");
    check(&report, "version", "ok", "PostgreSQL 17");
    check(&report, "schema", "ok", "version 6, up to date");
    let report = examine(&format!("{}?sslmode=require", database.url()), 0);
    check(&report, "tls", "warning", "not verified");
}

#[test]
fn what_is_wrong_with_a_server_is_said_with_what_to_do() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = Setup::new(17).setting("max_connections=8").start();
    server.query(
        "postgres",
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0",
    );
    server.query(
        "postgres",
        &format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"),
    );
    let database = server.database();
    database.query("CREATE TABLE jobs (id integer)");
    let report = examine(&database.url_of("reader"), 9);
    check(&report, "role", "error", "role `");
    check(&report, "sessions", "warning", "of 8");
    check(&report, "schema", "error", "not RUNE's");
    let directory_of = server.socket_directory().display();
    let report = examine(
        &format!(
            "postgresql://postgres@/latin?host={directory_of}&port={}",
            server.port()
        ),
        0,
    );
    check(&report, "encoding", "warning", "`LATIN1`");
    check(&report, "role", "warning", "superuser");
    check(&report, "tls", "ok", "does not leave this machine");
    check(&report, "schema", "warning", "6 migrations pending");
    let down = examine("postgresql://rune@127.0.0.1:1/rune", 10);
    check(&down, "connection", "error", "onnection refused");
    let expired = authority.server("127.0.0.1", true);
    let report = examine(&format!("{}?sslmode=require", expired.database().url()), 0);
    check(
        &report,
        "tls",
        "warning",
        "valid until 2021-01-01T00:00:00Z",
    );
    drop(directory);
}

#[test]
fn a_standby_is_told_from_a_primary() {
    let server = Setup::new(17).standby().start();
    let url = format!(
        "postgresql://postgres@/postgres?host={}&port={}",
        server.socket_directory().display(),
        server.port()
    );
    check(&examine(&url, 0), "connection", "warning", "standby");
}

#[test]
fn a_file_and_its_place_are_examined() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let report = examine(&sqlite_url(&path), 4);
    check(&report, "directory", "ok", "files can be made");
    check(&report, "file", "error", "jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    let report = examine(&sqlite_url(&path), 0);
    for (name, words) in [
        ("integrity", "no damage"),
        ("journal", "write-ahead"),
        ("schema", "up to date"),
        ("file", "SQLite 3."),
    ] {
        check(&report, name, "ok", words);
    }
    let memory = examine("sqlite:////dev/shm/no-such-file-of-rune.db", 4);
    check(&memory, "file system", "warning", "in memory");
    let text = rune_db(&["doctor"])
        .on(&sqlite_url(&directory.path().join("none/jobs.db")))
        .run();
    assert_eq!(text.code, 4);
    assert!(text.stdout.contains("error    directory"), "{text:?}");
}

#[test]
fn through_a_pooler_that_shares_sessions_migrate_and_status_work_and_doctor_says_that_no_more_is_promised()
 {
    let server = Server::shared(17);
    let database = server.database();
    let bouncer = PgBouncer::start(&database, "transaction");
    let url = bouncer.url(&database);
    rune_db(&["migrate"]).on(&url).run().succeeds();
    rune_db(&["migrate"]).on(&url).run().succeeds();
    rune_db(&["status", "--strict"]).on(&url).run().succeeds();
    check(&examine(&url, 0), "pooler", "warning", "shares sessions");
    assert_eq!(database.query("SELECT count(*) FROM schema_version"), "6");
}

#[test]
fn several_migrations_at_once_through_a_shared_pool_apply_each_file_once() {
    let server = Server::shared(17);
    let database = server.database();
    let bouncer = PgBouncer::start(&database, "transaction");
    assert_eq!(
        crate::concurrency::migrate_at_once(&bouncer.url(&database)),
        [1; 6]
    );
    assert_eq!(
        database.query("SELECT count(*), count(sha256) FROM rune_db_ledger"),
        "6|6"
    );
}

#[test]
fn doctor_examines_everything_where_there_is_one_session_to_have() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(&format!(
        "ALTER ROLE {} CONNECTION LIMIT 1",
        database.name()
    ));
    let report = examine(&database.url(), 0);
    check(
        &report,
        "pooler",
        "warning",
        "a second session is refused while one is open",
    );
    check(&report, "schema", "ok", "up to date");
}

#[test]
fn doctor_examines_everything_through_a_shared_pool_of_one() {
    let server = Server::shared(17);
    let database = server.database();
    let lines = "default_pool_size = 1\nquery_wait_timeout = 60\n";
    let bouncer = PgBouncer::start_with(&database, "transaction", lines);
    let url = bouncer.url(&database);
    rune_db(&["migrate"]).on(&url).run().succeeds();
    let report = examine(&url, 0);
    check(&report, "pooler", "warning", "shares sessions");
    check(&report, "schema", "ok", "version 6, up to date");
    check(&report, "version", "ok", "PostgreSQL 17");
    rune_db(&["jobs", "list"]).on(&url).run().succeeds();
    rune_db(&["prune", "--older-than", "300d"])
        .on(&url)
        .run()
        .succeeds();
}

#[test]
fn through_a_pooler_in_session_mode_everything_works() {
    let server = Server::shared(17);
    let database = server.database();
    let bouncer = PgBouncer::start(&database, "session");
    let url = bouncer.url(&database);
    for verb in [
        &["migrate"][..],
        &["status"],
        &["verify"],
        &["repair"],
        &["wait", "--schema"],
    ] {
        rune_db(verb).on(&url).run().succeeds();
    }
    check(&examine(&url, 0), "pooler", "ok", "our own");
}
