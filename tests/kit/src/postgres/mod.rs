//! Real PostgreSQL servers of several major versions, on a loopback port and a Unix socket.
//!
//! A test that needs nothing but databases takes one of the servers that all tests of a run share
//! ([`Server::shared`]). One that changes roles, settings or certificates, reads the log or kills
//! the server starts its own, which is gone when it is dropped. The programs are those that
//! `tools/setup` installs. A fresh cluster is made once per version and copied for each server. The
//! server refuses to run as root, so root starts it as another user.

#![expect(
    clippy::disallowed_methods,
    reason = "test equipment looks at the world directly"
)]

mod database;
mod session;
mod shared;

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tempfile::TempDir;

pub use self::{database::Database, session::Session};

use crate::{
    lock::lock,
    poll::{poll, wait_until},
    process::Process,
    unique,
};

/// The major versions that RUNE may meet.
pub const MAJORS: [u32; 4] = [15, 16, 17, 18];

/// The password of every role that [`Server::database`] makes, full of characters that a URL must
/// not hold as they are.
pub const PASSWORD: &str = "p@ss/w:rd#100%";
/// The same, percent-encoded.
pub const ENCODED_PASSWORD: &str = "p%40ss%2Fw%3Ard%23100%25";

/// The user that root starts servers as.
pub(crate) const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(40);
const HBA: &str =
    "local all postgres trust\nlocal all all scram-sha-256\nhost all all samehost scram-sha-256\n";

/// Runs a server until our end of its standard input closes, however we end.
const UNTIL_INPUT_ENDS: &str = r#"
    exec 3<&0
    "$@" >>"$LOG" 2>&1 & server=$!
    (read -r _ <&3; kill -QUIT $server 2>/dev/null) &
    wait $server
"#;

/// How a server is to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    major: u32,
    settings: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    port: Option<u16>,
    state: &'static str,
    script: &'static str,
}

impl Setup {
    /// A server of a major version.
    pub fn new(major: u32) -> Self {
        Self {
            major,
            settings: Vec::new(),
            files: Vec::new(),
            port: None,
            state: "ready",
            script: UNTIL_INPUT_ENDS,
        }
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

    /// What a file that was added holds.
    pub fn content(&self, name: &str) -> &[u8] {
        let found = self.files.iter().find(|(added, _)| added == name);
        &found.expect("the file was added").1
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
        self.setting("max_connections=100")
            .file("standby.signal", "")
    }

    /// Makes it a primary that standbys of this machine may follow, see [`Self::standby_of`].
    #[must_use]
    pub fn primary(self) -> Self {
        self.setting("wal_keep_size=256MB").file(
            "pg_hba.conf",
            format!("local replication postgres trust\n{HBA}"),
        )
    }

    /// Makes it a standby that follows a [`Self::primary`] of the same major version, which was
    /// started just before: both begin as copies of one cluster, so the standby only needs what the
    /// primary has written since.
    #[must_use]
    pub fn standby_of(self, primary: &Server) -> Self {
        let (directory, port) = (primary.socket_directory().display(), primary.port());
        self.standby().setting(format!(
            "primary_conninfo=host={directory} port={port} user=postgres"
        ))
    }

    /// Waits for another state than `ready`, by the word in the last line of `postmaster.pid`.
    #[must_use]
    pub fn until(mut self, state: &'static str) -> Self {
        self.state = state;
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Server {
        let directory = self.prepare();
        let port = self.port.unwrap_or_else(free_port);
        let mut server = Server {
            process: None,
            directory: Directory::Own(directory),
            port,
            databases: AtomicU32::new(0),
            setup: self,
        };
        server.process = Some(server.run());
        server
    }

    /// A directory with a cluster that was never started.
    fn prepare(&self) -> TempDir {
        let directory = tempfile::Builder::new()
            .prefix("rune-pg-")
            .tempdir()
            .expect("a directory can be made");
        open_to_all(directory.path());
        let data = directory.path().join("data");
        run(Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(template(self.major))
            .arg(&data));
        for (name, content) in &self.files {
            let path = data.join(name);
            fs::write(&path, content).expect("the data directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .expect("the file is ours");
        }
        if as_root() {
            run(Command::new("chown")
                .args(["-R", &format!("{NOBODY}:{NOBODY}")])
                .arg(directory.path()));
        }
        directory
    }

    /// The command that serves the cluster of a directory, and ends by itself when its standard
    /// input does.
    fn command(&self, directory: &Path, port: u16) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", self.script, "sh"])
            .arg(program(self.major, "postgres"))
            .arg("-D")
            .arg(directory.join("data"));
        command.args(["-p", &port.to_string(), "-k"]).arg(directory);
        let quick = [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "max_connections=50",
            "shared_buffers=16MB",
            "max_wal_size=64MB",
        ];
        for setting in quick
            .into_iter()
            .chain(self.settings.iter().map(String::as_str))
        {
            command.args(["-c", setting]);
        }
        as_server_user(
            command
                .env("LOG", directory.join("log"))
                .current_dir(directory),
        );
        command
    }
}

/// Where a server has its files.
#[derive(Debug)]
enum Directory {
    Own(TempDir),
    Shared(PathBuf),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Option<Process>,
    directory: Directory,
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
        let pid_file = self.socket_directory().join("data/postmaster.pid");
        let text = fs::read_to_string(&pid_file).expect("a server that runs has this file");
        let postmaster = text
            .lines()
            .next()
            .expect("its first line is the process")
            .trim();
        // Stopped first, so that it starts no others meanwhile.
        run(Command::new("kill").args(["-STOP", postmaster]));
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))
            .expect("it runs");
        let processes: Vec<&str> = children.split_whitespace().chain([postmaster]).collect();
        for process in &processes {
            let _ = Command::new("kill").args(["-KILL", process]).status();
        }
        self.process = None;
        // Their shared memory goes with the last of them, and no server starts before that.
        let what = format!("the killed processes {processes:?} are gone");
        wait_until(&what, PATIENCE, || {
            !processes.iter().any(|process| is_alive(process))
        });
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
        match &self.directory {
            Directory::Own(directory) => directory.path(),
            Directory::Shared(directory) => directory,
        }
    }

    /// Makes a role with [`PASSWORD`] and a database that it owns.
    pub fn database(&self) -> Database<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let is_shared = matches!(self.directory, Directory::Shared(_));
        // Other processes have databases on the same server.
        let name = if is_shared {
            format!("rune_{}_{number}", unique())
        } else {
            format!("rune_{number}")
        };
        Database::create(self, name, is_shared)
    }

    /// The database that [`Server::database`] made under this name.
    pub fn known(&self, name: &str) -> Database<'_> {
        Database::known(self, name)
    }

    /// Runs SQL as the superuser with `psql`, a program that nobody here wrote: lines of columns
    /// divided by `|`.
    pub fn query(&self, database: &str, sql: &str) -> String {
        run(self.psql(database).args(["--command", sql]))
    }

    /// Runs SQL again and again until it says `expected`.
    ///
    /// # Panics
    /// When it does not within 40 s.
    pub fn wait_for(&self, database: &str, sql: &str, expected: &str) {
        let mut session = self.session(database);
        let mut found = String::new();
        let holds = poll(PATIENCE, || {
            found = session.run(sql);
            found == expected
        });
        assert!(
            holds,
            "`{sql}` says {found:?}, not {expected:?}, after {PATIENCE:?}"
        );
    }

    /// Opens a session of the superuser that lasts for several statements.
    pub fn session(&self, database: &str) -> Session {
        Session::open(&mut self.psql(database))
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
            "--username=postgres",
        ]);
        psql.arg(format!("--host={}", self.socket_directory().display()))
            .arg(format!("--port={}", self.port));
        psql.arg(format!("--dbname={database}"));
        psql
    }

    fn run(&self) -> Process {
        let directory = self.socket_directory();
        let mut process = Process::start(&mut self.setup.command(directory, self.port));
        process.wait_until(PATIENCE, || is_in_state(directory, self.setup.state));
        process
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.socket_directory().join("log")).unwrap_or_default()
    }
}

