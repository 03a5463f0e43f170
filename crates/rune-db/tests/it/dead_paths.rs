//! A path to the server that is gone is noticed, and a server that works is not taken for one.
//!
//! The path is a network of its own, in which a forwarder stands for the server; its packets can be
//! dropped.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rune_testkit::{poll::wait_until, postgres::Server, process::Process};
use rustix::process::{Pid, Signal, kill_process};

use rune_testkit::tool::{Ended, RuneDb, rune_db, sqlite_execute, sqlite_url};

/// Forwards a port of a network's loopback to a Unix socket. Of each client it takes only so many
/// bytes, until SIGUSR1.
const FORWARD: &str = r#"
import json, signal, socket, subprocess, sys, threading
resumed = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: resumed.set())
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
def copy(source, target, limit):
    try:
        while data := source.recv(65536):
            target.sendall(data)
            limit -= len(data)
            if limit < 0:
                resumed.wait()
    except OSError:
        pass
while True:
    client = listener.accept()[0]
    server = socket.socket(socket.AF_UNIX)
    server.connect(sys.argv[1])
    for job in ((client, server, int(sys.argv[2])), (server, client, 1 << 60)):
        threading.Thread(target=copy, args=job, daemon=True).start()
"#;
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
const PATIENCE: Duration = Duration::from_secs(40);

/// A network with a forwarder to a server.
struct Network {
    forwarder: Process,
    port: u64,
}

impl Network {
    fn to(server: &Server) -> Self {
        Self::limited(server, u64::MAX >> 4)
    }

    /// One that takes so many bytes of a client until it is resumed.
    fn limited(server: &Server, bytes: u64) -> Self {
        let socket = server
            .socket_directory()
            .join(format!(".s.PGSQL.{}", server.port()));
        let (forwarder, announced) = Process::start_announced(
            "unshare",
            [
                "--net",
                "python3",
                "-c",
                FORWARD,
                socket.to_str().unwrap(),
                &bytes.to_string(),
            ],
        );
        Self {
            forwarder,
            port: announced["port"].as_u64().unwrap(),
        }
    }

