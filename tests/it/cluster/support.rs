//! What the tests with a real Kubernetes share: the images that the charts name, and the charts
//! installed from the checkout.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rune_bundle::bundle::{ImageProgram, program_image};
use rune_testkit::cluster::{Cluster, Helm, ImageLayout, Namespace};
use serde_json::{Value, json};

use crate::charts::support::project;

/// How long anything may take that a cluster does on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// The server of the release `rune`.
pub(crate) const DATABASE: &str = "rune-postgres-0";

/// The images of a release, in the registry of the cluster: their digests.
#[derive(Debug)]
pub(crate) struct Images {
    postgres: String,
    rune: String,
    rune_db: String,
}

impl Images {
    /// Puts them there: the test image of PostgreSQL, the stand-in for the API, and `rune-db` as a
    /// bundle carries it.
    pub(crate) fn push(cluster: &Cluster) -> Self {
        Self {
            postgres: cluster.push(&ImageLayout::postgres(), "library/postgres:17-alpine"),
            rune: cluster.push(&ImageLayout::api_stand_in(), "lpasquali/rune:stand-in"),
            rune_db: cluster.push(&rune_db(), "lpasquali/rune-db:0.1.0"),
        }
    }

    /// The image of PostgreSQL, as a pod names it.
    pub(crate) fn postgres(&self) -> String {
        format!("docker.io/library/postgres:17-alpine@{}", self.postgres)
    }

    /// Values of the chart that pin every image; small requests, because the node is small.
    pub(crate) fn values(&self) -> Value {
        let small = json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}});
        json!({
            "image": {"tag": "stand-in", "digest": self.rune},
            "resources": small,
            "rune": {"database": {"allowUnprovenImage": true, "migrate": {"image": {"digest": self.rune_db}}}},
            "postgres": {"enabled": true, "image": {"digest": self.postgres}, "persistence": {"size": "1Gi"}, "resources": small},
        })
    }
}

/// Writes values to a file that Helm can be given.
pub(crate) fn values_file(values: &Value) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    fs::write(file.path(), values.to_string()).unwrap();
    file
}

/// Installs or upgrades the chart `rune` as release `rune` and waits until everything is ready.
pub(crate) fn install(namespace: &Namespace<'_>, helm: Helm, values: &Value) {
    let file = values_file(values);
    let path = file.path().to_str().unwrap();
    let arguments = [
        "upgrade",
        "--install",
        "rune",
        "charts/rune",
        "--values",
        path,
        "--wait",
        "--timeout",
        "150s",
    ];
    namespace
        .helm(helm, &arguments)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Removes the release `rune` and waits until its pods are gone.
pub(crate) fn uninstall(namespace: &Namespace<'_>, helm: Helm) {
    namespace
        .helm(helm, &["uninstall", "rune", "--wait", "--timeout", "100s"])
        .unwrap_or_else(|error| panic!("{error}"));
    namespace.wait(&format!("pod/{DATABASE}"), "delete", PATIENCE);
}

/// Runs SQL in the bundled database as its superuser.
pub(crate) fn query(namespace: &Namespace<'_>, sql: &str) -> String {
    let command = [
        "psql",
        "--no-psqlrc",
        "-qAtU",
        "postgres",
        "-d",
        "rune",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        sql,
    ];
    namespace
        .exec(DATABASE, "postgres", &command)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until something holds that no object of the cluster says.
pub(crate) fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    rune_testkit::poll::wait_until(what, PATIENCE, holds);
}

/// The image of `rune-db` as the project builds it, with a program of this checkout that needs no
/// libraries.
fn rune_db() -> ImageLayout {
    let program = ImageProgram {
        name: "rune-db".to_owned(),
        bytes: stripped("rune-db"),
    };
    let programs = vec![("linux/amd64".parse().unwrap(), vec![program])];
    let migrations = migrations();
    let migrations = migrations
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let image = program_image("Apache-2.0", programs, migrations).unwrap();
    let target = serde_json::to_value(&image.target).unwrap();
    ImageLayout::of_blobs(
        &target,
        image.blobs.iter().map(|(_, bytes)| bytes.as_slice()),
    )
}

fn migrations() -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(project().join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "sql")
        })
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    found.sort();
    found
}

/// A password of every printable character, a blank among them.
pub(crate) fn printable() -> String {
    (' '..='~').collect()
}

/// A password as it stands in a URL.
pub(crate) fn encoded(password: &str) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(password, PLAIN).to_string()
}

/// A program without libraries, and without the features that tests are built with:
/// `tools/static-programs` says where.
pub(crate) fn static_program(name: &str) -> PathBuf {
    let directory = std::env::var_os("RUNE_STATIC_PROGRAMS")
        .expect("nextest runs `tools/static-programs` before this test");
    PathBuf::from(directory).join(name)
}

/// The same without its symbols.
pub(crate) fn stripped(name: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let strip = Command::new("strip")
        .arg("-o")
        .arg(file.path())
        .arg(static_program(name))
        .output()
        .unwrap();
    assert!(
        strip.status.success(),
        "{}",
        String::from_utf8_lossy(&strip.stderr)
    );
    fs::read(file.path()).unwrap()
}
