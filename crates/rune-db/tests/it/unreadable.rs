//! A row that cannot be read does not hide the others, and `verify` finds what other verbs would
//! refuse.

use std::fs;

use rune_testkit::postgres::Server;
use serde_json::Value;

use rune_testkit::rows::{Source, moved};
use rune_testkit::tool::{Ended, rune_db, sqlite_execute, sqlite_query, sqlite_url};

/// Three jobs of which one, and three events of which one, have a value that RUNE never writes.
fn with_bad_rows() -> Source {
    let source = Source::empty();
    source.execute(
        "INSERT INTO jobs VALUES ('a', 't', 'benchmark', 'running', '{}', NULL, NULL, NULL, 1.0, 1.0),
            ('b', 't', x'ff', 'running', '{}', NULL, NULL, NULL, 2.0, 2.0),
            ('c', 't', 'benchmark', 'running', '{}', NULL, NULL, NULL, 'yesterday', 'noon'),
            ('d', 't', 'benchmark', 'running', '{}', NULL, NULL, NULL, 4.0, 4.0),
            (x'00', 't', 'benchmark', 'queued', '{}', NULL, NULL, NULL, 5.0, 5.0);
        INSERT INTO workflow_events (event, status, duration_ms, recorded_at)
            VALUES ('e', 'ok', 1.0, 1.0), ('e', 'ok', 'long', 2.0), (CAST(x'ff41' AS TEXT), 'ok', 1.0, 3.0), ('f', 'ok', 2.0, 3.0);
        INSERT INTO settings VALUES ('k', '{}', 'noon'), ('l', '{}', 1.0)",
    );
    source
}

