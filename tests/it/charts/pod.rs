//! A pod of the postgres chart without a cluster: its bootstrap script and a real PostgreSQL, each
//! as process 1 of a process namespace, like in a container; and its jobs as clients of it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::charts::{
    image::image_root,
    support::{Helm, in_tools_env, project, text, tool},
};

pub(crate) const PASSWORD: &str = "p@ss w:rd/%+#'\"$x`y`\\0";
/// Who runs PostgreSQL when the tests run as root, which it refuses to be.
const NOBODY: u32 = 65534;

/// A volume and the chart's files for it.
pub(crate) struct Pod {
    directory: TempDir,
    major: u32,
    binaries: PathBuf,
}

impl Pod {
    pub(crate) fn new() -> Self {
        Self::of(17)
    }

    /// A pod with the server of a major version.
    pub(crate) fn of(major: u32) -> Self {
        let binaries = PathBuf::from(in_tools_env(&format!("echo $RUNE_TOOLS/pg/{major}/bin")));
        let pod = Self {
            directory: tempfile::tempdir().unwrap(),
            major,
            binaries,
        };
        assert!(
            pod.binaries.join("initdb").exists(),
            "PostgreSQL {major} is missing: run tools/setup"
        );
        let objects = Helm::new("helm3")
            .template(
                "charts/rune/charts/postgres",
                "1.33.0",
                "auth: { existingSecret: x }",
            )
            .unwrap();
        let files = &objects.get("ConfigMap", "rune-postgres")["data"];
        for name in ["bootstrap.sh", "postgresql.conf", "pg_hba.conf"] {
            // What the chart writes, with the place where the pod would mount it.
            let content = text(&files[name])
                .replace("/etc/postgresql/", &format!("{}/", pod.path("").display()));
            fs::write(
                pod.path(name),
                content.replace("/var/run/postgresql", pod.path("run").to_str().unwrap()),
            )
            .unwrap();
        }
        for name in ["volume", "run", "scripts", "programs", "backup", "jobs"] {
            fs::create_dir(pod.path(name)).unwrap();
        }
        pod.set_password(PASSWORD);
        pod.give_away();
        pod
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn pgdata(&self) -> PathBuf {
        self.path(&format!("volume/{}/docker", self.major))
    }

    pub(crate) fn set_password(&self, password: &str) {
        fs::write(self.path("password"), password).unwrap();
        fs::set_permissions(self.path("password"), fs::Permissions::from_mode(0o444)).unwrap();
    }

    /// Lets the other user own what the pod's user owns.
    pub(crate) fn give_away(&self) {
        if is_root() {
            let status = Command::new("chown")
                .args(["-R", &NOBODY.to_string()])
                .arg(self.directory.path())
                .status();
            assert!(status.unwrap().success());
        }
    }

    /// Puts a program in front of the others of its name.
    pub(crate) fn replace_program(&self, name: &str, script: &str) {
        let path = self.path("programs").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Gives the pod the clients of the PostgreSQL image, which has those of version 17.
    pub(crate) fn add_clients(&self) {
        let root = image_root();
        let root = root.display();
        for name in ["pg_dump", "pg_restore", "psql", "pg_isready"] {
            let library_path = format!("{root}/usr/lib/x86_64-linux-gnu");
            let loader = format!("{root}/lib64/ld-linux-x86-64.so.2 --library-path {library_path}");
            self.replace_program(
                name,
                &format!("exec {loader} {root}/usr/lib/postgresql/17/bin/{name} \"$@\""),
            );
        }
    }

    /// A script of the first start.
    pub(crate) fn write_script(&self, name: &str, content: &[u8]) {
        fs::write(self.path("scripts").join(name), content).unwrap();
        self.give_away();
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
        let path = format!(
            "{}:{}:/usr/local/bin:/usr/bin:/bin",
            self.path("programs").display(),
            self.binaries.display()
        );
        command
            .arg(program)
            .env_clear()
            .env("PATH", path)
            .env("PGDATA", self.pgdata())
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// A line of shell, as the pod's user with its programs and data directory; it must succeed.
    pub(crate) fn types(&self, script: &str) {
        let output = self.command("sh").args(["-euc", script]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    pub(crate) fn bootstrap(&self) -> Command {
        let mut command = self.command("sh");
        command
            .arg(self.path("bootstrap.sh"))
            .args([
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
            ])
            .args([
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--no-sync",
            ])
            .env("VOLUME", self.path("volume"))
            .env("MAJOR", self.major.to_string())
            .env("SOCKET_DIR", self.path("run"))
            .env("CONFIG_FILE", self.path("postgresql.conf"))
            .env("PASSWORD_FILE", self.path("password"))
            .env("DB_USER", "rune")
            .env("DB_NAME", "rune")
            .env("SCRIPTS", self.path("scripts"));
        command
    }

    /// Runs the bootstrap to its end; it must succeed, and its log, which is returned, must not
    /// hold the password.
    pub(crate) fn boot(&self) -> String {
        let output = self.bootstrap().output().unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("p@ss"), "{said}");
        said
    }

    /// Runs the bootstrap, which must refuse for a reason that needs a person.
    pub(crate) fn refuses(&self, expected: &str) {
        self.refuses_with(&[], expected);
    }

    /// The same with other settings.
    pub(crate) fn refuses_with(&self, environment: &[(&str, &str)], expected: &str) {
        self.give_away();
        let output = self
            .bootstrap()
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }

    /// The files of the volume that matter: names at its root.
    pub(crate) fn volume(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path("volume"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Starts the server as the chart does, on a free port of the loopback address.
    pub(crate) fn serve(&self) -> Server<'_> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = self.command("postgres");
        command.args([
            "-c",
            &format!("config_file={}", self.path("postgresql.conf").display()),
        ]);
        command
            .args([
                "-c",
                &format!("port={port}"),
                "-c",
                "listen_addresses=127.0.0.1",
            ])
            .stderr(Stdio::piped());
        let server = Server {
            pod: self,
            port,
            process: Some(command.spawn().unwrap()),
        };
        wait_until(|| server.socket("select 1").status.success());
        server
    }
}

/// A running server; ended by killing the first process of its namespace.
pub(crate) struct Server<'a> {
    pod: &'a Pod,
    port: u16,
    process: Option<Child>,
}

impl Server<'_> {
    /// Asks as superuser over the socket.
    pub(crate) fn socket(&self, sql: &str) -> Output {
        let host = self.pod.path("run");
        let mut command = Command::new(tool("psql"));
        command
            .args([
                "-XAtq",
                "-U",
                "postgres",
                "-d",
                "rune",
                "-c",
                sql,
                "-p",
                &self.port.to_string(),
                "-h",
            ])
            .arg(host);
        command.env_clear().output().unwrap()
    }

    /// Asks over TCP.
    pub(crate) fn psql(
        &self,
        user: &str,
        password: Option<&str>,
        database: &str,
        sql: &str,
    ) -> Output {
        let mut command = Command::new(tool("psql"));
        command
            .args([
                "-XAtqw",
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                user,
                "-d",
                database,
                "-c",
                sql,
            ])
            .env_clear();
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        command.output().unwrap()
    }

    /// Runs a job of the chart as a client of this server; it must succeed.
    pub(crate) fn job(&self, script: &str, environment: &[(&str, &str)]) -> String {
        for name in ["client.sh", "backup.sh", "restore.sh"] {
            fs::copy(
                project()
                    .join("charts/rune/charts/postgres/files")
                    .join(name),
                self.pod.path("jobs").join(name),
            )
            .unwrap();
        }
        let mut command = self.pod.command("sh");
        command.arg(self.pod.path("jobs").join(script)).envs([
            ("PGHOST", "127.0.0.1"),
            ("PGUSER", "rune"),
            ("PGDATABASE", "rune"),
        ]);
        command
            .env("PGPORT", self.port.to_string())
            .env("PASSWORD_FILE", self.pod.path("password"));
        command.env("BACKUP_DIR", self.pod.path("backup")).envs([
            ("WAIT_SECONDS", "60"),
            ("KEEP", "2"),
            ("COMPRESSION", "zstd:3"),
        ]);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{script}: {}", said(&output));
        said(&output)
    }

    pub(crate) fn answers(&self, password: &str, sql: &str) -> String {
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

/// Kills the first process of a namespace, the child of `unshare`, and with it all; waits until
/// none is left, because each of them holds the pipe of its errors.
pub(crate) fn kill_all(mut process: Child) {
    let parent = process.id();
    let children =
        || fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
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

pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Waits until a program in the pod is so far.
#[track_caller]
pub(crate) fn wait_until(holds: impl FnMut() -> bool) {
    rune_testkit::poll::wait_until("the pod", Duration::from_mins(1), holds);
}
