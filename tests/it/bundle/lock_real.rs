//! `lock` against a real registry: distribution, which stands in for docker.io, with the PostgreSQL
//! test image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rune_testkit::{process::Process, sample::Sample, sha256};
use serde_json::{Value, json};

use crate::{bundle::project::repository, bundle::small_bundle::ends_with, charts::support::tool};

/// A registry of some mode, and a project with the manifest that carries PostgreSQL only.
struct Site {
    guard: tempfile::TempDir,
    _registry: Process,
    announced: Value,
}

impl Site {
    fn start(mode: &str) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let program = repository().join("tools/registry/start");
        let directory = guard.path().join("registry");
        let (registry, announced) =
            Process::start_announced(program, [mode, directory.to_str().unwrap()]);
        let site = Self {
            guard,
            _registry: registry,
            announced,
        };
        site.push();
        fs::create_dir(site.path("bundle-manifests")).unwrap();
        for name in ["postgres.yaml", "policy.yaml"] {
            fs::copy(
                repository().join("bundle-manifests").join(name),
                site.path("bundle-manifests").join(name),
            )
            .unwrap();
        }
        let mirrors = json!({"mirrors": {"docker.io": {"endpoint": [site.text("url").unwrap()]}}});
        // JSON is YAML.
        fs::write(site.path("registries.yaml"), mirrors.to_string()).unwrap();
        site
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.announced[key].as_str()
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.guard.path().join(name)
    }

    fn skopeo_options(&self) -> Vec<String> {
        let mut options = match self.text("ca") {
            Some(ca) => vec![format!(
                "--dest-cert-dir={}",
                Path::new(ca).parent().unwrap().display()
            )],
            None => vec!["--dest-tls-verify=false".to_owned()],
        };
        options.extend(
            self.text("user")
                .zip(self.text("password"))
                .map(|(user, password)| format!("--dest-creds={user}:{password}")),
        );
        options
    }

    fn push(&self) {
        let mut push = Command::new(repository().join("tools/registry/push-postgres"));
        ends_with(
            &push
                .arg(self.text("host").unwrap())
                .args(self.skopeo_options())
                .output()
                .unwrap(),
            0,
        );
    }

    /// Moves the tag to another image.
    fn move_tag(&self, sample: &Sample) {
        let layout = self.path("layout");
        sample.build().write_layout(&layout, "moved");
        let mut skopeo = Command::new("skopeo");
        skopeo
            .args([
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                "--insecure-policy",
            ])
            .args(self.skopeo_options());
        let target = format!(
            "docker://{}/library/postgres:17-alpine",
            self.text("host").unwrap()
        );
        ends_with(
            &skopeo
                .args([format!("oci:{}:moved", layout.display()), target])
                .output()
                .unwrap(),
            0,
        );
    }

    fn lock(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args([
                "lock",
                "bundle-manifests/postgres.yaml",
                "--registry-config",
                "registries.yaml",
            ])
            .args(arguments);
        command
            .current_dir(self.guard.path())
            .env_clear()
            .output()
            .unwrap()
    }

    fn report(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.lock(&[arguments, &["--json"]].concat());
        ends_with(&output, code);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The digest of the index as it lies in the image's own layout.
    fn index_digest() -> String {
        let tools = std::env::var("RUNE_TOOLS")
            .unwrap_or_else(|_| "/var/cache/rune-bundle/tools".to_owned());
        let layout = Path::new(&tools).join("images/postgres-17-alpine");
        let index: Value =
            serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap();
        assert_eq!(
            sha256(&fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()),
            digest
        );
        digest.to_owned()
    }
}

#[test]
fn a_multi_platform_index_with_attestations_is_locked_with_its_own_digest() {
    let site = Site::start("plain");
    let report = site.report(0, &[]);
    let postgres = &report["images"][0];
    assert_eq!(
        postgres["reference"],
        "docker.io/library/postgres:17-alpine"
    );
    assert_eq!(postgres["digest"], Site::index_digest());
    assert_eq!(
        (
            postgres["platforms"].as_array().unwrap().len(),
            postgres["attestations"].as_u64()
        ),
        (3, Some(3))
    );
    assert!(postgres["bytes"].as_u64().unwrap() > 10 << 20, "{postgres}");
    let lock = fs::read_to_string(site.path("bundle-manifests/postgres.lock")).unwrap();
    assert!(lock.contains("https://slsa.dev/provenance/"), "{lock}");
    site.report(0, &["--check"]);

    site.move_tag(&Sample::default());
    let changes = site.report(5, &["--check"])["changes"].clone();
    let moved = json!([{
        "subject": "image `postgres`", "reference": "docker.io/library/postgres:17-alpine", "property": "digest",
        "old": Site::index_digest(), "new": Sample::default().build().index.digest(),
    }]);
    assert_eq!(changes, moved);
}

