//! Columns of types that RUNE never uses, on a server: never rounded or reshaped without a word.

use rune_testkit::postgres::Server;

use rune_testkit::rows::{Source, compared, moved};
use rune_testkit::tool::rune_db;

const ROWS: &str = "INSERT INTO settings VALUES ('k', '{}', 1); INSERT INTO jobs VALUES ('j1', 't', 'k', 's', '{}', NULL, NULL, NULL, 1, 1)";

#[test]
fn values_of_types_that_are_not_read_exactly_are_refused_by_name_and_verify_reads_the_other_tables()
{
    let (server, source) = (Server::shared(17), Source::with_rows());
    for (sql, words) in [
        (
            "ALTER TABLE jobs ALTER created_at TYPE numeric USING 1.23456789012345678901",
            "jobs.created_at is `numeric`, not `double precision`",
        ),
        (
            "ALTER TABLE settings ALTER value_json TYPE jsonb USING value_json::jsonb",
            "settings.value_json is `jsonb`, not `text`",
        ),
        (
            "ALTER TABLE jobs ALTER updated_at TYPE timestamptz USING to_timestamp(updated_at)",
            "jobs.updated_at is `timestamp with time zone`",
        ),
        (
            "CREATE DOMAIN exact AS numeric; CREATE DOMAIN time_of AS exact; ALTER TABLE jobs ALTER created_at TYPE time_of",
            "jobs.created_at is `time_of`",
        ),
    ] {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!("SET ROLE {}; {ROWS}; {sql}", database.name()));
        let (file, url) = (source.beside("out.db"), database.url());
        let words = ["cannot be read exactly", words, "help: "];
        rune_db(&["backup", "--output", file.to_str().unwrap()])
            .on(&url)
            .run()
            .fails(5, &words);
        rune_db(&[
            "export-sqlite",
            "--source",
            &url,
            "--output",
            file.to_str().unwrap(),
        ])
        .run()
        .fails(5, &words);
        compared(&url, &source.url(), &[]).fails(5, &words);
        assert!(!file.exists());
        let verify = rune_db(&["verify"]).on(&url).run();
        assert!(
            verify.code == 5
                && verify.stdout.contains(words[1])
                && verify
                    .stdout
                    .contains("workflow_events               0 rows"),
            "{verify:?}"
        );
    }
}

#[test]
fn a_target_with_types_that_a_repair_leaves_is_told_so() {
    let (server, source) = (Server::shared(17), Source::with_rows());
    for (sql, words) in [
        (
            "ALTER TABLE settings ALTER value_json TYPE jsonb USING value_json::jsonb",
            "settings.value_json is `jsonb`, not `text`",
        ),
        (
            "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey",
            "the primary key of jobs is `nothing`",
        ),
    ] {
        let database = server.database();
        rune_db(&["migrate"]).on(&database.url()).run().succeeds();
        database.query(&format!("SET ROLE {}; {sql}", database.name()));
        moved(&source.url(), &database.url(), &[]).fails(5, &[words, "change the rest by hand"]);
    }
}

#[test]
fn texts_in_other_types_of_text_and_domains_are_read_as_they_are() {
    let (server, source) = (Server::shared(17), Source::empty());
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(&format!("SET ROLE {}; {ROWS}", database.name()));
    source.execute(ROWS);
    database.query(
        "CREATE DOMAIN short AS varchar(40); ALTER TABLE jobs ALTER status TYPE short; ALTER TABLE settings ALTER key TYPE varchar(9)",
    );
    assert!(
        compared(&source.url(), &database.url(), &[])
            .succeeds()
            .ends_with("equal\n")
    );
}
