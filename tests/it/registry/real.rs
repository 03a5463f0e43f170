//! The client against a real registry: distribution, in each of its modes.

use std::process::Command;

use rune_bundle::{
    oci::Reference,
    registry::{Client, ClientConfig, RepositoryName},
};
use rune_core::digest::Digest;
use rune_testkit::{process::Process, sample::Sample};
use serde_json::Value;

use crate::registry::support::{Files, fetch, quick, words};

struct Real {
    process: Process,
    announced: Value,
    files: Files,
}

impl Real {
    fn start(mode: &str) -> Self {
        let files = Files::new();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/registry/start");
        let directory = files.directory().join("registry");
        let (process, announced) = Process::start_announced(program, [mode, directory.as_str()]);
        Self {
            process,
            announced,
            files,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.announced[key].as_str()
    }

    fn host(&self) -> &str {
        self.text("host").unwrap()
    }

    fn config(&self) -> ClientConfig {
        ClientConfig {
            ca_files: self.text("ca").map(Into::into).into_iter().collect(),
            ..quick()
        }
    }

    /// The same, with the user who may do everything.
    fn config_with_login(&self) -> ClientConfig {
        let login = self
            .text("user")
            .zip(self.text("password"))
            .map(|(user, password)| self.files.login(self.host(), user, password));
        ClientConfig {
            auth_files: login.into_iter().collect(),
            ..self.config()
        }
    }

    /// Pushes the sample with skopeo, byte for byte, and gives its reference.
    fn push_sample(&self) -> Reference {
        let image = Sample::default().build();
        let layout = self.files.directory().join("layout");
        image.write_layout(layout.as_std_path(), "sample");
        let mut skopeo = Command::new("skopeo");
        skopeo.args([
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--insecure-policy",
        ]);
        if let Some((user, password)) = self.text("user").zip(self.text("password")) {
            skopeo.arg(format!("--dest-creds={user}:{password}"));
        }
        match self.text("ca") {
            Some(ca) => skopeo.arg(format!(
                "--dest-cert-dir={}",
                ca.rsplit_once('/').unwrap().0
            )),
            None => skopeo.arg("--dest-tls-verify=false"),
        };
        let target = format!("docker://{}/library/postgres:17-alpine", self.host());
        let output = skopeo
            .args([format!("oci:{layout}:sample"), target])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        format!("{}/library/postgres:17-alpine", self.host())
            .parse()
            .unwrap()
    }
}

/// Fetches the index, every manifest and every blob, each blob once whole and once from its middle.
async fn fetch_everything(client: &Client, reference: &Reference) {
    let name = RepositoryName::from(reference);
    let index = client.resolve(reference).await.unwrap();
    assert_eq!(index.bytes(), Sample::default().build().index.bytes);
    for child in index.children() {
        let manifest = client
            .manifest(&name, child.digest, Some(&child.media_type))
            .await
            .unwrap();
        for blob in manifest.children() {
            let whole = fetch(client, &name, blob, 0).await.unwrap();
            assert_eq!(Digest::of(&whole), blob.digest);
            let middle = blob.size / 2;
            assert_eq!(
                fetch(client, &name, blob, middle).await.unwrap(),
                whole[usize::try_from(middle).unwrap()..]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_on_loopback() {
    let real = Real::start("plain");
    let reference = real.push_sample();
    fetch_everything(&Client::new(real.config()).unwrap(), &reference).await;
    let missing = format!("{}/library/postgres:16", real.host())
        .parse()
        .unwrap();
    let error = Client::new(real.config())
        .unwrap()
        .resolve(&missing)
        .await
        .unwrap_err();
    assert!(words(error, &[]).ends_with("exit: 4"));
    assert!(real.process.id() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_authority_and_passwords() {
    let real = Real::start("tls-basic");
    let reference = real.push_sample();
    fetch_everything(&Client::new(real.config_with_login()).unwrap(), &reference).await;
    let error = Client::new(real.config())
        .unwrap()
        .resolve(&reference)
        .await
        .unwrap_err();
    assert!(words(error, &[]).ends_with("exit: 9"));
    let error = Client::new(quick())
        .unwrap()
        .resolve(&reference)
        .await
        .unwrap_err();
    assert!(words(error, &[]).contains("its TLS certificate is not trusted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn token_server() {
    for mode in ["token", "tls-token"] {
        let real = Real::start(mode);
        let reference = real.push_sample();
        fetch_everything(&Client::new(real.config()).unwrap(), &reference).await;
        fetch_everything(&Client::new(real.config_with_login()).unwrap(), &reference).await;
        let files = Files::new();
        let wrong = ClientConfig {
            auth_files: vec![files.login(real.host(), "alice", "hunter2")],
            ..real.config()
        };
        let error = Client::new(wrong)
            .unwrap()
            .resolve(&reference)
            .await
            .unwrap_err();
        let words = words(error, &[]);
        assert!(
            words.contains("which answered 401 Unauthorized to the credentials of `alice`")
                && words.ends_with("exit: 9"),
            "{words}"
        );
    }
}