    fn namespace(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.forwarder.id())
    }

    /// Starts a command of ours in it.
    fn start(&self, inner: RuneDb) -> std::process::Child {
        let inner = inner.command();
        let mut command = Command::new("nsenter");
        command
            .arg(self.namespace())
            .arg(inner.get_program())
            .args(inner.get_args());
        for (name, value) in inner.get_envs() {
            command.env(name, value.unwrap());
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Drops what goes to the forwarder, or what comes from it.
    fn drop_packets(&self, direction: &str) {
        let rule = [
            "iptables",
            "-A",
            "INPUT",
            "-p",
            "tcp",
            direction,
            &self.port.to_string(),
            "-j",
            "DROP",
        ]
        .map(str::to_owned);
        let status = Command::new("nsenter")
            .arg(self.namespace())
            .args(rule)
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits until nothing is on its way that was not acknowledged.
    fn wait_for_silence(&self) {
        let is_silent = |fields: &[&str]| fields[4].starts_with("00000000:");
        wait_until("everything is acknowledged", PATIENCE, || {
            self.connections()
                .iter()
                .all(|line| is_silent(&fields(line)))
        });
    }

    /// Waits until the kernel has probed a closed window so often that the next probe is more than
    /// `hundredths` of a second away.
    fn wait_for_closed_window(&self, hundredths: u64) {
        let is_closed = |fields: &[&str]| {
            let left = fields[5].strip_prefix("04:");
            left.is_some_and(|left| u64::from_str_radix(left, 16).unwrap() > hundredths)
        };
        wait_until("the window is closed", PATIENCE, || {
            self.connections()
                .iter()
                .any(|line| is_closed(&fields(line)))
        });
    }

    /// The kernel's lines about established connections.
    fn connections(&self) -> Vec<String> {
        let table =
            std::fs::read_to_string(format!("/proc/{}/net/tcp", self.forwarder.id())).unwrap();
        table
            .lines()
            .skip(1)
            .filter(|line| fields(line)[3] == "01")
            .map(str::to_owned)
            .collect()
    }
}

fn fields(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn url(network: &Network, database: &str, parameters: &str) -> String {
    let password = rune_testkit::postgres::ENCODED_PASSWORD;
    format!(
        "postgresql://{database}:{password}@127.0.0.1:{}/{database}?{parameters}",
        network.port
    )
}

#[test]
fn a_path_that_is_gone_ends_a_command_that_reads() {
    let server = Server::shared(17);
    let (database, network) = (server.database(), Network::to(&server));
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let mut lock = server.session(database.name());
    lock.run("BEGIN");
    lock.run("LOCK TABLE jobs, settings IN ACCESS EXCLUSIVE MODE");
    let url = url(
        &network,
        database.name(),
        "keepalives_idle=1&keepalives_interval=1&keepalives_count=1",
    );
    let child = network.start(rune_db(&["verify", "--verbose"]).on(&url));
    server.wait_for(database.name(), WAITING, "1");
    network.wait_for_silence();
    network.drop_packets("--sport");
    Ended::from(child.wait_with_output().unwrap()).fails(
        10,
        &[
            "the connection to the server was lost",
            "Connection timed out",
        ],
    );
}

#[test]
fn a_path_that_is_gone_ends_a_command_that_sends() {
    let server = Server::shared(17);
    let (database, network) = (server.database(), Network::to(&server));
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let mut lock = server.session(database.name());
    lock.run("BEGIN");
    lock.run("LOCK TABLE jobs, settings IN ACCESS EXCLUSIVE MODE");
    let child = network.start(rune_db(&["verify", "--verbose"]).on(&url(
        &network,
        database.name(),
        "keepalives=0&tcp_user_timeout=500",
    )));
    server.wait_for(database.name(), WAITING, "1");
    // The answer still arrives, and the next statement gets lost.
    network.drop_packets("--dport");
    lock.run("ROLLBACK");
    Ended::from(child.wait_with_output().unwrap()).fails(
        10,
        &[
            "the connection to the server was lost",
            "did not acknowledge anything for 0.5 s",
        ],
    );
}

/// A SQLite file with more content than buffers hold.
fn large_source(path: &Path) {
    rune_db(&["migrate"]).on(&sqlite_url(path)).run().succeeds();
    sqlite_execute(
        path,
        "INSERT INTO jobs (job_id, tenant_id, kind, status, request_json, created_at, updated_at)
             VALUES ('j', 't', 'k', 'succeeded', '{}', 1.0, 1.0);
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 8)
         INSERT INTO audit_artifact (artifact_id, job_id, kind, name, size_bytes, sha256, content, created_at)
             SELECT 'a' || n, 'j', 'sbom', 'n', 4000000, 'x', randomblob(4000000), 1.0 FROM numbers",
    );
}

#[test]
fn a_server_that_takes_nothing_for_a_while_is_not_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("jobs.db");
    large_source(&source);
    let server = Server::shared(17);
    let (database, network) = (server.database(), Network::limited(&server, 1 << 20));
    rune_db(&["migrate"]).on(&database.url()).run().succeeds();
    let target = url(
        &network,
        database.name(),
        "tcp_user_timeout=300&keepalives_idle=1&keepalives_interval=1&keepalives_count=1",
    );
    let arguments = [
        "migrate-to-postgres",
        "--source",
        &sqlite_url(&source),
        "--target",
        &target,
    ];
    let child = network.start(rune_db(&arguments));
    // More than the time limit four times over.
    network.wait_for_closed_window(120);
    let forwarder = Pid::from_raw(i32::try_from(network.forwarder.id()).unwrap()).unwrap();
    kill_process(forwarder, Signal::USR1).unwrap();
    Ended::from(child.wait_with_output().unwrap()).succeeds();
}
