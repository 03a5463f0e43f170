//! `inspect`: what a reviewer asks, in a table and a few lines.

use std::{
    fs::File,
    process::{Command, Output},
};

use serde_json::Value;

use crate::{
    bundle::{project::Project, sign_support::Team, small_bundle::ends_with},
    registry::push_support::Shipped,
};

fn inspect(project: &Project, options: &[&str]) -> Output {
    project.run(&[&["inspect", "x.tar", "--key", "release.pub"], options].concat())
}

#[test]
fn images_are_a_table_with_platforms_size_and_licence() {
    let shipped = Shipped::of_one_platform();
    let said = ends_with(&inspect(&shipped.project, &[]), 0);
    let lines: Vec<&str> = said.lines().collect();
    let heading = lines
        .iter()
        .position(|line| line.starts_with("IMAGE "))
        .unwrap();
    let columns: Vec<usize> = ["DIGEST", "PLATFORMS", "SIZE", "LICENCE"]
        .iter()
        .map(|word| lines[heading].find(word).unwrap())
        .collect();
    let image = lines[heading + 1];
    assert!(
        image.starts_with("docker.io/library/postgres:17-alpine"),
        "{said}"
    );
    assert!(
        image[columns[1]..].starts_with("amd64 (") && image[columns[3]..].starts_with("PostgreSQL"),
        "{said}"
    );
    assert!(
        image[columns[2]..].contains("kB ") || image[columns[2]..].contains("MB "),
        "{said}"
    );
    let report: Value =
        serde_json::from_slice(&inspect(&shipped.project, &["--json"]).stdout).unwrap();
    let digest = report["index"]["images"][0]["target"]["digest"]
        .as_str()
        .unwrap();
    assert!(image[columns[0]..].starts_with(&digest[7..19]), "{said}");
    assert!(
        report["imageBytes"][0].as_u64().unwrap() > 1000
            && report["bytes"].as_u64().unwrap() > 1000,
        "{report:#}"
    );
    let widest = lines
        .iter()
        .filter(|line| line.starts_with("IMAGE ") || line.starts_with("docker.io/"))
        .map(|line| line.len())
        .max();
    assert!(widest.unwrap() <= 120, "{said}");
}

#[test]
fn policy_waivers_and_attestations_are_said() {
    let shipped = Shipped::twins();
    let said = ends_with(&inspect(&shipped.project, &[]), 0);
    for part in [
        "policy         sha256:",
        "waivers        none\n",
        "attestations   ",
        " attestations for postgres",
        "signature      good, by release.pub (sha256:",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let policy = shipped.project.path("bundle-manifests/policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let waived = format!(
        "{}\nwaivers:\n  - {{ rule: licenses, match: docker.io/library/postgres, reason: reviewed by hand, until: 9.0.0 }}\n",
        text.replace("PostgreSQL", "PostgreSQL-not")
    );
    std::fs::write(&policy, waived).unwrap();
    shipped.project.lock();
    shipped.project.build("y.tar");
    let said = ends_with(&shipped.project.run(&["inspect", "y.tar"]), 0);
    assert!(
        said.contains("waiver         ") && said.contains("reviewed by hand"),
        "{said}"
    );
}

#[test]
fn references_alone_are_for_scripts() {
    let shipped = Shipped::twins();
    let output = inspect(&shipped.project, &["--images"]);
    ends_with(&output, 0);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "docker.io/library/postgres:17-alpine\nghcr.io/lpasquali/rune:v0.0.0a6\n"
    );
    let output = shipped.project.run(&["inspect", "x.tar", "--images"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("UNVERIFIED")
    );
    ends_with(
        &shipped
            .project
            .run(&["inspect", "x.tar", "--images", "--entries"]),
        2,
    );
}

#[test]
fn a_stream_and_a_file_that_was_cut_off_are_shown_as_far_as_they_can_be_read() {
    let team = Team::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rune-bundle"));
    let output = command
        .args(["inspect", "-"])
        .stdin(File::open(&team.bundle).unwrap())
        .output()
        .unwrap();
    let said = ends_with(&output, 0);
    assert!(
        said.contains("registry.example/small:1") && said.contains("  ?  "),
        "{said}"
    );
    let file = File::options().write(true).open(&team.bundle).unwrap();
    file.set_len(file.metadata().unwrap().len() - 700).unwrap();
    let said = ends_with(&team.run("inspect", &[]), 0);
    assert!(
        said.contains("note: only the head could be read: ")
            && said.contains("registry.example/small:1"),
        "{said}"
    );
}
