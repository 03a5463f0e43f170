//! A registry that no longer has what the lock pins: its tag was moved, or somebody deleted a part
//! of it.

use std::fs;

use rune_testkit::{
    registry::Fault,
    sample::{Image, Sample},
};

use crate::bundle::{project::Project, small_bundle::ends_with};

const GONE: &str = r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}"#;
const MANIFEST: &str = "bundle-manifests/rune.yaml";
const ONE: &str = "apiVersion: rune-bundle/v1\nkind: BundleManifest\nname: one\nversion: 0.1.0\nplatforms: all\nimages:\n  \
    - { name: postgres, reference: 'docker.io/library/postgres:17-alpine', license: PostgreSQL }\npolicy: bundle-manifests/policy.yaml\n";

fn forget(project: &Project, kind: &str, digest: &str) {
    project.registry.fault(
        Fault::on("GET", &format!("/v2/library/postgres/{kind}/{digest}"))
            .answer(404, GONE)
            .always(),
    );
}

/// A locked project, and the image that the lock pins. It is named by its registry: with mirrors
/// there is always one more to ask.
fn locked() -> (Project, Image) {
    let project = Project::with_manifest(ONE);
    let host = project.registry.host();
    fs::write(project.path(MANIFEST), ONE.replace("docker.io", &host)).unwrap();
    let policy = project.path("bundle-manifests/policy.yaml");
    let text = fs::read_to_string(&policy).unwrap();
    let allowed = "    - docker.io/library/*\n";
    assert!(text.contains(allowed), "{text}");
    fs::write(
        policy,
        text.replacen(allowed, &format!("{allowed}    - {host}/**\n"), 1),
    )
    .unwrap();
    let image = project.put(
        "library/postgres",
        "17-alpine",
        &Sample {
            seed: "pinned".to_owned(),
            ..Sample::default()
        },
    );
    project.lock();
    (project, image)
}

fn says_how_to_lock_again(said: &str) {
    assert!(
        said.contains("no longer has what the lock pins for `postgres`")
            && said.contains("`rune-bundle lock --update postgres`"),
        "{said}"
    );
    assert!(!said.contains("check the spelling"), "{said}");
}

#[test]
fn a_tag_that_moved_and_a_digest_that_was_deleted_are_said_with_the_way_to_lock_the_image_again() {
    let (project, image) = locked();
    project.put(
        "library/postgres",
        "17-alpine",
        &Sample {
            seed: "moved".to_owned(),
            ..Sample::default()
        },
    );
    forget(&project, "manifests", &image.index.digest());
    says_how_to_lock_again(&ends_with(
        &project.run(&project.build_arguments("x.tar")),
        4,
    ));
    assert!(!project.path("x.tar").exists());
    says_how_to_lock_again(&ends_with(
        &project.run(&["doctor", "build", "--registry-config", "registries.yaml"]),
        4,
    ));
    let said = ends_with(
        &project.run(&["lock", "--check", "--registry-config", "registries.yaml"]),
        5,
    );
    assert!(
        said.contains("gone") && said.contains("`rune-bundle lock --update postgres`"),
        "{said}"
    );
    ends_with(
        &project.run(&[
            "lock",
            "--update",
            "postgres",
            "--registry-config",
            "registries.yaml",
        ]),
        0,
    );
    ends_with(&project.run(&project.build_arguments("x.tar")), 0);
}

#[test]
fn a_layer_or_a_manifest_below_the_image_index_that_was_deleted_is_said_too() {
    for kind in ["manifests", "blobs"] {
        let (project, image) = locked();
        let digest = if kind == "manifests" {
            image.manifests[0].digest()
        } else {
            rune_testkit::sha256(&image.blobs[0])
        };
        forget(&project, kind, &digest);
        let said = ends_with(&project.run(&project.build_arguments("x.tar")), 4);
        says_how_to_lock_again(&said);
        assert!(said.contains(&digest), "{said}");
    }
}

#[test]
fn a_digest_of_the_manifest_that_was_deleted_is_to_be_changed_there() {
    let (project, image) = locked();
    let digest = image.index.digest();
    let manifest = fs::read_to_string(project.path(MANIFEST)).unwrap();
    fs::write(
        project.path(MANIFEST),
        manifest.replacen(
            "postgres:17-alpine",
            &format!("postgres:17-alpine@{digest}"),
            1,
        ),
    )
    .unwrap();
    forget(&project, "manifests", &digest);
    for arguments in [
        &["lock"][..],
        &["lock", "--check"],
        &["lock", "--update", "postgres"],
    ] {
        let said = ends_with(
            &project.run(&[arguments, &["--registry-config", "registries.yaml"]].concat()),
            4,
        );
        assert!(
            said.contains("no longer has the digest that the manifest pins")
                && said.contains("`reference` of this image"),
            "{said}"
        );
        assert!(!said.contains("check the spelling"), "{said}");
    }
}

#[test]
fn an_index_of_which_a_part_is_missing_when_it_is_locked_is_not_a_matter_of_spelling() {
    let (project, image) = locked();
    forget(&project, "manifests", &image.manifests[0].digest());
    let said = ends_with(
        &project.run(&["lock", "--registry-config", "registries.yaml"]),
        4,
    );
    assert!(
        said.contains("have the image pushed again") && !said.contains("check the spelling"),
        "{said}"
    );
}
