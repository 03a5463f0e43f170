//! `doctor receive`: whether a bundle is whole and trusted, and what is here to use it with.

use std::{fs, path::PathBuf, process::Command};

use rune_testkit::registry::Registry;
use serde_json::Value;

use crate::bundle::small_bundle::{Scratch, ends_with, signed};

struct Place {
    scratch: Scratch,
    bundle: PathBuf,
}

impl Place {
    fn new() -> Self {
        let scratch = Scratch::new();
        let bundle = signed(&scratch);
        Self { scratch, bundle }
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(["doctor", "receive"])
            .arg(&self.bundle)
            .args(options)
            .env_clear()
            .env("HOME", self.scratch.path("."));
        command
    }

    /// The report of a run that ends with `code`.
    fn report(&self, options: &[&str], code: i32) -> Value {
        let output = self
            .command(&[options, &["--json"]].concat())
            .output()
            .unwrap();
        ends_with(&output, code);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// State and findings of one check, in a run that ends with `code`.
    fn check(&self, name: &str, options: &[&str], code: i32) -> (String, String) {
        Self::of(&self.report(options, code), name)
    }

    fn of(report: &Value, name: &str) -> (String, String) {
        let check = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("no check `{name}`: {report:#}"));
        assert!(
            check["state"] == "ok" || !check["help"].is_null(),
            "{check}"
        );
        (
            check["state"].as_str().unwrap().to_owned(),
            check["available"].as_str().unwrap().to_owned(),
        )
    }
}

#[test]
fn a_bundle_is_named_and_nothing_is_changed() {
    let place = Place::new();
    let before = place.scratch.names();
    let (state, found) = place.check("bundle", &[], 0);
    assert!(
        state == "ok" && found.starts_with("small 1.2.3, sha256:"),
        "{found}"
    );
    assert_eq!(place.check("length", &[], 0).0, "ok");
    assert_eq!(place.scratch.names(), before);
}

#[test]
fn what_is_not_a_bundle_or_is_cut_off() {
    let place = Place::new();
    let whole = fs::read(&place.bundle).unwrap();
    fs::write(&place.bundle, &whole[..whole.len() - 512]).unwrap();
    let (state, found) = place.check("length", &[], 6);
    assert!(
        state == "problem" && found.contains("512 bytes short"),
        "{found}"
    );
    fs::write(&place.bundle, "no bundle").unwrap();
    assert_eq!(place.check("bundle", &[], 3).0, "problem");
    fs::remove_file(&place.bundle).unwrap();
    assert_eq!(place.check("bundle", &[], 4).0, "problem");
}

#[test]
fn trust_is_checked_when_there_is_something_to_check_it_with() {
    let place = Place::new();
    assert_eq!(
        place.check("trust", &[], 0),
        ("warning".to_owned(), "1 signature, not checked".to_owned())
    );
    let key = place.scratch.utf8("key.pub");
    let fingerprint = crate::bundle::small_bundle::private_key()
        .public_key()
        .fingerprint()
        .grouped();
    let good = format!("good, 1 signature: key.pub ({fingerprint}); trust: `{key}` (--key)");
    assert_eq!(
        place.check("trust", &["--key", key.as_str()], 0),
        ("ok".to_owned(), good)
    );
    let other = rune_bundle::sign::PrivateKey::generate()
        .unwrap()
        .public_key()
        .to_pem();
    fs::write(place.scratch.path("other.pub"), other).unwrap();
    assert_eq!(
        place
            .check(
                "trust",
                &["--key", place.scratch.utf8("other.pub").as_str()],
                7
            )
            .0,
        "problem"
    );
}

#[test]
fn room_helm_cluster_and_containerd_are_looked_for() {
    let place = Place::new();
    let report = place.report(&["--into", place.scratch.utf8(".").as_str()], 0);
    assert_eq!(
        ["room", "helm", "kubeconfig"].map(|name| Place::of(&report, name).0),
        ["ok", "warning", "warning"]
    );
    assert!(["ok", "warning"].contains(&Place::of(&report, "containerd").0.as_str()));
    assert_eq!(
        place.check("room", &["--into", "/no/such/directory"], 4).0,
        "problem"
    );
    let helm = crate::charts::support::tool("helm4");
    let (state, found) = place.check("helm", &["--helm", helm.to_str().unwrap()], 0);
    assert!(state == "ok" && found.starts_with("v4."), "{found}");
}

#[test]
fn a_kubeconfig_leads_to_a_server() {
    let place = Place::new();
    let config = "apiVersion: v1
kind: Config
current-context: lab
contexts: [{ name: lab, context: { cluster: here, user: me } }]
clusters: [{ name: here, cluster: { server: 'https://192.0.2.1:6443' } }]
users: [{ name: me, user: { token: sesame } }]
";
    fs::create_dir(place.scratch.path(".kube")).unwrap();
    fs::write(place.scratch.path(".kube/config"), config).unwrap();
    let (state, found) = place.check("kubeconfig", &[], 0);
    assert_eq!(
        (state.as_str(), found.as_str()),
        ("ok", "context lab, https://192.0.2.1:6443")
    );
    let said = ends_with(&place.command(&[]).output().unwrap(), 0);
    assert!(!said.contains("sesame"), "{said}");
    fs::write(
        place.scratch.path(".kube/config"),
        config.replace("lab\n", "gone\n"),
    )
    .unwrap();
    assert_eq!(place.check("kubeconfig", &[], 3).0, "problem");
}

#[test]
fn a_registry_is_asked_whether_it_lets_us_in() {
    let place = Place::new();
    let registry = Registry::start();
    let (state, found) = place.check(
        "registry",
        &["--registry", &format!("{}/rune", registry.host())],
        0,
    );
    assert_eq!(
        (state.as_str(), found.as_str()),
        (
            "ok",
            "it answers; whether it takes uploads is seen when push begins"
        )
    );
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.method == "GET")
    );
    let gone = registry.host();
    drop(registry);
    assert_eq!(
        place.check("registry", &["--registry", &gone], 10).0,
        "problem"
    );
    let said = ends_with(
        &place
            .command(&["--registry", "http://registry.lan"])
            .output()
            .unwrap(),
        2,
    );
    assert!(said.contains("is a URL"), "{said}");
}
