//! Comparing: equal means equal, and every difference is named.

use rune_testkit::postgres::Server;

use rune_testkit::rows::{Source, compared, moved, python_digests};
use rune_testkit::tool::{Ended, rune_db};

fn differs(left: &Source, right: &Source, lines: &[&str]) -> Ended {
    let ended = compared(&left.url(), &right.url(), &["--rows"]);
    assert_eq!(ended.code, 5, "{ended:?}");
    for line in lines {
        assert!(
            ended.stdout.contains(line),
            "`{line}` is missing: {ended:?}"
        );
    }
    ended
}

#[test]
fn the_second_program_computes_the_same_digests() {
    let source = Source::with_rows();
    let report = rune_db(&["compare", &source.url(), &source.url()]).report();
    let expected = python_digests(&source.url());
    for table in report["comparison"]["tables"].as_array().unwrap() {
        assert_eq!(
            table["left"],
            expected[table["table"].as_str().unwrap()],
            "{table}"
        );
    }
}

#[test]
fn a_row_that_is_missing_added_or_changed_is_named_by_its_key() {
    let (left, right) = (Source::with_rows(), Source::with_rows());
    right.execute(
        "DELETE FROM jobs WHERE job_id = ''; INSERT INTO settings VALUES ('new', '{}', 1.0);
        UPDATE idempotency_keys SET created_at = 0.3 WHERE idempotency_key = 'k';
        UPDATE workflow_events SET duration_ms = 12.250000000000002 WHERE id = 7;",
    );
    differs(
        &left,
        &right,
        &[
            "onlyLeft  \n",
            "onlyRight new\n",
            "changed   t/benchmark/k\n",
            "changed   7\n",
            "chain_state        equal",
        ],
    );
}

#[test]
fn differing_rows_are_counted_all_and_listed_in_part() {
    let (left, right) = (Source::large(1000), Source::large(1000));
    right.execute("UPDATE jobs SET status = 'other' WHERE rowid % 2 = 0");
    let ended = differs(
        &left,
        &right,
        &["0 only left, 0 only right, 500 changed", "and 400 more"],
    );
    assert_eq!(ended.stdout.matches("  changed ").count(), 100);
}

#[test]
fn keys_are_walked_through_in_the_same_order_on_both_engines() {
    let (source, server) = (Source::empty(), Server::shared(16));
    let keys = [
        "a", "B", "é", "z", "Z", "_", "ａ", "𝄞", "", " a", "a ", "a1", "a10", "a2",
    ];
    for key in keys {
        source.execute(&format!(
            "INSERT INTO settings VALUES ('{key}', '{{}}', 1.0)"
        ));
    }
    server.query("postgres", "CREATE DATABASE linguistic TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'");
    let url = format!(
        "postgresql://postgres@/linguistic?host={}&port={}",
        server.socket_directory().display(),
        server.port()
    );
    moved(&source.url(), &url, &[]).succeeds();
    assert!(
        compared(&source.url(), &url, &["--rows"])
            .succeeds()
            .ends_with("equal\n")
    );
    server.query("linguistic", "DELETE FROM settings WHERE key IN ('B', '𝄞')");
    let ended = compared(&source.url(), &url, &["--rows"]);
    assert!(
        ended.code == 5
            && ended
                .stdout
                .contains("2 only left, 0 only right, 0 changed"),
        "{ended:?}"
    );
}

#[test]
fn cells_of_a_wrong_type_equal_nothing_of_the_right_one() {
    let (left, right) = (Source::with_rows(), Source::with_rows());
    right.execute(
        "UPDATE audit_artifact SET content = CAST('abc' AS TEXT) WHERE artifact_id = 'a-1'",
    );
    left.execute(
        "UPDATE audit_artifact SET content = CAST('abc' AS BLOB) WHERE artifact_id = 'a-1'",
    );
    differs(&left, &right, &["changed   a-1\n"]);
}

#[test]
fn what_is_not_a_database_of_rune_is_not_compared() {
    let source = Source::with_rows();
    let other = source.beside("other.db");
    rune_testkit::tool::sqlite_execute(&other, "CREATE TABLE other (x)");
    compared(&source.url(), &rune_testkit::tool::sqlite_url(&other), &[])
        .fails(4, &["none of RUNE's tables"]);
    compared(&source.url(), "sqlite:////no/such.db", &[]).fails(4, &["/no/such.db"]);
    source.execute("ALTER TABLE jobs ADD COLUMN priority INTEGER");
    let said = compared(&source.url(), &source.url(), &[]).succeeds();
    assert!(
        said.contains("warning: ") && said.contains("jobs.priority; that was not compared"),
        "{said}"
    );
}
