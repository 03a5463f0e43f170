//! Charts signed for Helm: keys made by gpg, signatures checked by both Helms, from a bundle and
//! from a registry.

#![cfg(feature = "openpgp")]

use std::{fs, path::PathBuf, process::Command};

use rune_bundle::chart::{ChartArtifact, ChartKey, ProvenanceError};
use rune_testkit::registry::Registry;
use tempfile::TempDir;

use crate::{
    bundle::project::{Project, sha256},
    bundle::small_bundle::ends_with,
    charts::support::{Helm, pinned, pinned_package, tool},
};

/// A keyring of gpg with one key.
struct Keyring {
    home: TempDir,
    passphrase: &'static str,
}

impl Keyring {
    /// A key that signs by itself.
    fn simple(algorithm: &str, passphrase: &'static str) -> Self {
        let keyring = Self {
            home: tempfile::tempdir().unwrap(),
            passphrase,
        };
        keyring.gpg(&[
            "--quick-generate-key",
            "Release <release@example.org>",
            algorithm,
            "sign",
            "never",
        ]);
        keyring
    }

    /// A key that certifies, and one below it that signs.
    fn with_subkey(algorithm: &str) -> Self {
        let keyring = Self {
            home: tempfile::tempdir().unwrap(),
            passphrase: "",
        };
        keyring.gpg(&[
            "--quick-generate-key",
            "Release <release@example.org>",
            algorithm,
            "cert",
            "never",
        ]);
        let listed = String::from_utf8(keyring.gpg(&["--with-colons", "--list-keys"])).unwrap();
        let fingerprint = listed
            .lines()
            .find_map(|line| line.strip_prefix("fpr:"))
            .unwrap()
            .trim_matches(':');
        keyring.gpg(&["--quick-add-key", fingerprint, algorithm, "sign", "never"]);
        keyring
    }

    fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new(tool("gpg"));
        command.arg("--homedir").arg(self.home.path()).args([
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            self.passphrase,
        ]);
        let output = command.args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn private(&self) -> Vec<u8> {
        self.gpg(&["--armor", "--export-secret-keys"])
    }

    /// The file that Helm wants to know whom to trust.
    fn public(&self) -> PathBuf {
        let path = self.home.path().join("public.gpg");
        fs::write(&path, self.gpg(&["--export"])).unwrap();
        path
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "gpg-agent"])
            .status();
    }
}

#[test]
fn helm_verifies_the_charts_of_a_bundle_that_was_built_with_a_chart_key() {
    let (ours, other) = (
        Keyring::simple("ed25519", "of the release"),
        Keyring::simple("ed25519", ""),
    );
    let project = Project::new();
    project.lock();
    fs::write(project.path("charts.asc"), ours.private()).unwrap();
    let build = |output: &str, passphrase: &str| {
        let mut arguments = project.build_arguments(output);
        arguments.extend(["--chart-key", "charts.asc"]);
        project
            .command(&arguments)
            .env("COSIGN_PASSWORD", passphrase)
            .output()
            .unwrap()
    };
    let said = ends_with(&build("x.tar", "of somebody else"), 9);
    assert!(
        said.contains("cannot use the chart key `charts.asc`")
            && said.contains("the passphrase is not the one of the key"),
        "{said}"
    );
    for output in ["x.tar", "again.tar"] {
        ends_with(&build(output, ours.passphrase), 0);
    }
    assert_eq!(
        sha256(&project.path("x.tar")),
        sha256(&project.path("again.tar")),
        "a signature has no time of its own"
    );
    ends_with(
        &project.run(&["unpack", "x.tar", "unpacked", "--key", "release.pub"]),
        0,
    );

    let chart = project.path("unpacked/charts/rune-0.2.0.tgz");
    let verify = |helm: &Helm, keyring: &Keyring| {
        helm.try_run(&[
            "verify",
            chart.to_str().unwrap(),
            "--keyring",
            keyring.public().to_str().unwrap(),
        ])
    };
    for helm in Helm::both() {
        let said = verify(&helm, &ours).unwrap();
        assert!(said.contains("Release <release@example.org>"), "{said}");
        verify(&helm, &other).unwrap_err();
    }
    let mut bytes = fs::read(&chart).unwrap();
    bytes.push(0);
    fs::write(&chart, bytes).unwrap();
    for helm in Helm::both() {
        let said = verify(&helm, &ours).unwrap_err();
        assert!(said.contains("does not match"), "{said}");
    }
}

#[test]
fn helm_pulls_a_chart_that_a_subkey_signed_from_a_registry_and_verifies_it() {
    let keyring = Keyring::with_subkey("rsa2048");
    let key =
        ChartKey::load::<ProvenanceError>(&keyring.private(), || panic!("it is not encrypted"))
            .unwrap();
    let mut packed = pinned_package(&pinned());
    packed.provenance = Some(key.sign(&packed).unwrap());
    let artifact = ChartArtifact::new(&packed).unwrap();
    let registry = Registry::start();
    for blob in artifact.layers.iter().chain([&artifact.config]) {
        registry.put_blob("charts/rune", &blob.bytes);
    }
    let tag = ChartArtifact::tag(&packed.metadata);
    registry.put_manifest(
        "charts/rune",
        Some(&tag),
        &artifact.manifest.descriptor.media_type,
        &artifact.manifest.bytes,
    );
    for helm in Helm::both() {
        let directory = tempfile::tempdir().unwrap();
        let (to, from) = (
            directory.path().to_str().unwrap(),
            format!("oci://{}/charts/rune", registry.host()),
        );
        let keyring = keyring.public();
        let trust = ["--verify", "--keyring", keyring.to_str().unwrap()];
        helm.try_run(
            &[
                &[
                    "pull",
                    &from,
                    "--version",
                    &tag,
                    "--plain-http",
                    "--destination",
                    to,
                ],
                &trust[..],
            ]
            .concat(),
        )
        .unwrap();
        assert_eq!(
            Some(
                fs::read(
                    directory
                        .path()
                        .join(format!("{}.prov", packed.metadata.file_name()))
                )
                .unwrap()
            ),
            packed.provenance
        );
    }
}

#[test]
fn a_key_that_cannot_sign_is_refused_with_what_to_do() {
    let certifies = Keyring {
        home: tempfile::tempdir().unwrap(),
        passphrase: "",
    };
    certifies.gpg(&[
        "--quick-generate-key",
        "Release <release@example.org>",
        "ed25519",
        "cert",
        "never",
    ]);
    let project = Project::new();
    project.lock();
    for (content, expected) in [
        (certifies.private(), "no part of the key can sign"),
        (
            certifies.gpg(&["--armor", "--export"]),
            "it is not an armored OpenPGP private key",
        ),
        (b"text".to_vec(), "it is not an armored OpenPGP private key"),
    ] {
        fs::write(project.path("charts.asc"), content).unwrap();
        let mut arguments = project.build_arguments("x.tar");
        arguments.extend(["--chart-key", "charts.asc"]);
        let said = ends_with(&project.run(&arguments), 3);
        assert!(said.contains(expected) && said.contains("help: "), "{said}");
        assert!(!project.path("x.tar").exists());
    }
}
