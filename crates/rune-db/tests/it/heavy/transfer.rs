//! Moves under attack and under load: killed at any moment, cut off, with contents larger than the
//! memory they may take.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use proptest::{prelude::*, test_runner::TestRunner};
use rune_testkit::postgres::{MAJORS, Server};
use serde_json::Value;

use rune_testkit::process::succeeded;
use rune_testkit::rows::{Source, compared, moved, moving, python_digests, sqlite3, traces};
use rune_testkit::tool::{Ended, rune_db, sqlite_url};

const LARGE: usize = 200_000_000;
const MAX_MEMORY: u64 = 150_000_000;

/// Runs a command and prints the peak of its memory in bytes, as the kernel counted it.
const PEAK: &str = "
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
";

fn peak_memory(arguments: &[&str], variables: &[(&str, &str)]) -> u64 {
    let mut command = Command::new("python3");
    command
        .args(["-c", PEAK, env!("CARGO_BIN_EXE_rune-db")])
        .args(arguments)
        .envs(variables.iter().copied());
    succeeded(&mut command).trim().parse().unwrap()
}

#[test]
fn an_artifact_of_200_mb_is_moved_compared_and_backed_up_without_ever_being_in_memory() {
    let (source, server) = (Source::with_rows(), Server::shared(17));
    let database = server.database();
    source.execute(&format!("INSERT INTO audit_artifact VALUES ('huge', 'j', 'log', 'n', {LARGE}, '', randomblob({LARGE}), 1.0)"));
    let (from, to) = (source.url(), database.url());
    let there = peak_memory(
        &[
            "migrate-to-postgres",
            "--source",
            &from,
            "--target",
            "env:TARGET",
        ],
        &[("TARGET", &to)],
    );
    assert!(there < MAX_MEMORY, "{there} bytes of memory");
    let back = source.beside("back.db");
    let output = back.to_str().unwrap();
    let memory = peak_memory(
        &[
            "export-sqlite",
            "--source",
            "env:TARGET",
            "--output",
            output,
        ],
        &[("TARGET", &to)],
    );
    assert!(memory < MAX_MEMORY, "{memory} bytes of memory");
    assert_eq!(python_digests(&sqlite_url(&back)), python_digests(&from));
    assert_eq!(sqlite3(&back, "PRAGMA integrity_check"), "ok");
    let memory = peak_memory(&["compare", &from, &sqlite_url(&back), "--rows"], &[]);
    assert!(memory < MAX_MEMORY, "{memory} bytes of memory");
    let copy = source.beside("copy.db");
    let memory = peak_memory(
        &[
            "backup",
            "--db-url",
            &from,
            "--output",
            copy.to_str().unwrap(),
        ],
        &[],
    );
    assert!(memory < MAX_MEMORY, "{memory} bytes of memory");
    assert!(
        compared(&to, &sqlite_url(&copy), &[])
            .succeeds()
            .ends_with("equal\n")
    );
}

#[test]
fn a_content_of_more_than_500_mb_is_refused_by_name() {
    let source = Source::empty();
    source.execute("INSERT INTO audit_artifact VALUES ('too-large', 'j', 'log', 'n', 1, '', zeroblob(500000001), 1.0)");
    moved(&source.url(), "postgresql://rune@127.0.0.1:1/rune", &[])
        .fails(3, &["audit_artifact.content: values of more than 500,000,000 bytes (count 1; key `too-large`)"]);
}

#[test]
fn a_move_that_is_killed_at_any_moment_leaves_the_target_as_it_was_and_a_rerun_succeeds() {
    let (source, server) = (Source::large(20_000), Server::shared(17));
    source.execute(
        "INSERT INTO audit_artifact VALUES ('a', 'j', 'log', 'n', 1, '', randomblob(8000000), 1.0)",
    );
    let database = server.database();
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    database.query("SELECT setval('workflow_events_id_seq', 77)");
    let before = traces(&database);
    let whole = server.database();
    rune_db(&["migrate"]).on(&whole.url()).run().succeeds();
    let proxy = Proxy::start(server.port(), u64::MAX);
    moved(&source.url(), &proxy.instead_of(&server, &whole.url()), &[]).succeeds();
    let total = proxy.passed();
    // The last of the ten moments is when COMMIT is on its way.
    for moment in 1..=10 {
        let limit = total * moment / 10;
        let proxy = Proxy::start(server.port(), limit);
        let mut child = moving(
            &source.url(),
            &proxy.instead_of(&server, &database.url()),
            &[],
        )
        .command()
        .spawn()
        .unwrap();
        proxy.wait_for_limit();
        child.kill().unwrap();
        child.wait().unwrap();
        drop(proxy);
        let sessions = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
            database.name()
        );
        server.wait_for("postgres", &sessions, "0");
        assert_eq!(
            traces(&database),
            before,
            "killed at byte {limit} of {total}"
        );
    }
    moved(&source.url(), &database.url(), &[]).succeeds();
    assert!(
        compared(&source.url(), &database.url(), &[])
            .succeeds()
            .ends_with("equal\n")
    );
}

/// Passes the traffic of one connection on until so many bytes have gone to the server or COMMIT
/// would be next, and no further. The connection is cut when this is dropped. Without a limit
/// everything is passed on.
pub(super) struct Proxy {
    port: u16,
    passed: Arc<AtomicU64>,
    reached: Receiver<()>,
    _held: Sender<()>,
}

