//! What `lock` finds about images, how it asks, and what it notices later.

use std::fs;

use rune_bundle::commands::bundle::LockMode;
use rune_testkit::registry::Fault;
use serde_json::Value;

use crate::bundle::{
    evidence_support::{BUNDLE, SIGN, SPDX, Shop},
    small_bundle::ends_with,
};

/// Kind, subject and digest of each.
fn found(shop: &Shop) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |entry: Value| {
        (
            text(&entry["kind"]),
            text(&entry["subject"]),
            text(&entry["digest"]),
        )
    };
    let mut found: Vec<_> = shop.locked().into_iter().map(one).collect();
    found.sort();
    found
}

#[test]
fn what_is_about_an_image_is_found_in_lists_and_under_tags_for_the_root_and_each_child() {
    for lists_referrers in [true, false] {
        let shop = Shop::new(lists_referrers);
        let (root, child) = (shop.root(), shop.child());
        let attach = |subject: &str, manifest: &Value| {
            if lists_referrers {
                shop.put(None, manifest)
            } else {
                shop.attach(subject, manifest)
            }
        };
        let signed = attach(&root, &shop.bundle(&root, SIGN, &shop.key));
        let attested = attach(&child, &shop.bundle(&child, SPDX, &shop.key));
        let notation = shop.artifact(&root, "application/vnd.cncf.notary.signature", b"{}");
        let notation = attach(&root, &notation);
        // A signature of what is about the child is about that.
        let of_attested = attach(&attested, &shop.bundle(&attested, SIGN, &shop.key));
        let tagged = shop.sign_in_tag(&shop.key);
        let sbom = shop.artifact(&child, "text/spdx+json", b"{\"an\": \"SBOM\"}");
        let tag = format!("{}.sbom", child.replace(':', "-"));
        let sbom = shop.put(Some(&tag), &sbom);
        let mut expected = vec![
            ("cosign signature", &root, &signed),
            ("attestation https://spdx.dev/Document", &child, &attested),
            ("Notation signature (not verified)", &root, &notation),
            ("cosign signature", &attested, &of_attested),
            ("cosign signature", &root, &tagged),
            ("SBOM", &child, &sbom),
        ];
        expected.sort();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(kind, subject, digest)| (kind.to_owned(), subject.clone(), digest.clone()))
            .collect();
        assert_eq!(found(&shop), expected, "lists: {lists_referrers}");
        let lock = fs::read_to_string(shop.project.path("bundle-manifests/rune.lock")).unwrap();
        assert!(lock.contains("formatVersion: 3\n"), "{lock}");
        assert!(
            lock.contains(&format!("artifactType: {BUNDLE}\n")),
            "{lock}"
        );
    }
}

#[test]
fn a_signature_of_a_signature_is_found_however_deep() {
    let shop = Shop::new(true);
    let mut subject = shop.root();
    let mut expected = Vec::new();
    for _ in 0..7 {
        let manifest = shop.bundle(&subject, SIGN, &shop.key);
        let digest = shop.put(None, &manifest);
        expected.push(("cosign signature".to_owned(), subject, digest.clone()));
        subject = digest;
    }
    expected.sort();
    assert_eq!(found(&shop), expected);
}

#[test]
fn an_image_without_any_keeps_the_format_that_older_programs_read() {
    let shop = Shop::new(true);
    assert!(shop.locked().is_empty());
    let lock = fs::read_to_string(shop.project.path("bundle-manifests/rune.lock")).unwrap();
    assert!(lock.contains("formatVersion: 1\n"), "{lock}");
}

#[test]
fn the_type_is_that_of_the_manifest_whatever_the_list_says() {
    let shop = Shop::new(false);
    let root = shop.root();
    let digest = shop.put(None, &shop.bundle(&root, SIGN, &shop.key));
    let entry = serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest, "size": 3, "artifactType": "text/harmless"});
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    shop.put(Some(&root.replace(':', "-")), &index);
    assert_eq!(found(&shop)[0].0, "cosign signature");
}

