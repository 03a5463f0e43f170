//! Waiting for databases that are not ready yet.

use std::{
    io::{BufRead as _, BufReader},
    process::Child,
};

use rune_testkit::postgres::{ENCODED_PASSWORD, PASSWORD, Server, Setup};

use rune_testkit::tool::{ALL_VERSIONS, Ended, rune_db, sqlite_execute, sqlite_url};

/// A call in progress, of which one line on standard error was read.
struct Waiting {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
}

impl Waiting {
    fn start(arguments: &[&str], url: &str) -> Self {
        let mut child = rune_db(arguments).on(url).command().spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child, errors }
    }

    /// Waits for the note with these words.
    fn says(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(
                self.errors.read_line(&mut line).unwrap() > 0,
                "it ended without `{words}`"
            );
            assert!(!line.contains("p@ss") && !line.contains("p%40ss"), "{line}");
        }
        assert!(
            line.starts_with("waiting for `postgresql://")
                || line.starts_with("waiting for `sqlite:///"),
            "{line}"
        );
    }

    fn ends(mut self) -> Ended {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.errors, &mut rest).unwrap();
        let mut output = self.child.wait_with_output().unwrap();
        output.stderr = rest.into_bytes();
        output.into()
    }
}

/// What an init container lives through: no server, then no role, then another password, then no
/// database.
#[test]
fn migrate_waits_for_everything_that_others_have_yet_to_set_up() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("postgresql://late:{ENCODED_PASSWORD}@127.0.0.1:{port}/late");
    let mut waiting = Waiting::start(&["migrate", "--wait", "2m"], &url);
    waiting.says("onnection refused");
    let server = Setup::new(17).port(port).start();
    waiting.says("password authentication failed");
    server.query("postgres", "CREATE ROLE late LOGIN PASSWORD 'another'");
    server.query(
        "postgres",
        &format!("ALTER ROLE late PASSWORD '{PASSWORD}'"),
    );
    waiting.says("database \"late\" does not exist");
    server.query("postgres", "CREATE DATABASE late");
    waiting.says("may not create tables");
    server.query("postgres", "ALTER DATABASE late OWNER TO late");
    waiting.ends().succeeds();
    let versions = server.query(
        "late",
        "SELECT string_agg(version::text, ' ' ORDER BY version) FROM schema_version",
    );
    assert_eq!(versions, ALL_VERSIONS);
}

#[test]
fn when_the_time_is_up_the_last_reason_is_said_and_its_code_kept() {
    let url = "postgresql://rune:p%40ss@127.0.0.1:1/rune";
    for arguments in [
        &["migrate", "--wait", "1s"][..],
        &["wait", "--timeout", "1s"],
    ] {
        rune_db(arguments).on(url).run().fails(
            10,
            &[
                "timed out after 1s waiting for `postgresql://rune@127.0.0.1:1/rune`",
                "onnection refused",
            ],
        );
    }
    let quiet = rune_db(&["wait", "--timeout", "1s", "--quiet"])
        .on(url)
        .run();
    assert!(quiet.stderr.starts_with("error: "), "{quiet:?}");
}

#[test]
fn a_name_that_does_not_resolve_is_waited_for_and_a_mistake_is_not() {
    rune_db(&["wait", "--timeout", "1s"])
        .on("postgresql://rune@no-such-host.invalid/rune")
        .run()
        .fails(10, &["timed out after", "no-such-host.invalid"]);
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "no database at all\n".repeat(100)).unwrap();
    let server = Server::shared(17);
    let database = server.database();
    let no_password = format!(
        "postgresql://{}@127.0.0.1:{}/x",
        database.name(),
        server.port()
    );
    for (url, code, words) in [
        (sqlite_url(&text), 3, "not a SQLite database"),
        (no_password, 9, "password missing"),
        (
            format!("{}?sslmode=require", database.url()),
            9,
            "does not support TLS",
        ),
    ] {
        let ended = rune_db(&["migrate", "--wait", "10m"]).on(&url).run();
        ended.fails(code, &[words]);
        assert!(!ended.stderr.contains("wait"), "{ended:?}");
    }
}

