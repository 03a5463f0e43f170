//! What is about images from one registry to another: into the bundle, out of it, and never lost.

use std::{collections::BTreeSet, fs, path::Path};

use rune_bundle::bundle::BundleIndex;
use rune_core::digest::Digest;
use rune_testkit::registry::{Fault, Registry};
use serde_json::Value;

use crate::{
    bundle::{
        evidence_support::{SIGN, SPDX, Shop},
        hostile_bundle::write_head,
        small_bundle::{Scratch, ends_with, index_of, private_key, rune_bundle},
    },
    registry::{push_support::reference, serve_support::Serving},
};

/// A locked and built shop with a signature in a list, one under a tag, and an SBOM of the child.
struct Built {
    shop: Shop,
    attached: String,
    tagged: String,
    sbom: String,
}

impl Built {
    fn new() -> Self {
        let shop = Shop::new(true);
        let (root, child) = (shop.root(), shop.child());
        let attached = shop.put(None, &shop.bundle(&root, SIGN, &shop.key));
        let tagged = shop.sign_in_tag(&shop.key);
        let sbom = shop.put(None, &shop.bundle(&child, SPDX, &shop.key));
        shop.project.lock();
        shop.project.build("shop.tar");
        Self {
            shop,
            attached,
            tagged,
            sbom,
        }
    }

