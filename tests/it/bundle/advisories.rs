//! Advisories: checked when a bundle is built, included byte for byte, shown with their products.

use std::fs;

use serde_json::{Value, json};

use crate::bundle::{evidence_support::Shop, small_bundle::ends_with};

fn vex(status: &str) -> String {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://acme.example/vex/1",
        "author": "Acme",
        "timestamp": "2026-11-01T00:00:00Z",
        "version": 1,
        "statements": [{
            "vulnerability": {"name": "CVE-2026-1"},
            "products": [{"@id": "pkg:oci/shop"}],
            "status": status,
            "justification": "component_not_present",
        }],
    })
    .to_string()
}

/// A shop whose manifest has an `OpenVEX` document and a text.
fn shop(kind: &str) -> Shop {
    let shop = Shop::new(true);
    let manifest = shop.project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    let advisories = format!(
        "advisories: [{{ source: vex/shop.json, kind: {kind} }}, {{ source: vex/notes.txt, kind: text }}]\n"
    );
    fs::write(&manifest, format!("{text}{advisories}")).unwrap();
    fs::create_dir(shop.project.path("vex")).unwrap();
    fs::write(shop.project.path("vex/notes.txt"), "Nothing to do.\n").unwrap();
    fs::write(shop.project.path("vex/shop.json"), vex("not_affected")).unwrap();
    shop
}

#[test]
fn advisories_are_entries_byte_for_byte_and_shown_with_their_products() {
    let shop = shop("openvex");
    let project = &shop.project;
    project.lock();
    project.build("shop.tar");
    ends_with(
        &project.run(&["verify", "shop.tar", "--key", "release.pub"]),
        0,
    );
    let tar = |name: &str| shop.entry(name);
    assert_eq!(tar("advisories/shop.json"), vex("not_affected"));
    assert_eq!(tar("advisories/notes.txt"), "Nothing to do.\n");
    let index: Value = serde_json::from_str(&tar("bundle.json")).unwrap();
    assert_eq!(index["requires"], json!(["advisories"]));
    let inspect = ["inspect", "shop.tar", "--key", "release.pub"];
    let said = ends_with(&project.run(&inspect), 0);
    assert!(
        said.contains("advisory       advisories/shop.json (openvex)\n")
            && said.contains("CVE-2026-1 not_affected: pkg:oci/shop\n"),
        "{said}"
    );
    let page = project.report_page();
    assert!(
        page.contains("shop.json (openvex)") && page.contains("CVE-2026-1"),
        "{page}"
    );
}

#[test]
fn a_file_of_another_kind_or_that_is_not_well_formed_ends_build_with_3() {
    for (kind, text, expected) in [
        ("csaf", vex("not_affected"), "it is not CSAF 2.0"),
        ("openvex", vex("probably_fine"), "/statements/0/status"),
        ("cyclonedx", "{".to_owned(), "it is not JSON"),
    ] {
        let shop = shop(kind);
        shop.project.lock();
        fs::write(shop.project.path("vex/shop.json"), text).unwrap();
        let build = shop.project.build_arguments("shop.tar");
        let said = ends_with(&shop.project.run(&build), 3);
        assert!(
            said.contains("vex/shop.json") && said.contains(expected),
            "{said}"
        );
        assert!(!shop.project.path("shop.tar").exists());
    }
}

#[test]
fn an_unknown_kind_and_two_files_of_one_name_are_mistakes_of_the_manifest() {
    let shop = shop("sarif");
    let lock = ["lock", "--registry-config", "registries.yaml"];
    let said = ends_with(&shop.project.run(&lock), 3);
    assert!(said.contains("unknown kind of advisory `sarif`"), "{said}");
    let manifest = shop.project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::create_dir(shop.project.path("other")).unwrap();
    fs::write(shop.project.path("other/Notes.txt"), "Other.\n").unwrap();
    let twice = text.replace("vex/shop.json, kind: sarif", "other/Notes.txt, kind: text");
    fs::write(&manifest, twice).unwrap();
    let said = ends_with(&shop.project.run(&lock), 3);
    assert!(said.contains("there are two advisories"), "{said}");
}
