//! A command that is interrupted leaves nothing running on the server.

use std::process::Child;

use rune_testkit::postgres::{Database, Server};
use rustix::process::{Pid, Signal, kill_process};

use rune_testkit::certificates::Authority;
use rune_testkit::tool::{Ended, rune_db};

/// The sessions of a database that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
/// The sessions of ours that are there at all.
const OURS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rune-db'";

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Runs a command that has to wait for a lock, sends it a signal, and looks at the server while the
/// lock is still held.
fn interrupt(
    server: &Server,
    database: &Database<'_>,
    parameters: &str,
    arguments: &[&str],
    signal: Signal,
) -> Ended {
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let mut lock = server.session(database.name());
    lock.run("BEGIN");
    lock.run("LOCK TABLE jobs, settings, workflow_events IN ACCESS EXCLUSIVE MODE");
    let child = rune_db(arguments)
        .on(&format!("{}{parameters}", database.url()))
        .command()
        .spawn()
        .unwrap();
    server.wait_for(database.name(), WAITING, "1");
    send(&child, signal);
    let ended = Ended::from(child.wait_with_output().unwrap());
    server.wait_for(database.name(), OURS, "0");
    ended
}

#[test]
fn an_interrupted_command_cancels_its_statement() {
    let server = Server::shared(17);
    for signal in [Signal::INT, Signal::TERM] {
        for arguments in [
            &["verify"][..],
            &["prune", "--older-than", "1d"],
            &["jobs", "list"],
        ] {
            let ended = interrupt(&server, &server.database(), "", arguments, signal);
            ended.fails(130, &["interrupted"]);
        }
    }
}

#[test]
fn the_server_ends_the_statement_of_a_command_that_was_killed() {
    let server = Server::shared(17);
    for arguments in [
        &["verify"][..],
        &["prune", "--older-than", "1d"],
        &["settings", "set", "a", "{}"],
    ] {
        // It could send no request to cancel, and the lock is still held when the server finds out.
        let ended = interrupt(&server, &server.database(), "", arguments, Signal::KILL);
        assert_eq!(ended.code, -1, "{ended:?}");
    }
}

#[test]
fn the_request_to_cancel_goes_over_tls_that_is_verified() {
    let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let server = authority
        .setup("127.0.0.1", false)
        .setting("log_connections=on")
        .setting("log_min_messages=debug2")
        .start();
    let database = server.database();
    let parameters = format!(
        "?sslmode=verify-full&sslrootcert={}",
        authority.file(directory.path()).display()
    );
    interrupt(&server, &database, &parameters, &["verify"], Signal::INT)
        .fails(130, &["interrupted"]);
    assert!(
        server
            .log()
            .contains("canceling statement due to user request"),
        "{}",
        server.log()
    );
}
