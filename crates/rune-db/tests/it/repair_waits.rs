//! Repairing beside sessions that use the tables.

use rune_testkit::postgres::Server;

use crate::legacy::ERA_B;
use rune_testkit::tool::rune_db;

#[test]
fn a_repair_that_waits_for_a_table_lets_readers_through_again_and_again() {
    let server = Server::shared(17);
    let database = server.database();
    let name = database.name().to_owned();
    database.query(&format!("SET ROLE {name}; {ERA_B}"));
    let mut user = server.session(&name);
    user.run("BEGIN; SELECT count(*) FROM workflow_events");
    let url = database.url();
    let ended = std::thread::scope(|scope| {
        let repairing = scope.spawn(|| rune_db(&["repair", "--wait", "1m"]).on(&url).run());
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
        );
        // It holds `jobs` and waits for the table that is in use.
        server.wait_for("postgres", &waiting, "1");
        assert_eq!(
            database.query("SET lock_timeout = '10s'; SELECT count(*) FROM jobs"),
            "0"
        );
        assert_eq!(database.query("SELECT data_type FROM information_schema.columns WHERE column_name = 'created_at' LIMIT 1"), "real");
        user.run("COMMIT");
        repairing.join().unwrap()
    });
    assert!(
        ended
            .succeeds()
            .contains("made jobs.created_at `double precision` from `real`")
    );
}

#[test]
fn a_repair_of_a_table_that_stays_in_use_ends_at_its_limit_and_changes_nothing() {
    let server = Server::shared(17);
    let database = server.database();
    let name = database.name();
    database.query(&format!("SET ROLE {name}; {ERA_B}"));
    let mut user = server.session(name);
    user.run("BEGIN; SELECT count(*) FROM workflow_events");
    let ended = rune_db(&["repair", "--wait", "1s"])
        .on(&database.url())
        .run();
    ended.fails(12, &["timed out after 1s", "lock", "help: "]);
    let narrow = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND data_type IN ('real', 'integer')";
    assert_eq!(database.query(narrow), "7", "{ended:?}");
    // What needs no lock is said without one.
    rune_db(&["repair", "--dry-run"])
        .on(&database.url())
        .run()
        .succeeds();
    user.run("COMMIT");
}

#[test]
fn a_database_that_needs_no_repair_is_not_locked() {
    let server = Server::shared(17);
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let mut writer = server.session(database.name());
    writer.run("BEGIN; LOCK TABLE jobs, workflow_events IN ROW EXCLUSIVE MODE; SELECT pg_advisory_xact_lock(x'72756e652d6462'::int8)");
    rune_db(&["repair", "--wait", "0s"])
        .on(&database.url())
        .run()
        .succeeds();
    writer.run("COMMIT");
}
