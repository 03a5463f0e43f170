//! Artifacts that are not run: locked, included, listed and compared like images, and part of the
//! closure.

use std::fs;

use rune_bundle::{commands::bundle::LockMode, oci::media_type};
use serde_json::{Value, json};

use crate::bundle::{evidence_support::Shop, small_bundle::ends_with};

const KIND: &str = "application/vnd.acme.policy";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A shop whose manifest also has the artifact `rules`.
fn shop() -> Shop {
    let shop = Shop::new(true);
    declare(
        &shop,
        "{ name: rules, reference: 'HOST/acme/rules:1', license: MIT }",
    );
    rules(&shop, b"first");
    shop
}

fn declare(shop: &Shop, artifact: &str) {
    let manifest = shop.project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let artifact = artifact.replace("HOST", &shop.registry().host());
    fs::write(&manifest, format!("{text}artifacts: [{artifact}]\n")).unwrap();
}

fn blob(shop: &Shop, media_type: &str, bytes: &[u8]) -> Value {
    shop.registry().put_blob("acme/rules", bytes);
    json!({"mediaType": media_type, "digest": rune_testkit::sha256(bytes), "size": bytes.len()})
}

fn artifact(shop: &Shop, content: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "artifactType": KIND,
        "config": blob(shop, EMPTY, b"{}"),
        "layers": [blob(shop, "text/plain", content)],
    })
}

fn put(shop: &Shop, tag: Option<&str>, manifest: &Value) -> String {
    let media_type = manifest["mediaType"].as_str().unwrap();
    let bytes = manifest.to_string();
    shop.registry()
        .put_manifest("acme/rules", tag, media_type, bytes.as_bytes())
}

/// What the tag leads to from now on.
fn rules(shop: &Shop, content: &[u8]) -> String {
    put(shop, Some("1"), &artifact(shop, content))
}

fn built(shop: &Shop, output: &str) {
    shop.project.lock();
    shop.project.build(output);
}

#[test]
fn an_artifact_is_a_root_of_its_own_and_listed() {
    let shop = shop();
    built(&shop, "shop.tar");
    let lock = fs::read_to_string(shop.project.path("bundle-manifests/rune.lock")).unwrap();
    assert!(lock.contains("formatVersion: 3\n"), "{lock}");
    let index: Value = serde_json::from_str(&shop.entry("bundle.json")).unwrap();
    assert_eq!(index["requires"], json!(["artifacts"]));
    let digest = index["artifacts"][0]["target"]["digest"].as_str().unwrap();
    let roots: Value = serde_json::from_str(&shop.entry("artifacts/index.json")).unwrap();
    let root = &roots["manifests"][0];
    assert_eq!(
        (
            &root["digest"],
            &root["annotations"]["rune-bundle.artifact.kind"]
        ),
        (&json!(digest), &json!("artifact"))
    );
    let images: Value = serde_json::from_str(&shop.entry("index.json")).unwrap();
    assert_eq!(images["manifests"].as_array().unwrap().len(), 1);
    let inspect = ["inspect", "shop.tar", "--key", "release.pub"];
    let said = ends_with(&shop.project.run(&inspect), 0);
    let line = format!("acme/rules:1 {digest}, {KIND}, 7 bytes, MIT\n");
    assert!(
        said.contains("artifact       ") && said.contains(&line),
        "{said}"
    );
    let page = shop.project.report_page();
    assert!(
        page.contains("Artifacts that are not run") && page.contains("vnd.acme.policy"),
        "{page}"
    );
}

#[test]
fn a_moved_tag_is_drift_until_the_artifact_is_updated_and_then_shown_by_diff() {
    let shop = shop();
    built(&shop, "old.tar");
    let new = rules(&shop, b"second");
    let check = ["lock", "--check", "--registry-config", "registries.yaml"];
    let said = ends_with(&shop.project.run(&check), 5);
    assert!(
        said.contains("artifact `rules`") && said.contains(&new),
        "{said}"
    );
    shop.lock(LockMode::Update("rules".to_owned())).unwrap();
    shop.project.build("new.tar");
    let diff = ["diff", "old.tar", "new.tar", "--key", "release.pub"];
    let said = ends_with(&shop.project.run(&diff), 0);
    assert!(
        said.contains("acme/rules:1, changed")
            && said.contains("layers: 0 shared (0 bytes), 1 new"),
        "{said}"
    );
}

