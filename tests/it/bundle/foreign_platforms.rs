//! A bundle of one platform: the index is the one that was locked, what is carried is usable, and
//! what is left out is said.

use std::fs;

use rune_bundle::bundle::Role;
use rune_core::digest::Digest;
use serde_json::Value;

use crate::{
    bundle::foreign_charts::artifacts_layout,
    bundle::foreign_shipment::{POSTGRES, RUNE_DB, Shipment},
    bundle::foreign_support::{Distribution, Foreign},
};

/// The manifest of the platform that is carried.
fn carried(shipment: &Shipment) -> Digest {
    let mut manifests = shipment.image(POSTGRES).manifests.into_iter();
    manifests
        .find(|manifest| manifest.carried && manifest.role == Role::Image)
        .unwrap()
        .digest
}

#[test]
fn the_locked_digest_does_not_depend_on_which_platforms_are_included() {
    let (whole, one) = (Shipment::whole(), Shipment::of_one_platform());
    for reference in [POSTGRES, RUNE_DB] {
        assert_eq!(
            one.digest(reference),
            whole.digest(reference),
            "{reference}"
        );
    }
    assert!(
        one.image(POSTGRES)
            .manifests
            .iter()
            .any(|manifest| !manifest.carried)
    );
}

#[test]
fn skopeo_copies_the_platform_that_is_left() {
    let (shipment, registry, tools) = (
        Shipment::of_one_platform(),
        Distribution::start("plain"),
        Foreign::new(),
    );
    let choice = [
        "copy",
        "--quiet",
        "--override-os",
        "linux",
        "--override-arch",
        "amd64",
        "--preserve-digests",
        "--dest-tls-verify=false",
    ];
    for (tag, from) in [
        ("archive", format!("oci-archive:{}", shipment.bundle())),
        ("directory", format!("oci:{}", shipment.unpacked())),
    ] {
        let (from, to) = (
            format!("{from}:{POSTGRES}"),
            format!("docker://{}/library/postgres:{tag}", registry.host()),
        );
        tools.run(
            "skopeo",
            choice.into_iter().chain([from.as_str(), to.as_str()]),
        );
        assert_eq!(
            registry.digest("library/postgres", tag),
            carried(&shipment).to_string(),
            "{from}"
        );
    }
}

/// A layout with nothing but the reduced index of PostgreSQL, as a registry's tool is to push it.
fn reduced_layout(shipment: &Shipment, tools: &Foreign) -> String {
    let layout = artifacts_layout(shipment, tools);
    let mut index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let reduced = shipment
        .image(POSTGRES)
        .reduced_index
        .unwrap()
        .digest
        .to_string();
    index["manifests"].as_array_mut().unwrap().retain(|root| {
        root["annotations"]["rune-bundle.artifact.kind"] == "reduced-index"
            && root["annotations"]["org.opencontainers.image.ref.name"] == POSTGRES
            && root["digest"] == reduced.as_str()
    });
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1, "{index}");
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    layout.to_str().unwrap().to_owned()
}

/// Pushes the reduced index to a registry that refuses an index with a missing child.
fn reaches_a_strict_registry(push: impl Fn(&Foreign, &str, &str)) {
    let (shipment, registry, tools) = (
        Shipment::of_one_platform(),
        Distribution::start("plain"),
        Foreign::new(),
    );
    let layout = reduced_layout(&shipment, &tools);
    push(
        &tools,
        &layout,
        &format!("{}/library/postgres:17-alpine", registry.host()),
    );
    let reduced = shipment
        .image(POSTGRES)
        .reduced_index
        .unwrap()
        .digest
        .to_string();
    assert_eq!(registry.digest("library/postgres", "17-alpine"), reduced);
    let platform = carried(&shipment).to_string();
    assert_eq!(
        registry.digest("library/postgres", &platform),
        platform,
        "the platform that is carried"
    );
}

#[test]
fn skopeo_pushes_the_reduced_index_to_a_strict_registry() {
    reaches_a_strict_registry(|tools, layout, target| {
        let (from, to) = (
            format!("oci:{layout}:{POSTGRES}"),
            format!("docker://{target}"),
        );
        tools.run(
            "skopeo",
            [
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                "--dest-tls-verify=false",
                &from,
                &to,
            ],
        );
    });
}

#[test]
fn crane_pushes_the_reduced_index_to_a_strict_registry() {
    reaches_a_strict_registry(|tools, layout, target| {
        tools.run("crane", ["push", "--insecure", layout, target]);
    });
}

#[test]
fn oras_pushes_the_reduced_index_to_a_strict_registry() {
    reaches_a_strict_registry(|tools, layout, target| {
        tools.run(
            "oras",
            [
                "cp",
                "--no-tty",
                "--from-oci-layout-path",
                layout,
                POSTGRES,
                "--to-plain-http",
                target,
            ],
        );
    });
}

#[test]
fn the_strict_registry_refuses_the_locked_index_with_its_gaps() {
    let (shipment, registry, tools) = (
        Shipment::of_one_platform(),
        Distribution::start("plain"),
        Foreign::new(),
    );
    let index = shipment
        .path("unpacked/blobs/sha256")
        .join(shipment.image(POSTGRES).target.digest.hex());
    let url = format!(
        "{}/v2/library/postgres/manifests/17-alpine",
        registry.text("url").unwrap()
    );
    let body = format!("@{}", index.display());
    let kind = "Content-Type: application/vnd.oci.image.index.v1+json";
    let answer = tools.run(
        "curl",
        [
            "--silent",
            "--show-error",
            "--request",
            "PUT",
            "--header",
            kind,
            "--data-binary",
            &body,
            &url,
        ],
    );
    assert!(answer.contains("MANIFEST_BLOB_UNKNOWN"), "{answer}");
}
