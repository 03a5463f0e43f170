//! One directory for a reviewer: what is in it, read by sha256sum, cosign and jq.

use std::{fs, path::PathBuf, process::Command};

use rune_testkit::{process::succeeded, sha256};
use serde_json::Value;

use crate::bundle::{
    evidence_support::{SPDX, Shop},
    foreign_support::Foreign,
    small_bundle::ends_with,
};

const EVIDENCE: [&str; 6] = [
    "evidence",
    "shop.tar",
    "--key",
    "release.pub",
    "--output",
    "reviewed",
];

/// A shop whose image is signed and has an SBOM, with an advisory, and its bundle with provenance.
fn shop() -> Shop {
    let shop = Shop::new(true);
    shop.sign_in_tag(&shop.key);
    shop.put(None, &shop.bundle(&shop.child(), SPDX, &shop.other));
    let manifest = shop.project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text + "advisories: [{ source: notes.txt, kind: text }]\n",
    )
    .unwrap();
    fs::write(shop.project.path("notes.txt"), "Nothing to do.\n").unwrap();
    shop.demand_signatures();
    shop.project.lock();
    let build = shop.project.build_arguments("shop.tar");
    ends_with(
        &shop.project.run(&[&build[..], &["--provenance"]].concat()),
        0,
    );
    shop
}

fn evidence(shop: &Shop, more: &[&str], code: i32) -> String {
    ends_with(&shop.project.run(&[&EVIDENCE[..], more].concat()), code)
}

fn reviewed(shop: &Shop, file: &str) -> PathBuf {
    shop.project.path("reviewed").join(file)
}

fn summary(shop: &Shop) -> Value {
    serde_json::from_slice(&fs::read(reviewed(shop, "evidence.json")).unwrap()).unwrap()
}

#[test]
fn a_reviewer_gets_everything_in_one_directory_with_sums_that_are_right() {
    let (shop, tools) = (shop(), Foreign::new());
    let provenance = ["--provenance", "shop.tar.provenance.sigstore.json"];
    let policy = ["--policy", "policy.yaml"];
    let said = evidence(&shop, &[provenance, policy].concat(), 0);
    assert!(!said.contains("note:"), "{said}");
    let mut check = Command::new("sha256sum");
    let checked = succeeded(
        check
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(reviewed(&shop, "")),
    );
    // Every file is in the list: what find sees, less the list itself.
    let mut find = Command::new("find");
    let found = succeeded(
        find.args([".", "-type", "f"])
            .current_dir(reviewed(&shop, "")),
    );
    assert_eq!(
        checked.lines().count() + 1,
        found.lines().count(),
        "{found}"
    );

    let summary = summary(&shop);
    assert_eq!(
        summary["digest"],
        sha256(shop.entry("bundle.json").as_bytes())
    );
    assert_eq!(
        fs::read_to_string(reviewed(&shop, "bundle.json")).unwrap(),
        shop.entry("bundle.json")
    );
    let path = |file: &str| reviewed(&shop, file).to_str().unwrap().to_owned();
    let key = shop
        .project
        .path("release.pub")
        .to_str()
        .unwrap()
        .to_owned();
    let (slot, index) = (path("signatures/0.sigstore.json"), path("bundle.json"));
    let verify = ["--key", &key, "--insecure-ignore-tlog=true", "--bundle"];
    tools.run(
        "cosign",
        [&["verify-blob"][..], &verify, &[&slot, &index]].concat(),
    );
    let statement = path("provenance.sigstore.json");
    let attested = ["--type", "slsaprovenance1", &index];
    tools.run(
        "cosign",
        [
            &["verify-blob-attestation"][..],
            &verify,
            &[&statement],
            &attested,
        ]
        .concat(),
    );

    let decisions = summary["policy"]["decisions"].as_array().unwrap();
    let signed = decisions
        .iter()
        .find(|decision| decision["rule"] == "signatures")
        .unwrap();
    assert_eq!(signed["reason"], "signed with `signer.pub`");
    assert_eq!(
        summary["policy"]["reviewedBy"],
        sha256(&fs::read(path("policy.yaml")).unwrap())
    );
    let image = &summary["images"][0];
    assert_eq!(
        (image["license"].as_str(), image["digest"].as_str()),
        (Some("MIT"), Some(shop.root().as_str()))
    );
    let sbom = image["sboms"][0]["files"][0].as_str().unwrap();
    let statement = Shop::statement(&shop.child(), SPDX, &shop.other);
    assert_eq!(fs::read(path(sbom)).unwrap(), statement);
    let referrers = image["referrers"].as_array().unwrap();
    let kinds: Vec<&Value> = referrers.iter().map(|referrer| &referrer["kind"]).collect();
    assert!(
        kinds.iter().any(|kind| *kind == "cosign signature"),
        "{kinds:?}"
    );
    for file in referrers
        .iter()
        .flat_map(|referrer| referrer["files"].as_array().unwrap())
    {
        let file = file.as_str().unwrap();
        let digest = file.rsplit_once("sha256-").unwrap().1;
        assert_eq!(
            sha256(&fs::read(path(file)).unwrap()),
            format!("sha256:{digest}")
        );
    }
    assert_eq!(
        fs::read_to_string(path("advisories/notes.txt")).unwrap(),
        "Nothing to do.\n"
    );
    assert_eq!(
        fs::read_to_string(path("report.html")).unwrap(),
        shop.project.report_page()
    );
    let sbom: Value =
        serde_json::from_slice(&fs::read(path("sboms/bundle.cdx.json")).unwrap()).unwrap();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
}

