//! A database file is its name and what lies beside it: nothing foreign is read into it, nothing of
//! it is missed.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use rune_core::{fsx::FileMode, progress::Progress};
use rune_db::transfer::{FileSnapshot, SourceTrust, into_new_file};
use rune_storage::migrations::Migrations;

use rune_testkit::rows::{Source, compared, moved, moving, python_digests};
use rune_testkit::tool::{Ended, names_in, rune_db, sqlite_execute, sqlite_query, sqlite_url};

const SIDE_FILES: [&str; 3] = ["-wal", "-shm", "-journal"];
const NOWHERE: &str = "postgresql://rune@127.0.0.1:1/rune";

fn backed_up(from: &str, output: &Path) -> Ended {
    rune_db(&["backup", "--output", output.to_str().unwrap()])
        .on(from)
        .run()
}

fn restored(to: &Path, from: &Path) -> Ended {
    rune_db(&["restore", "--from", from.to_str().unwrap()])
        .on(&sqlite_url(to))
        .run()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// A backup of a source with rows, and its digests.
fn backup_of(source: &Source) -> PathBuf {
    let backup = source.beside("backup.db");
    backed_up(&source.url(), &backup).succeeds();
    backup
}

/// Leaves rows in the log of a database, as a process does that is killed.
fn leave_in_log(path: &Path, sql: &str) {
    let program = "import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('pragma journal_mode = wal')
connection.execute('pragma wal_autocheckpoint = 0')
connection.execute(sys.argv[2])
os._exit(0)";
    assert!(
        Command::new("python3")
            .args(["-c", program])
            .arg(path)
            .arg(sql)
            .status()
            .unwrap()
            .success()
    );
}

const LATE: &str = "INSERT INTO settings VALUES ('late', '{}', 2.0)";

#[test]
fn side_files_beside_a_name_that_does_not_exist_are_refused_before_anything_is_written() {
    let source = Source::with_rows();
    let backup = backup_of(&source);
    for (suffix, content) in SIDE_FILES
        .iter()
        .flat_map(|suffix| [(suffix, ""), (suffix, "left by another database")])
    {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("jobs.db");
        fs::write(with_suffix(&name, suffix), content).unwrap();
        let before = names_in(directory.path());
        let words = ["does not exist", suffix, "help: "];
        restored(&name, &backup).fails(12, &words);
        backed_up(&source.url(), &name).fails(12, &words);
        rune_db(&["migrate"])
            .on(&sqlite_url(&name))
            .run()
            .fails(12, &words);
        assert_eq!(names_in(directory.path()), before);
        assert_eq!(
            fs::read_to_string(with_suffix(&name, suffix)).unwrap(),
            content
        );
    }
}

#[test]
fn a_link_as_a_side_file_of_a_new_name_is_refused_even_when_it_leads_nowhere() {
    let source = Source::with_rows();
    let directory = tempfile::tempdir().unwrap();
    symlink("/nowhere", directory.path().join("new.db-wal")).unwrap();
    backed_up(&source.url(), &directory.path().join("new.db")).fails(12, &["new.db-wal"]);
}

#[test]
fn an_empty_file_with_a_log_beside_it_is_refused_because_sqlite_would_delete_the_log() {
    let source = Source::with_rows();
    let backup = backup_of(&source);
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("jobs.db");
    fs::write(&name, "").unwrap();
    fs::write(with_suffix(&name, "-wal"), "rows of another database").unwrap();
    restored(&name, &backup).fails(12, &["is empty", "jobs.db-wal"]);
    for verb in ["migrate", "status", "verify"] {
        rune_db(&[verb])
            .on(&sqlite_url(&name))
            .run()
            .fails(12, &["is empty", "jobs.db-wal"]);
    }
    fs::rename(with_suffix(&name, "-wal"), with_suffix(&name, "-journal")).unwrap();
    restored(&name, &backup).fails(12, &["is empty", "jobs.db-journal"]);
    assert!(with_suffix(&name, "-journal").exists());
}

#[test]
fn what_lies_beside_an_existing_source_is_part_of_it_through_links_and_linked_directories() {
    let source = Source::with_rows();
    fs::create_dir(source.beside("real")).unwrap();
    fs::rename(source.path(), source.beside("real/jobs.db")).unwrap();
    leave_in_log(&source.beside("real/jobs.db"), LATE);
    symlink("real/jobs.db", source.beside("link.db")).unwrap();
    symlink("link.db", source.beside("chain.db")).unwrap();
    symlink("real", source.beside("directory")).unwrap();
    for name in [
        "real/jobs.db",
        "link.db",
        "chain.db",
        "directory/jobs.db",
        "directory/../real/jobs.db",
    ] {
        let url = sqlite_url(&source.beside(name));
        moved(&url, NOWHERE, &["--immutable-source"])
            .fails(12, &["cannot be taken as immutable", "real/jobs.db-wal"]);
        let output = source.beside("copy.db");
        backed_up(&url, &output).succeeds();
        assert_eq!(
            sqlite_query(&output, "SELECT count(*) FROM settings"),
            "2",
            "{name}"
        );
        fs::remove_file(output).unwrap();
    }
    assert!(source.beside("real/jobs.db-wal").exists());
}

#[test]
fn a_circle_of_links_and_a_link_to_nowhere_are_said_to_be_what_they_are() {
    let source = Source::with_rows();
    symlink("b.db", source.beside("a.db")).unwrap();
    symlink("a.db", source.beside("b.db")).unwrap();
    symlink("nothing", source.beside("dangling.db")).unwrap();
    backed_up(
        &sqlite_url(&source.beside("a.db")),
        &source.beside("out.db"),
    )
    .fails(3, &["a.db"]);
    backed_up(
        &sqlite_url(&source.beside("dangling.db")),
        &source.beside("out.db"),
    )
    .fails(4, &["dangling.db"]);
    assert!(!source.beside("out.db").exists());
}

#[test]
fn a_destination_that_is_a_link_is_refused_whether_it_leads_anywhere_or_not() {
    let (source, empty) = (Source::with_rows(), Source::empty());
    let backup = backup_of(&source);
    symlink(empty.path(), source.beside("to-empty.db")).unwrap();
    symlink("nothing.db", source.beside("dangling.db")).unwrap();
    for name in ["to-empty.db", "dangling.db"] {
        let name = source.beside(name);
        restored(&name, &backup).fails(12, &["symbolic link"]);
        backed_up(&source.url(), &name).fails(12, &["symbolic link"]);
    }
    assert!(!source.beside("nothing.db").exists());
    assert_eq!(
        sqlite_query(&empty.path(), "SELECT count(*) FROM jobs"),
        "0"
    );
    symlink(empty.directory(), source.beside("directory")).unwrap();
    restored(&source.beside("directory/new.db"), &backup).succeeds();
    assert_eq!(
        python_digests(&sqlite_url(&empty.beside("new.db"))),
        python_digests(&source.url())
    );
}

#[test]
fn a_file_with_hard_links_is_not_copied_because_its_log_may_lie_beside_another_name() {
    let source = Source::with_rows();
    leave_in_log(&source.path(), LATE);
    fs::hard_link(source.path(), source.beside("second.db")).unwrap();
    let url = sqlite_url(&source.beside("second.db"));
    for ended in [
        backed_up(&url, &source.beside("out.db")),
        moved(&url, NOWHERE, &[]),
        compared(&url, &url, &[]),
    ] {
        ended.fails(12, &["2 names", "second.db"]);
    }
    rune_db(&["verify"]).on(&url).run().fails(12, &["2 names"]);
    fs::remove_file(source.beside("second.db")).unwrap();
    backed_up(&source.url(), &source.beside("out.db")).succeeds();
}

#[test]
fn a_log_beside_another_name_of_the_file_is_never_missed_and_never_overwritten() {
    let source = Source::with_rows();
    leave_in_log(&source.path(), LATE);
    fs::hard_link(source.path(), source.beside("second.db")).unwrap();
    let before = fs::read(source.path()).unwrap();
    let url = sqlite_url(&source.beside("second.db"));
    let looking: &[&[&str]] = &[
        &["jobs", "list"],
        &["settings", "get", "rune_config"],
        &["status"],
    ];
    let changing: &[&[&str]] = &[
        &["settings", "set", "new", "{}"],
        &["prune", "--older-than", "1d"],
        &["migrate"],
        &["repair"],
    ];
    for arguments in [looking, changing].concat() {
        rune_db(arguments)
            .on(&url)
            .run()
            .fails(12, &["2 names", "second.db", "help: "]);
    }
    assert_eq!(fs::read(source.path()).unwrap(), before);
    assert_eq!(
        sqlite_query(
            &source.path(),
            "SELECT count(*) FROM settings WHERE key IN ('late', 'new')"
        ),
        "1"
    );
}

#[test]
fn reading_a_file_leaves_the_log_beside_it_as_it_was() {
    let source = Source::with_rows();
    leave_in_log(&source.path(), LATE);
    let both =
        || [source.path(), with_suffix(&source.path(), "-wal")].map(|path| fs::read(path).unwrap());
    let before = both();
    for arguments in [
        &["status"][..],
        &["verify"],
        &["doctor"],
        &["jobs", "list"],
        &["prune", "--older-than", "1d", "--dry-run"],
    ] {
        rune_db(arguments).on(&source.url()).run();
        assert!(both() == before, "{arguments:?}");
    }
    rune_db(&["settings", "get", "late"])
        .on(&source.url())
        .run()
        .succeeds();
    rune_db(&["settings", "delete", "late"])
        .on(&source.url())
        .run()
        .succeeds();
    assert!(
        !with_suffix(&source.path(), "-wal").exists(),
        "a change writes the log into the file"
    );
}

/// Logs that may lie beside a file: its own, one of another database, of a copy that is older, and
/// one that SQLite does not believe.
fn foreign_logs(source: &Source) -> Vec<Vec<u8>> {
    let log = |path: &Path| fs::read(with_suffix(path, "-wal")).unwrap();
    let (mut logs, other) = (Vec::new(), Source::empty());
    leave_in_log(&other.path(), LATE);
    logs.push(log(&other.path()));
    let older = source.beside("older.db");
    fs::copy(source.path(), &older).unwrap();
    leave_in_log(&older, "DELETE FROM jobs");
    logs.push(log(&older));
    let mut salted = log(&older);
    salted[16] ^= 1;
    logs.push(salted);
    for path in [
        older.clone(),
        with_suffix(&older, "-wal"),
        with_suffix(&older, "-shm"),
    ] {
        fs::remove_file(path).unwrap();
    }
    logs
}

#[test]
fn a_change_that_fails_leaves_the_log_beside_the_file_as_it_was() {
    let source = Source::with_rows();
    source.execute("INSERT INTO settings VALUES ('newer', '{}', 3.0); CREATE TRIGGER t BEFORE DELETE ON jobs BEGIN SELECT 1; END");
    let (logs, file) = (foreign_logs(&source), fs::read(source.path()).unwrap());
    for log in logs {
        for verb in [
            &["settings", "delete", "not there"][..],
            &["settings", "set", "k", "no JSON"],
            &["prune", "--older-than", "300d"],
            &["jobs", "show", "not there"],
            &["restore", "--from", "/nowhere/backup.db"],
            &[
                "migrate-to-postgres",
                "--source",
                &source.url(),
                "--target",
                NOWHERE,
            ],
        ] {
            fs::write(source.path(), &file).unwrap();
            fs::write(with_suffix(&source.path(), "-wal"), &log).unwrap();
            let _ = fs::remove_file(with_suffix(&source.path(), "-shm"));
            let ended = rune_db(verb).on(&source.url()).run();
            assert_ne!(ended.code, 0, "{verb:?}");
            assert!(
                fs::read(source.path()).unwrap() == file,
                "the file was changed: {ended:?}"
            );
            assert!(
                fs::read(with_suffix(&source.path(), "-wal")).unwrap() == log,
                "the log was changed: {ended:?}"
            );
        }
    }
}

#[test]
fn no_verb_leaves_side_files_beside_a_source_that_had_none() {
    let server = rune_testkit::postgres::Server::shared(17);
    for mode in ["wal", "delete"] {
        let (source, database) = (Source::with_rows(), server.database());
        source.execute(&format!("PRAGMA journal_mode = {mode}"));
        let (url, path) = (source.url(), source.path());
        let path = path.to_str().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let backup = elsewhere.path().join("backup.db");
        let restored = sqlite_url(&elsewhere.path().join("restored.db"));
        for (verb, on, code) in [
            (
                &["backup", "--output", backup.to_str().unwrap()][..],
                url.as_str(),
                0,
            ),
            (&["backup", "--output", "/nowhere/backup.db"], &url, 4),
            (&["compare", &url, &url], &url, 0),
            (&["restore", "--from", path], &restored, 0),
            (
                &[
                    "migrate-to-postgres",
                    "--source",
                    &url,
                    "--target",
                    &database.url(),
                    "--dry-run",
                ],
                &url,
                0,
            ),
            (
                &[
                    "migrate-to-postgres",
                    "--source",
                    &url,
                    "--target",
                    &database.url(),
                ],
                &url,
                0,
            ),
        ] {
            let ended = rune_db(verb).on(on).run();
            assert_eq!(ended.code, code, "{ended:?}");
            assert_eq!(
                names_in(source.directory()),
                ["jobs.db"],
                "{mode}: {verb:?}"
            );
        }
    }
}

/// Runs a command where `second.db` is the file `real/jobs.db`, mounted by itself as containers do.
fn with_mounted_file(directory: &Path, arguments: &[&str]) -> Ended {
    const MOUNT: &str = "mount --bind real/jobs.db second.db && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            MOUNT,
            "sh",
            env!("CARGO_BIN_EXE_rune-db"),
        ])
        .args(arguments);
    command
        .env("RUNE_DB_URL", sqlite_url(&directory.join("second.db")))
        .current_dir(directory)
        .output()
        .unwrap()
        .into()
}

