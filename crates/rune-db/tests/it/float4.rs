//! Columns of 32-bit floats count as what RUNE reads in them: the shortest decimal that means the
//! float.

use rune_testkit::postgres::{Database, Server};
use serde_json::Value;

use rune_testkit::rows::{Source, compared, python_digests};
use rune_testkit::tool::{rune_db, sqlite_query, sqlite_url};

/// What a 32-bit float can be, as text: where its digits end, at powers of two and of ten, at the
/// limits, and halfway between.
const FLOATS: &str = "'12.3', '0.1', '1.1', '1777777800', '1700008000', '16777217', '33554430', '8388608.5', '1e-45', '1.17549435e-38',
    '3.4028235e38', '-3.4028235e38', '9007199254740993', '0.3', '1e10', '123456.789', '5e-39', '2.5e-40', 'Infinity', '-Infinity', '0'";

const COLUMNS: [(&str, &str); 8] = [
    ("jobs", "created_at"),
    ("jobs", "updated_at"),
    ("idempotency_keys", "created_at"),
    ("workflow_events", "duration_ms"),
    ("workflow_events", "recorded_at"),
    ("chain_state", "updated_at"),
    ("audit_artifact", "created_at"),
    ("settings", "updated_at"),
];

/// A database with columns of RUNE's era B and rows in all its tables.
fn narrow(server: &Server) -> Database<'_> {
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    for (table, column) in COLUMNS {
        database.query(&format!(
            "ALTER TABLE {table} ALTER COLUMN {column} TYPE real"
        ));
    }
    database.query(&format!(
        "INSERT INTO jobs SELECT 'j' || n, 't', 'benchmark', 'running', '{{}}', NULL, NULL, NULL, f::real, f::real
            FROM unnest(ARRAY[{FLOATS}]) WITH ORDINALITY AS list (f, n);
        INSERT INTO jobs SELECT 'r' || n, 't', 'benchmark', 'succeeded', '{{}}', NULL, NULL, NULL, (1.7e9 + n * 997.13)::real, (n / 7.0)::real
            FROM generate_series(1, 300) n;
        INSERT INTO idempotency_keys SELECT tenant_id, kind, job_id, job_id, created_at FROM jobs;
        INSERT INTO workflow_events (job_id, event, status, duration_ms, recorded_at) SELECT job_id, 'e', 'ok', updated_at, created_at FROM jobs;
        INSERT INTO workflow_events (event, status, duration_ms, recorded_at) VALUES ('none', 'ok', NULL, 12.3);
        INSERT INTO chain_state SELECT job_id, '{{}}', 'pending', created_at FROM jobs;
        INSERT INTO audit_artifact VALUES ('a', 'j1', 'log', 'n', 0, 'x', '', 12.3), ('b', 'j1', 'log', 'n', 2000000, 'x', decode(repeat('ab', 2000000), 'hex'), 12.3);
        INSERT INTO settings SELECT job_id, '{{}}', created_at FROM jobs"
    ));
    database
}

#[test]
fn a_database_with_narrow_floats_equals_its_own_backup_before_and_after_repair() {
    for major in [15, 18] {
        let (server, source) = (Server::shared(major), Source::empty());
        let database = narrow(&server);
        let expected = python_digests(&database.url());
        let backup = source.beside(&format!("backup-{major}.db"));
        rune_db(&["backup", "--output", backup.to_str().unwrap()])
            .on(&database.url())
            .run()
            .succeeds();
        assert_eq!(
            sqlite_query(&backup, "SELECT created_at FROM jobs WHERE job_id = 'j1'"),
            "12.3"
        );
        assert_eq!(
            sqlite_query(&backup, "SELECT created_at FROM jobs WHERE job_id = 'j4'"),
            "1777777800"
        );
        let url = sqlite_url(&backup);
        assert_eq!(
            python_digests(&url),
            expected,
            "PostgreSQL {major}: psycopg, as RUNE, reads other numbers"
        );
        let summary = |url: &str| rune_db(&["events", "summary"]).on(url).report();
        let before = summary(&database.url());
        assert_eq!(before, summary(&url));
        for options in [&["--rows"][..], &[]] {
            compared(&database.url(), &url, options).succeeds();
        }
        rune_db(&["repair"]).on(&database.url()).run().succeeds();
        for options in [&["--rows"][..], &[]] {
            compared(&database.url(), &url, options).succeeds();
        }
        assert_eq!(before, summary(&database.url()));
    }
}

#[test]
fn lists_of_narrow_floats_show_what_rune_shows_and_their_pages_leave_nothing_out() {
    let server = Server::shared(17);
    let database = narrow(&server);
    let run = |arguments: &[&str]| rune_db(arguments).on(&database.url()).report();
    let events = run(&["events", "list", "--limit", "3"]);
    assert_eq!(
        (
            &events["events"][0]["durationMs"],
            &events["events"][2]["recordedAt"]
        ),
        (&12.3.into(), &1.1.into())
    );
    let job = run(&["jobs", "show", "j1"]);
    assert_eq!(
        (&job["createdAt"], &job["updatedAt"]),
        (&12.3.into(), &12.3.into())
    );
    let (mut after, mut ids): (Option<String>, Vec<String>) = (None, Vec::new());
    loop {
        let mut arguments = vec!["jobs", "list", "--limit", "100"];
        arguments.extend(after.iter().flat_map(|after| ["--after", after]));
        let page = run(&arguments);
        ids.extend(
            page["jobs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|job| job["jobId"].as_str().unwrap().to_owned()),
        );
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let all: usize = database
        .query("SELECT count(*) FROM jobs")
        .trim()
        .parse()
        .unwrap();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((count, ids.len()), (all, all));
    assert_eq!(run(&["settings", "get", "j1"])["updatedAt"], 12.3);
    assert_eq!(run(&["audit", "list"])["artifacts"][0]["createdAt"], 12.3);
}

#[test]
fn nan_and_infinities_are_visible_in_json_and_are_not_null() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(
        "INSERT INTO workflow_events (event, status, duration_ms, recorded_at)
            VALUES ('a', 'ok', 'NaN', 1), ('b', 'ok', 'Infinity', 2), ('c', 'ok', '-Infinity', 'NaN'), ('d', 'ok', NULL, 4)",
    );
    let report = rune_db(&["events", "list"]).on(&database.url()).report();
    let durations: Vec<&Value> = report["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["durationMs"])
        .collect();
    assert_eq!(
        durations,
        [
            &Value::from("NaN"),
            &"Infinity".into(),
            &"-Infinity".into(),
            &Value::Null
        ]
    );
    assert_eq!(report["events"][2]["recordedAt"], "NaN");
    let summary = rune_db(&["events", "summary"]).on(&database.url()).report();
    assert_eq!(
        (
            &summary["events"][0]["averageMs"],
            &summary["events"][1]["maxMs"]
        ),
        (&"NaN".into(), &"Infinity".into())
    );
}
