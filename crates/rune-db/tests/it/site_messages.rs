//! What functions and triggers of a site say may be a row, and is not repeated; their names are.

use rune_testkit::postgres::{Database, Server};

use rune_testkit::rows::{PAYLOAD, Source, moved};
use rune_testkit::tool::{Ended, rune_db, sqlite_execute, sqlite_url};

fn migrated(server: &Server) -> Database<'_> {
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database
}

fn as_owner(database: &Database<'_>, sql: &str) {
    database.query(&format!("SET ROLE {}; {sql}", database.name()));
}

/// Asserts that a failure names a function and shows nothing of a row.
#[track_caller]
fn names_only(ended: &Ended, code: i32, words: &[&str]) {
    ended.fails(code, words);
    assert!(
        !ended.stderr.contains(PAYLOAD) && !ended.stdout.contains(PAYLOAD),
        "{ended:?}"
    );
}

/// A function that raises an error with the whole row in each part of it.
fn raising(code: &str) -> String {
    format!(
        "CREATE FUNCTION \"refuse\"() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'not %', new USING ERRCODE = '{code}', DETAIL = new::text, HINT = new::text; END $$"
    )
}

#[test]
fn a_trigger_that_raises_the_row_is_named_whatever_its_code() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    for (code, exit) in [
        ("P0001", 9),
        ("23514", 12),
        ("0A000", 12),
        ("22P02", 3),
        ("2BP01", 12),
        ("SITE1", 12),
    ] {
        let database = migrated(&server);
        as_owner(
            &database,
            &format!(
                "{}; CREATE TRIGGER no AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION refuse()",
                raising(code)
            ),
        );
        let ended = moved(&source.url(), &database.url(), &[]);
        names_only(
            &ended,
            exit,
            &[
                "function `refuse()` of this site raised an error",
                &format!("[{code}]"),
            ],
        );
        assert!(!ended.stderr.contains("job-1"), "{ended:?}");
    }
}

#[test]
fn every_verb_that_writes_names_the_function_and_not_what_it_says() {
    let server = Server::shared(17);
    let database = migrated(&server);
    database.query(&format!(
        "INSERT INTO jobs VALUES ('j', 't', 'k', 'running', '{{\"p\": \"{PAYLOAD}\"}}', NULL, NULL, NULL, 1, 1);
        INSERT INTO settings VALUES ('k', '{{\"p\": \"{PAYLOAD}\"}}', 1)"
    ));
    as_owner(
        &database,
        &format!(
            "{}; CREATE TRIGGER no BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION refuse();
            CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
            raising("P0001")
        ),
    );
    let value = format!("{{\"p\": \"{PAYLOAD}\"}}");
    for verb in [
        &["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"][..],
        &["settings", "set", "k", &value],
    ] {
        names_only(
            &rune_db(verb).on(&database.url()).run(),
            9,
            &["function `refuse()` of this site", "[P0001]", "help: "],
        );
    }
}

#[test]
fn a_cell_in_a_message_of_the_server_itself_is_left_out() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = migrated(&server);
    as_owner(
        &database,
        "ALTER TABLE jobs ADD CONSTRAINT numbers CHECK (request_json::int > 0)",
    );
    names_only(
        &moved(&source.url(), &database.url(), &[]),
        3,
        &["invalid input syntax for type integer [22P02]"],
    );
    let database = migrated(&server);
    as_owner(
        &database,
        "ALTER TABLE jobs ADD CONSTRAINT short CHECK (length(request_json) < 3)",
    );
    names_only(
        &moved(&source.url(), &database.url(), &[]),
        12,
        &["check constraint \"short\"", "[23514]"],
    );
}

#[test]
fn a_repair_whose_rewrite_meets_a_function_names_it() {
    let server = Server::shared(17);
    let database = server.database();
    as_owner(
        &database,
        &format!(
            "{}; INSERT INTO jobs VALUES ('j', 't', 'k', 'running', '{{\"p\": \"{PAYLOAD}\"}}', NULL, NULL, NULL, 1.5, 1);
            CREATE FUNCTION check_it(text, float8) RETURNS bool LANGUAGE plpgsql AS
                $$ BEGIN IF pg_typeof($2) IS NULL OR current_setting('site.strict', true) = 'on' THEN RAISE EXCEPTION 'no: %', $1; END IF; RETURN true; END $$;
            ALTER TABLE jobs ADD CONSTRAINT site CHECK (check_it(request_json, created_at))",
            crate::legacy::ERA_B
        ),
    );
    database.query(&format!(
        "ALTER ROLE {} SET site.strict = on",
        database.name()
    ));
    names_only(
        &rune_db(&["repair", "--wait", "0s"])
            .on(&database.url())
            .run(),
        9,
        &["function `check_it(text,double precision)` of this site"],
    );
}

#[test]
fn what_a_trigger_in_a_file_says_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    sqlite_execute(
        &path,
        &format!(
            "INSERT INTO jobs VALUES ('j', 't', 'k', 'running', '{{\"p\": \"{PAYLOAD}\"}}', NULL, NULL, NULL, 1, 1);
            CREATE TRIGGER no BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'not {PAYLOAD}'); END;
            CREATE UNIQUE INDEX one ON settings (length(value_json)); INSERT INTO settings VALUES ('a', '{{}}', 1)"
        ),
    );
    let stale = rune_db(&["jobs", "fail-stale", "--older-than", "1h", "--all-tenants"])
        .on(&sqlite_url(&path))
        .run();
    names_only(
        &stale,
        9,
        &["a trigger of this site refuses the statement", "help: "],
    );
    let second = rune_db(&["settings", "set", "b", "{}"])
        .on(&sqlite_url(&path))
        .run();
    second.fails(
        12,
        &[
            "UNIQUE constraint failed",
            "help: a constraint or unique index that RUNE does not have",
        ],
    );
}