#[test]
fn a_file_that_is_mounted_by_itself_is_used_only_without_a_log() {
    let source = Source::with_rows();
    let directory = source.directory();
    fs::create_dir(source.beside("real")).unwrap();
    fs::copy(source.path(), source.beside("real/jobs.db")).unwrap();
    fs::write(source.beside("second.db"), "").unwrap();
    leave_in_log(&source.beside("real/jobs.db"), LATE);
    for arguments in [
        &["backup", "--output", "out.db"][..],
        &["settings", "set", "new", "{}"],
        &["jobs", "list"],
        &["verify"],
    ] {
        with_mounted_file(directory, arguments).fails(
            12,
            &["second.db` is mounted by itself", "mount the directory"],
        );
    }
    assert!(!source.beside("out.db").exists());
    sqlite_execute(
        &source.beside("real/jobs.db"),
        "PRAGMA journal_mode = delete",
    );
    with_mounted_file(directory, &["backup", "--output", "out.db"]).succeeds();
    assert_eq!(
        python_digests(&sqlite_url(&source.beside("out.db"))),
        python_digests(&sqlite_url(&source.beside("real/jobs.db")))
    );
}

#[test]
fn a_directory_that_cannot_be_read_gets_no_file_that_is_said_to_have_failed() {
    let source = Source::with_rows();
    let drop_box = source.beside("box");
    fs::create_dir(&drop_box).unwrap();
    fs::set_permissions(&drop_box, fs::Permissions::from_mode(0o300)).unwrap();
    // As a user who is nobody there, so that permission bits count for root too.
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        env!("CARGO_BIN_EXE_rune-db"),
        "backup",
        "--output",
        "box/out.db",
    ]);
    let ended: Ended = command
        .env("RUNE_DB_URL", source.url())
        .current_dir(source.directory())
        .output()
        .unwrap()
        .into();
    fs::set_permissions(&drop_box, fs::Permissions::from_mode(0o700)).unwrap();
    ended.fails(9, &["cannot read", "/box`", "help: "]);
    assert_eq!(names_in(&drop_box), [""; 0]);
}

