//! Reading from a standby that follows a primary.

use rune_testkit::postgres::Setup;
use rustix::process::{Pid, Signal, kill_process};

use rune_testkit::rows::{Source, compared, moved};
use rune_testkit::tool::{Ended, names_in, rune_db, sqlite_url};

/// Whether somebody else reads the table.
const IS_READ: &str = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'jobs'::regclass AND mode = 'AccessShareLock' AND granted
    AND pid <> pg_backend_pid()";

#[test]
fn a_backup_from_a_standby_is_whole_or_says_that_the_replay_was_in_the_way() {
    let source = Source::large(60_000);
    let primary = Setup::new(17).primary().start();
    // What is replayed never waits for whoever reads.
    let standby = Setup::new(17)
        .standby_of(&primary)
        .setting("max_standby_streaming_delay=0")
        .start();
    let database = primary.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    standby.wait_for(database.name(), "SELECT count(*) FROM jobs", "60000");
    let here = standby.known(database.name());

    let output = source.beside("backup.db");
    let backup = || rune_db(&["backup", "--output", output.to_str().unwrap()]).on(&here.url());
    let child = backup().command().spawn().unwrap();
    standby.wait_for(database.name(), IS_READ, "t");
    // Stopped in the middle of its work, so that the replay meets its lock.
    let process = Pid::from_child(&child);
    kill_process(process, Signal::STOP).unwrap();
    database.query("TRUNCATE workflow_events; ALTER TABLE jobs ALTER COLUMN status TYPE text USING status || ''");
    standby.wait_for(database.name(), "SELECT count(*) FROM workflow_events", "0");
    kill_process(process, Signal::CONT).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.fails(12, &["conflict with recovery", "help: "]);
    assert!(
        !names_in(source.directory())
            .iter()
            .any(|name| name.starts_with("backup.db")),
        "a file was left"
    );

    backup().run().succeeds();
    assert!(
        compared(&here.url(), &sqlite_url(&output), &[])
            .succeeds()
            .ends_with("equal\n")
    );
}
