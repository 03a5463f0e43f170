//! What the programs print and write, call by call, compared with a recording. It shows what a
//! change of the code changes for users.
//!
//! Each `.txt` file in this folder is a session in a directory of its own. A line that begins with
//! `$ ` is a command for `sh`; behind it come its standard output (`| `), its standard error (`! `)
//! and its exit code (`? `, unless it is 0). Everything else is a comment. `RUNE_RECORD=1 cargo
//! nextest run --all-features recorded` writes the files anew; their difference belongs into the
//! same commit as the change that caused it.
//!
//! `written/` holds what earlier versions of the programs wrote. It is never made anew: the
//! programs must go on reading it.

mod session;

use std::{collections::BTreeSet, fs, path::PathBuf};

use clap::CommandFactory as _;
use rune_bundle::cli::RuneBundle;
use rune_db::cli::RuneDb;
use rune_testkit::postgres::Server;
use snapbox::{Data, assert_data_eq};

use self::session::Session;
use crate::bundle::project::repository;

const SESSIONS: [&str; 7] = [
    "usage",
    "projects",
    "bundles",
    "registries",
    "sqlite",
    "postgres",
    "written",
];

fn folder() -> PathBuf {
    repository().join("tests/it/recorded")
}

/// Types the commands of a session and compares, or records.
fn replay(name: &str, session: &Session) {
    let path = folder().join(format!("{name}.txt"));
    let recorded = fs::read_to_string(&path).unwrap();
    let mut actual = String::new();
    for line in recorded.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => actual.push_str(&session.call(command)),
            None if ["|", "!", "?"].iter().any(|mark| line.starts_with(mark)) => {}
            None => actual.push_str(&format!("{line}\n")),
        }
    }
    if std::env::var_os("RUNE_RECORD").is_some() {
        fs::write(&path, actual).unwrap();
    } else {
        assert_data_eq!(actual, Data::text(recorded).raw());
    }
}

#[test]
fn wrong_command_lines_and_generated_documents_are_as_recorded() {
    replay("usage", &Session::new());
}

#[test]
fn locking_rendering_and_building_are_as_recorded() {
    replay("projects", &Session::new());
}

#[test]
fn signing_verifying_comparing_and_unpacking_are_as_recorded() {
    replay("bundles", &Session::new());
}

#[test]
fn pushing_loading_installing_and_receipts_are_as_recorded() {
    replay("registries", &Session::new());
}

#[test]
fn a_sqlite_database_is_handled_as_recorded() {
    replay("sqlite", &Session::new());
}

#[test]
fn a_postgres_database_is_handled_as_recorded() {
    let server = Server::shared(17);
    let databases = ["PG", "OTHER_PG", "WRITTEN_PG"].map(|name| (name, server.database()));
    let session = databases
        .iter()
        .fold(Session::new(), |session, (name, database)| {
            session.knowing(name, &database.url())
        });
    replay("postgres", &session);
}

#[test]
fn what_earlier_versions_wrote_is_read_as_recorded() {
    replay("written", &Session::new());
}

/// Every verb of a program, those within verbs included: `receipts list`.
fn verbs(command: &clap::Command) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for verb in command.get_subcommands() {
        let inner: Vec<_> = verb
            .get_subcommands()
            .map(|inner| format!("{} {}", verb.get_name(), inner.get_name()))
            .collect();
        found.extend(if inner.is_empty() {
            vec![verb.get_name().to_owned()]
        } else {
            inner
        });
    }
    found
}

#[test]
fn the_recordings_have_200_calls_and_every_verb() {
    let texts: Vec<String> = SESSIONS
        .iter()
        .map(|name| fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap())
        .collect();
    let commands: Vec<&str> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    let calls = |program: &str| {
        commands
            .iter()
            .filter(|command| command.contains(program))
            .count()
    };
    assert!(calls("rune-bundle ") + calls("rune-db ") >= 200);
    for (program, command) in [
        ("rune-bundle", RuneBundle::command()),
        ("rune-db", RuneDb::command()),
    ] {
        for verb in verbs(&command) {
            assert!(
                calls(&format!("{program} {verb}")) > 0,
                "no call of `{program} {verb}` is recorded"
            );
        }
    }
}
