//! The bootstrap script of the postgres chart against a real PostgreSQL 17, as process 1 of a process namespace, like in a container.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::chart_support::{Helm, in_tools_env, text, tool};

const PASSWORD: &str = "p@ss w:rd/%+#'\"$x`y`\\0";
/// Who runs PostgreSQL when the tests run as root, which it refuses to be.
const NOBODY: u32 = 65534;

/// A volume and the chart's files for it.
struct Pod {
    directory: TempDir,
    binaries: PathBuf,
}

impl Pod {
    fn new() -> Self {
        let pod = Self { directory: tempfile::tempdir().unwrap(), binaries: PathBuf::from(in_tools_env("echo $RUNE_TOOLS/pg/17/bin")) };
        assert!(pod.binaries.join("initdb").exists(), "PostgreSQL 17 is missing: run tools/setup");
        let objects = Helm::new("helm3").template("charts/rune/charts/postgres", "1.33.0", "auth: { existingSecret: x }").unwrap();
        let files = &objects.get("ConfigMap", "rune-postgres")["data"];
        for name in ["bootstrap.sh", "postgresql.conf", "pg_hba.conf"] {
            // What the chart writes, with the place where the pod would mount it.
            let content = text(&files[name]).replace("/etc/postgresql/", &format!("{}/", pod.path("").display()));
            fs::write(pod.path(name), content.replace("/var/run/postgresql", pod.path("run").to_str().unwrap())).unwrap();
        }
        for name in ["volume", "run"] {
            fs::create_dir(pod.path(name)).unwrap();
        }
        pod.set_password(PASSWORD);
        pod.give_away();
        pod
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn pgdata(&self) -> PathBuf {
        self.path("volume/17/docker")
    }

    fn set_password(&self, password: &str) {
        fs::write(self.path("password"), password).unwrap();
        fs::set_permissions(self.path("password"), fs::Permissions::from_mode(0o444)).unwrap();
    }

    /// Lets the other user own what the pod's user owns.
    fn give_away(&self) {
        if is_root() {
            let status = Command::new("chown").args(["-R", &NOBODY.to_string()]).arg(self.directory.path()).status();
            assert!(status.unwrap().success());
        }
    }

    /// A program in a process namespace of its own, which ends with its first process.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]);
        if is_root() {
            let id = NOBODY.to_string();
            command.args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
        } else {
            command.args(["--user", "--map-current-user"]);
        }
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.binaries.display());
        command.arg(program).env_clear().env("PATH", path).env("PGDATA", self.pgdata()).current_dir("/").stdin(Stdio::null());
        command
    }

    fn bootstrap(&self) -> Command {
        let mut command = self.command("sh");
        command
            .arg(self.path("bootstrap.sh"))
            .args(["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"])
            .env("VOLUME", self.path("volume"))
            .env("MAJOR", "17")
            .env("SOCKET_DIR", self.path("run"))
            .env("CONFIG_FILE", self.path("postgresql.conf"))
            .env("PASSWORD_FILE", self.path("password"))
            .env("DB_USER", "rune")
            .env("DB_NAME", "rune");
        command
    }

    /// Runs the bootstrap to its end; it must succeed, and its log must not hold the password.
    fn boot(&self) {
        let output = self.bootstrap().output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("p@ss"), "{said}");
    }

    /// Runs the bootstrap, which must refuse for a reason that needs a person.
    fn refuses(&self, expected: &str) {
        self.give_away();
        let output = self.bootstrap().output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }

    /// Starts the server as the chart does, on a free port of the loopback address.
    fn serve(&self) -> Server<'_> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = self.command("postgres");
        command.args(["-c", &format!("config_file={}", self.path("postgresql.conf").display())]);
        command.args(["-c", &format!("port={port}"), "-c", "listen_addresses=127.0.0.1"]).stderr(Stdio::piped());
        let server = Server { pod: self, port, process: Some(command.spawn().unwrap()) };
        wait_until(|| server.socket("select 1").status.success());
        server
    }
}

/// A running server; ended by killing the first process of its namespace.
struct Server<'a> {
    pod: &'a Pod,
    port: u16,
    process: Option<Child>,
}

impl Server<'_> {
    /// Asks as superuser over the socket.
    fn socket(&self, sql: &str) -> Output {
        let host = self.pod.path("run");
        let mut command = Command::new(tool("psql"));
        command.args(["-XAtq", "-U", "postgres", "-d", "rune", "-c", sql, "-p", &self.port.to_string(), "-h"]).arg(host);
        command.env_clear().output().unwrap()
    }

    /// Asks over TCP.
    fn psql(&self, user: &str, password: Option<&str>, database: &str, sql: &str) -> Output {
        let mut command = Command::new(tool("psql"));
        command.args(["-XAtqw", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", user, "-d", database, "-c", sql]).env_clear();
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        command.output().unwrap()
    }

    fn answers(&self, password: &str, sql: &str) -> String {
        let output = self.psql("rune", Some(password), "rune", sql);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            kill_all(process);
        }
    }
}

