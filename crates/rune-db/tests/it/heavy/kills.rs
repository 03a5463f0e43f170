//! Programs and servers that are killed while files are written: nothing that is half done looks
//! whole, and a rerun ends right.

use std::{
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use rune_testkit::{poll::poll, postgres::Server};

use super::transfer::Proxy;
use rune_testkit::rows::{Source, compared, moved, moving, traces};
use rune_testkit::tool::{Ended, RuneDb, names_in, rune_db, sqlite_query, sqlite_url};

/// How long any of them may take here.
const LIMIT: Duration = Duration::from_mins(1);
/// How often each is killed.
const MOMENTS: u64 = 6;

/// Jobs and events, and contents on both sides of the size from which they come in pieces.
fn source() -> Source {
    let source = Source::large(15_000);
    source.execute(
        "INSERT INTO audit_artifact VALUES ('a', 'j', 'log', 'n', 1, '', randomblob(6000000), 1.5)",
    );
    source.execute(
        "INSERT INTO audit_artifact VALUES ('b', 'j', 'log', 'n', 1, '', randomblob(70000), 2.5)",
    );
    source
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The bytes of a file and of what SQLite makes beside it.
fn size_with_side_files(path: &Path) -> u64 {
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    size(path) + size(&beside("-wal")) + size(&beside("-journal"))
}

/// Kills a program as soon as something is so; it may end before that.
fn kill_when(mut child: Child, mut is_so: impl FnMut() -> bool) {
    poll(LIMIT, || is_so() || child.try_wait().unwrap().is_some());
    let _ = child.kill();
    child.wait().unwrap();
}

/// Runs something that writes a file, kills it whenever the file has grown by a part, and lets it
/// end at last.
fn killed_again_and_again(run: impl Fn() -> RuneDb, directory: &Path, output: &Path, source: &str) {
    run().run().succeeds();
    let total = size(output);
    let partial = PathBuf::from(format!("{}.partial", output.display()));
    // When the file has its full size it is being proved. The last moment is when it has its name.
    for moment in 0..=MOMENTS + 1 {
        if output.exists() {
            std::fs::remove_file(output).unwrap();
        }
        let limit = total * moment / MOMENTS;
        kill_when(run().command().spawn().unwrap(), || {
            if moment > MOMENTS {
                output.exists()
            } else {
                partial.exists() && size(&partial) >= limit
            }
        });
        if output.exists() {
            assert!(
                compared(source, &sqlite_url(output), &[])
                    .succeeds()
                    .ends_with("equal\n"),
                "killed at {moment}"
            );
        }
    }
    if output.exists() {
        std::fs::remove_file(output).unwrap();
    }
    run().run().succeeds();
    assert!(
        compared(source, &sqlite_url(output), &[])
            .succeeds()
            .ends_with("equal\n")
    );
    let left: Vec<String> = names_in(directory)
        .into_iter()
        .filter(|name| name.contains("partial") || name.starts_with('.'))
        .collect();
    assert_eq!(left, [""; 0], "what the killed runs left");
}

#[test]
fn an_export_that_is_killed_at_any_moment_leaves_no_half_file_under_its_name() {
    let (source, server) = (source(), Server::shared(17));
    let database = server.database();
    moved(&source.url(), &database.url(), &[]).succeeds();
    let output = source.beside("out.db");
    let arguments = [
        "export-sqlite",
        "--source",
        "env:SOURCE",
        "--output",
        output.to_str().unwrap(),
    ];
    killed_again_and_again(
        || rune_db(&arguments).env("SOURCE", &database.url()),
        source.directory(),
        &output,
        &database.url(),
    );
    let output = source.beside("backup.db");
    let arguments = ["backup", "--output", output.to_str().unwrap()];
    killed_again_and_again(
        || rune_db(&arguments).on(&database.url()),
        source.directory(),
        &output,
        &database.url(),
    );
}

#[test]
fn a_backup_or_restore_of_a_file_that_is_killed_at_any_moment_leaves_no_half_file_under_its_name() {
    let source = source();
    let (backup, restored) = (source.beside("backup.db"), source.beside("restored.db"));
    let arguments = ["backup", "--output", backup.to_str().unwrap()];
    killed_again_and_again(
        || rune_db(&arguments).on(&source.url()),
        source.directory(),
        &backup,
        &source.url(),
    );
    let arguments = ["restore", "--from", backup.to_str().unwrap()];
    killed_again_and_again(
        || rune_db(&arguments).on(&sqlite_url(&restored)),
        source.directory(),
        &restored,
        &source.url(),
    );
}

#[test]
fn a_restore_into_an_empty_file_that_is_killed_at_any_moment_is_whole_or_undone() {
    let source = source();
    for mode in ["WAL", "DELETE"] {
        let target = source.beside("target.db");
        let url = sqlite_url(&target);
        let restoring =
            || rune_db(&["restore", "--from", source.path().to_str().unwrap()]).on(&url);
        let empty = || {
            for name in names_in(source.directory())
                .iter()
                .filter(|name| name.starts_with("target.db"))
            {
                std::fs::remove_file(source.beside(name)).unwrap();
            }
            rune_db(&["migrate"]).on(&url).run().succeeds();
            sqlite_query(&target, &format!("PRAGMA journal_mode = {mode}"));
        };
        let total = size(&source.path());
        for moment in 0..=MOMENTS {
            empty();
            let limit = total * moment / MOMENTS;
            kill_when(restoring().command().spawn().unwrap(), || {
                size_with_side_files(&target) >= limit
            });
            match sqlite_query(&target, "SELECT count(*) FROM jobs").as_str() {
                "0" => {
                    assert_eq!(
                        sqlite_query(&target, "SELECT count(*) FROM workflow_events"),
                        "0",
                        "{mode}, killed at {moment}"
                    );
                    restoring().run().succeeds();
                }
                // All of it was committed. Whether that is so, a person finds out as the message
                // says.
                _ => restoring()
                    .run()
                    .fails(12, &["has rows already", "rune-db compare"]),
            }
            assert!(
                compared(&source.url(), &url, &[])
                    .succeeds()
                    .ends_with("equal\n"),
                "{mode}, killed at {moment}"
            );
        }
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_move_has_nothing_of_it_and_a_rerun_succeeds() {
    let source = source();
    let mut server = Server::start(17);
    let (name, url) = {
        let database = server.database();
        (database.name().to_owned(), database.url())
    };
    let total = {
        let whole = server.database();
        let proxy = Proxy::start(server.port(), u64::MAX);
        moved(&source.url(), &proxy.instead_of(&server, &whole.url()), &[]).succeeds();
        proxy.passed()
    };
    // Among rows, in the middle of a content, and when COMMIT is on its way.
    for limit in [total / 10, total / 2, total - 1000, total] {
        let proxy = Proxy::start(server.port(), limit);
        let child = moving(&source.url(), &proxy.instead_of(&server, &url), &[])
            .command()
            .spawn()
            .unwrap();
        proxy.wait_for_limit();
        server.crash_and_restart();
        drop(proxy);
        let ended = Ended::from(child.wait_with_output().unwrap());
        ended.fails(10, &["error: ", "help: "]);
        assert_eq!(
            traces(&server.known(&name)),
            "",
            "killed at byte {limit} of {total}"
        );
    }
    moved(&source.url(), &url, &[]).succeeds();
    assert!(
        compared(&source.url(), &url, &[])
            .succeeds()
            .ends_with("equal\n")
    );
}
