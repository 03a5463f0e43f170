//! What `prune` does when it is killed, when somebody is quicker, and when a registry does not
//! delete.

use std::{collections::BTreeMap, ops::RangeInclusive, process::Stdio};

use rune_testkit::registry::{Fault, Registry};

use crate::{
    bundle::small_bundle::ends_with,
    registry::prune_support::{INDEXES, PROGRAM, RecordsOf, Shop, fates},
};

const YES: [&str; 3] = ["--keep", "2", "--yes"];
const REPOSITORIES: [&str; 3] = [PROGRAM, "library/postgres", INDEXES];

/// A registry with four versions, which keeps lists of referrers itself or leaves them to tags.
fn stocked(shop: &Shop, lists_referrers: bool) -> Registry {
    stocked_with(shop, 1..=4, lists_referrers)
}

fn stocked_with(shop: &Shop, versions: RangeInclusive<u32>, lists_referrers: bool) -> Registry {
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.lists_referrers = lists_referrers);
    shop.push(&registry.host(), versions);
    registry.forget_requests();
    registry
}

/// Every tag and what it leads to, and the digests among these that are there.
fn contents(registry: &Registry, digests: &[String]) -> BTreeMap<String, Option<String>> {
    let mut contents = BTreeMap::new();
    for repository in REPOSITORIES {
        for name in registry.tags(repository).iter().chain(digests) {
            let manifest = registry.manifest(repository, name);
            contents.insert(
                format!("{repository} {name}"),
                manifest.map(|(_, bytes)| rune_testkit::sha256(&bytes)),
            );
        }
    }
    contents
}

/// The digests of all manifests that were pushed.
fn pushed(registry: &Registry) -> Vec<String> {
    let mut digests = Vec::new();
    for repository in REPOSITORIES {
        for tag in registry.tags(repository) {
            let (_, bytes) = registry.manifest(repository, &tag).unwrap();
            let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let named = document["manifests"].as_array().into_iter().flatten();
            digests.extend(named.map(|entry| entry["digest"].as_str().unwrap().to_owned()));
            digests.push(rune_testkit::sha256(&bytes));
        }
    }
    digests
}

fn killed_at_ten_moments_is_finished(lists_referrers: bool) {
    let shop = Shop::new();
    let clusters: [RecordsOf; 1] = [shop.cluster("one", &[1, 2, 3, 4])];
    let whole = stocked(&shop, lists_referrers);
    let digests = pushed(&whole);
    shop.pruned(&whole.host(), &clusters, &YES);
    let requests = whole.requests();
    let deletions: Vec<usize> = (1..)
        .zip(&requests)
        .filter(|(_, request)| request.method == "DELETE")
        .map(|(number, _)| number)
        .collect();
    let expected = contents(&whole, &digests);
    // Four among the images, and each of the last six, which are about the indexes: neither this
    // request nor one after it is answered.
    let last = deletions.len() - 6;
    let moments = (0..4).map(|quarter| last * quarter / 4).chain(last..);
    for request in moments.map(|moment| deletions[moment]).take(10) {
        let registry = stocked(&shop, lists_referrers);
        registry.hold_from("*", request);
        let host = registry.host();
        let mut prune = shop
            .project
            .command(&Shop::arguments(&host, &clusters, &YES))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        registry.wait_for_requests("*", request);
        prune.kill().unwrap();
        prune.wait().unwrap();
        registry.end_hold();
        // No tag leads to an image whose parts are gone.
        for tag in registry.tags(PROGRAM) {
            let (_, bytes) = registry.manifest(PROGRAM, &tag).unwrap();
            let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            for entry in index["manifests"].as_array().unwrap() {
                let digest = entry["digest"].as_str().unwrap();
                assert!(
                    registry.manifest(PROGRAM, digest).is_some(),
                    "request {request}: {tag} lacks {digest}"
                );
            }
        }
        shop.pruned(&host, &clusters, &YES);
        assert_eq!(contents(&registry, &digests), expected, "request {request}");
    }
}