#[test]
fn a_change_is_a_success_though_its_report_cannot_be_written() {
    let source = Source::with_rows();
    for arguments in [
        &["settings", "set", "new", "{}"][..],
        &["backup", "--output", "out.db", "--json"],
        &["migrate"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = rune_db(arguments)
            .on(&source.url())
            .within(source.directory())
            .command();
        let ended: Ended = command.stdout(full).output().unwrap().into();
        assert!(
            ended.code == 0
                && ended
                    .stderr
                    .contains("warning: the command has done its work"),
            "{ended:?}"
        );
    }
    assert_eq!(
        sqlite_query(
            &source.beside("out.db"),
            "SELECT count(*) FROM settings WHERE key = 'new'"
        ),
        "1"
    );
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ended: Ended = rune_db(&["settings", "list"])
        .on(&source.url())
        .command()
        .stdout(full)
        .output()
        .unwrap()
        .into();
    ended.fails(11, &["cannot write to standard output"]);
}

#[test]
fn a_restore_onto_the_backup_itself_is_refused_at_once_by_whatever_name() {
    let source = Source::with_rows();
    let backup = backup_of(&source);
    let before = fs::read(&backup).unwrap();
    restored(&backup, &backup).fails(12, &["is the same file as the source"]);
    symlink(source.directory(), source.beside("directory")).unwrap();
    restored(&source.beside("directory/backup.db"), &backup)
        .fails(12, &["is the same file as the source"]);
    assert_eq!(fs::read(&backup).unwrap(), before);
}

#[test]
fn a_source_that_has_the_temporary_name_of_the_destination_is_kept() {
    let source = Source::with_rows();
    let partial = source.beside("copy.db.partial");
    fs::rename(source.path(), &partial).unwrap();
    let before = fs::read(&partial).unwrap();
    backed_up(&sqlite_url(&partial), &source.beside("copy.db"))
        .fails(12, &["is the same file as the source"]);
    assert_eq!(fs::read(&partial).unwrap(), before);
}

#[test]
fn a_path_is_never_read_as_a_uri_or_as_another_name() {
    let source = Source::with_rows();
    let expected = python_digests(&source.url());
    for name in [
        "file:x.db",
        "file:x.db?mode=memory",
        ":memory:",
        "a?b#c%20d.db",
        "x.db?immutable=1",
        " ",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let backup = rune_db(&["backup", "--output", name])
            .within(directory.path())
            .on(&source.url())
            .run();
        backup.succeeds();
        assert_eq!(names_in(directory.path()), [name]);
        rune_db(&["restore", "--from", name])
            .within(directory.path())
            .on("sqlite:///./restored.db")
            .run()
            .succeeds();
        assert_eq!(
            python_digests(&sqlite_url(&directory.path().join("restored.db"))),
            expected,
            "{name}"
        );
        assert_eq!(names_in(directory.path()).len(), 2);
    }
}

#[test]
fn names_of_nothing_and_names_of_sqlite_are_not_destinations() {
    let source = Source::with_rows();
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    for (name, code) in [
        ("", 2),
        (".", 12),
        ("..", 12),
        ("new.db/", 12),
        ("a.db-wal", 2),
        ("a.db-journal", 2),
        ("a.db-shm", 2),
        ("directory", 12),
        ("no/new.db", 4),
    ] {
        let ended = rune_db(&["backup", "--output", name])
            .within(directory.path())
            .on(&source.url())
            .run();
        assert_eq!(ended.code, code, "{name}: {ended:?}");
    }
    assert_eq!(names_in(directory.path()), ["directory"]);
    let from = |name: &str| {
        rune_db(&["restore", "--from", name])
            .within(directory.path())
            .on("sqlite:///./new.db")
            .run()
    };
    from("").fails(2, &[]);
    from("directory").fails(3, &["not a regular file"]);
    from("directory/").fails(2, &[]);
    assert_eq!(names_in(directory.path()), ["directory"]);
}

#[test]
fn a_pipe_or_device_as_a_database_is_refused_and_does_not_hang() {
    let source = Source::with_rows();
    let pipe = source.beside("pipe.db");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for path in [pipe.as_path(), Path::new("/dev/null")] {
        let url = sqlite_url(path);
        for verb in [
            &["status"][..],
            &["verify"],
            &["migrate"],
            &["repair"],
            &["doctor"],
            &["jobs", "list"],
            &["migrate", "--dry-run"],
        ] {
            let ended = rune_db(verb).on(&url).run();
            assert_eq!(ended.code, 3, "{verb:?} {ended:?}");
        }
        backed_up(&url, &source.beside("out.db")).fails(3, &["not a regular file"]);
        moving(&url, NOWHERE, &[])
            .run()
            .fails(3, &["not a regular file"]);
        restored(&source.beside("new.db"), path).fails(3, &["not a regular file"]);
        restored(path, &source.path()).fails(3, &["not a regular file"]);
    }
    assert!(!source.beside("out.db").exists() && !source.beside("new.db").exists());
}

#[test]
fn an_empty_database_of_another_page_size_is_restored_into() {
    let source = Source::with_rows();
    let expected = python_digests(&source.url());
    for page_bytes in [512, 1024, 8192, 65536] {
        source.execute(&format!(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = {page_bytes}; VACUUM"
        ));
        let backup = source.beside(&format!("backup-{page_bytes}.db"));
        backed_up(&source.url(), &backup).succeeds();
        for mode in ["wal", "delete"] {
            let empty = Source::empty();
            empty.execute(&format!("PRAGMA journal_mode = {mode}"));
            restored(&empty.path(), &backup).succeeds();
            assert_eq!(
                python_digests(&empty.url()),
                expected,
                "{page_bytes} {mode}"
            );
            assert_eq!(
                sqlite_query(&empty.path(), "PRAGMA page_size"),
                page_bytes.to_string()
            );
        }
    }
}

/// Runs a verb under a umask; gives the mode of a file afterwards.
fn mode_under(umask: &str, arguments: &[&str], url: &str, file: &Path) -> u32 {
    let call = rune_db(arguments).on(url).command();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
        .arg(call.get_program())
        .args(call.get_args());
    let output = shell
        .env_clear()
        .env("RUNE_DB_URL", url)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let mode = fs::metadata(file).unwrap().permissions().mode() & 0o7777;
    fs::remove_file(file).unwrap();
    mode
}

#[test]
fn a_restored_file_has_the_mode_of_the_umask_and_a_backup_is_its_owners_alone() {
    let source = Source::with_rows();
    let backup = backup_of(&source);
    let (new, output) = (source.beside("new.db"), source.beside("output.db"));
    let (from, to) = (backup.to_str().unwrap(), output.to_str().unwrap());
    for (umask, mode) in [
        ("022", 0o644),
        ("002", 0o664),
        ("077", 0o600),
        ("000", 0o666),
        ("027", 0o640),
    ] {
        assert_eq!(
            mode_under(umask, &["restore", "--from", from], &sqlite_url(&new), &new),
            mode,
            "{umask}"
        );
        assert_eq!(
            mode_under(umask, &["backup", "--output", to], &source.url(), &output),
            0o600,
            "{umask}"
        );
        assert_eq!(
            mode_under(
                umask,
                &["backup", "--output", to, "--mode", "0640"],
                &source.url(),
                &output
            ),
            0o640,
            "{umask}"
        );
    }
    for mode in ["0200", "1600", "rw", "800", ""] {
        rune_db(&["backup", "--output", to, "--mode", mode])
            .on(&source.url())
            .run()
            .fails(2, &["three octal digits"]);
    }
}

#[test]
fn a_restore_says_who_owns_the_file_and_who_its_directory() {
    let source = Source::with_rows();
    let backup = backup_of(&source);
    let path = source.beside("new.db");
    let report = rune_db(&["restore", "--from", backup.to_str().unwrap()])
        .on(&sqlite_url(&path))
        .report();
    let found = fs::metadata(&path).unwrap();
    assert_eq!(
        (&report["file"]["uid"], &report["file"]["gid"]),
        (&found.uid().into(), &found.gid().into())
    );
    assert_eq!(
        report["file"]["mode"],
        format!("{:04o}", found.permissions().mode() & 0o7777)
    );
    assert_eq!(report["file"]["directory"], serde_json::Value::Null);
    if found.uid() == 0 {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), Some(65532), Some(65532)).unwrap();
        let said = restored(&directory.path().join("jobs.db"), &backup).succeeds();
        assert!(
            said.contains("owner uid 0, gid 0") && said.contains("chown 65532:65532"),
            "{said}"
        );
    }
}

