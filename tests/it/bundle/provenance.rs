//! What a bundle was built of, as a signed statement beside the file and in a registry, read by
//! cosign, tar and jq.

use std::{fs, process::Output};

use rune_testkit::sha256;
use serde_json::{Value, json};

use crate::{
    bundle::{
        evidence_support::Shop,
        foreign_support::{Distribution, Foreign},
        small_bundle::ends_with,
    },
    registry::prune_support::{self, Crane, INDEXES},
};

const FILE: &str = "shop.tar.provenance.sigstore.json";

struct Lab {
    shop: Shop,
    tools: Foreign,
}

impl Lab {
    /// A shop with a bundle and its provenance.
    fn new() -> Self {
        let shop = Shop::new(true);
        shop.project.lock();
        let lab = Self {
            shop,
            tools: Foreign::new(),
        };
        ends_with(&lab.build("shop.tar"), 0);
        lab
    }

    fn build(&self, output: &str) -> Output {
        let arguments = self.shop.project.build_arguments(output);
        self.shop
            .project
            .run(&[&arguments[..], &["--provenance"]].concat())
    }

    fn path(&self, name: &str) -> String {
        self.shop.project.path(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.shop.project.path(name)).unwrap()
    }

    /// The statement, as jq gets it out of the envelope.
    fn statement(&self) -> Value {
        let filter = ".dsseEnvelope.payload | @base64d | fromjson";
        let text = self.tools.run("jq", [filter, &self.path(FILE)]);
        serde_json::from_str(&text).unwrap()
    }

    /// Whether cosign accepts the provenance for a file.
    fn cosign_accepts(&self, key: &str, file: &str) -> bool {
        let (key, bundle, file) = (self.path(key), self.path(FILE), self.path(file));
        let verify = [
            "verify-blob-attestation",
            "--insecure-ignore-tlog=true",
            "--key",
            &key,
        ];
        let what = ["--type", "slsaprovenance1", "--bundle", &bundle, &file];
        let arguments = [&verify[..], &what].concat();
        let output = self.tools.command("cosign", arguments).output().unwrap();
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }

    fn push(&self, verb: &str, host: &str, provenance: &str) -> Output {
        let push = [
            verb,
            "shop.tar",
            host,
            "--key",
            "release.pub",
            "--provenance",
            provenance,
        ];
        self.shop.project.run(&[&push[..], &["--json"]].concat())
    }
}

#[test]
fn cosign_accepts_the_provenance_of_a_bundle_for_its_index_and_for_no_other_file_and_key() {
    let lab = Lab::new();
    fs::write(lab.path("bundle.json"), lab.shop.entry("bundle.json")).unwrap();
    fs::write(lab.path("other.json"), lab.shop.entry("bundle.json") + " ").unwrap();
    assert!(lab.cosign_accepts("release.pub", "bundle.json"));
    assert!(!lab.cosign_accepts("other.pub", "bundle.json"));
    assert!(!lab.cosign_accepts("release.pub", "other.json"));
}

#[test]
fn provenance_names_what_was_delivered_and_what_was_fetched_and_is_the_same_twice() {
    let lab = Lab::new();
    ends_with(&lab.build("again.tar"), 0);
    assert_eq!(
        lab.read(FILE),
        lab.read("again.tar.provenance.sigstore.json")
    );
    assert_eq!(lab.read("shop.tar"), lab.read("again.tar"));
    let statement = lab.statement();
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let digests = |list: &Value| -> Vec<String> {
        let digest =
            |item: &Value| format!("sha256:{}", item["digest"]["sha256"].as_str().unwrap());
        list.as_array().unwrap().iter().map(digest).collect()
    };
    let subjects = digests(&statement["subject"]);
    assert_eq!(
        subjects[0],
        sha256(lab.shop.entry("bundle.json").as_bytes())
    );
    assert_eq!(subjects[2..], [lab.shop.root()]);
    let fetched = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    assert_eq!(digests(fetched), [lab.shop.root()]);
    let uri = fetched[0]["uri"].as_str().unwrap();
    assert!(uri.starts_with("pkg:oci/shop@sha256%3A"), "{uri}");
    assert_eq!(
        statement["predicate"]["runDetails"]["metadata"],
        json!(null)
    );
}

