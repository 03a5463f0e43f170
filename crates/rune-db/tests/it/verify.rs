//! Checking what stands in a database: each fault is found, and nothing of its content is said.

use std::os::unix::fs::FileExt as _;

use rune_testkit::{postgres::Server, sha256};
use serde_json::Value;

use rune_testkit::tool::{Ended, rune_db, sqlite_execute, sqlite_url};

/// One sound row in every table, in SQL that both engines read.
fn sound_rows(bytes: &str) -> String {
    let digest = sha256(b"evidence");
    let hash = digest.trim_start_matches("sha256:");
    format!(
        "INSERT INTO jobs VALUES ('j1', 't', 'k', 's', '{{\"x\": NaN, \"y\": [-Infinity]}}', '', NULL, NULL, 1.5, 1.5);
        INSERT INTO idempotency_keys VALUES ('t', 'k', 'key', 'j1', 1.5);
        INSERT INTO workflow_events (job_id, event, status, recorded_at) VALUES ('j1', 'e', 'ok', 1.5), (NULL, 'e', 'ok', 1.5);
        INSERT INTO chain_state VALUES ('j1', '{{}}', 'pending', 1.5);
        INSERT INTO audit_artifact VALUES ('a1', 'j1', 'log', 'n', 8, '{hash}', {bytes}, 1.5);
        INSERT INTO settings VALUES ('rune_config', '{{}}', 1.5)"
    )
}

/// Faults that both engines allow.
const FAULTS: &str = "UPDATE jobs SET request_json = '{\"private words\"';
    INSERT INTO settings VALUES ('empty', '', 1.5);
    UPDATE audit_artifact SET sha256 = 'other', size_bytes = 9;
    INSERT INTO chain_state VALUES ('gone', '{}', 'pending', 1.5);
    INSERT INTO idempotency_keys VALUES ('t', 'k', 'other', 'gone', 1.5)";

