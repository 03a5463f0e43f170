//! Moves from SQLite to real PostgreSQL servers: everything arrives, exactly, or nothing does.

use rune_testkit::postgres::{MAJORS, Server};
use serde_json::{Value, json};

use rune_testkit::rows::{Source, compared, moved, moving, python_digests, traces};
use rune_testkit::tool::{rune_db, sqlite_query};

#[test]
fn every_row_arrives_on_every_version_and_a_second_program_agrees_about_the_digests() {
    let source = Source::with_rows();
    let expected = python_digests(&source.url());
    for major in MAJORS {
        let server = Server::shared(major);
        let database = server.database();
        let report = moving(&source.url(), &database.url(), &[]).report();
        assert_eq!(
            report["move"]["applied"],
            json!([1, 2, 3, 4, 5, 6]),
            "PostgreSQL {major}"
        );
        assert_eq!(report["move"]["nextEventId"], 9_000_000_006_i64);
        assert_eq!(
            python_digests(&database.url()),
            expected,
            "PostgreSQL {major}"
        );
        for table in report["move"]["tables"].as_array().unwrap() {
            let known = &expected[table["table"].as_str().unwrap()];
            assert_eq!(
                (&table["digest"], &table["migratedRows"]),
                (&known["digest"], &known["rows"]),
                "{table}"
            );
        }
        assert!(
            compared(&source.url(), &database.url(), &[])
                .succeeds()
                .ends_with("equal\n")
        );
        assert!(
            compared(&database.url(), &source.url(), &["--rows"])
                .succeeds()
                .ends_with("equal\n")
        );
        assert_eq!(
            database.query("INSERT INTO workflow_events (event, status, recorded_at) VALUES ('e', 'ok', 0) RETURNING id"),
            "9000000006"
        );
        assert_eq!(
            database.query("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"),
            database.name()
        );
    }
}

/// Everything that makes tables what they are, beside their rows.
const CATALOGUE: &str = "
    SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, contype::text, convalidated::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', i.indrelid::regclass::text, i.indexrelid::regclass::text, i.indisprimary::text, (i.indisvalid AND i.indisready)::text,
        pg_get_indexdef(i.indexrelid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'sequence', s.seqrelid::regclass::text, s.seqtypid::regtype::text, pg_get_serial_sequence('workflow_events', 'id'), '', ''
    FROM pg_sequence s ORDER BY 1, 2, 3, 4";

#[test]
fn a_target_that_the_move_makes_is_what_migrate_makes() {
    let source = Source::with_rows();
    for major in MAJORS {
        let server = Server::shared(major);
        let (made, migrated) = (server.database(), server.database());
        rune_db(&["migrate"]).on(&migrated.url()).run().succeeds();
        let expected = migrated.query(CATALOGUE);
        assert!(
            expected.contains("jobs_pkey") && expected.contains("idx_workflow_events_event"),
            "{expected}"
        );
        for database in [&made, &migrated] {
            moved(&source.url(), &database.url(), &[]).succeeds();
            assert_eq!(database.query(CATALOGUE), expected, "PostgreSQL {major}");
        }
    }
}

#[test]
fn m01_settings_are_moved() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    assert_eq!(
        database.query("SELECT key, updated_at FROM settings"),
        "rune_config|1"
    );
}

#[test]
fn m02_a_second_run_is_refused_instead_of_counting_rows_that_it_skips() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    let before = traces(&database);
    moved(&source.url(), &database.url(), &[])
        .fails(12, &["has rows already", "jobs", "workflow_events"]);
    assert_eq!(traces(&database), before);
}

#[test]
fn m03_a_target_with_a_single_row_is_refused_and_left_as_it_was() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database
        .query("INSERT INTO workflow_events (event, status, recorded_at) VALUES ('live', 'ok', 0)");
    let before = traces(&database);
    moved(&source.url(), &database.url(), &[]).fails(12, &["has rows already, in workflow_events"]);
    moved(&source.url(), &database.url(), &["--dry-run"])
        .fails(12, &["has rows already, in workflow_events"]);
    assert_eq!(traces(&database), before);
}

