//! The way back and the safety net: export, backup, restore, all equal by digest.

use rune_testkit::postgres::{MAJORS, Server};
use serde_json::{Value, json};

use rune_testkit::rows::{PAYLOAD, Source, compared, moved, python_digests, sqlite3, traces};
use rune_testkit::tool::{Ended, names_in, rune_db, sqlite_query, sqlite_url, sqlite_versions};

fn exported(source: &str, output: &std::path::Path, options: &[&str]) -> Ended {
    let mut arguments = vec![
        "export-sqlite",
        "--source",
        "env:SOURCE",
        "--output",
        output.to_str().unwrap(),
    ];
    arguments.extend(options);
    let ended = rune_db(&arguments).env("SOURCE", source).run();
    assert!(
        !ended.stdout.contains(PAYLOAD) && !ended.stderr.contains(PAYLOAD),
        "a payload: {ended:?}"
    );
    ended
}

fn backed_up(url: &str, output: &std::path::Path) -> Ended {
    rune_db(&["backup", "--output", output.to_str().unwrap()])
        .on(url)
        .run()
}

fn restored(url: &str, from: &std::path::Path) -> Ended {
    rune_db(&["restore", "--from", from.to_str().unwrap()])
        .on(url)
        .run()
}

#[test]
fn m14_there_is_a_way_back_and_what_comes_back_is_what_went() {
    let source = Source::with_rows();
    source.execute("INSERT INTO audit_artifact VALUES ('large', 'job-1', 'log', 'l', 5000001, '', randomblob(5000001), 1775000000.123)");
    source.execute("INSERT INTO audit_artifact VALUES ('larger', 'job-1', 'log', 'l', 3000000, '', randomblob(3000000), -1e300)");
    let expected = python_digests(&source.url());
    for major in MAJORS {
        let server = Server::shared(major);
        let database = server.database();
        moved(&source.url(), &database.url(), &[]).succeeds();
        let back = source.beside(&format!("back-{major}.db"));
        let report: Value =
            serde_json::from_str(&exported(&database.url(), &back, &["--json"]).succeeds())
                .unwrap();
        assert_eq!(report["tables"][0]["digest"], expected["jobs"]["digest"]);
        let url = sqlite_url(&back);
        assert_eq!(python_digests(&url), expected, "PostgreSQL {major}");
        assert!(
            compared(&source.url(), &url, &["--rows"])
                .succeeds()
                .ends_with("equal\n")
        );
        assert_eq!(sqlite_versions(&back), rune_testkit::tool::ALL_VERSIONS);
        assert_eq!(
            sqlite_query(
                &back,
                "SELECT seq FROM sqlite_sequence WHERE name = 'workflow_events'"
            ),
            "9000000005"
        );
        assert_eq!(sqlite3(&back, "PRAGMA integrity_check"), "ok");
        let types = "SELECT DISTINCT typeof(size_bytes), typeof(content), typeof(created_at) FROM audit_artifact";
        assert_eq!(
            sqlite3(&back, types),
            "integer|blob|real",
            "PostgreSQL {major}"
        );
        let status = rune_db(&["status", "--strict"]).on(&url).report();
        assert_eq!(
            (&status["upToDate"], &status["database"]["warnings"]),
            (&json!(true), &json!([]))
        );
    }
    assert!(
        !names_in(source.directory())
            .iter()
            .any(|name| name.contains("partial")),
        "{:?}",
        names_in(source.directory())
    );
}

#[test]
fn an_export_never_replaces_a_file_and_leaves_nothing_when_it_fails() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    exported(&database.url(), &source.beside("x.db"), &[]).fails(4, &["none of RUNE's tables"]);
    exported(&database.url(), &source.path(), &[]).fails(12, &["jobs.db"]);
    exported(&source.url(), &source.beside("x.db"), &[])
        .fails(2, &["source must be a postgresql:// URL"]);
    assert!(
        !names_in(source.directory())
            .iter()
            .any(|name| name.contains("partial") || name == "x.db")
    );
}

