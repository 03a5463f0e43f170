//! Migrations from a directory: what was applied is kept in mind, and a file that fails leaves
//! nothing.

use std::fs;

use rune_testkit::postgres::Server;

use rune_testkit::tool::{migrations, rune_db, sqlite_query, sqlite_url, sqlite_versions};

const TRICKY: &str = "-- A semicolon; in a comment.
-- migrate:sqlite
CREATE TABLE notes (text TEXT DEFAULT 'a;b' /* ; */);
CREATE TRIGGER remember AFTER INSERT ON jobs BEGIN
    INSERT INTO notes VALUES (new.job_id); -- ;
    UPDATE notes SET text = CASE WHEN text = ';' THEN 'x' ELSE text END;
END;
-- migrate:postgres
CREATE TABLE notes (text text DEFAULT 'a;b' /* /* ; */ ; */);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO notes VALUES (new.job_id); RETURN new;
END $body$;
CREATE TRIGGER remember AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION remember();
-- migrate:all
INSERT INTO notes VALUES ('it''s;');
";

#[test]
fn semicolons_that_do_not_end_a_statement_break_nothing() {
    let (directory, files) = (
        tempfile::tempdir().unwrap(),
        migrations(&[("0007_notes.sql", TRICKY)]),
    );
    let path = directory.path().join("jobs.db");
    let server = Server::shared(17);
    let database = server.database();
    let job = "INSERT INTO jobs VALUES ('j', 't', 'k', 's', '{}', NULL, NULL, NULL, 1, 1)";
    for url in [sqlite_url(&path), database.url()] {
        let report = rune_db(&["migrate", "--migrations", files.path().to_str().unwrap()])
            .on(&url)
            .report();
        assert_eq!(report["database"]["schemaVersion"], 7);
    }
    rune_testkit::tool::sqlite_execute(&path, job);
    assert_eq!(sqlite_query(&path, "SELECT text FROM notes"), "it's;\nj");
    database.query(job);
    assert_eq!(database.query("SELECT text FROM notes"), "it's;\nj");
}

#[test]
fn a_migration_that_fails_leaves_nothing_of_itself_and_says_where() {
    let broken =
        "-- migrate:all\nCREATE TABLE half (a integer);\n\nINSERT INTO nowhere VALUES (1);\n";
    let (directory, files) = (
        tempfile::tempdir().unwrap(),
        migrations(&[("0007_broken.sql", broken)]),
    );
    let path = directory.path().join("jobs.db");
    let server = Server::shared(17);
    let database = server.database();
    for url in [sqlite_url(&path), database.url()] {
        let call = rune_db(&["migrate", "--migrations", files.path().to_str().unwrap()]).on(&url);
        call.run().fails(
            3,
            &["migration 7 (0007_broken.sql) failed", "line 4", "nowhere"],
        );
    }
    assert_eq!(sqlite_versions(&path), "1 2 3 4 5 6");
    assert_eq!(
        sqlite_query(
            &path,
            "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"
        ),
        "0"
    );
    assert_eq!(
        database.query("SELECT to_regclass('jobs') IS NULL, to_regclass('half') IS NULL"),
        "t|t"
    );
}

#[test]
fn a_file_that_was_edited_after_it_was_applied_is_refused_with_both_checksums() {
    let (directory, files) = (tempfile::tempdir().unwrap(), migrations(&[]));
    let url = sqlite_url(&directory.path().join("jobs.db"));
    rune_db(&["migrate"]).on(&url).run().succeeds();
    let file = files.path().join("0004_chain_state.sql");
    let before = rune_testkit::sha256(&fs::read(&file).unwrap());
    fs::write(
        &file,
        format!("{}-- and more\n", fs::read_to_string(&file).unwrap()),
    )
    .unwrap();
    let after = rune_testkit::sha256(&fs::read(&file).unwrap());
    let directory = files.path().to_str().unwrap();
    let words = ["0004_chain_state.sql", before.as_str(), after.as_str()];
    rune_db(&["migrate", "--migrations", directory])
        .on(&url)
        .run()
        .fails(5, &words);
    let status = rune_db(&["status", "--migrations", directory])
        .on(&url)
        .run();
    assert_eq!(status.code, 5);
    assert!(
        words.iter().all(|word| status.stdout.contains(word)),
        "{status:?}"
    );
}

#[test]
fn a_set_of_files_with_a_gap_a_bad_name_or_an_unknown_marker_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let url = sqlite_url(&directory.path().join("jobs.db"));
    for (name, text, words) in [
        ("0008_late.sql", "SELECT 1", "there is no migration 7"),
        (
            "7_short.sql",
            "SELECT 1",
            "`7_short.sql` is not `NNNN_name.sql`",
        ),
        (
            "0007_x.sql",
            "-- migrate:mysql\nSELECT 1",
            "unknown marker `migrate:mysql`",
        ),
        ("0007_x.sql", "SELECT 1;\nCOMMIT;\n", "line 2"),
        (
            "0007_x.sql",
            "SELECT 'x",
            "the string that begins on line 1 does not end",
        ),
        ("0006_again.sql", "SELECT 1", "have the same number"),
    ] {
        let files = migrations(&[(name, text)]);
        rune_db(&["migrate", "--migrations", files.path().to_str().unwrap()])
            .on(&url)
            .run()
            .fails(3, &[words]);
    }
    assert!(!directory.path().join("jobs.db").exists());
    rune_db(&["migrate", "--migrations", "/nowhere"])
        .on(&url)
        .run()
        .fails(4, &["/nowhere"]);
}

#[test]
fn an_unmarked_file_is_for_sqlite_only() {
    let (directory, files) = (
        tempfile::tempdir().unwrap(),
        migrations(&[("0007_old.sql", "CREATE TABLE old (a INTEGER)")]),
    );
    let server = Server::shared(17);
    let database = server.database();
    let call = |url: &str| {
        rune_db(&["migrate", "--migrations", files.path().to_str().unwrap()])
            .on(url)
            .run()
    };
    call(&sqlite_url(&directory.path().join("jobs.db"))).succeeds();
    call(&database.url()).fails(
        3,
        &["migration 7 (0007_old.sql) has no `-- migrate:` markers"],
    );
    assert_eq!(
        database.query("SELECT to_regclass('jobs') IS NULL"),
        "t",
        "nothing is applied when one of the pending cannot be"
    );
}
