//! `diff` of bundles whose images come from a registry: digests, platforms, layers, packages.

use rune_testkit::sample::Sample;
use serde_json::{Value, json};

use crate::bundle::diff_support::{Shelf, report, touched};

fn sample(last_layer_bytes: usize, packages: &[(&'static str, &'static str)]) -> Sample {
    Sample {
        layer_bytes: vec![40_000, last_layer_bytes],
        packages: packages.to_vec(),
        ..Sample::default()
    }
}

/// The one image that a report is about.
fn image(report: &Value) -> &Value {
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.len(), 1, "{images:?}");
    &images[0]
}

/// Nothing else differs but the text for the admin, which names the images.
fn only_images(report: &Value) {
    assert_eq!(touched(report), ["images", "files"]);
    assert_eq!(
        (
            &report["files"][0]["path"],
            report["files"].as_array().unwrap().len()
        ),
        (&json!("INSTALL.md"), 1)
    );
}

#[test]
fn a_tag_that_moved_with_its_layers_and_packages() {
    let shelf = Shelf::new(&sample(
        3000,
        &[("openssl", "3.0.1"), ("musl", "1.2"), ("gone", "1")],
    ));
    let old = shelf.build("old.tar");
    shelf.put(&sample(
        5000,
        &[("openssl", "3.0.2"), ("musl", "1.2"), ("new", "2")],
    ));
    let new = shelf.build("new.tar");
    let report = report(&old, &new);
    only_images(&report);
    let image = image(&report);
    assert_eq!(
        (&image["change"], &image["reference"]),
        (&json!("changed"), &json!("docker.io/library/base:1.0"))
    );
    assert_eq!(image["differences"][0]["subject"], "digest");
    let states: Vec<_> = image["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["platform"], &one["state"]))
        .collect();
    let changed = ["linux/amd64", "linux/arm/v7", "linux/arm64/v8"]
        .map(|platform| (json!(platform), json!("changed")));
    assert_eq!(
        states,
        changed
            .iter()
            .map(|(platform, state)| (platform, state))
            .collect::<Vec<_>>()
    );
    let layers = &image["layers"];
    assert_eq!(
        (
            &layers["shared"]["count"],
            &layers["new"]["count"],
            &layers["gone"]["count"]
        ),
        (&json!(3), &json!(3), &json!(3))
    );
    let shared = layers["list"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|layer| layer["state"] == "shared")
        .map(|layer| layer["bytes"].as_u64());
    assert_eq!(
        layers["shared"]["bytes"].as_u64(),
        shared.sum::<Option<u64>>()
    );
    let packages = json!([{
        "platforms": ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"],
        "known": true,
        "why": null,
        "differences": [
            {"subject": "gone", "old": "1", "new": null},
            {"subject": "new", "old": null, "new": "2"},
            {"subject": "openssl", "old": "3.0.1", "new": "3.0.2"},
        ],
    }]);
    assert_eq!(image["packages"], packages);
}

#[test]
fn packages_that_nobody_lists_are_said_to_be_unknown() {
    let shelf = Shelf::new(&sample(3000, &[]));
    let old = shelf.build("old.tar");
    shelf.put(&sample(5000, &[("openssl", "3.0.2")]));
    let new = shelf.build("new.tar");
    let report = report(&old, &new);
    let packages = &image(&report)["packages"];
    assert_eq!(
        (&packages[0]["known"], &packages[0]["why"]),
        (
            &json!(false),
            &json!("the old bundle has no list of packages")
        )
    );
}

#[test]
fn an_image_that_was_added() {
    let shelf = Shelf::new(&Sample::default());
    let old = shelf.build("old.tar");
    shelf.project.put(
        "library/more",
        "2.0",
        &Sample {
            seed: "more".to_owned(),
            ..Sample::default()
        },
    );
    shelf.write_manifest(
        "all",
        "  - { name: more, reference: 'docker.io/library/more:2.0', license: MIT }\n",
    );
    let new = shelf.build("new.tar");
    let report = report(&old, &new);
    only_images(&report);
    let image = image(&report);
    assert_eq!(
        (&image["name"], &image["change"]),
        (&json!("more"), &json!("added"))
    );
    assert_eq!(
        (&image["layers"]["new"]["count"], &image["packages"]),
        (&json!(6), &json!([]))
    );
    assert!(report["carry"]["bytes"].as_u64() > image["layers"]["new"]["bytes"].as_u64());
}

#[test]
fn a_platform_that_was_left_out() {
    let shelf = Shelf::new(&Sample::default());
    let old = shelf.build("old.tar");
    shelf.write_manifest("[linux/amd64, linux/arm64]", "");
    let new = shelf.build("new.tar");
    let report = report(&old, &new);
    only_images(&report);
    let image = image(&report);
    assert_eq!(
        image["differences"],
        json!([]),
        "the digest stays whatever is left out"
    );
    let platform = &image["platforms"][0];
    assert_eq!(
        (&platform["platform"], &platform["state"]),
        (&json!("linux/arm/v7"), &json!("leftOut"))
    );
    assert_eq!(
        (
            &image["layers"]["shared"]["count"],
            &image["layers"]["gone"]["count"]
        ),
        (&json!(4), &json!(2))
    );
    let back = crate::bundle::diff_support::report(&new, &old);
    assert_eq!(back["images"][0]["platforms"][0]["state"], "carried");
}