#[test]
fn what_sqlite_would_change_is_named_instead_of_exported() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    database.query("UPDATE jobs SET created_at = 'NaN' WHERE job_id = 'job-1'; UPDATE settings SET updated_at = '-0'");
    let words = [
        "jobs.created_at: NaN",
        "`job-1`",
        "settings.updated_at: -0.0",
        "`rune_config`",
    ];
    exported(&database.url(), &source.beside("x.db"), &[]).fails(3, &words);
    backed_up(&database.url(), &source.beside("x.db")).fails(3, &words);
    assert!(!source.beside("x.db").exists());
}

#[test]
fn databases_of_older_eras_are_exported_with_the_tables_that_they_have() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    database
        .query("DROP TABLE settings, rune_db_ledger; DELETE FROM schema_version WHERE version = 6");
    database
        .query("ALTER TABLE chain_state ALTER COLUMN updated_at TYPE real; ALTER TABLE workflow_events ALTER COLUMN duration_ms TYPE real");
    let back = source.beside("back.db");
    exported(&database.url(), &back, &[]).succeeds();
    assert!(
        compared(&database.url(), &sqlite_url(&back), &[])
            .succeeds()
            .ends_with("equal\n")
    );
    assert_eq!(sqlite_query(&back, "SELECT count(*) FROM settings"), "0");
}

#[test]
fn a_backup_under_write_ahead_logging_has_what_was_committed_and_nothing_of_a_writer() {
    let source = Source::with_rows();
    let writer = rusqlite::Connection::open(source.path()).unwrap();
    writer
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; INSERT INTO settings VALUES ('late', '{}', 2.0)")
        .unwrap();
    writer
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO settings VALUES ('open', '{}', 3.0)")
        .unwrap();
    let backup = source.beside("backup.db");
    let report = rune_db(&["backup", "--output", backup.to_str().unwrap()])
        .on(&source.url())
        .report();
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(report["tables"][5]["rows"], 2);
    assert_eq!(report["bytes"], std::fs::metadata(&backup).unwrap().len());
    assert_eq!(
        python_digests(&sqlite_url(&backup)),
        python_digests(&source.url())
    );
    assert_eq!(sqlite_query(&backup, "PRAGMA journal_mode"), "delete");
    backed_up(&source.url(), &backup).fails(12, &["backup.db"]);
}

#[test]
fn a_backup_of_either_engine_is_restored_into_either_engine() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let expected = python_digests(&source.url());
    let database = server.database();
    let (first, second) = (source.beside("first.db"), source.beside("second.db"));
    backed_up(&source.url(), &first).succeeds();
    restored(&database.url(), &first).succeeds();
    assert_eq!(python_digests(&database.url()), expected);
    backed_up(&database.url(), &second).succeeds();
    let new = sqlite_url(&source.beside("new/dir/jobs.db"));
    restored(&new, &second).succeeds();
    assert_eq!(python_digests(&new), expected);
    let empty = Source::empty();
    restored(&empty.url(), &second).succeeds();
    assert_eq!(python_digests(&empty.url()), expected);
    assert_eq!(sqlite3(&empty.path(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn rows_are_never_restored_over() {
    let (source, other, server) = (Source::with_rows(), Source::with_rows(), Server::shared(17));
    let database = server.database();
    let backup = source.beside("backup.db");
    backed_up(&source.url(), &backup).succeeds();
    other.execute("UPDATE jobs SET status = 'mine'");
    let before = python_digests(&other.url());
    restored(&other.url(), &backup).fails(12, &["has rows already"]);
    assert_eq!(python_digests(&other.url()), before);
    restored(&database.url(), &backup).succeeds();
    let before = traces(&database);
    restored(&database.url(), &backup).fails(12, &["has rows already"]);
    assert_eq!(traces(&database), before);
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let source = Source::large(2000);
    let backup = source.beside("backup.db");
    backed_up(&source.url(), &backup).succeeds();
    let mut bytes = std::fs::read(&backup).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&backup, &bytes).unwrap();
    let target = source.beside("target.db");
    let ended = restored(&sqlite_url(&target), &backup);
    assert!([3, 6].contains(&ended.code), "{ended:?}");
    assert!(!target.exists());
    restored(&sqlite_url(&target), &source.beside("none.db")).fails(4, &["none.db"]);
}
