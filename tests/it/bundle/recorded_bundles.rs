//! Bundles and locks of an earlier program, recorded: they stay readable.
//!
//! They were written before bundles could have signatures by the builder, advisories and artifacts,
//! and `sbom.cdx.json`: `plain` has an image alone, in the first format of locks, and `signed` one
//! that cosign signed in a tag and in a referrer, with an SBOM, in format 3.

use std::{fs, process::Command};

use rune_testkit::process::succeeded;
use serde_json::Value;

use crate::bundle::{
    project::{Project, repository},
    small_bundle::ends_with,
};

/// Name, bundle digest as the earlier program printed it, and artifacts about the image.
const RECORDED: [(&str, &str, usize); 2] = [
    (
        "plain",
        "sha256:6869a4be79bd21cc1bdeb584a34c658c9702768e69cf4df2ec422a1da09ff63e",
        0,
    ),
    (
        "signed",
        "sha256:68f0a6dd9081572b862ecf3f905e568db14d6dd0e495d05c9670c90bfca67a0e",
        3,
    ),
];
const IMAGE: &str = "sha256:db9faf74d03805a4960b69dd1877d7f2ffdcbcc5cd96f40575d9d30be6a43eea";
const TRUST: [&str; 2] = ["--key", "earlier.pub"];

/// A directory with what was recorded, and a registry that is empty.
fn recorded() -> Project {
    let project = Project::with_manifest("");
    let directory = repository().join("tests/it/bundle/recorded");
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, project.path(path.file_name().unwrap())).unwrap();
    }
    fs::rename(project.path("release.pub"), project.path("earlier.pub")).unwrap();
    for (name, ..) in RECORDED {
        let packed = project.path(format!("{name}-1.0.0.bundle.tar.gz"));
        succeeded(Command::new("gzip").arg("-d").arg(packed));
    }
    project
}

fn bundle(name: &str) -> String {
    format!("{name}-1.0.0.bundle.tar")
}

#[test]
fn a_bundle_of_an_earlier_program_is_verified_shown_and_unpacked() {
    let project = recorded();
    for (name, digest, referrers) in RECORDED {
        let (file, policy) = (bundle(name), format!("{name}-policy.yaml"));
        let run = |arguments: &[&str]| {
            let output = project.run(&[arguments, &TRUST[..]].concat());
            (ends_with(&output, 0), output.stdout)
        };
        run(&["verify", &file, "--policy", &policy]);
        let (_, inspected) = run(&["inspect", &file, "--json"]);
        let inspected: Value = serde_json::from_slice(&inspected).unwrap();
        assert_eq!(inspected["digest"], digest, "{inspected:#}");
        let image = &inspected["index"]["images"][0];
        let listed = image["referrers"].as_array().map_or(0, Vec::len);
        assert_eq!(listed, referrers, "{image:#}");
        run(&["unpack", &file, &format!("{name}-unpacked")]);
        run(&["report", &file, "--output", &format!("{name}.html")]);
    }
}

#[test]
fn a_lock_of_an_earlier_program_is_checked_and_built_from() {
    let project = recorded();
    let access = ["--registry-config", "registries.yaml"];
    for (name, _, referrers) in RECORDED {
        let host = project.registry.host();
        let push = ["push", &bundle(name), &host];
        ends_with(&project.run(&[&push, &TRUST[..]].concat()), 0);
        let repository = format!("library/{name}");
        assert!(project.registry.manifest(&repository, IMAGE).is_some());
        let (manifest, lock) = (format!("{name}.yaml"), project.path(format!("{name}.lock")));
        let before = fs::read(&lock).unwrap();
        let check = ["lock", &manifest, "--check", "--strict"];
        ends_with(&project.run(&[&check, &access[..]].concat()), 0);
        let output = format!("{name}.tar");
        let build = ["build", &manifest, "--output", &output];
        ends_with(&project.run(&[&build, &access[..]].concat()), 0);
        let inspect = ["inspect", &output, "--json"];
        let inspected = project.run(&inspect);
        let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
        let image = &inspected["index"]["images"][0];
        let listed = image["referrers"].as_array().map_or(0, Vec::len);
        assert_eq!(listed, referrers, "{image:#}");
        // Locked again, it is the same: nothing in it needs a later format.
        ends_with(
            &project.run(&[&["lock", &manifest], &access[..]].concat()),
            0,
        );
        assert_eq!(fs::read(&lock).unwrap(), before, "{name}");
    }
}