#[test]
fn a_delta_has_the_blobs_of_artifacts_that_changed() {
    let shop = shop();
    built(&shop, "old.tar");
    rules(&shop, b"second");
    built(&shop, "new.tar");
    for arguments in [
        &[
            "delta",
            "--base",
            "old.tar",
            "new.tar",
            "-o",
            "shop.delta",
            "--key",
            "release.pub",
        ][..],
        &[
            "apply",
            "shop.delta",
            "--from",
            "old.tar",
            "-o",
            "again.tar",
            "--key",
            "release.pub",
        ],
    ] {
        ends_with(&shop.project.run(arguments), 0);
    }
    let read = |name: &str| fs::read(shop.project.path(name)).unwrap();
    assert_eq!(read("new.tar"), read("again.tar"));
}

#[test]
fn an_artifact_goes_with_its_component() {
    let shop = Shop::new(true);
    let manifest = shop.project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let component = "components: { scan: { description: Scanning } }\n";
    fs::write(&manifest, format!("{text}{component}")).unwrap();
    declare(
        &shop,
        "{ name: rules, reference: 'HOST/acme/rules:1', license: MIT, component: scan }",
    );
    rules(&shop, b"first");
    shop.project.lock();
    let mut build = shop.project.build_arguments("shop.tar");
    build.extend(["--without", "scan"]);
    ends_with(&shop.project.run(&build), 0);
    let index: Value = serde_json::from_str(&shop.entry("bundle.json")).unwrap();
    assert!(index.get("artifacts").is_none(), "{index}");
    assert!(!shop.entry("artifacts/index.json").contains("acme/rules"));
}

#[test]
fn what_cannot_be_included_whole_is_named() {
    let shop = shop();
    let refused = |expected: &str| {
        let error = shop.lock(LockMode::Write).unwrap_err();
        assert!(
            error.contains("artifact `rules`") && error.contains(expected),
            "{expected}: {error}"
        );
    };
    let child = put(&shop, None, &artifact(&shop, b"child"));
    let listed = |entry: Value| {
        let index =
            json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [entry]});
        put(&shop, Some("1"), &index);
    };
    listed(json!({"mediaType": "application/vnd.acme.novelty", "digest": child, "size": 1}));
    refused("a manifest of the unknown type `application/vnd.acme.novelty`");
    let sha512 = format!("sha512:{}", "a".repeat(128));
    listed(json!({"mediaType": media_type::MANIFEST, "digest": sha512, "size": 1}));
    refused("only sha256 digests are supported");
    let mut foreign = artifact(&shop, b"elsewhere");
    foreign["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
    put(&shop, Some("1"), &foreign);
    refused("which is not distributed");
    let mut old = artifact(&shop, b"old");
    old["mediaType"] = json!("application/vnd.oci.artifact.manifest.v1+json");
    put(&shop, Some("1"), &old);
    refused("`application/vnd.oci.artifact.manifest.v1+json`");
}

#[test]
fn the_policy_evaluates_artifacts_by_source_licence_tag_and_signature_alone() {
    let shop = shop();
    shop.policy(
        "sboms: [{ match: '*/acme/*' }]\nattestations: [{ match: '*/acme/*', require: [sbom] }]\n",
    );
    shop.lock(LockMode::Write).unwrap();
    shop.policy("signatures: [{ match: '*/acme/*', keys: [signer.pub] }]\n");
    let error = shop.lock(LockMode::Write).unwrap_err();
    assert!(
        error.contains("artifact `rules`") && error.contains("no signature of it is there"),
        "{error}"
    );
}

#[test]
fn a_name_that_an_image_has_and_an_image_named_as_artifact_are_told() {
    let shop = Shop::new(true);
    declare(
        &shop,
        "{ name: shop, reference: 'HOST/acme/rules:1', license: MIT }",
    );
    let error = shop.lock(LockMode::Write).unwrap_err();
    assert!(error.contains("an image is named `shop` too"), "{error}");
    // What is not run cannot be an image.
    let shop = Shop::new(true);
    rules(&shop, b"first");
    let manifest = shop.project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("library/shop:1", "acme/rules:1")).unwrap();
    let error = shop.lock(LockMode::Write).unwrap_err();
    assert!(
        error.contains("is not a container image") && error.contains("`artifacts`"),
        "{error}"
    );
}
