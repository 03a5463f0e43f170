//! `build --volume-size` writes the volumes that `split` makes of the bundle, in one pass, and goes
//! on after it was killed.

use std::{
    fs,
    process::{Command, Stdio},
};

use rune_testkit::sample::Sample;

use crate::bundle::{project::Project, small_bundle::ends_with};

const MANIFEST: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: rune\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: postgres, reference: docker.io/library/postgres:17-alpine, license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

/// The size of a volume: smaller than the layers, so that some volumes lie within one.
const SIZE: &str = "700kB";

const BLOBS: &str = "/v2/*/blobs/*";

fn project() -> Project {
    let project = Project::with_manifest(MANIFEST);
    let sample = Sample {
        layer_bytes: vec![2_000_000, 300_000],
        ..Sample::default()
    };
    project.put("library/postgres", "17-alpine", &sample);
    project.lock();
    project
}

fn arguments<'a>(project: &Project, output: &'a str) -> Vec<&'a str> {
    let mut arguments = project.build_arguments(output);
    arguments.extend(["--volume-size", SIZE]);
    arguments
}

/// The volumes of a name, in order.
fn volumes(project: &Project, stem: &str) -> Vec<Vec<u8>> {
    let mut names: Vec<String> = fs::read_dir(project.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(&format!("{stem}.volume-")))
        .filter(|name| !name.ends_with(".partial"))
        .collect();
    names.sort();
    let read = |name: String| fs::read(project.path(name)).unwrap();
    names.into_iter().map(read).collect()
}

/// Makes the volumes of a bundle with `split`.
fn split(project: &Project, bundle: &str) -> Vec<Vec<u8>> {
    let digest = {
        let index = Command::new("tar")
            .args(["--occurrence=1", "-xOf", bundle, "bundle.json"])
            .current_dir(project.path("."))
            .output()
            .unwrap();
        rune_testkit::sha256(&index.stdout)
    };
    let split = [
        "split",
        bundle,
        "--volume-size",
        SIZE,
        "--output",
        "split.tar",
    ];
    let split = project.run(&[&split[..], &["--bundle-digest", &digest]].concat());
    ends_with(&split, 0);
    volumes(project, "split")
}

#[test]
fn build_writes_the_volumes_that_split_makes_and_asks_for_every_blob_once() {
    let project = project();
    project.build("whole.tar");
    project.registry.forget_requests();
    let said = ends_with(&project.run(&arguments(&project, "built.tar")), 0);
    assert!(
        said.contains("[ ] volume  1 of 12  built.volume-01-of-12"),
        "{said}"
    );
    let built = volumes(&project, "built");
    assert!(built.len() > 3, "{}", built.len());
    assert!(built.iter().all(|volume| volume.len() <= 700_000));
    assert!(built == split(&project, "whole.tar"), "the volumes differ");
}

#[test]
fn a_build_of_volumes_that_was_killed_goes_on_with_what_is_there() {
    let project = project();
    project.build("whole.tar");
    for requests in [1, 2, 4] {
        project.registry.forget_requests();
        project.registry.hold_from(BLOBS, requests);
        let mut build = project
            .command(&arguments(&project, "built.tar"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        project.registry.wait_for_requests(BLOBS, requests);
        build.kill().unwrap();
        build.wait().unwrap();
        project.registry.end_hold();
    }
    assert!(volumes(&project, "built").is_empty());
    ends_with(&project.run(&arguments(&project, "built.tar")), 0);
    let built = volumes(&project, "built");
    assert!(built == split(&project, "whole.tar"), "the volumes differ");
    // A bundle as one file takes nothing from the journal of volumes.
    let whole = fs::read(project.path("whole.tar")).unwrap();
    assert!(fs::read(project.build("built.tar")).unwrap() == whole);
}