/// How often each kind of request was made for signatures, after the image itself.
fn requests(shop: &Shop) -> [usize; 4] {
    shop.registry().forget_requests();
    shop.locked();
    let count = |method: &str, pattern: &str| {
        let all = shop.registry().requests_to(pattern);
        all.iter()
            .filter(|request| request.method == method)
            .count()
    };
    let tags = "/v2/library/shop/manifests/sha256-*";
    [
        count("GET", "/v2/library/shop/referrers/*"),
        count("HEAD", tags),
        count("GET", tags),
        // The image: its index by tag and its manifest, and what was listed.
        count("GET", "/v2/library/shop/manifests/*") - count("GET", tags) - 2,
    ]
}

#[test]
fn a_registry_is_asked_as_little_as_it_takes() {
    // Root and child: a list and three tags each; nobody who keeps lists is asked for the fallback.
    let shop = Shop::new(true);
    assert_eq!(requests(&shop), [2, 6, 0, 0]);
    // What exists is fetched once, and asked about itself.
    shop.put(None, &shop.bundle(&shop.root(), SIGN, &shop.key));
    shop.sign_in_tag(&shop.key);
    assert_eq!(requests(&shop), [4, 12, 1, 1]);
    // Without lists: one more question for each.
    let shop = Shop::new(false);
    assert_eq!(requests(&shop), [2, 8, 0, 0]);
    let root = shop.root();
    shop.attach(&root, &shop.bundle(&root, SIGN, &shop.key));
    assert_eq!(requests(&shop), [3, 12, 1, 1]);
}

#[test]
fn a_list_of_several_pages_is_read_to_its_end() {
    let shop = Shop::new(true);
    let root = shop.root();
    for number in 0..5_u8 {
        shop.put(None, &shop.artifact(&root, "text/plain", &[number]));
    }
    shop.registry()
        .behave(|behaviour| behaviour.referrers_per_page = 2);
    assert_eq!(found(&shop).len(), 5);
}

#[test]
fn only_not_found_means_that_there_is_none() {
    let places = [
        ("GET", "/v2/library/shop/referrers/*"),
        ("HEAD", "/v2/library/shop/manifests/sha256-*.sig"),
        ("HEAD", "/v2/library/shop/manifests/sha256-*.att"),
        ("HEAD", "/v2/library/shop/manifests/sha256-*.sbom"),
    ];
    for (method, place) in places {
        for (status, exit) in [
            (401, 9),
            (403, 9),
            (429, 10),
            (500, 10),
            (503, 10),
            (405, 10),
        ] {
            let shop = Shop::new(true);
            let fault = Fault::on(method, place).always().status(status);
            shop.registry().fault(fault);
            let said = shop.lock(LockMode::Write).unwrap_err();
            assert!(
                said.ends_with(&format!("exit: {exit}")),
                "{method} {place} {status}: {said}"
            );
        }
    }
}

#[test]
fn a_check_fails_when_something_is_gone_or_replaced_and_notes_what_is_new() {
    let shop = Shop::new(true);
    let root = shop.root();
    let attached = shop.put(None, &shop.bundle(&root, SIGN, &shop.key));
    let tagged = shop.sign_in_tag(&shop.key);
    let locked = shop.locked();
    assert_eq!(locked.len(), 2);
    let check = |code: i32, more: &[&str]| {
        let arguments = [
            "lock",
            "--check",
            "--no-chart-check",
            "--registry-config",
            "registries.yaml",
        ];
        ends_with(&shop.project.run(&[&arguments, more].concat()), code)
    };
    check(0, &["--strict"]);
    // A scan of the night.
    let scan = shop.put(None, &shop.artifact(&root, "text/scan", b"nothing found"));
    let said = check(0, &[]);
    assert!(said.contains("note") && said.contains(&scan), "{said}");
    let said = check(5, &["--strict"]);
    assert!(said.contains(&scan), "{said}");
    // Taken up.
    let update = [
        "lock",
        "--update",
        "shop",
        "--no-chart-check",
        "--registry-config",
        "registries.yaml",
    ];
    ends_with(&shop.project.run(&update), 0);
    check(0, &["--strict"]);
    // Another signature under the same tag.
    let other = shop.sign_in_tag(&shop.other);
    let said = check(5, &[]);
    assert!(said.contains(&tagged) && said.contains(&other), "{said}");
    shop.sign_in_tag(&shop.key);
    check(0, &[]);
    // Deleted.
    shop.registry().delete_manifest("library/shop", &attached);
    let said = check(5, &[]);
    assert!(
        said.contains(&attached) && said.contains("is gone"),
        "{said}"
    );
}