/// Whether the last line of `postmaster.pid`, which says what a server is up to, ends with this
/// word.
fn is_in_state(directory: &Path, state: &str) -> bool {
    fs::read_to_string(directory.join("data/postmaster.pid"))
        .is_ok_and(|text| text.trim_end().ends_with(state))
}

/// Whether a process runs: one that nobody has waited for yet has let go of everything.
fn is_alive(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).ok();
    // The name before it stands in parentheses and may hold some.
    state.is_some_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
    })
}

/// A program of a PostgreSQL version.
fn program(major: u32, name: &str) -> PathBuf {
    let path = versions().join(major.to_string()).join("bin").join(name);
    assert!(
        path.exists(),
        "`{}` is missing; run tools/setup",
        path.display()
    );
    path
}

fn versions() -> PathBuf {
    let tools = std::env::var_os("RUNE_TOOLS").map(PathBuf::from);
    tools
        .unwrap_or_else(|| PathBuf::from("/var/cache/rune-bundle/tools"))
        .join("pg")
}

/// A directory beside the build.
fn cache() -> PathBuf {
    let program_path = std::env::current_exe().expect("this program has a path");
    let cache = program_path
        .ancestors()
        .nth(3)
        .expect("tests run below the build directory")
        .join("tmp/postgres");
    fs::create_dir_all(&cache).expect("the build directory is ours");
    cache
}

/// A cluster that was never started, made once and kept beside the build.
fn template(major: u32) -> PathBuf {
    let version = fs::canonicalize(versions().join(major.to_string()));
    let version = version
        .unwrap_or_else(|error| panic!("PostgreSQL {major} is missing; run tools/setup ({error})"));
    let cache = cache();
    let _lock = lock(&cache.join("lock"));
    let template = cache.join(version.file_name().expect("a version has a name"));
    if !template.exists() {
        // Made elsewhere: the server's user may not be able to enter the build directory.
        let scratch = tempfile::tempdir().expect("a directory can be made");
        let data = scratch.path().join("data");
        if as_root() {
            chown(scratch.path(), Some(NOBODY), Some(NOBODY)).expect("we are root");
        }
        let mut initdb = Command::new(program(major, "initdb"));
        initdb.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--wal-segsize=1",
        ]);
        run(as_server_user(initdb.current_dir(scratch.path())));
        fs::write(data.join("pg_hba.conf"), HBA).expect("the data directory is ours");
        let whole = template.with_extension("making");
        let _ = fs::remove_dir_all(&whole);
        run(Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(&data)
            .arg(&whole));
        fs::rename(&whole, &template).expect("nobody else has the lock");
    }
    template
}

fn as_server_user(command: &mut Command) -> &mut Command {
    if as_root() {
        command.uid(NOBODY).gid(NOBODY)
    } else {
        command
    }
}

pub(crate) fn as_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| uid(&me) == 0)
}

fn uid(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(metadata)
}

fn open_to_all(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
        .expect("the directory is ours");
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a loopback port is free")
        .port()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run `{}`: {error}", command.get_program().display())
    });
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("the output is text")
        .trim_end()
        .to_owned()
}