impl Proxy {
    pub(super) fn start(server: u16, limit: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let passed = Arc::new(AtomicU64::new(0));
        let (reach, reached) = channel();
        let (held, release) = channel::<()>();
        let count = Arc::clone(&passed);
        std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (answers, caller) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut &answers, &mut &caller));
            let mut buffer = vec![0; 16 << 10];
            while let Ok(length @ 1..) = (&client).read(&mut buffer) {
                let is_commit = buffer[..length]
                    .windows(7)
                    .any(|bytes| bytes == b"COMMIT\0");
                if limit < u64::MAX && (is_commit || count.load(Ordering::SeqCst) > limit) {
                    reach.send(()).unwrap();
                    let _ = release.recv();
                    break;
                }
                (&server).write_all(&buffer[..length]).unwrap();
                count.fetch_add(length as u64, Ordering::SeqCst);
            }
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
        Self {
            port,
            passed,
            reached,
            _held: held,
        }
    }

    /// The URL that leads through it.
    pub(super) fn instead_of(&self, server: &Server, url: &str) -> String {
        url.replace(&format!(":{}/", server.port()), &format!(":{}/", self.port))
    }

    /// How many bytes have gone to the server.
    pub(super) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    pub(super) fn wait_for_limit(&self) {
        self.reached.recv().unwrap();
    }
}

#[test]
fn a_connection_that_breaks_in_the_middle_of_a_copy_leaves_the_target_as_it_was() {
    let (source, server) = (Source::large(20_000), Server::shared(15));
    let database = server.database();
    let proxy = Proxy::start(server.port(), 1_000_000);
    let child = moving(
        &source.url(),
        &proxy.instead_of(&server, &database.url()),
        &[],
    )
    .command()
    .spawn()
    .unwrap();
    proxy.wait_for_limit();
    drop(proxy);
    Ended::from(child.wait_with_output().unwrap()).fails(10, &[]);
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'",
        database.name()
    );
    server.wait_for("postgres", &sessions, "0");
    assert_eq!(traces(&database), "");
}

#[test]
fn a_session_that_the_administrator_ends_in_the_middle_of_a_copy_leaves_the_target_as_it_was() {
    let (source, server) = (Source::large(50_000), Server::shared(18));
    let database = server.database();
    let child = moving(&source.url(), &database.url(), &[])
        .command()
        .spawn()
        .unwrap();
    let ended = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{}' AND query LIKE 'COPY%'",
        database.name()
    );
    server.wait_for("postgres", &ended, "1");
    Ended::from(child.wait_with_output().unwrap()).fails(10, &[]);
    assert_eq!(traces(&database), "");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[^\\x00]{0,40}", "\\PC{1,20}"]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("NaN", |number| !number.is_nan()),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE / 4.0),
        Just(f64::INFINITY),
        1.6e9..1.9e9
    ]
}

type Job = (String, String, Option<String>, f64, f64);
type Events = BTreeMap<i64, (Option<f64>, f64)>;

#[test]
fn whatever_rows_there_are_arrive_bit_by_bit_and_come_back() {
    let servers: Vec<Server> = MAJORS.iter().map(|major| Server::shared(*major)).collect();
    let job = (
        text(),
        text(),
        proptest::option::of(text()),
        float(),
        float(),
    );
    let event = (
        any::<i64>().prop_filter("the last id", |id| *id != i64::MAX),
        proptest::option::of(float()),
        float(),
    );
    let rows = (
        proptest::collection::vec(job, 0..40),
        proptest::collection::btree_map(event.0, (event.1, event.2), 0..40),
    );
    let contents =
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200_000), 0..4);
    let mut runner = TestRunner::new(proptest::test_runner::Config {
        cases: 12,
        failure_persistence: None,
        ..Default::default()
    });
    let turn = AtomicU64::new(0);
    let property = |((jobs, events), contents): ((Vec<Job>, Events), Vec<Vec<u8>>)| {
        let source = Source::empty();
        let connection = rusqlite::Connection::open(source.path()).unwrap();
        for (number, (kind, request, result, created, updated)) in jobs.iter().enumerate() {
            let job = (
                format!("{number}{kind}"),
                kind,
                request,
                result,
                created,
                updated,
            );
            connection
                .execute(
                    "INSERT INTO jobs VALUES (?1, '', ?2, '', ?3, ?4, NULL, NULL, ?5, ?6)",
                    job,
                )
                .unwrap();
        }
        for (id, (duration, recorded)) in &events {
            connection
                .execute(
                    "INSERT INTO workflow_events VALUES (?1, NULL, 'e', 'ok', ?2, NULL, NULL, ?3)",
                    (id, duration, recorded),
                )
                .unwrap();
        }
        for (number, content) in contents.iter().enumerate() {
            connection
                .execute(
                    "INSERT INTO audit_artifact VALUES (?1, 'j', 'log', '', 0, '', ?2, 0.5)",
                    (number.to_string(), content),
                )
                .unwrap();
        }
        drop(connection);
        let server = &servers
            [usize::try_from(turn.fetch_add(1, Ordering::Relaxed)).unwrap() % servers.len()];
        let database = server.database();
        moved(&source.url(), &database.url(), &[]).succeeds();
        assert_eq!(
            python_digests(&source.url()),
            python_digests(&database.url())
        );
        let back = source.beside("back.db");
        rune_db(&["backup", "--output", back.to_str().unwrap()])
            .on(&database.url())
            .run()
            .succeeds();
        let same: Value = python_digests(&sqlite_url(&back));
        assert_eq!(same, python_digests(&source.url()));
        Ok(())
    };
    runner.run(&(rows, contents), property).unwrap();
}