#[test]
fn a_registry_has_provenance_as_a_referrer_of_the_bundle_index_where_cosign_accepts_it() {
    for verb in ["push", "publish"] {
        let (lab, registry) = (Lab::new(), Distribution::start("plain"));
        let output = lab.push(verb, registry.host(), FILE);
        ends_with(&output, 0);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let [index, provenance] = ["index", "provenance"].map(|kind| digest_of(&report, kind));
        let name = format!("{}/bundles/shop", registry.host());
        let key = lab.path("release.pub");
        let verify = ["verify-attestation", "--allow-http-registry", "--key", &key];
        let what = ["--insecure-ignore-tlog=true", "--type", "slsaprovenance1"];
        let image = format!("{name}@{index}");
        lab.tools.run(
            "cosign",
            verify.into_iter().chain(what).chain([image.as_str()]),
        );
        let referrers = lab.tools.run(
            "oras",
            ["discover", "--plain-http", "--format=json", &image],
        );
        assert!(referrers.contains(&provenance), "{referrers}");
        if verb == "publish" {
            let reference = format!("{name}:0.1.0");
            let fetch = [
                "fetch",
                &reference,
                "--key",
                "release.pub",
                "--output",
                "fetched.tar",
            ];
            let plain = format!("--plain-http={}", registry.host());
            ends_with(&lab.shop.project.run(&[&fetch[..], &[&plain]].concat()), 0);
            assert_eq!(lab.read("fetched.tar"), lab.read("shop.tar"));
        }
    }
}

#[test]
fn provenance_in_a_registry_goes_with_its_bundle_when_that_is_pruned() {
    let (shop, registry, crane) = (
        prune_support::Shop::new(),
        Distribution::start("plain"),
        Crane::new(),
    );
    let host = registry.host();
    shop.build_with(1, "again.tar", "");
    let build = shop.project.build_arguments("first.tar");
    let build = [&build[..], &["--provenance"]].concat();
    ends_with(&shop.project.run(&build), 0);
    let provenance = ["--provenance", "first.tar.provenance.sigstore.json"];
    let push = ["push", "first.tar", host, "--key", "release.pub", "--json"];
    let output = shop.project.run(&[&push[..], &provenance].concat());
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let digests = ["index", "provenance"].map(|kind| digest_of(&report, kind));
    let there = || {
        digests
            .each_ref()
            .map(|digest| crane.has(host, INDEXES, digest))
    };
    assert_eq!(there(), [true, true]);
    shop.push(host, [2]);
    let clusters = [shop.cluster("one", &[2])];
    let pruned = shop.pruned(host, &clusters, &["--keep", "1", "--yes"]);
    assert_eq!(there(), [false, false], "{pruned:#}");
}

/// The digest of what was pushed of a kind.
fn digest_of(report: &Value, kind: &str) -> String {
    let references = report["references"].as_array().unwrap();
    let found = references
        .iter()
        .find(|reference| reference["kind"] == kind)
        .unwrap();
    found["digest"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_provenance_of_the_bundle_by_a_trusted_key_is_refused_before_anything_is_sent() {
    let lab = Lab::new();
    let refused = |provenance: &str, code: i32, expected: &str| {
        let output = lab.push("push", "127.0.0.1:1/nobody", provenance);
        let said = ends_with(&output, code);
        assert!(said.contains(expected), "{expected}: {said}");
    };
    refused("release.pub", 3, "it is not SLSA provenance v1");
    let statement = Shop::statement(
        &lab.shop.root(),
        "https://slsa.dev/provenance/v1",
        &lab.shop.key,
    );
    fs::write(lab.path("other.json"), statement).unwrap();
    refused("other.json", 6, "it is about another bundle");
    let digest = sha256(lab.shop.entry("bundle.json").as_bytes());
    let statement = Shop::statement(&digest, "https://slsa.dev/provenance/v1", &lab.shop.key);
    fs::write(lab.path("foreign.json"), statement).unwrap();
    refused("foreign.json", 7, "it is not signed by a trusted key");
    let sbom = Shop::statement(&digest, "https://spdx.dev/Document", &lab.shop.key);
    fs::write(lab.path("sbom.json"), sbom).unwrap();
    refused("sbom.json", 3, "it is not SLSA provenance v1");
}

#[test]
fn a_build_that_would_write_no_provenance_writes_no_bundle() {
    let lab = Lab::new();
    fs::write(lab.path("next.tar.provenance.sigstore.json"), "taken").unwrap();
    let said = ends_with(&lab.build("next.tar"), 12);
    assert!(said.contains("next.tar.provenance.sigstore.json"), "{said}");
    assert!(!lab.shop.project.path("next.tar").exists());
    let unsigned = ["build", "--provenance", "--output", "unsigned.tar"];
    ends_with(&lab.shop.project.run(&unsigned), 2);
}