    fn push(&self, registry: &Registry, code: i32) -> Value {
        let arguments = [
            "push",
            "shop.tar",
            &registry.host(),
            "--key",
            "release.pub",
            "--json",
        ];
        let output = self.shop.project.run(&arguments);
        ends_with(&output, code);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn a_bundle_has_them_as_roots_of_their_own_and_verifies() {
    let built = Built::new();
    let project = &built.shop.project;
    ends_with(
        &project.run(&["verify", "shop.tar", "--key", "release.pub"]),
        0,
    );
    let tar = |name: &str| built.shop.entry(name);
    let listed: Value = serde_json::from_str(&tar("artifacts/index.json")).unwrap();
    let roots: BTreeSet<&str> = listed["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|root| root["annotations"]["rune-bundle.artifact.kind"] == "referrer")
        .map(|root| root["digest"].as_str().unwrap())
        .collect();
    let expected = [&built.attached, &built.tagged, &built.sbom];
    assert_eq!(roots, expected.into_iter().map(String::as_str).collect());
    let index: Value = serde_json::from_str(&tar("bundle.json")).unwrap();
    assert_eq!(index["requires"], serde_json::json!(["referrers"]));
    let images: Value = serde_json::from_str(&tar("index.json")).unwrap();
    assert_eq!(images["manifests"].as_array().unwrap().len(), 1);
}

#[test]
fn a_bundle_index_that_says_something_else_about_them_than_their_manifests_is_refused() {
    type Change = fn(&mut BundleIndex, usize, usize);
    let cases: [(Change, i32, &str); 5] = [
        (|_, _, _| {}, 0, ""),
        (
            |index, attached, sbom| {
                let referrers = &mut index.images[0].referrers;
                referrers[attached].subject = referrers[sbom].subject;
            },
            8,
            "says that it is about",
        ),
        (
            |index, attached, _| {
                index.images[0].referrers[attached].subject = Digest::of(b"elsewhere");
            },
            8,
            "which is not in the bundle",
        ),
        (
            |index, attached, _| drop(index.images[0].referrers.remove(attached)),
            8,
            "does not list",
        ),
        (
            |index, attached, sbom| {
                let referrers = &mut index.images[0].referrers;
                referrers[attached].target = referrers[sbom].target.clone();
            },
            8,
            "belongs to nothing",
        ),
    ];
    let built = Built::new();
    for (change, code, expected) in cases {
        let scratch = Scratch::new();
        let path = scratch.path("small.bundle.tar");
        fs::copy(built.shop.project.path("shop.tar"), &path).unwrap();
        fs::write(scratch.path("key.pub"), private_key().public_key().to_pem()).unwrap();
        let mut index = index_of(&path);
        let referrers = &index.images[0].referrers;
        let [attached, sbom] = [&built.attached, &built.sbom].map(|digest| {
            let mut targets = referrers
                .iter()
                .map(|record| record.target.digest.to_string());
            targets.position(|target| target == *digest).unwrap()
        });
        assert_ne!(referrers[attached].subject, referrers[sbom].subject);
        change(&mut index, attached, sbom);
        write_head(&scratch, &path, &index.to_bytes().unwrap());
        let key = scratch.path("key.pub");
        let arguments = [
            "verify".as_ref(),
            path.as_os_str(),
            "--key".as_ref(),
            key.as_ref(),
        ];
        let said = ends_with(&rune_bundle(arguments), code);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_push_publishes_them_in_lists_and_tags_as_they_were() {
    for lists_referrers in [true, false] {
        let built = Built::new();
        let shop = &built.shop;
        let registry = Registry::start();
        registry.behave(|behaviour| behaviour.lists_referrers = lists_referrers);
        let report = built.push(&registry, 0);
        assert_eq!(reference(&report, &built.sbom)["kind"], "referrer");
        for digest in [&built.attached, &built.tagged, &built.sbom] {
            let there = registry.manifest("library/shop", digest).unwrap();
            assert_eq!(
                shop.registry().manifest("library/shop", digest),
                Some(there)
            );
        }
        let (_, signed) = registry.manifest("library/shop", &shop.tag("sig")).unwrap();
        assert_eq!(rune_testkit::sha256(&signed), built.tagged);
        let list = registry.manifest("library/shop", &shop.root().replace(':', "-"));
        match (lists_referrers, list) {
            (true, None) => {}
            (false, Some((_, list))) => {
                let list = String::from_utf8(list).unwrap();
                assert!(
                    list.contains(&built.attached) && !list.contains(&built.sbom),
                    "{list}"
                );
            }
            (lists, list) => panic!("{lists}: {list:?}"),
        }
        // A second time nothing is lost and nothing added.
        built.push(&registry, 0);
    }
}

#[test]
fn one_that_the_registry_takes_and_does_not_list_ends_with_10() {
    let built = Built::new();
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.lists_referrers = true);
    registry.fault(
        Fault::on("GET", "/v2/library/shop/referrers/*")
            .always()
            .status(404),
    );
    let shipped = crate::registry::push_support::Shipped {
        bundle: built.shop.project.path("shop.tar"),
        project: built.shop.project,
    };
    fs::rename(
        shipped.project.path("shop.tar"),
        shipped.project.path("x.tar"),
    )
    .unwrap();
    let said = shipped.push(&registry).unwrap_err();
    assert!(
        said.contains("took it and does not have it") && said.ends_with("exit: 10"),
        "{said}"
    );
}

#[test]
fn one_that_the_registry_refuses_is_named_and_ends_with_10() {
    let built = Built::new();
    let registry = Registry::start();
    registry.behave(|behaviour| {
        behaviour.config_types = Some(vec!["application/vnd.oci.image.config.v1+json"]);
    });
    let report = built.push(&registry, 10);
    let refused: Vec<&str> = report["refused"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|refused| refused["kind"] == "referrer")
        .map(|refused| refused["destination"].as_str().unwrap())
        .collect();
    assert_eq!(refused.len(), 2, "{report:#}");
    assert!(refused.iter().any(|place| place.ends_with(&built.attached)));
}

#[test]
fn a_server_lists_them_and_has_their_tags() {
    let built = Built::new();
    let shop = &built.shop;
    let bundle = shop.project.path("shop.tar");
    fs::copy(
        shop.project.path("release.pub"),
        shop.project.path("key.pub"),
    )
    .unwrap();
    let server = Serving::start([Path::new(&bundle)], &[]);
    let list = |subject: &str| -> BTreeSet<String> {
        let reply = server.get(&format!("/v2/library/shop/referrers/{subject}"));
        let index: Value = serde_json::from_slice(&reply.body).unwrap();
        let entries = index["manifests"].as_array().unwrap().iter();
        entries
            .map(|entry| entry["digest"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(list(&shop.root()), BTreeSet::from([built.attached.clone()]));
    assert_eq!(list(&shop.child()), BTreeSet::from([built.sbom.clone()]));
    let reply = server.get(&format!("/v2/library/shop/manifests/{}", shop.tag("sig")));
    assert_eq!(rune_testkit::sha256(&reply.body), built.tagged);
}

#[test]
fn inspect_diff_and_report_name_them() {
    let built = Built::new();
    let shop = &built.shop;
    let said = ends_with(
        &shop
            .project
            .run(&["inspect", "shop.tar", "--key", "release.pub"]),
        0,
    );
    assert!(
        said.contains(&format!("cosign signature of shop: {}", built.attached))
            && said.contains(&format!(
                "attestation {SPDX} of {} in shop: {}",
                shop.child(),
                built.sbom
            )),
        "{said}"
    );
    let page = shop.project.report_page();
    assert!(page.contains("cosign signature") && page.contains("none of them was verified"));
    // One less in the next bundle.
    shop.registry()
        .delete_manifest("library/shop", &built.attached);
    shop.project.lock();
    shop.project.build("next.tar");
    let said = ends_with(
        &shop
            .project
            .run(&["diff", "shop.tar", "next.tar", "--key", "release.pub"]),
        0,
    );
    let gone = format!("removed  cosign signature {}", built.attached);
    assert!(said.contains(&gone), "{said}");
}

#[test]
fn two_bundles_with_signatures_under_one_tag_are_served_with_those_of_the_last() {
    let built = Built::new();
    let shop = &built.shop;
    let both = shop.simple_signing(&shop.root(), &[&shop.key, &shop.other]);
    let both = shop.put(Some(&shop.tag("sig")), &both);
    let manifest = shop.project.path("bundle-manifests/rune.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("version: 0.1.0", "version: 0.1.1")).unwrap();
    shop.project.lock();
    shop.project.build("next.tar");
    fs::copy(
        shop.project.path("release.pub"),
        shop.project.path("key.pub"),
    )
    .unwrap();
    let (first, second) = (shop.project.path("shop.tar"), shop.project.path("next.tar"));
    let server = Serving::start([first.as_path(), second.as_path()], &[]);
    let tag = format!("/v2/library/shop/manifests/{}", shop.tag("sig"));
    assert_eq!(rune_testkit::sha256(&server.get(&tag).body), both);
    let earlier = format!("/v2/library/shop/manifests/{}", built.tagged);
    assert_eq!(server.get(&earlier).status, 200);
}