#[test]
fn wait_can_wait_for_the_schema_that_another_program_makes() {
    let server = Server::shared(17);
    let database = server.database();
    let report = rune_db(&["wait"]).on(&database.url()).report();
    assert_eq!(
        (&report["schemaVersion"], &report["upToDate"]),
        (&serde_json::Value::Null, &false.into())
    );
    rune_db(&["wait", "--schema", "--timeout", "1s"])
        .on(&database.url())
        .run()
        .fails(
            5,
            &["timed out after 1s", "not up to date: 6 versions pending"],
        );
    let mut waiting = Waiting::start(&["wait", "--schema", "--json"], &database.url());
    waiting.says("not up to date");
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let report: serde_json::Value = serde_json::from_str(&waiting.ends().succeeds()).unwrap();
    assert_eq!(
        (&report["schemaVersion"], &report["upToDate"]),
        (&6.into(), &true.into())
    );
}

#[test]
fn wait_waits_for_a_file_that_is_not_there_yet_and_makes_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let mut waiting = Waiting::start(&["wait"], &sqlite_url(&path));
    waiting.says("jobs.db");
    assert!(!path.exists());
    sqlite_execute(&path, "CREATE TABLE jobs_to_come (a)");
    waiting.ends().succeeds();
}

#[test]
fn times_without_a_unit_are_refused() {
    for arguments in [
        &["migrate", "--wait", "10"][..],
        &["wait", "--timeout", "ten"],
    ] {
        rune_db(arguments).run().fails(2, &["90s"]);
    }
}

#[test]
fn a_migration_that_lost_its_server_is_done_whole_by_a_later_attempt() {
    let mut server = Server::start(17);
    let (name, url) = {
        let database = server.database();
        (database.name().to_owned(), database.url())
    };
    let files = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations")).unwrap()
    {
        let file = file.unwrap();
        std::fs::copy(file.path(), files.path().join(file.file_name())).unwrap();
    }
    let slow =
        "-- migrate:postgres\nSELECT pg_advisory_xact_lock(42);\n-- migrate:sqlite\nSELECT 1;\n";
    std::fs::write(files.path().join("0007_slow.sql"), slow).unwrap();
    let mut holder = server.session(&name);
    holder.run("BEGIN; SELECT pg_advisory_xact_lock(42)");
    let arguments = [
        "migrate",
        "--wait",
        "2m",
        "--json",
        "--migrations",
        files.path().to_str().unwrap(),
    ];
    let child = rune_db(&arguments).on(&url).command().spawn().unwrap();
    server.wait_for(
        &name,
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'",
        "t",
    );
    assert_eq!(
        server.query(&name, "SELECT to_regclass('schema_version') IS NULL"),
        "t",
        "others see all of it or nothing"
    );
    // The holder of the lock dies with the server.
    server.crash_and_restart();
    drop(holder);
    let report: serde_json::Value =
        serde_json::from_str(&Ended::from(child.wait_with_output().unwrap()).succeeds()).unwrap();
    let versions: Vec<i64> = report["applied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
}

/// The password of one server must not go to another, and each must get its own.
#[test]
fn each_server_of_a_list_gets_the_password_that_the_file_has_for_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let servers = [
        Setup::new(17)
            .setting("default_transaction_read_only=on")
            .start(),
        Server::start(18),
    ];
    let passwords = ["first", "second"];
    let mut lines = String::new();
    for (server, password) in servers.iter().zip(passwords) {
        server.query(
            "postgres",
            &format!(
                "SET transaction_read_only = off; CREATE ROLE listed LOGIN PASSWORD '{password}'"
            ),
        );
        lines += &format!("127.0.0.1:{}:postgres:listed:{password}\n", server.port());
    }
    let file = directory.path().join("pgpass");
    std::fs::write(&file, lines).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let [first, second] = servers.each_ref().map(Server::port);
    for hosts in [
        format!("127.0.0.1:{first},127.0.0.1:{second}"),
        "127.0.0.1,127.0.0.1".to_owned(),
    ] {
        let ports = if hosts.contains(':') {
            String::new()
        } else {
            format!("&port={first},{second}")
        };
        let url =
            format!("postgresql://listed@{hosts}/postgres?target_session_attrs=read-write{ports}");
        rune_db(&["wait", "--timeout", "1s"])
            .on(&url)
            .env("PGPASSFILE", file.to_str().unwrap())
            .run()
            .succeeds();
    }
}
