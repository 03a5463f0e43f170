//! `rune-bundle lock`: what it writes, what it notices, and what it refuses.

use std::fs;

use rune_testkit::{
    registry::{Fault, Registry},
    sample::{Document, Image, Sample},
};
use serde_json::json;

use crate::bundle::project_support::Project;

const LOCK: &str = "bundle-manifests/rune.lock";

/// A sample that differs from the default one.
fn newer() -> Image {
    Sample {
        seed: "newer".to_owned(),
        ..Sample::default()
    }
    .build()
}

#[test]
fn writes_every_descriptor_of_what_a_manifest_names() {
    let project = Project::new();
    let (code, text, errors) = project.outcome(&["lock"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    insta::assert_snapshot!("lock_file", project.shown(&project.read(LOCK)));
    insta::assert_snapshot!("lock_text", text);
}

#[test]
fn a_second_run_changes_not_a_byte_and_says_so() {
    let project = Project::new();
    project.report(0, &["lock"]);
    let (text, modified) = (
        project.read(LOCK),
        fs::metadata(project.path(LOCK))
            .unwrap()
            .modified()
            .unwrap(),
    );
    let report = project.report(0, &["lock"]);
    assert_eq!(
        (report["schema"].as_str(), report["outcome"].as_str()),
        (Some("rune-bundle/report/lock/v1"), Some("unchanged"))
    );
    assert_eq!(
        (
            project.read(LOCK),
            fs::metadata(project.path(LOCK))
                .unwrap()
                .modified()
                .unwrap()
        ),
        (text, modified)
    );
}

#[test]
fn platforms_that_were_not_chosen_are_locked_but_not_included() {
    let project = Project::new();
    project.write_manifest("platforms: [linux/amd64, linux/s390x]\n");
    let report = project.report(0, &["lock"]);
    let postgres = &report["images"][0];
    assert_eq!(
        postgres["platforms"],
        json!([{"os": "linux", "architecture": "amd64"}])
    );
    assert_eq!(postgres["platformsLeftOut"].as_array().unwrap().len(), 2);
    assert_eq!(postgres["platformsMissing"][0]["architecture"], "s390x");
    assert_eq!(postgres["attestations"], 1);
    assert_eq!(project.read(LOCK).matches("carried: false").count(), 4);
}

#[test]
fn an_image_without_any_chosen_platform_is_refused() {
    let project = Project::new();
    project.write("dist/s390x", "a program");
    let manifest = project.read("bundle-manifests/rune.yaml");
    let manifest = manifest
        .replace("platforms: all", "platforms: [linux/s390x]")
        .replace("linux/amd64: dist/rune-db", "linux/s390x: dist/s390x");
    project.write("bundle-manifests/rune.yaml", &manifest);
    let (code, _, errors) = project.outcome(&["lock"]);
    assert_eq!(code, 3);
    insta::assert_snapshot!(errors);
}

#[test]
fn a_dry_run_writes_nothing() {
    let project = Project::new();
    let report = project.report(0, &["lock", "--dry-run"]);
    assert_eq!(report["outcome"], "wouldBeWritten");
    assert!(!project.path(LOCK).exists());
}

#[test]
fn check_names_each_digest_that_moved_old_and_new_and_writes_nothing() {
    let project = Project::new();
    project.report(0, &["lock"]);
    assert_eq!(
        project.report(0, &["lock", "--check"])["outcome"],
        "unchanged"
    );

    let before = project.read(LOCK);
    project
        .registry
        .put_image("library/postgres", "17-alpine", &newer());
    project.write("dist/rune-db", "another program");
    project.write(
        "migrations/0002_settings.sql",
        "-- migrate:all\nSELECT 22;\n",
    );
    project.write("migrations/0003_more.sql", "-- migrate:all\nSELECT 3;\n");
    project.write(
        "charts/rune/Chart.yaml",
        "apiVersion: v2\nname: rune\nversion: 0.3.0\n",
    );
    let (code, text, errors) = project.outcome(&["lock", "--check"]);
    assert_eq!((code, errors.as_str()), (5, ""));
    insta::assert_snapshot!(text);
    assert_eq!(project.read(LOCK), before);

    let changes = &project.report(5, &["lock", "--check"])["changes"];
    let moved = changes
        .as_array()
        .unwrap()
        .iter()
        .find(|change| change["subject"] == "image `postgres`")
        .unwrap();
    assert_eq!(moved["old"], Sample::default().build().index.digest());
    assert_eq!(moved["new"], newer().index.digest());
}

#[test]
fn check_without_a_lock_says_to_make_one() {
    let project = Project::new();
    let (code, _, errors) = project.outcome(&["lock", "--check"]);
    assert_eq!(code, 4);
    insta::assert_snapshot!(errors);
}

#[test]
fn update_moves_one_image_and_leaves_the_rest() {
    let project = Project::new();
    project.report(0, &["lock"]);
    project
        .registry
        .put_image("library/postgres", "17-alpine", &newer());
    project.write("migrations/0003_more.sql", "-- migrate:all\nSELECT 3;\n");
    let report = project.report(0, &["lock", "--update", "postgres"]);
    assert_eq!(report["changes"].as_array().unwrap().len(), 1);
    let lock = project.read(LOCK);
    assert!(lock.contains(&newer().index.digest()) && !lock.contains("0003_more"));

    let (code, _, errors) = project.outcome(&["lock", "--update", "postgers"]);
    assert_eq!(code, 4);
    assert!(errors.contains("did you mean `postgres`?"), "{errors}");
}

#[test]
fn everything_that_cannot_be_resolved_is_reported_at_once() {
    let project = Project::new();
    let host = project.registry.host();
    let manifest = project.read("bundle-manifests/rune.yaml").replace(
        "images:\n",
        &format!(
            "images:
  - {{ name: gone, reference: '{host}/library/gone:1', license: PostgreSQL }}
  - {{ name: lost, reference: '{host}/library/lost:1', license: PostgreSQL }}
"
        ),
    );
    project.write("bundle-manifests/rune.yaml", &manifest);
    project.write("migrations/0002_again.sql", "-- migrate:all\n");
    project.write(
        "charts/rune/Chart.yaml",
        "apiVersion: v2\nname: rune\nversion: one\n",
    );
    let (code, _, errors) = project.outcome(&["lock"]);
    assert_eq!(code, 3);
    insta::assert_snapshot!(errors);
    assert!(!project.path(LOCK).exists());
}

#[test]
fn migrations_that_rune_db_would_refuse_are_refused_before_anything_is_written() {
    for (file, content, words) in [
        (
            "migrations/0004_gap.sql",
            "-- migrate:all\nSELECT 4;\n",
            "0003",
        ),
        (
            "migrations/0003_marker.sql",
            "-- migrate:mysql\nSELECT 3;\n",
            "unknown marker",
        ),
    ] {
        let project = Project::new();
        project.write(file, content);
        let (code, _, errors) = project.outcome(&["lock"]);
        assert!(code == 3 && errors.contains(words), "{code} {errors}");
        assert!(!project.path(LOCK).exists());
    }
}

#[test]
fn a_failed_run_leaves_the_old_lock_as_it_was() {
    let project = Project::new();
    project.report(0, &["lock"]);
    let before = project.read(LOCK);
    project
        .registry
        .fault(Fault::on("GET", "*/manifests/*").always().status(404));
    assert_eq!(project.outcome(&["lock"]).0, 4);
    assert_eq!(project.read(LOCK), before);
}

#[test]
fn what_a_registry_answers_decides_the_exit_code_and_leaves_no_lock() {
    let tag = "*/manifests/17-alpine";
    let child = "*/manifests/sha256:*";
    let cases = [
        (Fault::on("GET", tag).always().status(401), 9),
        (Fault::on("GET", tag).always().status(403), 9),
        (Fault::on("GET", tag).always().status(404), 4),
        (Fault::on("GET", child).always().status(404), 4),
        (Fault::on("GET", tag).always().answer(200, "{}"), 6),
        (Fault::on("GET", child).always().wrong_at(10), 6),
        (
            Fault::on("GET", tag).status(429).header("retry-after", "0"),
            0,
        ),
        (Fault::on("GET", child).times(2).cut_at(100), 0),
    ];
    for (fault, expected) in cases {
        let project = Project::new();
        let case = format!("{fault:?}");
        project.registry.fault(fault);
        let (code, _, errors) = project.outcome(&["lock"]);
        assert_eq!(code, expected, "{case}: {errors}");
        assert_eq!(project.path(LOCK).exists(), expected == 0, "{case}");
        assert!(
            expected == 0
                || (errors.contains("image `postgres`") && errors.contains("registry.test")),
            "{case}: {errors}"
        );
    }
}

#[test]
fn the_policy_is_asked_before_any_registry_is() {
    let project = Project::new();
    let manifest = project.read("bundle-manifests/rune.yaml");
    let denied = "images:\n  - { name: bad, reference: 'docker.io/bitnami/postgresql:17', license: GPL-2.0-only }\n";
    project.write(
        "bundle-manifests/rune.yaml",
        &manifest.replace("images:\n", denied),
    );
    let (code, _, errors) = project.outcome(&["lock"]);
    assert_eq!(code, 8);
    insta::assert_snapshot!(errors);
    assert!(project.registry.requests().is_empty());

    let details = &project.report(8, &["lock"])["error"]["details"];
    assert_eq!(details[1]["rule"], "sources");
    assert_eq!(details[1]["reason"], "supply-chain concerns");
}

#[test]
fn attestations_that_the_policy_requires_must_exist_before_anything_is_written() {
    let project = Project::new();
    let policy = project.read("policy.yaml");
    project.write(
        "policy.yaml",
        &format!(
            "{policy}attestations: [{{ match: '*/library/*', require: [sbom, provenance] }}]\n"
        ),
    );
    assert_eq!(project.outcome(&["lock"]).0, 0);
    fs::remove_file(project.path(LOCK)).unwrap();
    let bare = Sample {
        attestations: false,
        ..Sample::default()
    }
    .build();
    project
        .registry
        .put_image("library/postgres", "17-alpine", &bare);
    let (code, _, errors) = project.outcome(&["lock"]);
    assert_eq!(code, 8);
    assert!(
        errors.contains(
            "provenance is required and missing for linux/amd64, linux/arm64/v8, linux/arm/v7"
        ),
        "{errors}"
    );
    assert!(!project.path(LOCK).exists());
}

/// Puts an index of one manifest under the tag, made of the parts given.
fn put_odd_image(
    registry: &Registry,
    config_type: &str,
    layer_type: &str,
    entry_type: &str,
    platform: &serde_json::Value,
) {
    let config = b"{\"os\":\"linux\",\"architecture\":\"amd64\"}";
    let layer = b"layer";
    let descriptor = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": rune_testkit::sha256(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(config_type, config),
        "layers": [descriptor(layer_type, layer)],
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let mut entry = descriptor(entry_type, &manifest);
    entry["platform"] = platform.clone();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    let index = Document {
        media_type: "application/vnd.oci.image.index.v1+json",
        bytes: serde_json::to_vec(&index).unwrap(),
    };
    let manifest = Document {
        media_type: "application/vnd.oci.image.manifest.v1+json",
        bytes: manifest,
    };
    let image = Image {
        index,
        manifests: vec![manifest],
        blobs: vec![config.to_vec(), layer.to_vec()],
    };
    registry.put_image("library/postgres", "17-alpine", &image);
}

#[test]
fn what_is_not_a_container_image_is_refused_with_clear_words() {
    let config = "application/vnd.oci.image.config.v1+json";
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let linux = json!({"os": "linux", "architecture": "amd64"});
    let cases = [
        (
            "application/vnd.cncf.helm.config.v1+json",
            layer,
            manifest,
            &linux,
            "is not a container image",
        ),
        (
            config,
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            manifest,
            &linux,
            "not distributed with the image",
        ),
        (
            config,
            layer,
            "application/vnd.oci.image.index.v1+json",
            &linux,
            "does not fit the content",
        ),
    ];
    for (config, layer, entry, platform, words) in cases {
        let project = Project::new();
        put_odd_image(&project.registry, config, layer, entry, platform);
        let (code, _, errors) = project.outcome(&["lock"]);
        assert!(
            [3, 6].contains(&code) && errors.contains(words),
            "{code} {errors}"
        );
    }
}

#[test]
fn a_single_image_without_an_index_is_locked_with_the_platform_of_its_configuration() {
    let project = Project::new();
    let image = Sample {
        attestations: false,
        platforms: vec![("linux", "arm64", Some("v8"))],
        ..Sample::default()
    }
    .build();
    project
        .registry
        .put_image("library/postgres", "other", &image);
    let only = &image.manifests[0];
    project.registry.put_manifest(
        "library/postgres",
        Some("17-alpine"),
        only.media_type,
        &only.bytes,
    );
    let report = project.report(0, &["lock"]);
    assert_eq!(report["images"][0]["digest"], only.digest());
    assert_eq!(
        report["images"][0]["platforms"],
        json!([{"os": "linux", "architecture": "arm64", "variant": "v8"}])
    );
}

#[test]
fn the_policy_verb_explains_every_decision() {
    let project = Project::new();
    let (code, text, _) = project.outcome(&["policy", "--all"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("policy_before_lock", text);
    project.report(0, &["lock"]);
    let report = project.report(0, &["policy"]);
    assert_eq!(
        (report["schema"].as_str(), report["denied"].as_u64()),
        (Some("rune-bundle/report/policy/v1"), Some(0))
    );
    assert!(
        report["decisions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|decision| decision["rule"] == "pins")
    );

    let policy = project.read("policy.yaml").replace("PostgreSQL, ", "");
    project.write("policy.yaml", &policy);
    let (code, text, _) = project.outcome(&["policy"]);
    assert_eq!(code, 8);
    insta::assert_snapshot!("policy_denied", text);
}

#[test]
fn mistakes_in_the_manifest_are_in_the_json_report_one_by_one() {
    let project = Project::new();
    project.write(
        "bundle-manifests/rune.yaml",
        "apiVersion: rune-bundle/v1\nkind: BundleManifest\nnmae: rune\nversion: 1\n",
    );
    let error = &project.report(3, &["lock"])["error"];
    assert_eq!(
        (error["kind"].as_str(), error["exitCode"].as_u64()),
        (Some("input"), Some(3))
    );
    assert_eq!(
        error["details"][1],
        json!({
            "path": "bundle-manifests/rune.yaml", "line": 3, "column": 1,
            "message": "unknown key `nmae` in a bundle manifest", "hint": "did you mean `name`?",
        })
    );
}