fn verify(url: &str, code: i32) -> Value {
    let ended: Ended = rune_db(&["verify", "--json"]).on(url).run();
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(!ended.stdout.contains("private words"), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// `table.column problem: keys` of every finding, sorted.
fn lines(findings: &Value) -> Vec<String> {
    let line = |finding: &Value| {
        let place = [&finding["table"], &finding["column"]]
            .iter()
            .filter_map(|part| part.as_str())
            .collect::<Vec<_>>()
            .join(".");
        let keys = finding["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap())
            .collect::<Vec<_>>()
            .join("; ");
        format!("{place} {}: {keys}", finding["problem"].as_str().unwrap())
    };
    let mut lines: Vec<String> = findings.as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn faults_are_found_alike_on_both_engines_and_orphans_are_warnings() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let server = Server::shared(17);
    let database = server.database();
    for url in [sqlite_url(&path), database.url()] {
        rune_db(&["migrate"]).on(&url).run().succeeds();
    }
    sqlite_execute(&path, &sound_rows("CAST('evidence' AS BLOB)"));
    database.query(&sound_rows("convert_to('evidence', 'UTF8')"));
    for url in [sqlite_url(&path), database.url()] {
        let report = verify(&url, 0);
        assert_eq!(
            (
                lines(&report["findings"]).len(),
                lines(&report["warnings"]).len()
            ),
            (0, 0),
            "{report}"
        );
        assert_eq!(
            report["tables"][2],
            serde_json::json!({"table": "workflow_events", "rows": 2})
        );
    }
    sqlite_execute(&path, FAULTS);
    database.query(FAULTS);
    for url in [sqlite_url(&path), database.url()] {
        let report = verify(&url, 5);
        assert_eq!(
            lines(&report["findings"]),
            [
                "audit_artifact.sha256 is not the hash of the content: a1",
                "audit_artifact.size_bytes is not the size of the content: a1",
                "jobs.request_json holds no valid JSON: j1",
                "settings.value_json holds no valid JSON: empty",
            ]
        );
        assert_eq!(
            lines(&report["warnings"]),
            [
                "chain_state.job_id belongs to a job that is not there: gone",
                "idempotency_keys.job_id belongs to a job that is not there: t, k, other",
            ]
        );
        let text = rune_db(&["verify"]).on(&url).run();
        assert!(
            text.stdout.contains("not valid, 4 problems") && text.code == 5,
            "{text:?}"
        );
    }
}

#[test]
fn a_sequence_that_would_give_out_an_id_twice_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let server = Server::shared(17);
    let database = server.database();
    let event =
        "INSERT INTO workflow_events (id, event, status, recorded_at) VALUES (7, 'e', 'ok', 1.5)";
    for url in [sqlite_url(&path), database.url()] {
        rune_db(&["migrate"]).on(&url).run().succeeds();
    }
    sqlite_execute(
        &path,
        &format!("{event}; UPDATE sqlite_sequence SET seq = 3"),
    );
    database.query(event);
    assert_eq!(
        lines(&verify(&sqlite_url(&path), 5)["findings"]),
        ["workflow_events `sqlite_sequence` is behind the highest id: "]
    );
    assert!(
        lines(&verify(&database.url(), 5)["findings"])[0]
            .contains("workflow_events_id_seq would give out an id that is in use")
    );
    database.query("SELECT setval('workflow_events_id_seq', 7)");
    verify(&database.url(), 0);
    database.query("SELECT setval('workflow_events_id_seq', 7, false)");
    verify(&database.url(), 5);
    database.query(
        "ALTER TABLE workflow_events ALTER id DROP DEFAULT; DROP SEQUENCE workflow_events_id_seq",
    );
    assert!(lines(&verify(&database.url(), 5)["findings"])[0].contains("has no sequence"));
}

#[test]
fn cells_of_the_wrong_type_and_missing_keys_are_found_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    sqlite_execute(
        &path,
        "INSERT INTO settings VALUES (NULL, '{}', 'noon'), ('bytes', x'7b7d', 1), ('odd', CAST(x'22ff22' AS TEXT), 1);
        INSERT INTO audit_artifact VALUES ('a', 'j', 'log', 'n', 1.5, 'x', 'text', 1)",
    );
    let found = lines(&verify(&sqlite_url(&path), 5)["findings"]);
    assert_eq!(
        found,
        [
            "audit_artifact.content holds text, not bytes: a",
            "audit_artifact.size_bytes holds a fraction, not a whole number: a",
            "settings.key holds NULL, not text: NULL",
            "settings.updated_at holds text, not a number: NULL",
            "settings.value_json holds bytes, not text: bytes",
            "settings.value_json holds text that is not UTF-8: odd",
        ]
    );
}

#[test]
fn the_schema_is_checked_column_by_column() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let server = Server::shared(17);
    let database = server.database();
    for url in [sqlite_url(&path), database.url()] {
        rune_db(&["migrate"]).on(&url).run().succeeds();
    }
    let common = "DROP INDEX idx_audit_artifact_job_id; DROP TABLE chain_state; DROP INDEX idx_workflow_events_event;
        CREATE INDEX idx_workflow_events_event ON workflow_events (status); ALTER TABLE jobs ADD COLUMN more text";
    sqlite_execute(
        &path,
        &format!(
            "{common}; DROP TABLE settings; CREATE TABLE settings (key TEXT, value_json TEXT, updated_at TEXT NOT NULL)"
        ),
    );
    database.query(&format!(
        "{common}; ALTER TABLE settings DROP CONSTRAINT settings_pkey, ALTER key DROP NOT NULL, ALTER value_json DROP NOT NULL, ALTER updated_at TYPE text"
    ));
    for (url, text, key) in [
        (sqlite_url(&path), "TEXT", None),
        (
            database.url(),
            "text",
            Some("settings.key is `nullable`, not `not null`"),
        ),
    ] {
        let status = rune_db(&["status"]).on(&url).report();
        let kinds: Vec<&str> = status["database"]["drift"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["kind"].as_str().unwrap())
            .collect();
        for kind in ["type", "nullability", "extra", "primaryKey", "index"] {
            assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
        }
        let found = lines(&verify(&url, 5)["findings"]).join("\n");
        let float = if text == "TEXT" {
            "REAL"
        } else {
            "double precision"
        };
        for words in [
            format!("settings.updated_at is `{text}`, not `{float}`"),
            "settings.value_json is `nullable`, not `not null`".to_owned(),
            "the primary key of settings is `nothing`, not `key`".to_owned(),
            "jobs.more is not RUNE's".to_owned(),
            "audit_artifact lacks its index `idx_audit_artifact_job_id`".to_owned(),
            "idx_workflow_events_event of workflow_events is on `workflow_events (status)`"
                .to_owned(),
            "chain_state is not there although its version is recorded".to_owned(),
        ] {
            assert!(found.contains(&words), "{words}\n{found}");
        }
        assert!(key.is_none_or(|key| found.contains(key)), "{found}");
    }
}

#[test]
fn damaged_pages_are_found_and_the_rest_is_still_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    let row = "INSERT INTO workflow_events (job_id, event, status, recorded_at)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT 'job ' || i, 'event', 'ok', i FROM n";
    sqlite_execute(
        &path,
        &format!(
            "{row}; INSERT INTO settings VALUES ('bad', '{{', 1); PRAGMA wal_checkpoint(TRUNCATE)"
        ),
    );
    let pages = std::fs::metadata(&path).unwrap().len() / 4096;
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 4096], (pages - 2) * 4096)
        .unwrap();
    let report = verify(&sqlite_url(&path), 5);
    let found = lines(&report["findings"]).join("\n");
    assert!(found.contains("SQLite says: "), "{found}");
}

#[test]
fn of_many_faults_the_first_hundred_keys_are_listed_and_all_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    sqlite_execute(
        &path,
        "INSERT INTO settings WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250) SELECT 'key ' || i, '{', i FROM n",
    );
    let report = verify(&sqlite_url(&path), 5);
    let finding = &report["findings"][0];
    assert_eq!(
        (
            finding["count"].as_u64(),
            finding["keys"].as_array().unwrap().len()
        ),
        (Some(250), 100)
    );
}
