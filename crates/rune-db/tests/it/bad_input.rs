//! Whatever is wrong with a database or the way to it: the exit code, one clear sentence, no
//! password, nothing half-done.
//!
//! Bad files are in `db_sqlite`, bad certificates in `db_tls`, bad rights in `db_postgres`; here is
//! the rest.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use rune_testkit::postgres::{ENCODED_PASSWORD, Server, Setup};

use crate::sqlite::as_nobody;
use rune_testkit::tool::migrations;
use rune_testkit::tool::{Ended, names_in, rune_db, sqlite_execute, sqlite_url};

/// Every verb that needs a database, in a form that changes nothing where one can be had.
const VERBS: [&[&str]; 5] = [
    &["migrate"],
    &["status"],
    &["verify"],
    &["repair"],
    &["wait", "--timeout", "0s"],
];

/// Asserts one sentence, perhaps its causes, and what to do.
#[track_caller]
fn says(ended: &Ended, code: i32, words: &str) {
    ended.fails(code, &[words]);
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| !line.starts_with("waiting for "))
        .collect();
    assert!(
        lines[0].starts_with("error: ") && lines.len() <= 5,
        "{ended:?}"
    );
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.starts_with("  because: ") || line.starts_with("help: ")),
        "{ended:?}"
    );
}

#[test]
fn urls_that_mean_nothing_are_refused_by_every_verb() {
    let directory = tempfile::tempdir().unwrap();
    for (url, words) in [
        (
            "mysql://rune:p%40ss@db/rune",
            "unsupported storage URL scheme 'mysql'",
        ),
        ("sqlite://host/jobs.db", "has no host"),
        ("sqlite://jobs.db", "has no host"),
        ("sqlite:///~nobody/jobs.db", "`~`"),
        ("sqlite:///", "names no file"),
        ("/var/lib/rune/jobs.db", "no database URL that can be used"),
        ("postgresql://rune:p@ss@db/rune", "not percent-encoded"),
        (
            "postgresql://rune:p%40ss@db/rune?sslmode=sometimes",
            "verify-full",
        ),
        ("postgresql://rune:p%40ss@db/rune?sslcrt=x", "`sslcrt`"),
    ] {
        for verb in VERBS {
            let ended = rune_db(verb).within(directory.path()).on(url).run();
            assert_eq!(ended.code, 2, "{verb:?} {url}: {ended:?}");
            let said = &ended.stderr;
            assert!(
                said.contains(words) || said.contains("not a database URL"),
                "{verb:?} {url}: {said}"
            );
        }
    }
    assert_eq!(names_in(directory.path()), [""; 0]);
}

#[test]
fn a_file_that_another_user_keeps_closed_is_said_to_be_closed() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("closed.db");
    sqlite_execute(&path, "CREATE TABLE jobs (a)");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    for verb in ["migrate", "status", "verify", "repair"] {
        says(&as_nobody(&[verb], &sqlite_url(&path)), 9, "closed.db");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_file_that_stays_locked_is_given_up_when_the_wait_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let holder = rusqlite::Connection::open(&path).unwrap();
    holder
        .execute_batch("BEGIN EXCLUSIVE; CREATE TABLE other (a)")
        .unwrap();
    for verb in [
        &["migrate", "--wait", "1s"][..],
        &["wait", "--timeout", "1s"],
    ] {
        says(
            &rune_db(verb).on(&sqlite_url(&path)).run(),
            12,
            "another program holds the database",
        );
    }
}

#[test]
fn a_read_only_file_system_is_named_and_what_lies_on_it_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (path, url) = (
        directory.path().join("jobs.db"),
        sqlite_url(&directory.path().join("jobs.db")),
    );
    sqlite_execute(&path, "CREATE TABLE settings_of_another (a)");
    // In a mount namespace of its own, which ends with the command.
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .arg(directory.path());
    let rune_db = rune_db(&["migrate"]).on(&url).command();
    command.arg(rune_db.get_program()).args(rune_db.get_args());
    let ended: Ended = command.env("RUNE_DB_URL", &url).output().unwrap().into();
    says(&ended, 9, "jobs.db");
    assert_eq!(names_in(directory.path()), ["jobs.db"]);
}