#[test]
fn a_damaged_copy_never_gets_the_name_and_a_taken_name_keeps_its_file() {
    let source = Source::with_rows();
    let backup = backup_of(&source);
    sqlite_execute(
        &backup,
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 999 WHERE name = 'idx_workflow_events_event'",
    );
    let ended = restored(&source.beside("new.db"), &backup);
    assert!([3, 6].contains(&ended.code), "{ended:?}");
    assert!(
        !names_in(source.directory())
            .iter()
            .any(|name| name.starts_with("new.db"))
    );
    fs::write(source.beside("taken.db"), "mine").unwrap();
    backed_up(&source.url(), &source.beside("taken.db")).fails(12, &["taken.db"]);
    assert_eq!(
        fs::read_to_string(source.beside("taken.db")).unwrap(),
        "mine"
    );
}

/// Writes to a database when the proof of its copy begins.
struct WritesMeanwhile(PathBuf);

impl Progress for WritesMeanwhile {
    fn begin(&self, phase: &str, _: u64) {
        if phase == "verification" {
            let writer = rusqlite::Connection::open(&self.0).unwrap();
            writer.busy_timeout(std::time::Duration::ZERO).unwrap();
            writer.execute_batch(LATE).unwrap();
        }
    }
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn announce(&self, _: &str) {}
    fn end(&self) {}
}

#[test]
fn a_source_is_locked_while_it_is_copied_and_not_while_the_copy_is_proved() {
    for mode in ["delete", "wal"] {
        let source = Source::with_rows();
        source.execute(&format!("PRAGMA journal_mode = {mode}"));
        let expected = python_digests(&source.url());
        let (path, copy) = (source.path(), source.beside("copy.db"));
        let snapshot =
            FileSnapshot::open(path.as_path().try_into().unwrap(), SourceTrust::Shared).unwrap();
        let output = copy.as_path().try_into().unwrap();
        into_new_file(
            &snapshot,
            output,
            FileMode::PRIVATE,
            &Migrations::embedded().unwrap(),
            &WritesMeanwhile(path),
        )
        .unwrap();
        assert_eq!(python_digests(&sqlite_url(&copy)), expected, "{mode}");
        assert_eq!(
            sqlite_query(&source.path(), "SELECT count(*) FROM settings"),
            "2"
        );
    }
}
