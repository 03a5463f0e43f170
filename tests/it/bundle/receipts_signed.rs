//! Receipts that a site signs, verified by cosign and openssl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use base64ct::{Base64, Encoding as _};
use rune_testkit::{process::succeeded, registry::Registry};
use serde_json::Value;

use crate::{
    bundle::{
        sign_support::Team,
        small_bundle::{ends_with, rune_bundle},
    },
    charts::support::tool,
};

/// Somebody who pushes, with a key of the site that has a passphrase.
struct Site {
    team: Team,
    registry: Registry,
}

const PASSPHRASE: &str = "of the site";

impl Site {
    fn new() -> Self {
        let site = Self {
            team: Team::new(),
            registry: Registry::start(),
        };
        for name in ["site", "other"] {
            let mut keygen = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
            keygen.args(["keygen", "--output", &site.team.file(name)]);
            succeeded(keygen.env("COSIGN_PASSWORD", PASSPHRASE));
        }
        site
    }

    fn push(&self, options: &[&str], passphrase: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command.arg("push").arg(&self.team.bundle);
        command.args([&self.registry.host(), "--key", &self.team.file("first.pub")]);
        command.args(["--receipts", &self.team.file("receipts")]);
        command.args(options).env("COSIGN_PASSWORD", passphrase);
        command.output().unwrap()
    }

    fn push_signed(&self) -> String {
        let key = self.team.file("site.key");
        ends_with(&self.push(&["--receipt-key", &key], PASSPHRASE), 0)
    }

    /// The receipts, without what lies beside them.
    fn receipts(&self) -> Vec<PathBuf> {
        let directory = self.team.scratch.path("receipts");
        let paths = fs::read_dir(directory).into_iter().flatten();
        let paths = paths.map(|entry| entry.unwrap().path());
        let is_receipt = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.strip_suffix(".json")
                .is_some_and(|stem| !stem.ends_with(".sigstore"))
        };
        let mut paths: Vec<_> = paths.filter(is_receipt).collect();
        paths.sort();
        paths
    }

    fn is_accepted_by_cosign(&self, key: &str, receipt: &Path) -> bool {
        let mut cosign = Command::new(tool("cosign"));
        cosign.args(["verify-blob", "--key", &self.team.file(key)]);
        cosign.args(["--insecure-ignore-tlog=true", "--bundle"]);
        cosign.arg(signature(receipt)).arg(receipt);
        cosign.output().unwrap().status.success()
    }
}

fn signature(receipt: &Path) -> PathBuf {
    PathBuf::from(format!("{}.sigstore.json", receipt.display()))
}

#[test]
fn cosign_and_openssl_accept_the_signature_of_every_receipt_and_the_chain_stays_as_it_is() {
    let site = Site::new();
    let said = site.push_signed();
    site.push_signed();
    let receipts = site.receipts();
    let beside = format!("signed in `{}`", signature(&receipts[0]).display());
    assert!(said.contains(&beside), "{said}");
    assert_eq!(receipts.len(), 2);
    for receipt in &receipts {
        assert!(site.is_accepted_by_cosign("site.pub", receipt));
        assert!(!site.is_accepted_by_cosign("other.pub", receipt));
        let bundle: Value = serde_json::from_slice(&fs::read(signature(receipt)).unwrap()).unwrap();
        let bare = bundle["messageSignature"]["signature"].as_str().unwrap();
        let file = site.team.scratch.path("bare");
        fs::write(&file, Base64::decode_vec(bare).unwrap()).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-verify", &site.team.file("site.pub")]);
        succeeded(openssl.arg("-signature").arg(&file).arg(receipt));
    }
    let verify = [
        "receipts",
        "verify",
        "--receipts",
        &site.team.file("receipts"),
    ];
    let said = ends_with(&rune_bundle(verify), 0);
    assert!(said.starts_with("2 receipts in "), "{said}");
    let mut changed = fs::read(&receipts[1]).unwrap();
    let at = changed.len() - 5;
    changed[at] ^= 1;
    fs::write(&receipts[1], changed).unwrap();
    assert!(!site.is_accepted_by_cosign("site.pub", &receipts[1]));
}

#[test]
fn a_key_that_does_not_open_ends_the_verb_before_anything_is_sent() {
    let site = Site::new();
    let key = site.team.file("site.key");
    let said = ends_with(&site.push(&["--receipt-key", &key], "another"), 9);
    assert!(said.contains("site.key"), "{said}");
    let public = site.team.file("site.pub");
    ends_with(&site.push(&["--receipt-key", &public], PASSPHRASE), 3);
    let none = site.push(&["--receipt-key", &key, "--no-receipt"], PASSPHRASE);
    ends_with(&none, 2);
    assert!(site.receipts().is_empty() && site.registry.requests().is_empty());
}

#[test]
fn without_a_key_there_is_no_signature() {
    let site = Site::new();
    let said = ends_with(&site.push(&[], PASSPHRASE), 0);
    assert!(!said.contains("signed in"), "{said}");
    assert!(!signature(&site.receipts()[0]).exists());
}

#[test]
fn each_receipt_must_be_signed_by_a_key_that_is_given() {
    let site = Site::new();
    let verify = |keys: &[&str]| {
        let directory = site.team.file("receipts");
        let files: Vec<String> = keys.iter().map(|key| site.team.file(key)).collect();
        let mut arguments = vec!["receipts", "verify", "--receipts", &directory];
        for file in &files {
            arguments.extend(["--key", file]);
        }
        rune_bundle(arguments)
    };
    site.push_signed();
    site.push_signed();
    let said = ends_with(&verify(&["site.pub"]), 0);
    let expected = "each as it was written and signed by site.pub\n";
    assert!(said.contains(expected), "{said}");
    ends_with(&verify(&["other.pub", "site.pub"]), 0);
    let said = ends_with(&verify(&["other.pub"]), 7);
    let expected = "receipt 1 is not signed by a key that was given";
    assert!(said.contains(expected), "{said}");
    ends_with(&verify(&["missing.pub"]), 4);

    let receipts = site.receipts();
    let [first, second] = [0, 1].map(|number| signature(&receipts[number]));
    let right = fs::read(&second).unwrap();
    fs::copy(&first, &second).unwrap();
    let said = ends_with(&verify(&["site.pub"]), 7);
    assert!(said.contains("receipt 2 is not signed by"), "{said}");
    fs::write(&second, right).unwrap();

    ends_with(&site.push(&[], PASSPHRASE), 0);
    let said = ends_with(&verify(&["site.pub"]), 7);
    assert!(said.contains("receipt 3 is not signed: there is"), "{said}");
    let third = &site.receipts()[2];
    let mut cosign = Command::new(tool("cosign"));
    cosign.args(["sign-blob", "--key", &site.team.file("other.key"), "--yes"]);
    cosign.args(["--use-signing-config=false", "--tlog-upload=false"]);
    cosign.arg("--bundle").arg(signature(third)).arg(third);
    succeeded(cosign.env("COSIGN_PASSWORD", PASSPHRASE));
    ends_with(&verify(&["site.pub"]), 7);
    ends_with(&verify(&["site.pub", "other.pub"]), 0);
}