#[test]
fn a_registry_with_a_private_ca_and_a_password_tells_nobody_else() {
    let site = Site::start("tls-basic");
    // Named directly: a mirror that fails is no reason to knock at docker.io from a test.
    let direct = format!("{}/library/postgres", site.text("host").unwrap());
    for file in [
        "bundle-manifests/postgres.yaml",
        "bundle-manifests/policy.yaml",
    ] {
        let text = fs::read_to_string(site.path(file)).unwrap();
        let allowed = format!("- docker.io/library/*\n    - {direct}");
        fs::write(
            site.path(file),
            text.replace("docker.io/library/postgres", &direct)
                .replace("- docker.io/library/*", &allowed),
        )
        .unwrap();
    }
    let ca = site.text("ca").unwrap();
    let words = ends_with(&site.lock(&[]), 10);
    assert!(words.contains("certificate"), "{words}");
    let words = ends_with(&site.lock(&["--ca-file", ca]), 9);
    assert!(
        words.contains("asks for credentials, and there are none"),
        "{words}"
    );

    let auth = "YWxpY2U6d29uZGVybGFuZA=="; // alice:wonderland
    let login = json!({"auths": {site.text("host").unwrap(): {"auth": auth}}});
    fs::write(site.path("login.json"), login.to_string()).unwrap();
    let report = site.report(0, &["--ca-file", ca, "--authfile", "login.json"]);
    assert_eq!(report["images"][0]["digest"], Site::index_digest());
}

#[test]
fn a_token_server_lets_everybody_read() {
    let site = Site::start("tls-token");
    let report = site.report(0, &["--ca-file", site.text("ca").unwrap()]);
    assert_eq!(report["images"][0]["digest"], Site::index_digest());
}

#[test]
fn syft_reads_an_image_of_a_private_registry_without_its_password_and_ca() {
    let site = Site::start("tls-basic");
    let host = site.text("host").unwrap();
    // One platform alone: the attestations stay behind with the index.
    let tools =
        std::env::var("RUNE_TOOLS").unwrap_or_else(|_| "/var/cache/rune-bundle/tools".to_owned());
    let layout = format!("oci:{tools}/images/postgres-17-alpine");
    let mut skopeo = Command::new("skopeo");
    skopeo
        .args(["--override-arch", "amd64", "--override-os", "linux"])
        .args(["copy", "--quiet", "--insecure-policy"])
        .args(site.skopeo_options())
        .args([layout, format!("docker://{host}/acme/postgres:17")]);
    ends_with(&skopeo.output().unwrap(), 0);
    let manifest = format!(
        "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: alone\nversion: 1.0.0\nimages:\n  - {{ name: postgres, reference: '{host}/acme/postgres:17', license: PostgreSQL }}\npolicy: open.yaml\n"
    );
    fs::write(site.path("bundle-manifests/postgres.yaml"), manifest).unwrap();
    let policy = "apiVersion: rune-bundle/v1\nkind: Policy\nlicenses: { allow: [PostgreSQL] }\nsources: { allow: ['**'] }\nsboms: [{ match: '**' }]\n";
    fs::write(site.path("open.yaml"), policy).unwrap();
    let auth = "YWxpY2U6d29uZGVybGFuZA=="; // alice:wonderland
    let login = json!({"auths": {host: {"auth": auth}}});
    fs::write(site.path("login.json"), login.to_string()).unwrap();
    let syft = format!("--syft={}", tool("syft").display());
    let access = [
        "--ca-file",
        site.text("ca").unwrap(),
        "--authfile",
        "login.json",
    ];
    let report = site.report(0, &[&access[..], &[&syft]].concat());
    let sboms = report["images"][0]["sboms"].as_array().unwrap();
    assert_eq!(sboms.len(), 1, "{report}");
    let digest = sboms[0]["digest"].as_str().unwrap();
    let name = digest.trim_start_matches("sha256:");
    let path = site.path(format!("bundle-manifests/postgres.lock.d/sha256/{name}"));
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(sha256(text.as_bytes()), digest);
    let sbom: Value = serde_json::from_str(&text).unwrap();
    let components = sbom["components"].as_array().unwrap();
    let found = components
        .iter()
        .find(|component| component["name"] == "postgresql");
    assert!(
        found.unwrap()["version"]
            .as_str()
            .unwrap()
            .starts_with("17."),
        "{text}"
    );
    assert!(
        !text.contains("wonderland") && !text.contains("image@"),
        "{text}"
    );
}
