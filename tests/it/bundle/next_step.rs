//! What a verb says to do next where people stood before and did not know.

use std::fs;

use rune_testkit::sample::Sample;

use crate::bundle::{
    project::Project,
    small_bundle::{Scratch, ends_with, private_key, rune_bundle, signed},
};

#[test]
fn a_missing_directory_of_k3s_comes_with_the_command_that_makes_it() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let missing = scratch.path("agent/images");
    fs::write(
        scratch.path("release.pub"),
        private_key().public_key().to_pem(),
    )
    .unwrap();
    let key = scratch.path("release.pub");
    let load = [
        "load".as_ref(),
        bundle.as_os_str(),
        "--images-dir".as_ref(),
        missing.as_os_str(),
        "--key".as_ref(),
        key.as_os_str(),
    ];
    let said = ends_with(&rune_bundle(load), 4);
    let command = format!("`mkdir -p {}`", missing.display());
    assert!(said.contains(&command), "{said}");
}

#[test]
fn a_bundle_in_place_of_a_manifest_is_named_with_the_verbs_for_bundles() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let bundle = bundle.to_str().unwrap();
    for verb in [
        &["policy"][..],
        &["lock"],
        &["build"],
        &["render"],
        &["doctor", "build"],
    ] {
        let said = ends_with(&rune_bundle([verb, &[bundle]].concat()), 2);
        assert!(
            said.contains("is a bundle, and this verb works on a manifest")
                && said.contains(&format!("`rune-bundle verify {bundle} --policy FILE`")),
            "{said}"
        );
    }
}

#[test]
fn drift_comes_with_the_command_that_locks_this_manifest() {
    let project = Project::new();
    project.lock();
    let moved = Sample {
        seed: "moved".to_owned(),
        ..Sample::default()
    };
    project.put("library/postgres", "17-alpine", &moved);
    let check = [
        "lock",
        "bundle-manifests/rune.yaml",
        "--check",
        "--registry-config",
        "registries.yaml",
    ];
    let said = ends_with(&project.run(&check), 5);
    assert!(
        said.contains("`rune-bundle lock bundle-manifests/rune.yaml`"),
        "{said}"
    );
}

#[test]
fn one_platform_needs_no_list() {
    let project = Project::new();
    let manifest = project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("platforms:"))
        .unwrap();
    fs::write(&manifest, text.replace(line, "platforms: linux/amd64")).unwrap();
    project.lock();
    let lock = fs::read_to_string(project.path("bundle-manifests/rune.lock")).unwrap();
    assert!(
        lock.contains("platforms:\n- linux/amd64\n") || lock.contains("platforms: [linux/amd64]"),
        "{lock}"
    );
}

#[test]
fn what_is_needed_is_said_where_it_is_lacking_alone() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let doctor = ["doctor", "receive", bundle.to_str().unwrap()];
    let output = rune_bundle(doctor);
    let said = String::from_utf8(output.stdout).unwrap();
    let fine: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("ok "))
        .collect();
    assert!(!fine.is_empty(), "{said}");
    for line in fine {
        assert!(!line.contains("needed"), "{said}");
    }
    assert!(said.contains("needed: "), "{said}");
}

#[test]
fn the_version_names_machine_and_formats() {
    let said = ends_with(&rune_bundle(["--version"]), 0);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        format!("rune-bundle {}", env!("CARGO_PKG_VERSION"))
    );
    assert!(
        lines[1].starts_with("for linux on ") && lines[1].ends_with(" openpgp"),
        "{said}"
    );
    assert!(
        lines[2].starts_with("bundle format ") && lines[2].contains("lock format "),
        "{said}"
    );
}