fn listed(source: &Source, arguments: &[&str]) -> Value {
    let ended = rune_db(&[arguments, &["--json"]].concat())
        .on(&source.url())
        .run();
    assert_eq!(ended.code, 3, "{arguments:?}: {ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

fn keys(report: &Value, list: &str, key: &str) -> Vec<String> {
    report[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            row[key]
                .as_str()
                .map_or_else(|| row[key].to_string(), str::to_owned)
        })
        .collect()
}

#[test]
fn a_list_shows_the_rows_that_can_be_read_marks_the_others_and_ends_with_3() {
    let source = with_bad_rows();
    let jobs = listed(&source, &["jobs", "list"]);
    assert_eq!(keys(&jobs, "jobs", "jobId"), ["d", "a"]);
    assert_eq!(keys(&jobs, "unreadable", "key"), ["c", "null", "b"]);
    assert_eq!(
        keys(&jobs, "unreadable", "column"),
        ["created_at", "job_id", "kind"]
    );
    let events = listed(&source, &["events", "list"]);
    assert_eq!(
        (
            keys(&events, "events", "id"),
            keys(&events, "unreadable", "key")
        ),
        (vec!["1".into(), "4".into()], vec!["2".into(), "3".into()])
    );
    let summary = listed(&source, &["events", "summary"]);
    assert_eq!(
        (
            keys(&summary, "events", "event"),
            keys(&summary, "unreadable", "key")
        ),
        (vec!["f".into()], vec!["e".into(), "null".into()])
    );
    assert_eq!(
        keys(&listed(&source, &["settings", "list"]), "settings", "key"),
        ["l"]
    );
    let text = rune_db(&["jobs", "list"]).on(&source.url()).run();
    assert!(
        text.stdout.contains(
            "unreadable: jobs `c`: the column `created_at` holds something other than a number"
        ),
        "{text:?}"
    );
    rune_db(&["jobs", "show", "a"])
        .on(&source.url())
        .run()
        .succeeds();
}

#[test]
fn pages_go_on_past_rows_that_cannot_be_read() {
    let source = with_bad_rows();
    let (mut after, mut found): (Option<String>, Vec<String>) = (None, Vec::new());
    for _ in 0..10 {
        let mut arguments = vec!["jobs", "list", "--limit", "2", "--json"];
        arguments.extend(after.iter().flat_map(|after| ["--after", after]));
        let report: Value =
            serde_json::from_str(&rune_db(&arguments).on(&source.url()).run().stdout).unwrap();
        found.extend(keys(&report, "jobs", "jobId"));
        after = report["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ["d", "a"]);
}

#[test]
fn stale_jobs_that_can_be_read_are_given_up_and_the_others_are_left_and_named() {
    let source = with_bad_rows();
    let arguments = ["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"];
    let plan = listed(&source, &[&arguments[..], &["--dry-run"]].concat());
    let done = listed(&source, &arguments);
    for report in [&plan, &done] {
        assert_eq!(report["jobIds"], serde_json::json!(["a", "b", "d"]));
        assert_eq!(
            report["unreadable"].as_array().unwrap().len(),
            2,
            "{report}"
        );
    }
    assert_eq!(
        sqlite_query(
            &source.path(),
            "SELECT count(*) FROM jobs WHERE status = 'failed'"
        ),
        "3"
    );
    assert_eq!(
        sqlite_query(
            &source.path(),
            "SELECT count(*) FROM jobs WHERE status IN ('running', 'queued')"
        ),
        "2"
    );
}

fn verified(url: &str) -> Ended {
    rune_db(&["verify"]).on(url).run()
}

#[test]
fn an_empty_file_and_a_database_without_runes_tables_are_not_valid() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    fs::write(&path, "").unwrap();
    verified(&sqlite_url(&path)).fails(4, &["is an empty file", "help: "]);
    sqlite_execute(&path, "CREATE TABLE invoices (id)");
    verified(&sqlite_url(&path)).fails(4, &["has none of RUNE's tables"]);
    let server = Server::shared(17);
    verified(&server.database().url()).fails(4, &["has none of RUNE's tables"]);
}

#[test]
fn verify_finds_in_a_file_what_a_move_would_refuse() {
    for (sql, words) in [
        (
            "UPDATE jobs SET message = 'a' || char(0) WHERE job_id = 'job-1'",
            "jobs.message holds text with U+0000",
        ),
        (
            "UPDATE audit_artifact SET size_bytes = 2147483648 WHERE artifact_id = 'a-1'",
            "audit_artifact.size_bytes holds numbers beyond the range",
        ),
        (
            "INSERT INTO settings VALUES (hex(randomblob(1400)), '{}', 1.0)",
            "settings.key holds keys of more than 2600 bytes",
        ),
        (
            "INSERT INTO idempotency_keys SELECT hex(randomblob(500)), hex(randomblob(500)), hex(randomblob(500)), 'j', 1.0",
            "keys of more",
        ),
        (
            "UPDATE sqlite_sequence SET seq = 9223372036854775807",
            "has given out the last id",
        ),
        (
            "INSERT INTO settings VALUES (CAST(x'ff41' AS TEXT), '{}', 1.0)",
            "settings.key holds text that is not UTF-8",
        ),
        (
            "UPDATE jobs SET job_id = CAST(x'ff41' AS TEXT), kind = x'00' WHERE job_id = 'job-1'",
            "jobs.kind holds bytes, not text",
        ),
    ] {
        let source = Source::with_rows();
        let clean = verified(&source.url()).stdout;
        source.execute(sql);
        let ended = verified(&source.url());
        assert!(
            ended.code == 5 && ended.stdout.contains(words) && !clean.contains(words),
            "{sql}: {ended:?}"
        );
        assert_ne!(
            moved(
                &source.url(),
                "postgresql://rune@127.0.0.1:1/rune",
                &["--dry-run"]
            )
            .code,
            0
        );
    }
    let source = Source::with_rows();
    source.execute("CREATE TABLE invoices (id TEXT)");
    assert!(verified(&source.url()).stdout.contains(
        "tables that are not RUNE's, which `rune-db migrate-to-postgres` refuses: invoices"
    ));
    let path = source.beside("utf16.db");
    sqlite_execute(
        &path,
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE settings (key TEXT PRIMARY KEY, value_json TEXT NOT NULL, updated_at REAL NOT NULL)",
    );
    assert!(verified(&sqlite_url(&path)).stdout.contains("UTF-16le"));
}

#[test]
fn verify_finds_on_a_server_what_a_backup_would_refuse() {
    let server = Server::shared(17);
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("x.db");
    for (number, words) in [
        ("NaN", "NaN, which SQLite would turn into NULL"),
        ("-0.0", "-0.0, which SQLite would turn into 0.0"),
    ] {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!("INSERT INTO workflow_events (event, status, duration_ms, recorded_at) VALUES ('e', 'ok', '{number}', 1)"));
        let ended = verified(&database.url());
        assert!(
            ended.code == 5
                && ended.stdout.contains(&format!(
                    "workflow_events.duration_ms holds {words} in 1 row: `1`"
                )),
            "{ended:?}"
        );
        rune_db(&["backup", "--output", output.to_str().unwrap()])
            .on(&database.url())
            .run()
            .fails(3, &[words]);
    }
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query("CREATE TABLE jobs_old () INHERITS (jobs)");
    let ended = verified(&database.url());
    assert!(
        ended.code == 5
            && ended.stdout.contains("inherits from `jobs`")
            && ended.stdout.contains("jobs_old"),
        "{ended:?}"
    );
}

#[test]
fn bytes_of_another_encoding_are_found_by_table_column_and_key_and_hide_nothing_else() {
    let server = Server::shared(17);
    let home = server.database();
    let name = format!("{}_ascii", home.name());
    home.query(&format!(
        "CREATE DATABASE {name} OWNER {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
        home.name()
    ));
    let url = format!("{}_ascii", home.url());
    rune_db(&["migrate"]).on(&url).run().succeeds();
    let insert = "import os, psycopg
with psycopg.connect(os.environ['URL'], autocommit=True) as connection:
    connection.execute('''INSERT INTO jobs SELECT 'j' || n, 't', 'benchmark', 'running', '{}', NULL, NULL, 'm', n, n FROM generate_series(1, 300) n''')
    connection.execute('''UPDATE jobs SET message = convert_from('\\\\xfc6265', 'SQL_ASCII') WHERE job_id IN ('j7', 'j250')''')
    connection.execute('''UPDATE jobs SET kind = convert_from('\\\\xfc6265', 'SQL_ASCII') WHERE job_id = 'j9' ''')";
    rune_testkit::rows::python(insert, &url);
    let ended = verified(&url);
    assert!(
        ended.code == 5
            && ended
                .stdout
                .contains("jobs.message holds text that is not UTF-8 in 2 rows: `j7`, `j250`"),
        "{ended:?}"
    );
    let directory = tempfile::tempdir().unwrap();
    let backup = rune_db(&[
        "backup",
        "--output",
        directory.path().join("x.db").to_str().unwrap(),
    ])
    .on(&url)
    .run();
    backup.fails(
        3,
        &["jobs.message: text that is not UTF-8 (count 2; key `j7`, `j250`)"],
    );
    let list = rune_db(&["jobs", "list", "--limit", "1000", "--json"])
        .on(&url)
        .run();
    let report: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(
        (
            list.code,
            report["jobs"].as_array().unwrap().len(),
            keys(&report, "unreadable", "key")
        ),
        (3, 299, vec!["j9".to_owned()])
    );
    home.query(&format!("DROP DATABASE {name} WITH (FORCE)"));
}

#[test]
fn the_steps_of_a_chained_job_are_shown() {
    let source = Source::empty();
    source.execute(
        "INSERT INTO chain_state VALUES ('j', '{\"nodes\": [{\"id\": \"a\", \"agent_name\": \"x\", \"status\": \"success\", \"started_at\": 1.5,
            \"finished_at\": null, \"error\": null}, {\"id\": \"b\", \"status\": \"pending\"}], \"edges\": [{\"from\": \"a\", \"to\": \"b\"}]}', 'pending', 1.0)",
    );
    let text = rune_db(&["jobs", "chain", "j"])
        .on(&source.url())
        .run()
        .succeeds();
    assert!(
        text.starts_with("job j: pending\n")
            && text.ends_with("a -> b\n")
            && text.contains("1970-01-01T00:00:01Z"),
        "{text}"
    );
    let report = rune_db(&["jobs", "chain", "j"]).on(&source.url()).report();
    assert_eq!(
        (&report["overallStatus"], &report["nodes"][0]["startedAt"]),
        (&"pending".into(), &1.5.into())
    );
    rune_db(&["jobs", "chain", "none"])
        .on(&source.url())
        .run()
        .fails(4, &["none"]);
}

#[test]
fn a_table_of_events_is_not_as_wide_as_the_zeros_of_a_number() {
    let source = Source::empty();
    source.execute(
        "INSERT INTO workflow_events (event, status, duration_ms, labels_json, recorded_at) VALUES ('e', 'ok', 5e-324, '{}', 1.5e300), ('e', 'ok', 12.25, NULL, 5e-324)",
    );
    let text = rune_db(&["events", "list", "--labels"])
        .on(&source.url())
        .run()
        .succeeds();
    assert!(
        text.contains("5e-324")
            && text.contains("1.5e300")
            && text.contains("12.25")
            && text.contains("LABELS"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.len() < 120), "{text}");
}
