//! Migrating PostgreSQL: all pending files or none, and what RUNE left before.

use rune_testkit::postgres::Server;

use crate::legacy::ERA_B;
use rune_testkit::tool::rune_db;

#[test]
fn others_see_all_pending_files_applied_or_none() {
    for major in [15, 18] {
        let server = Server::shared(major);
        let database = server.database();
        let (name, url) = (database.name().to_owned(), database.url());
        let mut rival = server.session(&name);
        rival.run(&format!(
            "SET ROLE {name}; BEGIN; CREATE TABLE settings (key text)"
        ));
        let ended = std::thread::scope(|scope| {
            let migrating = scope.spawn(|| rune_db(&["migrate"]).on(&url).run());
            // The last file waits for the table of the same name; the five before it are applied.
            let waiting = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'transactionid'"
            );
            server.wait_for("postgres", &waiting, "1");
            assert_eq!(
                database.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
                "0",
                "PostgreSQL {major}"
            );
            rival.run("ROLLBACK");
            migrating.join().unwrap()
        });
        assert!(ended.succeeds().contains("applied 6 (0006_settings.sql)"));
        assert_eq!(database.query("SELECT count(*) FROM schema_version"), "6");
    }
}

#[test]
fn a_table_that_another_program_creates_meanwhile_leaves_nothing_of_the_files_before() {
    let server = Server::shared(17);
    let database = server.database();
    let (name, url) = (database.name().to_owned(), database.url());
    let mut rival = server.session(&name);
    rival.run(&format!(
        "SET ROLE {name}; BEGIN; CREATE TABLE settings (key text)"
    ));
    let ended = std::thread::scope(|scope| {
        let migrating = scope.spawn(|| rune_db(&["migrate"]).on(&url).run());
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'transactionid'"
        );
        server.wait_for("postgres", &waiting, "1");
        rival.run("COMMIT");
        migrating.join().unwrap()
    });
    ended.fails(12, &["`settings`", "is not RUNE's"]);
    assert_eq!(
        database
            .query("SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'"),
        "settings"
    );
}

#[test]
fn lossy_types_are_a_warning_that_names_repair_in_every_verb_that_sees_them() {
    let server = Server::shared(17);
    let database = server.database();
    database.query(&format!("SET ROLE {}; {ERA_B}", database.name()));
    let words = "workflow_events.id is `integer`, not `bigint`";
    for verb in ["migrate", "status", "verify"] {
        let text = rune_db(&[verb]).on(&database.url()).run().succeeds();
        assert!(
            text.contains(words) && text.contains("run `rune-db repair`"),
            "{verb}: {text}"
        );
        assert_eq!(
            rune_db(&[verb, "--strict"]).on(&database.url()).run().code,
            12,
            "{verb}"
        );
    }
    rune_db(&["repair"]).on(&database.url()).run().succeeds();
    for verb in ["migrate", "status", "verify"] {
        let text = rune_db(&[verb, "--strict"])
            .on(&database.url())
            .run()
            .succeeds();
        assert!(!text.contains("rune-db repair`"), "{verb}: {text}");
    }
}

#[test]
fn a_schema_of_a_newer_rune_is_never_to_be_repaired() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query(
        "INSERT INTO schema_version VALUES (7, 1); ALTER TABLE jobs ADD COLUMN priority integer",
    );
    database.query(
        "ALTER TABLE jobs ALTER COLUMN created_at TYPE real; DROP INDEX idx_workflow_events_event",
    );
    for verb in ["doctor", "status", "verify", "migrate"] {
        let ended = rune_db(&[verb]).on(&database.url()).run();
        assert!(
            !ended.stdout.contains("rune-db repair"),
            "{verb}: {ended:?}"
        );
        assert!(
            verb == "verify"
                || ended
                    .stdout
                    .contains("the release of rune-db that belongs to this RUNE"),
            "{verb}: {ended:?}"
        );
    }
}