#[test]
fn m04_a_changed_source_is_not_reported_as_moved_again() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    source.execute("UPDATE jobs SET status = 'failed' WHERE job_id = 'job-1'");
    moved(&source.url(), &database.url(), &[]).fails(12, &["has rows already"]);
    let ended = compared(&source.url(), &database.url(), &["--rows"]);
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(
        ended.stdout.contains("changed   job-1\n") && ended.stdout.ends_with("different\n"),
        "{ended:?}"
    );
}

#[test]
fn m05_a_dry_run_changes_nothing_on_either_side() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    let bytes = std::fs::read(source.path()).unwrap();
    let report = moving(&source.url(), &database.url(), &["--dry-run"]).report();
    assert_eq!(
        (&report["dryRun"], &report["move"]["applied"]),
        (&json!(true), &json!([1, 2, 3, 4, 5, 6]))
    );
    assert_eq!(report["move"]["tables"][0]["migratedRows"], Value::Null);
    assert_eq!(traces(&database), "");
    assert_eq!(std::fs::read(source.path()).unwrap(), bytes);
    let text = moved(&source.url(), &database.url(), &["--dry-run"]).succeeds();
    assert!(
        text.ends_with("Dry run complete: no rows were written.\n"),
        "{text}"
    );
}

#[test]
fn m06_a_wrong_source_is_not_found_and_not_made() {
    let (source, server) = (Source::empty(), Server::shared(17));
    let database = server.database();
    let missing = source.beside("missing.db");
    moved(
        &format!("sqlite:///{}", missing.display()),
        &database.url(),
        &[],
    )
    .fails(4, &["missing.db"]);
    assert!(!missing.exists());
    let nothing = source.beside("nothing.db");
    std::fs::write(&nothing, "").unwrap();
    moved(
        &format!("sqlite:///{}", nothing.display()),
        &database.url(),
        &[],
    )
    .fails(4, &["none of RUNE's tables"]);
    assert_eq!(std::fs::metadata(nothing).unwrap().len(), 0);
    assert_eq!(traces(&database), "");
}

#[test]
fn m07_the_default_source_is_in_the_home_directory() {
    let (source, server) = (Source::empty(), Server::shared(17));
    let database = server.database();
    let home = source.beside("home/.rune-api");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::copy(source.path(), home.join("jobs.db")).unwrap();
    let call =
        rune_db(&["migrate-to-postgres", "--target", "env:TARGET"]).env("TARGET", &database.url());
    let report = call
        .env("HOME", source.beside("home").to_str().unwrap())
        .report();
    assert_eq!(
        report["source"],
        format!("sqlite:///{}/jobs.db", home.display())
    );
}

#[test]
fn m08_variables_do_not_replace_the_urls() {
    let (source, server) = (Source::empty(), Server::shared(17));
    let database = server.database();
    let mut call = moving(&source.url(), &database.url(), &[]);
    for name in [
        "RUNE_DB_URI",
        "RUNE_POSTGRES_URL",
        "RUNE_DB_URL",
        "RUNE_DATABASE_URL",
    ] {
        call = call.env(name, "postgresql://nobody@127.0.0.1:1/nothing");
    }
    call.run().succeeds();
}

#[test]
fn m09_rows_written_meanwhile_are_noticed_and_the_target_is_left_as_it_was() {
    let (source, server) = (Source::large(2000), Server::shared(17));
    let database = server.database();
    source.execute("PRAGMA journal_mode = WAL");
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let before = traces(&database);
    let (code, said) =
        written_to_meanwhile(&source, &server, database.name(), &database.url(), &[]);
    assert_eq!(code, 12, "{said}");
    assert!(said.contains("was written to meanwhile"), "{said}");
    assert_eq!(traces(&database), before);
    let (code, said) = written_to_meanwhile(
        &source,
        &server,
        database.name(),
        &database.url(),
        &["--allow-live-source"],
    );
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("what came after the start was not moved"),
        "{said}"
    );
    // The first writer's row is there, the second one's is not.
    assert_eq!(database.query("SELECT count(*) FROM settings"), "1");
    assert_eq!(
        sqlite_query(&source.path(), "SELECT count(*) FROM settings"),
        "2"
    );
}

