//! A project directory of its own for one test, and the tool run in it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use rune_testkit::{registry::Registry, sample::Sample};
use serde_json::Value;

/// A project whose manifest names a sample image in a registry of its own, an image to be made, a
/// chart, migrations and a program.
pub(crate) struct Project {
    guard: tempfile::TempDir,
    pub(crate) registry: Registry,
}

impl Project {
    pub(crate) fn new() -> Self {
        let project = Self {
            guard: tempfile::tempdir().unwrap(),
            registry: Registry::start(),
        };
        project
            .registry
            .put_image("library/postgres", "17-alpine", &Sample::default().build());
        project.write(
            "charts/rune/Chart.yaml",
            "apiVersion: v2\nname: rune\nversion: 0.2.0\n",
        );
        project.write("migrations/0001_jobs.sql", "-- migrate:all\nSELECT 1;\n");
        project.write(
            "migrations/0002_settings.sql",
            "-- migrate:all\nSELECT 2;\n",
        );
        project.write("dist/rune-db", "a program");
        project.write(
            "policy.yaml",
            "apiVersion: rune-bundle/v1
kind: Policy
licenses: { allow: [PostgreSQL, Apache-2.0] }
sources: { allow: ['127.0.0.1:*/library/*', ghcr.io/lpasquali/*], deny: [{ match: '**/bitnami/**', reason: supply-chain concerns }] }
tags: { deny: [latest] }
",
        );
        project.write_manifest("platforms: all\n");
        project
    }

    /// Writes the manifest with `extra` in place of its `platforms`.
    pub(crate) fn write_manifest(&self, extra: &str) {
        let host = self.registry.host();
        self.write(
            "bundle-manifests/rune.yaml",
            &format!(
                "apiVersion: rune-bundle/v1
kind: BundleManifest
name: rune
version: 0.1.0
{extra}images:
  - {{ name: postgres, reference: '{host}/library/postgres:17-alpine', license: PostgreSQL }}
  - name: rune-db
    build: {{ reference: 'ghcr.io/lpasquali/rune-db:0.1.0', binaries: {{ linux/amd64: dist/rune-db }} }}
charts: [{{ path: charts/rune }}]
migrations: migrations
binaries: [{{ name: rune-db, platform: linux/amd64, path: dist/rune-db }}]
policy: policy.yaml
"
            ),
        );
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.guard.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// What the tool says, with the registry's port taken out.
    pub(crate) fn shown(&self, text: &str) -> String {
        text.replace(&self.registry.host(), "registry.test")
            .replace(self.guard.path().to_str().unwrap(), "[project]")
    }

    /// Runs the tool in the project's directory, with an empty environment. The chart names no
    /// image, so it is not checked.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(arguments)
            .current_dir(self.guard.path())
            .env_clear();
        if arguments.first() == Some(&"lock") {
            command.arg("--no-chart-check");
        }
        command.output().unwrap()
    }

    /// The exit code, and what is on standard output and standard error.
    pub(crate) fn outcome(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| self.shown(std::str::from_utf8(bytes).unwrap());
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The JSON report of a run that ends with `code`.
    pub(crate) fn report(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