/// Kills the first process of a namespace, the child of `unshare`, and with it all; waits until none is left, because each of them
/// holds the pipe of its errors.
fn kill_all(mut process: Child) {
    let parent = process.id();
    let children = || fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    wait_until(|| !children().trim().is_empty() || process.try_wait().unwrap().is_some());
    for child in children().split_whitespace() {
        let child = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).ok();
    }
    process.wait_with_output().unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_mins(1), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_first_start_makes_a_database_that_only_its_own_role_reaches() {
    let pod = Pod::new();
    pod.boot();
    let server = pod.serve();
    assert_eq!(server.answers(PASSWORD, "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = 'rune'"), "f");
    assert_eq!(server.answers(PASSWORD, "create table t (x int); insert into t values (1); select x from t"), "1");
    assert_eq!(server.answers(PASSWORD, "show data_checksums"), "on");
    assert_eq!(server.answers(PASSWORD, "select datlocprovider::text || datlocale from pg_database where datname = 'rune'"), "bC.UTF-8");
    for (user, password, database) in
        [("rune", "wrong-wrong-wrong", "rune"), ("postgres", PASSWORD, "rune"), ("rune", PASSWORD, "postgres")]
    {
        assert!(!server.psql(user, Some(password), database, "select 1").status.success(), "{user} {database}");
    }
    let with_password = server.socket("select string_agg(rolname, ' ') from pg_authid where rolpassword is not null");
    assert_eq!(said(&with_password).trim(), "rune");
    let refused = server.socket("alter system set work_mem = '1GB'");
    assert!(said(&refused).contains("ALTER SYSTEM"), "{}", said(&refused));
}

#[test]
fn a_changed_password_is_in_force_after_the_next_start_and_the_data_stay() {
    let pod = Pod::new();
    pod.boot();
    pod.serve().answers(PASSWORD, "create table kept (x int)");
    // The server above was killed, so this start also recovers from a crash, with the pid of process 1 in postmaster.pid.
    pod.set_password("another-password-1");
    pod.boot();
    let server = pod.serve();
    assert_eq!(server.answers("another-password-1", "select count(*) from kept"), "0");
    assert!(!server.psql("rune", Some(PASSWORD), "rune", "select 1").status.success());
}

#[test]
fn a_first_start_that_is_killed_anywhere_is_made_good_by_the_next() {
    let reached = [
        ("initdb has begun", "volume/.init"),
        ("PG_VERSION is written", "volume/.init/PG_VERSION"),
        ("initdb is nearly done", "volume/.init/base/5"),
        ("the cluster is renamed", "volume/17/docker"),
        ("the private server runs", "volume/17/docker/postmaster.pid"),
    ];
    for (moment, path) in reached {
        let pod = Pod::new();
        let mut process = pod.bootstrap().stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let path = pod.path(path);
        wait_until(|| path.exists() || process.try_wait().unwrap().is_some());
        kill_all(process);
        pod.boot();
        assert_eq!(pod.serve().answers(PASSWORD, "select current_user"), "rune", "{moment}");
    }
}

/// Regression: PostgreSQL makes its lock files empty and fills them then; killed in between, it never started again.
#[test]
fn lock_files_that_a_killed_start_left_empty_do_not_stop_the_next() {
    let pod = Pod::new();
    pod.boot();
    for empty in [pod.pgdata().join("postmaster.pid"), pod.path("run/.s.PGSQL.5432.lock")] {
        fs::write(&empty, "").unwrap();
        pod.give_away();
        pod.boot();
        assert!(!empty.exists(), "{}", empty.display());
    }
    assert_eq!(pod.serve().answers(PASSWORD, "select current_user"), "rune");
}

#[test]
fn what_must_not_be_guessed_is_refused() {
    let pod = Pod::new();
    fs::write(pod.path("volume/PG_VERSION"), "17\n").unwrap();
    pod.refuses("data directory at its root");
    fs::remove_file(pod.path("volume/PG_VERSION")).unwrap();

    fs::create_dir_all(pod.path("volume/16/docker")).unwrap();
    fs::write(pod.path("volume/16/docker/PG_VERSION"), "16\n").unwrap();
    pod.refuses("data of PostgreSQL 16 and none of 17");
    fs::remove_dir_all(pod.path("volume/16")).unwrap();

    fs::create_dir_all(pod.pgdata()).unwrap();
    fs::write(pod.pgdata().join("precious"), "x").unwrap();
    pod.refuses("has content but no PG_VERSION");
    assert!(pod.pgdata().join("precious").exists());
    fs::write(pod.pgdata().join("PG_VERSION"), "16\n").unwrap();
    pod.refuses("of PostgreSQL 16, the server of PostgreSQL 17");
    fs::remove_dir_all(pod.path("volume/17")).unwrap();

    pod.set_password("");
    pod.refuses("no password");
}

#[test]
fn an_image_of_another_major_version_is_refused() {
    let pod = Pod::new();
    let output = pod.bootstrap().env("MAJOR", "18").output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("the image is PostgreSQL 17, the values say majorVersion 18"), "{}", said(&output));
}