/// Runs a move that has to wait for a lock on the target, and writes to the source while it does.
fn written_to_meanwhile(
    source: &Source,
    server: &Server,
    database: &str,
    url: &str,
    options: &[&str],
) -> (i32, String) {
    let mut session = server.session(database);
    session.run("BEGIN; LOCK TABLE settings IN ACCESS EXCLUSIVE MODE");
    let child = moving(&source.url(), url, options)
        .command()
        .spawn()
        .unwrap();
    server.wait_for(
        database,
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted",
        "t",
    );
    source.execute("INSERT INTO settings VALUES (hex(randomblob(8)), '{}', 1.0)");
    session.run("COMMIT");
    let ended = rune_testkit::tool::Ended::from(child.wait_with_output().unwrap());
    (ended.code, ended.stdout + &ended.stderr)
}

#[test]
fn m10_the_target_is_locked_against_writers_while_rows_are_moved() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let mut writer = server.session(database.name());
    writer.run("BEGIN; INSERT INTO settings VALUES ('late', '{}', 1.0)");
    let child = moving(&source.url(), &database.url(), &[])
        .command()
        .spawn()
        .unwrap();
    server.wait_for(
        database.name(),
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'",
        "t",
    );
    writer.run("COMMIT");
    let ended = rune_testkit::tool::Ended::from(child.wait_with_output().unwrap());
    ended.fails(12, &["has rows already, in settings"]);
}

#[test]
fn m11_no_message_holds_a_row() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    source
        .execute("UPDATE jobs SET error = 'TOP-SECRET-PAYLOAD' || char(0) WHERE job_id = 'job-1'");
    let ended = moved(&source.url(), &database.url(), &["--json"]);
    ended.fails(3, &["jobs.error: text with U+0000", "`job-1`"]);
    // What the server itself refuses does not bring the row along either.
    source.execute("UPDATE jobs SET error = NULL");
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query("ALTER TABLE jobs ADD CONSTRAINT none CHECK (job_id <> 'job-1')");
    moved(&source.url(), &database.url(), &[]).fails(12, &["violates check constraint"]);
}

#[test]
fn m12_what_cannot_be_transferred_stops_the_move_before_the_first_table() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    source.execute("UPDATE settings SET value_json = char(0)");
    moved(&source.url(), &database.url(), &[]).fails(3, &["settings.value_json"]);
    assert_eq!(traces(&database), "");
}

#[test]
fn m13_rows_go_by_copy_and_not_one_by_one() {
    let (source, server) = (Source::large(2000), Server::start(17));
    let database = server.database();
    database.query("ALTER DATABASE rune_0 SET log_statement = 'all'");
    moved(&source.url(), &database.url(), &["--batch-size", "1"]).succeeds();
    let log = server.log();
    assert!(
        log.contains("COPY \"public\".jobs (job_id") && !log.contains("INSERT INTO jobs"),
        "{log}"
    );
}

#[test]
fn m15_sessions_end_on_error_paths_too() {
    let (source, server) = (Source::with_rows(), Server::start(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    moved(&source.url(), &database.url(), &[]).fails(12, &[]);
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        database.name()
    );
    server.wait_for("postgres", &sessions, "0");
    assert!(!server.log().contains("unexpected EOF"), "{}", server.log());
}

#[test]
fn the_words_that_runes_users_know_are_kept() {
    let source = Source::empty();
    let target = "postgresql://rune@127.0.0.1:1/rune";
    moved(&source.url(), target, &["--batch-size", "0"]).fails(2, &["batch_size must be >= 1"]);
    moved(&source.url(), target, &["--batch-size", "-3"]).fails(2, &["batch_size must be >= 1"]);
    moved(target, target, &[]).fails(2, &["source must be a sqlite:// URL"]);
    moved(&source.url(), &source.url(), &[]).fails(2, &["target must be a postgresql:// URL"]);
    moved("mysql://x", target, &[]).fails(2, &["unsupported storage URL scheme 'mysql'"]);
}