#[test]
fn what_a_reviewer_does_not_get_is_said() {
    let shop = Shop::new(true);
    shop.project.lock();
    shop.project.build("shop.tar");
    let said = evidence(&shop, &[], 0);
    for missing in [
        "signatures of images are not verified: --policy verifies them",
        "there is no provenance: --provenance adds it",
        "image `shop` has no SBOM for linux/amd64",
    ] {
        assert!(said.contains(&format!("note: {missing}\n")), "{said}");
    }
    let summary = summary(&shop);
    assert_eq!(
        (&summary["provenance"], &summary["policy"]["reviewedBy"]),
        (&Value::Null, &Value::Null)
    );
    let said = evidence(&shop, &[], 12);
    assert!(said.contains("`reviewed` already exists"), "{said}");
}

#[test]
fn a_policy_that_denies_ends_with_8_and_leaves_the_directory_with_the_decision() {
    let shop = shop();
    shop.policy("signatures: [{ match: '**', keys: [other.pub] }]\n");
    let said = evidence(&shop, &["--policy", "policy.yaml"], 8);
    assert!(
        said.contains("denied         image `shop`: rule `signatures`"),
        "{said}"
    );
    let summary = summary(&shop);
    let decisions = summary["policy"]["decisions"].as_array().unwrap();
    let denied = decisions
        .iter()
        .filter(|decision| decision["verdict"] == "denied");
    assert_eq!(denied.count(), 1, "{summary:#}");
}

#[test]
fn of_a_bundle_that_is_damaged_or_not_trusted_nothing_is_written() {
    let shop = shop();
    let refused = |more: &[&str], code: i32| {
        evidence(&shop, more, code);
        let names = fs::read_dir(shop.project.path("")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.contains("reviewed")).count(), 0);
    };
    refused(&["--provenance", "release.pub"], 3);
    let untrusted = [
        "evidence",
        "shop.tar",
        "--key",
        "other.pub",
        "--output",
        "reviewed",
    ];
    ends_with(&shop.project.run(&untrusted), 7);
    let bundle = shop.project.path("shop.tar");
    let mut bytes = fs::read(&bundle).unwrap();
    // Within the last entry, before the two blocks at the end.
    let place = bytes.len() - 1024 - 512;
    bytes[place] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    refused(&[], 6);
}
