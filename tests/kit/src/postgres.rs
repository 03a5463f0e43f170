//! Real PostgreSQL servers of several major versions, on a loopback port and a Unix socket, gone when dropped.
//!
//! The programs are those that `tools/setup` installs. A fresh cluster is made once per version and copied for each
//! server. The server refuses to run as root, so root starts it as another user.

#![expect(clippy::disallowed_methods, reason = "test equipment looks at the world directly")]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::process::Process;

/// The major versions that RUNE may meet.
pub const MAJORS: [u32; 4] = [15, 16, 17, 18];

/// The password of every role that [`Server::database`] makes, full of characters that a URL must not hold as they are.
pub const PASSWORD: &str = "p@ss/w:rd#100%";
/// The same, percent-encoded.
pub const ENCODED_PASSWORD: &str = "p%40ss%2Fw%3Ard%23100%25";

/// The user that root starts servers as.
pub(crate) const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(40);
const HBA: &str = "local all postgres trust\nlocal all all scram-sha-256\nhost all all samehost scram-sha-256\n";

/// How a server is to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    major: u32,
    settings: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    port: Option<u16>,
    state: &'static str,
}

impl Setup {
    /// A server of a major version.
    pub fn new(major: u32) -> Self {
        Self { major, settings: Vec::new(), files: Vec::new(), port: None, state: "ready" }
    }

    /// Adds a server setting, `name=value`.
    #[must_use]
    pub fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Adds or replaces a file in the data directory, readable by the server alone.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// Takes a port that somebody chose before.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Makes it a standby of nobody, which only reads.
    #[must_use]
    pub fn standby(self) -> Self {
        // A standby needs what its primary had, here `initdb`.
        self.setting("max_connections=100").file("standby.signal", "")
    }

    /// Waits for another state than `ready`, by the word in the last line of `postmaster.pid`.
    #[must_use]
    pub fn until(mut self, state: &'static str) -> Self {
        self.state = state;
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Server {
        let directory = tempfile::Builder::new().prefix("rune-pg-").tempdir().expect("a directory can be made");
        open_to_all(directory.path());
        let data = directory.path().join("data");
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(template(self.major)).arg(&data));
        let setup = self;
        for (name, content) in &setup.files {
            let path = data.join(name);
            fs::write(&path, content).expect("the data directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        }
        if as_root() {
            run(Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(directory.path()));
        }
        let mut server =
            Server { process: None, directory, port: setup.port.unwrap_or_else(free_port), databases: AtomicU32::new(0), setup };
        server.process = Some(server.run());
        server
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Option<Process>,
    directory: TempDir,
    port: u16,
    databases: AtomicU32,
    setup: Setup,
}

impl Server {
    /// Starts a server of a major version.
    pub fn start(major: u32) -> Self {
        Setup::new(major).start()
    }

    /// Kills it with all its processes, as a power cut would, and starts it again on what it left.
    pub fn crash_and_restart(&mut self) {
        let pid_file = self.directory.path().join("data/postmaster.pid");
        let text = fs::read_to_string(&pid_file).expect("a server that runs has this file");
        let postmaster = text.lines().next().expect("its first line is the process").trim();
        // Stopped first, so that it starts no others meanwhile.
        run(Command::new("kill").args(["-STOP", postmaster]));
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).expect("it runs");
        let processes: Vec<&str> = children.split_whitespace().chain([postmaster]).collect();
        for process in &processes {
            let _ = Command::new("kill").args(["-KILL", process]).status();
        }
        self.process = None;
        // Their shared memory goes with the last of them, and no server starts before that.
        let started = Instant::now();
        while processes.iter().any(|process| is_alive(process)) {
            assert!(started.elapsed() < PATIENCE, "processes that were killed are still there: {processes:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        // It says that the server is ready.
        fs::remove_file(pid_file).expect("the server is gone");
        self.process = Some(self.run());
    }

    /// The port on the loopback address, and in the name of the socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the socket.
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a role with [`PASSWORD`] and a database that it owns.
    pub fn database(&self) -> Database<'_> {
        let name = format!("rune_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let password = PASSWORD.replace('\'', "''");
        self.query("postgres", &format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"));
        self.query("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
        Database { server: self, name }
    }

    /// The database that [`Server::database`] made under this name.
    pub fn known(&self, name: &str) -> Database<'_> {
        Database { server: self, name: name.to_owned() }
    }

    /// Runs SQL as the superuser with `psql`, a program that nobody here wrote: lines of columns divided by `|`.
    pub fn query(&self, database: &str, sql: &str) -> String {
        run(self.psql(database).args(["--command", sql]))
    }

    /// Runs SQL again and again until it says `expected`.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub fn wait_for(&self, database: &str, sql: &str, expected: &str) {
        let started = Instant::now();
        loop {
            let found = self.query(database, sql);
            if found == expected {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "`{sql}` says {found:?}, not {expected:?}, after {PATIENCE:?}");
        }
    }

    /// Opens a session of the superuser that lasts for several statements.
    pub fn session(&self, database: &str) -> Session {
        let child = self.psql(database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("psql can be started");
        let output = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        Session { child, output }
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--username=postgres"]);
        psql.arg(format!("--host={}", self.socket_directory().display())).arg(format!("--port={}", self.port));
        psql.arg(format!("--dbname={database}"));
        psql
    }

    /// Starts `postgres` under a shell that ends it when our end of its standard input closes, however we end.
    fn run(&self) -> Process {
        const SCRIPT: &str = r#"
            exec 3<&0
            "$@" >>"$LOG" 2>&1 & server=$!
            (read -r _ <&3; kill -QUIT $server 2>/dev/null) &
            wait $server
        "#;
        let data = self.directory.path().join("data");
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program(self.setup.major, "postgres")).arg("-D").arg(&data);
        command.args(["-p", &self.port.to_string(), "-k"]).arg(self.directory.path());
        let quick = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=50", "shared_buffers=16MB", "max_wal_size=64MB"];
        for setting in quick.into_iter().chain(self.setup.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        as_server_user(command.env("LOG", self.directory.path().join("log")).current_dir(self.directory.path()));
        let mut process = Process::start(&mut command);
        // The last line of this file says what the server is up to.
        let is_ready = || fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.trim_end().ends_with(self.setup.state));
        process.wait_until(PATIENCE, is_ready);
        process
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// Whether a process runs: one that nobody has waited for yet has let go of everything.
fn is_alive(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).ok();
    // The name before it stands in parentheses and may hold some.
    state.is_some_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])))
}

/// A session of the superuser.
#[derive(Debug)]
pub struct Session {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Session {
    /// Runs SQL and waits until it is done; gives what it said.
    pub fn run(&mut self, sql: &str) -> String {
        const END: &str = "-- done --\n";
        let input = self.child.stdin.as_mut().expect("standard input is a pipe");
        write!(input, "{sql};\n\\echo '{}'\n", END.trim_end()).expect("psql reads");
        let mut said = String::new();
        while !said.ends_with(END) {
            let length = self.output.read_line(&mut said).expect("the output is text");
            assert!(length > 0, "psql ended: {said}");
        }
        said.trim_end_matches(END).trim_end().to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A database of a running server, owned by a role of the same name.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a Server,
    name: String,
}

impl Database<'_> {
    /// The name of the database and of its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port of its server.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The URL that its owner uses.
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// The URL that another role with [`PASSWORD`] uses.
    pub fn url_of(&self, role: &str) -> String {
        format!("postgresql://{role}:{ENCODED_PASSWORD}@127.0.0.1:{}/{}", self.server.port, self.name)
    }

