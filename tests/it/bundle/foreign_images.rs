//! Images leave the bundle with the digests they were locked with, whatever program carries them
//! and from whichever form.

use std::fs;

use crate::{
    bundle::foreign_shipment::{POSTGRES, Shipment},
    bundle::foreign_support::{Distribution, Foreign},
    bundle::project::sha256,
};

/// A registry to bring images to, and the name that an image gets there.
fn destination(registry: &Distribution, reference: &str) -> (String, String, String) {
    let (name, tag) = reference
        .split_once('/')
        .unwrap()
        .1
        .split_once(':')
        .unwrap();
    (
        format!("{}/{name}:{tag}", registry.host()),
        name.to_owned(),
        tag.to_owned(),
    )
}

/// Copies every image to a fresh registry and compares the digests there with the locked ones.
fn keeps_every_digest(copy: impl Fn(&Foreign, &str, &str)) {
    let (shipment, registry, tools) = (
        Shipment::whole(),
        Distribution::start("plain"),
        Foreign::new(),
    );
    let images = shipment.index().images;
    assert_eq!(images.len(), 3);
    for image in images {
        let reference = image.reference.to_string();
        let (target, name, tag) = destination(&registry, &reference);
        copy(&tools, &reference, &target);
        assert_eq!(
            registry.digest(&name, &tag),
            image.target.digest.to_string(),
            "{reference}"
        );
        for manifest in image.manifests {
            let digest = manifest.digest.to_string();
            assert_eq!(
                registry.digest(&name, &digest),
                digest,
                "{reference}: a platform or attestation"
            );
        }
    }
}

fn skopeo_copy(tools: &Foreign, from: &str, target: &str) {
    let target = format!("docker://{target}");
    tools.run(
        "skopeo",
        [
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--dest-tls-verify=false",
            from,
            &target,
        ],
    );
}

#[test]
fn skopeo_copies_every_image_out_of_the_bundle_with_its_digest() {
    let bundle = Shipment::whole().bundle();
    keeps_every_digest(|tools, reference, target| {
        skopeo_copy(tools, &format!("oci-archive:{bundle}:{reference}"), target);
    });
}

#[test]
fn skopeo_copies_every_image_out_of_the_unpacked_directory_with_its_digest() {
    let unpacked = Shipment::whole().unpacked();
    keeps_every_digest(|tools, reference, target| {
        skopeo_copy(tools, &format!("oci:{unpacked}:{reference}"), target);
    });
}

fn oras_copy(tools: &Foreign, layout: &str, reference: &str, target: &str) {
    tools.run(
        "oras",
        [
            "cp",
            "--no-tty",
            "--from-oci-layout-path",
            layout,
            reference,
            "--to-plain-http",
            target,
        ],
    );
}

#[test]
fn oras_copies_every_image_out_of_the_bundle_with_its_digest() {
    let bundle = Shipment::whole().bundle();
    keeps_every_digest(|tools, reference, target| oras_copy(tools, &bundle, reference, target));
}

#[test]
fn oras_copies_every_image_out_of_the_unpacked_directory_with_its_digest() {
    let unpacked = Shipment::whole().unpacked();
    keeps_every_digest(|tools, reference, target| oras_copy(tools, &unpacked, reference, target));
}

#[test]
fn crane_pushes_the_unpacked_directory_with_every_digest_and_finds_the_images_whole() {
    let (shipment, registry, tools) = (
        Shipment::whole(),
        Distribution::start("plain"),
        Foreign::new(),
    );
    let target = format!("{}/bundle:all", registry.host());
    tools.run(
        "crane",
        [
            "push",
            "--insecure",
            "--index",
            &shipment.unpacked(),
            &target,
        ],
    );
    assert_eq!(
        registry.digest("bundle", "all"),
        sha256(&shipment.path("unpacked/index.json")),
        "the layout's own index"
    );
    for image in shipment.index().images {
        let digest = image.target.digest.to_string();
        assert_eq!(
            registry.digest("bundle", &digest),
            digest,
            "{}",
            image.reference
        );
        let pushed = format!("{}/bundle@{digest}", registry.host());
        // Crane reads in-toto statements as layers that must unpack to something; whole means here
        // that all of it is there.
        tools.run(
            "crane",
            ["validate", "--insecure", "--fast", "--remote", &pushed],
        );
        tools.run(
            "crane",
            [
                "validate",
                "--insecure",
                "--platform",
                "linux/amd64",
                "--remote",
                &pushed,
            ],
        );
    }
}

#[test]
fn the_locked_digest_is_the_one_that_index_values_and_skopeo_name() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let digest = shipment.digest(POSTGRES);
    for file in [
        "bundle-manifests/rune.lock",
        "unpacked/index.json",
        "unpacked/INSTALL.md",
    ] {
        assert!(
            fs::read_to_string(shipment.path(file))
                .unwrap()
                .contains(&digest),
            "{file}"
        );
    }
    let chart = shipment.text_path(&format!("unpacked/{}", shipment.index().charts[0].path));
    let values = tools.run("tar", ["-xzOf", &chart, "rune/charts/postgres/values.yaml"]);
    assert!(values.contains(&digest), "the chart's values: {values}");
    let raw = tools.run(
        "skopeo",
        [
            "inspect",
            "--raw",
            &format!("oci-archive:{}:{POSTGRES}", shipment.bundle()),
        ],
    );
    assert_eq!(
        rune_testkit::sha256(raw.as_bytes()),
        digest,
        "what skopeo reads"
    );
}
