//! The scripts of the postgres chart as its jobs run them: in the files of the PostgreSQL image, by
//! its own `sh`, with a root that cannot be written, as the image's user, with the programs of
//! PostgreSQL 17.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rune_testkit::postgres::{Database, PASSWORD};
use serde_json::Value;
use tempfile::TempDir;

use crate::charts::support::{in_tools_env, project};

/// The user of the image.
const POSTGRES: u32 = 70;
/// Mounts what the pod mounts, makes the root read-only, and changes into it.
const ENTER: &str = r#"
    set -eu
    mount --bind "$ROOT" "$ROOT"
    for mount in tmp backup etc/rune-postgres run/secrets; do mount --bind "$SCRATCH/$mount" "$ROOT/$mount"; done
    mount --rbind /dev "$ROOT/dev"
    mount -o remount,bind,ro "$ROOT"
    exec "$@"
"#;

/// A pod of a job: the image, a backup volume, the chart's scripts, the Secret.
pub(crate) struct Job {
    scratch: TempDir,
    root: PathBuf,
    environment: Vec<(String, String)>,
}

impl Job {
    /// A job for a database.
    pub(crate) fn new(database: &Database<'_>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for directory in ["tmp", "backup", "etc/rune-postgres", "run/secrets"] {
            let path = scratch.path().join(directory);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        for script in ["client.sh", "backup.sh", "restore.sh", "test.sh"] {
            let file = project()
                .join("charts/rune/charts/postgres/files")
                .join(script);
            fs::copy(file, scratch.path().join("etc/rune-postgres").join(script)).unwrap();
        }
        fs::write(scratch.path().join("run/secrets/password"), PASSWORD).unwrap();
        let port = database
            .url()
            .rsplit_once(':')
            .unwrap()
            .1
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        let environment = [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &port),
            ("PGUSER", database.name()),
            ("PGDATABASE", database.name()),
            ("PASSWORD_FILE", "/run/secrets/password"),
            ("BACKUP_DIR", "/backup"),
            ("WAIT_SECONDS", "60"),
            ("KEEP", "2"),
            ("COMPRESSION", "zstd:3"),
        ];
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            scratch,
            root: image_root(),
            environment,
        }
    }

    /// A file of the backup volume.
    pub(crate) fn backup(&self, name: &str) -> PathBuf {
        self.scratch.path().join("backup").join(name)
    }

    /// The names on the backup volume, in byte order.
    pub(crate) fn backups(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.backup(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The only dump on the backup volume.
    pub(crate) fn dump(&self) -> String {
        let dumps: Vec<String> = self
            .backups()
            .into_iter()
            .filter(|name| Path::new(name).extension() == Some("dump".as_ref()))
            .collect();
        assert_eq!(dumps.len(), 1, "{dumps:?}");
        dumps.into_iter().next().unwrap()
    }

    /// Puts a program in front of the image's own of the same name.
    pub(crate) fn replace_program(&self, name: &str, script: &str) {
        let path = self.scratch.path().join("tmp").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script of the chart with more environment.
    pub(crate) fn run(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        self.in_image(
            &["sh", &format!("/etc/rune-postgres/{script}")],
            environment,
        )
    }

    /// Runs a program of the image.
    pub(crate) fn in_image(&self, program: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork"]);
        let is_root = rustix::process::geteuid().is_root();
        if !is_root {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", ENTER, "sh", "chroot"]);
        if is_root {
            command.arg(format!("--userspec={POSTGRES}:{POSTGRES}"));
        }
        command.arg(&self.root).args(program);
        // What stands first in PATH here is a directory that the tests fill.
        command
            .env_clear()
            .env("PATH", "/tmp:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .envs(self.environment.iter().cloned());
        command
            .env("ROOT", &self.root)
            .env("SCRATCH", self.scratch.path())
            .envs(environment.iter().copied());
        command.output().unwrap()
    }

    /// Runs a script that must succeed, and returns what it said, which never holds the password.
    pub(crate) fn succeeds(&self, script: &str, environment: &[(&str, &str)]) -> String {
        let output = self.run(script, environment);
        let said = said(&output);
        assert!(output.status.success(), "{script}: {said}");
        assert!(!said.contains(PASSWORD), "{said}");
        said
    }

    /// Runs a script that must end with a code and say something.
    pub(crate) fn fails(
        &self,
        script: &str,
        environment: &[(&str, &str)],
        code: i32,
        expected: &str,
    ) {
        let output = self.run(script, environment);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{script}: {said}");
        assert!(
            said.contains(expected) && !said.contains(PASSWORD),
            "{script}: {said}"
        );
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The files of the test image, unpacked once beside the build.
pub(crate) fn image_root() -> PathBuf {
    let layout = PathBuf::from(in_tools_env("echo $RUNE_TOOLS/images/postgres-17-alpine"));
    assert!(
        layout.join("index.json").exists(),
        "the PostgreSQL image is missing: run tools/setup"
    );
    let index = &json(&layout.join("index.json"))["manifests"][0];
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres-image");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join("lock")).unwrap();
    lock.lock().unwrap();
    let root = cache.join(
        index["digest"]
            .as_str()
            .unwrap()
            .trim_start_matches("sha256:"),
    );
    if !root.exists() {
        let manifests = json(&blob(&layout, index));
        let is_ours = |manifest: &&Value| manifest["platform"]["architecture"] == "amd64";
        let manifest = json(&blob(
            &layout,
            manifests["manifests"]
                .as_array()
                .unwrap()
                .iter()
                .find(is_ours)
                .unwrap(),
        ));
        let making = cache.join("making");
        let _ = fs::remove_dir_all(&making);
        fs::create_dir(&making).unwrap();
        for layer in manifest["layers"].as_array().unwrap() {
            let status = Command::new("tar")
                .arg("-xzf")
                .arg(blob(&layout, layer))
                .arg("-C")
                .arg(&making)
                .status()
                .unwrap();
            assert!(status.success());
        }
        for directory in ["backup", "etc/rune-postgres", "run/secrets"] {
            fs::create_dir_all(making.join(directory)).unwrap();
        }
        fs::rename(making, &root).unwrap();
    }
    root
}

fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    layout
        .join("blobs")
        .join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