#[test]
fn a_prune_killed_at_ten_moments_is_finished_by_the_next_one() {
    killed_at_ten_moments_is_finished(false);
}

#[test]
fn the_same_where_the_registry_lists_referrers_itself() {
    killed_at_ten_moments_is_finished(true);
}

#[test]
fn what_is_tagged_while_others_are_deleted_stays() {
    let shop = Shop::new();
    let registry = stocked(&shop, false);
    let clusters = [shop.cluster("one", &[4])];
    // Both are deleted, the one with the smaller digest first.
    let digests = ["v1", "v2"].map(|tag| {
        let (_, bytes) = registry.manifest(PROGRAM, tag).unwrap();
        rune_testkit::sha256(&bytes)
    });
    let later = digests.into_iter().max().unwrap();
    registry.behave(|behaviour| {
        behaviour.tagged_at_deletion = Some((PROGRAM.to_owned(), "wanted".to_owned(), later));
    });
    let pruned = shop.pruned(&registry.host(), &clusters, &YES);
    assert!(registry.manifest(PROGRAM, "wanted").is_some(), "{pruned:#}");
    let held = pruned["held"].to_string();
    assert!(held.contains("the tag wanted leads to it"), "{held}");
}

#[test]
fn the_tags_of_the_indexes_are_read_as_often_for_three_old_bundles_as_for_one() {
    let shop = Shop::new();
    let clusters: [RecordsOf; 1] = [shop.cluster("one", &[4])];
    let readings = |versions| {
        let registry = stocked_with(&shop, versions, false);
        let pruned = shop.pruned(&registry.host(), &clusters, &["--keep", "1"]);
        assert_eq!(pruned["dryRun"], true, "{pruned}");
        let requests = registry.requests();
        let of_indexes = format!("/v2/{INDEXES}/tags/list");
        requests
            .iter()
            .filter(|request| request.path.starts_with(&of_indexes))
            .count()
    };
    assert_eq!(readings(1..=4), readings(3..=4));
}

#[test]
fn a_registry_that_does_not_delete_is_named() {
    let shop = Shop::new();
    let registry = stocked(&shop, false);
    let clusters = [shop.cluster("one", &[4])];
    let body = r#"{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}"#;
    registry.fault(Fault::on("DELETE", "*").always().answer(405, body));
    let said = shop.refused(&registry.host(), &clusters, &YES, 9);
    assert!(said.contains(&registry.host()), "{said}");
    assert!(said.contains("storage.delete.enabled"), "{said}");
    assert!(said.contains("0 of "), "{said}");
}

#[test]
fn a_registry_that_lists_no_repositories_is_named() {
    let shop = Shop::new();
    let registry = stocked(&shop, false);
    let clusters = [shop.cluster("one", &[4])];
    registry.fault(Fault::on("GET", "/v2/_catalog").always().status(401));
    let said = shop.refused(&registry.host(), &clusters, &YES, 9);
    assert!(said.contains("cannot list the repositories"), "{said}");
}

#[test]
fn one_cluster_is_the_only_one_when_somebody_says_so() {
    let shop = Shop::new();
    let registry = stocked(&shop, false);
    let clusters = [shop.cluster("one", &[4]), shop.cluster("two", &[4])];
    let host = registry.host();
    let run = |clusters: &[RecordsOf], is_only: bool| {
        let arguments: Vec<&str> = Shop::arguments(&host, clusters, &["--keep", "2"])
            .into_iter()
            .filter(|argument| is_only || *argument != "--only-this-cluster")
            .collect();
        shop.project.run(&arguments)
    };
    ends_with(&run(&clusters[..1], false), 2);
    ends_with(&run(&clusters[..1], true), 0);
    let output = run(&clusters, false);
    ends_with(&output, 0);
    let report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fates(&report).len(), 4);
}