    /// The URL of the superuser.
    pub fn admin_url(&self) -> String {
        let directory = self.server.socket_directory().display();
        format!("postgresql://postgres@/{}?host={directory}&port={}", self.name, self.server.port)
    }

    /// Runs SQL in it as the superuser.
    pub fn query(&self, sql: &str) -> String {
        self.server.query(&self.name, sql)
    }
}

/// A program of a PostgreSQL version.
fn program(major: u32, name: &str) -> PathBuf {
    let path = versions().join(major.to_string()).join("bin").join(name);
    assert!(path.exists(), "`{}` is missing; run tools/setup", path.display());
    path
}

fn versions() -> PathBuf {
    let tools = std::env::var_os("RUNE_TOOLS").map(PathBuf::from);
    tools.unwrap_or_else(|| PathBuf::from("/var/cache/rune-bundle/tools")).join("pg")
}

/// A cluster that was never started, made once and kept beside the build.
fn template(major: u32) -> PathBuf {
    let version = fs::canonicalize(versions().join(major.to_string()));
    let version = version.unwrap_or_else(|error| panic!("PostgreSQL {major} is missing; run tools/setup ({error})"));
    let program_path = std::env::current_exe().expect("this program has a path");
    let cache = program_path.ancestors().nth(3).expect("tests run below the build directory").join("tmp/postgres");
    fs::create_dir_all(&cache).expect("the build directory is ours");
    let lock = File::create(cache.join("lock")).expect("the build directory is ours");
    lock.lock().expect("the file can be locked");
    let template = cache.join(version.file_name().expect("a version has a name"));
    if !template.exists() {
        // Made elsewhere: the server's user may not be able to enter the build directory.
        let scratch = tempfile::tempdir().expect("a directory can be made");
        let data = scratch.path().join("data");
        if as_root() {
            chown(scratch.path(), Some(NOBODY), Some(NOBODY)).expect("we are root");
        }
        let mut initdb = Command::new(program(major, "initdb"));
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=1"]);
        run(as_server_user(initdb.current_dir(scratch.path())));
        fs::write(data.join("pg_hba.conf"), HBA).expect("the data directory is ours");
        let whole = template.with_extension("making");
        let _ = fs::remove_dir_all(&whole);
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&data).arg(&whole));
        fs::rename(&whole, &template).expect("nobody else has the lock");
    }
    template
}

fn as_server_user(command: &mut Command) -> &mut Command {
    if as_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

pub(crate) fn as_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| uid(&me) == 0)
}

fn uid(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("the directory is ours");
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a loopback port is free").port()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run `{}`: {error}", command.get_program().display()));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is text").trim_end().to_owned()
}