#[test]
fn servers_that_cannot_serve_are_told_apart() {
    let full = Setup::new(17)
        .setting("max_connections=5")
        .setting("superuser_reserved_connections=1")
        .start();
    let database = full.database();
    let sessions: Vec<_> = (0..4)
        .map(|_| {
            let mut session = full.session("postgres");
            session.run("SELECT 1");
            session
        })
        .collect();
    let standby = Setup::new(17).standby().start();
    let socket = |server: &Server| {
        format!(
            "?host={}&port={}",
            server.socket_directory().display(),
            server.port()
        )
    };
    let only_reads = format!("postgresql://postgres@/postgres{}", socket(&standby));
    let url = |login: &str, name: &str| {
        format!("postgresql://{login}@127.0.0.1:{}/{name}", standby.port())
    };
    for (url, code, words) in [
        (
            "postgresql://rune:p%40ss@127.0.0.1:1/rune".to_owned(),
            10,
            "onnection refused",
        ),
        (database.url(), 11, "53300"),
        (only_reads.clone(), 9, "the server is a standby"),
        (
            format!("{only_reads}&target_session_attrs=read-write"),
            10,
            "the session only reads",
        ),
        (
            url("postgres:p%40ss", "postgres"),
            9,
            "password authentication failed",
        ),
        (
            url("nobody:p%40ss", "postgres"),
            9,
            "password authentication failed",
        ),
        (
            format!("postgresql://nobody@/postgres{}", socket(&standby)),
            9,
            "password missing",
        ),
        (
            format!("postgresql://postgres@/nothing{}", socket(&standby)),
            4,
            "does not exist",
        ),
    ] {
        says(&rune_db(&["migrate"]).on(&url).run(), code, words);
    }
    drop(sessions);
    let recovering = Setup::new(17)
        .setting("hot_standby=off")
        .setting("max_connections=100")
        .file("standby.signal", "");
    let refusing = recovering.until("standby").start();
    let url = format!("postgresql://postgres@/postgres{}", socket(&refusing));
    says(&rune_db(&["status"]).on(&url).run(), 10, "57P03");
}

#[test]
fn the_server_of_several_that_fits_is_found_and_why_the_others_do_not_is_said() {
    let (primary, standby) = (Server::shared(17), Setup::new(17).standby().start());
    let host = |server: &Server| {
        format!(
            "{}:{}",
            server
                .socket_directory()
                .display()
                .to_string()
                .replace('/', "%2F"),
            server.port()
        )
    };
    let url = |hosts: &[String], wanted: &str| {
        format!(
            "postgresql://postgres@{}/postgres?target_session_attrs={wanted}",
            hosts.join(",")
        )
    };
    let (one, other, down) = (host(&primary), host(&standby), "127.0.0.1:1".to_owned());
    for wanted in [
        "any",
        "read-write",
        "primary",
        "read-only",
        "standby",
        "prefer-standby",
    ] {
        rune_db(&["wait", "--timeout", "0s"])
            .on(&url(&[down.clone(), one.clone(), other.clone()], wanted))
            .run()
            .succeeds();
    }
    rune_db(&["migrate"])
        .on(&url(
            &[down.clone(), other.clone(), one.clone()],
            "read-write",
        ))
        .run()
        .succeeds();
    assert_eq!(
        primary.query("postgres", "SELECT count(*) FROM schema_version"),
        "6"
    );
    for wanted in ["read-only", "standby"] {
        says(
            &rune_db(&["status"])
                .on(&url(&[down.clone(), one.clone()], wanted))
                .run(),
            10,
            "the session can write",
        );
        let found = rune_db(&["status"])
            .on(&url(&[one.clone(), other.clone()], wanted))
            .report();
        assert_eq!(
            found["database"]["found"], "empty",
            "the standby is the one without tables"
        );
    }
    for (hosts, expected) in [([&one, &other], "empty"), ([&one, &down], "ours")] {
        let found = rune_db(&["status"])
            .on(&url(&hosts.map(Clone::clone), "prefer-standby"))
            .report();
        assert_eq!(found["database"]["found"], expected);
    }
    let ended = rune_db(&["status"])
        .on(&url(&[down, other], "read-write"))
        .run();
    says(&ended, 10, "127.0.0.1:1: cannot reach the server");
    assert!(ended.stderr.contains("the session only reads"), "{ended:?}");
}

