//! The OCI distribution specification's own conformance suite: what it has about pulling and
//! discovery passes for every repository.
//!
//! The suite is told that nothing can be pushed and what is there. Ranges of blobs it tests with
//! blobs of its own alone; those are in `serve_protocol`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    bundle::foreign_support::Foreign,
    bundle::small_bundle::Scratch,
    registry::serve_support::{Serving, bundle, image, noise},
};

/// What must pass.
const PULL_AND_DISCOVERY: [&str; 9] = [
    "Ping",
    "Tag listing",
    "Blob get",
    "Blob head",
    "Manifest get by digest",
    "Manifest get by tag",
    "Manifest head by digest",
    "Manifest head by tag",
    "Referrers",
];

/// What a registry that takes nothing cannot do.
const SWITCHED_OFF: [&str; 6] = [
    "OCI_API_PUSH",
    "OCI_API_BLOBS_DELETE",
    "OCI_API_BLOBS_MOUNT_ANONYMOUS",
    "OCI_API_BLOBS_ATOMIC",
    "OCI_API_MANIFESTS_DELETE",
    "OCI_API_TAGS_DELETE",
];

/// Tags, manifests and blobs below a tag of a repository.
fn contents(serving: &Serving, repository: &str, tag: &str) -> [Vec<String>; 2] {
    let [mut manifests, mut blobs] = [
        vec![serving.digest(&format!("{repository}:{tag}"))],
        Vec::new(),
    ];
    let digests = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut position = 0;
    while let Some(digest) = manifests.get(position) {
        let document = serving
            .get(&format!("/v2/{repository}/manifests/{digest}"))
            .json();
        manifests.extend(digests(&document["manifests"]));
        blobs.extend(digests(&document["layers"]));
        blobs.extend(document["config"]["digest"].as_str().map(str::to_owned));
        position += 1;
    }
    [manifests, blobs]
}

/// Runs the suite on a repository and returns what it says about each part of the protocol.
fn outcome(serving: &Serving, repository: &str, tag: &str) -> (BTreeMap<String, String>, String) {
    let tools = Foreign::new();
    let [manifests, blobs] = contents(serving, repository, tag);
    let mut suite = tools.command("oci-conformance", []);
    suite
        .env("OCI_REGISTRY", serving.host())
        .env("OCI_TLS", "disabled")
        .env("OCI_VERSION", "1.1")
        .env("OCI_REPO1", repository);
    suite.envs(SWITCHED_OFF.map(|name| (name, "false")));
    // It would demand the header of manifests too, but does not look at answers whose content it
    // does not know.
    suite.env("OCI_API_BLOBS_DIGEST_HEADER", "true");
    suite
        .env("OCI_RO_DATA_TAGS", tag)
        .env("OCI_RO_DATA_MANIFESTS", manifests.join(" "))
        .env("OCI_RO_DATA_BLOBS", blobs.join(" "));
    suite.env("OCI_RO_DATA_REFERRERS", &manifests[0]);
    // When nothing may be pushed it falls over after its last word, on a file with the same
    // results.
    let said = String::from_utf8(suite.output().unwrap().stdout).unwrap();
    let section = said
        .split("API conformance:\n")
        .nth(1)
        .unwrap_or_else(|| panic!("{said}"))
        .split("\n\n")
        .next()
        .unwrap();
    let line = |line: &str| {
        line.rsplit_once(": ").map(|(name, status)| {
            (
                name.trim_end_matches('.').trim().to_owned(),
                status.trim().to_owned(),
            )
        })
    };
    (section.lines().filter_map(line).collect(), said)
}

#[test]
fn the_suite_passes_for_images_charts_and_the_index_of_the_bundle() {
    let scratch = Scratch::new();
    let file = bundle(
        &scratch,
        "sample",
        vec![image(
            "docker.io/library/large:2",
            vec![noise(1, 900_000), noise(2, 10)],
        )],
    );
    let serving = Serving::start([file.as_path()], &[]);
    for (repository, tag) in [
        ("library/large", "2"),
        ("charts/small", "0.1.0"),
        ("bundles/sample", "1.2.3"),
    ] {
        let (outcome, said) = outcome(&serving, repository, tag);
        for part in PULL_AND_DISCOVERY {
            assert_eq!(
                outcome.get(part).map(String::as_str),
                Some("Pass"),
                "{part} of {repository}:\n{said}"
            );
        }
        assert!(
            outcome
                .values()
                .all(|status| ["Pass", "Disabled", "Skip", "Unknown"].contains(&status.as_str())),
            "{repository}:\n{said}"
        );
        assert!(
            said.contains("OCI Conformance Result: Pass") && !said.contains(": FAIL"),
            "{repository}:\n{said}"
        );
    }
}