#[test]
fn a_server_that_says_nothing_does_not_keep_us_from_the_next() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let server = Server::shared(17);
    let database = server.database();
    let (name, port) = (database.name(), silent.local_addr().unwrap().port());
    let hosts = format!("127.0.0.1:{port},127.0.0.1:{}", server.port());
    let url = format!("postgresql://{name}:{ENCODED_PASSWORD}@{hosts}/{name}?connect_timeout=1");
    rune_db(&["migrate"]).on(&url).run().succeeds();
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_migration_leaves_nothing_and_a_rerun_finishes() {
    let mut server = Server::start(17);
    let (name, url) = {
        let database = server.database();
        (database.name().to_owned(), database.url())
    };
    let text = "-- migrate:postgres\nCREATE TABLE half (a integer);\nSELECT pg_sleep(40);\n-- migrate:sqlite\nSELECT 1;\n";
    let files = migrations(&[("0007_slow.sql", text)]);
    let arguments = ["migrate", "--migrations", files.path().to_str().unwrap()];
    let child = rune_db(&arguments).on(&url).command().spawn().unwrap();
    server.wait_for(
        "postgres",
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
        "1",
    );
    server.crash_and_restart();
    says(
        &child.wait_with_output().unwrap().into(),
        10,
        "migration 7 (0007_slow.sql) failed",
    );
    assert_eq!(
        server.query(
            &name,
            "SELECT to_regclass('jobs') IS NULL, to_regclass('half') IS NULL"
        ),
        "t|t"
    );
    fs::write(files.path().join("0007_slow.sql"), text.replace("40", "0")).unwrap();
    rune_db(&arguments).on(&url).run().succeeds();
    assert_eq!(
        server.query(&name, "SELECT max(version) FROM schema_version"),
        "7"
    );
}

#[test]
fn what_a_site_made_of_the_tables_of_a_file_is_not_a_bug_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    for (number, (sql, code, words)) in [
        ("CREATE TRIGGER t BEFORE INSERT ON settings BEGIN SELECT RAISE(ABORT, 'not here'); END", 9, "a trigger of this site refuses"),
        ("CREATE TRIGGER t AFTER INSERT ON settings BEGIN SELECT no_such_function(1); END", 5, "no_such_function"),
        ("CREATE TABLE more (k TEXT REFERENCES settings(key)); CREATE UNIQUE INDEX u ON settings (updated_at > 0); INSERT INTO settings VALUES ('a', '{}', 1)", 12, "UNIQUE"),
        ("ALTER TABLE settings RENAME TO was; CREATE TABLE settings (key TEXT, value_json TEXT NOT NULL, updated_at REAL NOT NULL)", 5, "ON CONFLICT"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = directory.path().join(format!("{number}.db"));
        rune_db(&["migrate"]).on(&sqlite_url(&path)).run().succeeds();
        sqlite_execute(&path, sql);
        let ended = rune_db(&["settings", "set", "new", "{}"]).on(&sqlite_url(&path)).run();
        says(&ended, code, words);
        assert!(ended.stderr.contains("help: "), "{ended:?}");
    }
    let path = directory.path().join("types.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    sqlite_execute(
        &path,
        "UPDATE schema_version SET applied_at = 'soon' WHERE version = 3",
    );
    says(
        &rune_db(&["backup", "--output", "/nowhere/x.db"])
            .on(&sqlite_url(&path))
            .run(),
        3,
        "Invalid column type Text",
    );
    let path = directory.path().join("format.db");
    rune_db(&["migrate"])
        .on(&sqlite_url(&path))
        .run()
        .succeeds();
    let mut bytes = fs::read(&path).unwrap();
    // The number of the schema's format, of which there are four.
    bytes[47] = 9;
    fs::write(&path, bytes).unwrap();
    for verb in [
        &["status"][..],
        &["migrate"],
        &["verify"],
        &["jobs", "list"],
        &["backup", "--output", "/nowhere/x.db"],
    ] {
        says(
            &rune_db(verb).on(&sqlite_url(&path)).run(),
            3,
            "unsupported file format",
        );
    }
}
