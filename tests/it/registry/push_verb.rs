//! `push`: everything arrives byte for byte, in the right order, and once.

use std::{collections::BTreeSet, fs::File, path::Path};

use rune_bundle::bundle::ImageRecord;
use rune_testkit::registry::Registry;
use serde_json::Value;

use crate::{
    bundle::small_bundle::ends_with,
    registry::push_support::{Shipped, reference, writes, written_manifests},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Every blob and manifest that an index or manifest leads to is in the repository, with the bytes
/// that its digest says.
fn everything_is_there(registry: &Registry, repository: &str, tag_or_digest: &str) -> usize {
    let (media_type, bytes) = registry
        .manifest(repository, tag_or_digest)
        .unwrap_or_else(|| panic!("no {repository}:{tag_or_digest}"));
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    if media_type == INDEX {
        let children = document["manifests"].as_array().unwrap();
        return children
            .iter()
            .map(|child| {
                everything_is_there(registry, repository, child["digest"].as_str().unwrap())
            })
            .sum();
    }
    let blobs = document["layers"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&document["config"]]);
    blobs
        .map(|blob| {
            let digest = blob["digest"].as_str().unwrap();
            let content = registry
                .blob(repository, digest)
                .unwrap_or_else(|| panic!("no {digest} in {repository}"));
            assert_eq!(rune_testkit::sha256(&content), digest);
            1
        })
        .sum()
}

/// Makes the system forget what it has of a file in memory; a file system that is in memory keeps
/// it.
fn forget(file: &Path) {
    let file = File::open(file).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

fn locked<'a>(images: &'a [ImageRecord], name: &str) -> &'a ImageRecord {
    images.iter().find(|image| image.name == name).unwrap()
}

#[test]
fn images_charts_index_and_signatures_arrive_byte_for_byte() {
    let shipped = Shipped::example();
    let registry = Registry::start();
    let report = shipped.report(&format!("{}/rune", registry.host()), &[]);
    let index = shipped.index();
    for (image, repository, tag) in [
        ("postgres", "rune/library/postgres", "17-alpine"),
        ("rune", "rune/lpasquali/rune", "v0.0.0a6"),
        ("rune-db", "rune/lpasquali/rune-db", "0.1.0"),
    ] {
        let target = locked(&index.images, image).target.digest.to_string();
        let (_, bytes) = registry.manifest(repository, tag).unwrap();
        assert_eq!(rune_testkit::sha256(&bytes), target, "{image}");
        assert!(everything_is_there(&registry, repository, tag) > 0);
        let entry = reference(&report, &format!("{repository}:{tag}"));
        assert_eq!(
            (&entry["digest"], &entry["sourceDigest"]),
            (&Value::from(target.clone()), &Value::from(target))
        );
        assert_eq!(
            (&entry["kind"], &entry["index"], &entry["wasThere"]),
            (&"image".into(), &"full".into(), &false.into())
        );
    }
    for chart in &index.charts {
        let repository = format!("rune/charts/{}", chart.name);
        assert_eq!(
            everything_is_there(&registry, &repository, &chart.version),
            2
        );
        let (_, bytes) = registry.manifest(&repository, &chart.version).unwrap();
        assert_eq!(
            rune_testkit::sha256(&bytes),
            chart.artifact.digest.to_string()
        );
    }
    // Whoever has the registry alone can still see what was signed, and by whom.
    let (_, statement) = registry.manifest("rune/bundles/rune", "0.1.0").unwrap();
    let layer = serde_json::from_slice::<Value>(&statement).unwrap()["layers"][0]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(layer, report["digest"].as_str().unwrap());
    assert_eq!(
        rune_testkit::sha256(&registry.blob("rune/bundles/rune", &layer).unwrap()),
        layer
    );
    let signatures = report["references"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["kind"] == "signature")
        .count();
    assert_eq!(signatures, 1);
}

#[test]
fn what_has_to_come_from_the_disk_first_arrives_byte_for_byte_too() {
    let shipped = Shipped::example();
    for chunk_bytes in [None, Some(1 << 20)] {
        let registry = Registry::start();
        forget(&shipped.bundle);
        shipped
            .push_with(&registry, |options| {
                options.settings.chunk_bytes = chunk_bytes;
            })
            .unwrap();
        let postgres = everything_is_there(&registry, "library/postgres", "17-alpine");
        assert!(postgres + everything_is_there(&registry, "lpasquali/rune-db", "0.1.0") > 2);
    }
}

#[test]
fn a_second_push_moves_no_blob_and_no_tag() {
    let shipped = Shipped::example();
    let registry = Registry::start();
    let first = shipped.push(&registry).unwrap();
    assert!(first["blobs"]["uploaded"].as_u64().unwrap() > 10);
    assert_eq!(first["sentBytes"], registry.received_bytes());
    registry.forget_requests();
    let second = shipped.push(&registry).unwrap();
    assert_eq!(
        (
            &second["sentBytes"],
            &second["blobs"]["uploaded"],
            &second["blobs"]["mounted"]
        ),
        (&0.into(), &0.into(), &0.into())
    );
    let blobs = |report: &Value| {
        ["uploaded", "mounted", "skipped"]
            .iter()
            .map(|key| report["blobs"][key].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(blobs(&second), blobs(&first));
    // A signature is written again, to hear who lists it.
    let written: Vec<_> = writes(&registry)
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(written.len(), 1, "{written:?}");
    assert!(written[0].starts_with("/v2/bundles/rune/manifests/sha256:"));
    assert!(
        second["references"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["wasThere"] == true || entry["kind"] == "signature")
    );
}

#[test]
fn children_come_before_parents_and_tags_after_everything() {
    let shipped = Shipped::example();
    let registry = Registry::start();
    shipped.push(&registry).unwrap();
    let written = written_manifests(&registry);
    let first_tag = written
        .iter()
        .position(|(_, place)| !place.starts_with("sha256:"))
        .unwrap();
    assert!(
        written[first_tag..]
            .iter()
            .all(|(_, place)| !place.starts_with("sha256:")),
        "{written:?}"
    );
    // The registry itself refuses a parent that comes before its children; what it cannot see is
    // that blobs are all there before.
    let last_blob = registry
        .requests()
        .iter()
        .rposition(|request| request.path.contains("/blobs/uploads/"))
        .unwrap();
    let first_manifest = registry
        .requests()
        .iter()
        .position(|request| request.method == "PUT" && request.path.contains("/manifests/"))
        .unwrap();
    assert!(last_blob < first_manifest);
    let tags: BTreeSet<_> = written[first_tag..]
        .iter()
        .map(|(_, tag)| tag.as_str())
        .collect();
    assert!(
        tags.contains("17-alpine") && tags.contains("0.1.0"),
        "{tags:?}"
    );
}

#[test]
fn a_dry_run_says_how_many_bytes_would_go_and_writes_nothing() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    let planned = shipped
        .push_with(&registry, |options| options.settings.is_dry_run = true)
        .unwrap();
    assert!(writes(&registry).is_empty() && registry.tags("library/postgres").is_empty());
    let pushed = shipped.push(&registry).unwrap();
    assert_eq!(
        (&planned["sentBytes"], &planned["blobs"]),
        (&pushed["sentBytes"], &pushed["blobs"])
    );
    assert!(planned["sentBytes"].as_u64().unwrap() > 100_000);
    let again = shipped
        .push_with(&registry, |options| options.settings.is_dry_run = true)
        .unwrap();
    assert_eq!(
        (&again["sentBytes"], &again["dryRun"]),
        (&0.into(), &true.into())
    );
    let said = ends_with(&shipped.run(&registry.host(), &["--dry-run"]), 0);
    assert!(
        said.starts_with("would push twins 0.1.0")
            && said.contains("0 to send (0 bytes), 0 to mount"),
        "{said}"
    );
}

#[test]
fn what_two_repositories_share_goes_over_the_network_once() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    let report = shipped.push(&registry).unwrap();
    let (uploaded, mounted) = (
        report["blobs"]["uploaded"].as_u64().unwrap(),
        report["blobs"]["mounted"].as_u64().unwrap(),
    );
    // Bundle index and signature have two blobs of their own, and one that they share.
    assert_eq!(uploaded, mounted + 3, "{report:#}");
    assert_eq!(
        everything_is_there(&registry, "lpasquali/rune", "v0.0.0a6"),
        everything_is_there(&registry, "library/postgres", "17-alpine")
    );
}

#[test]
fn a_registry_that_does_not_mount_is_sent_it_twice_with_the_upload_that_it_offered() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.mounts = false);
    let report = shipped.push(&registry).unwrap();
    assert_eq!(report["blobs"]["mounted"], 0);
    assert_eq!(report["sentBytes"], registry.received_bytes());
    assert_eq!(report["sentBytes"], report["blobs"]["uploadedBytes"]);
    let begun = registry
        .requests()
        .iter()
        .filter(|request| request.method == "POST")
        .count();
    assert_eq!(begun as u64, report["blobs"]["uploaded"].as_u64().unwrap());
}

#[test]
fn a_tag_of_another_digest_stops_everything_before_it_begins() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    registry.put_manifest(
        "library/postgres",
        Some("17-alpine"),
        INDEX,
        b"{\"schemaVersion\":2,\"manifests\":[]}",
    );
    let before = registry.manifest("library/postgres", "17-alpine").unwrap();
    let refusal = shipped.push(&registry).unwrap_err();
    assert!(
        refusal.starts_with(
            "nothing was pushed: this tag exists and points to different content:\n  `REGISTRY/library/postgres:17-alpine` is sha256:"
        ),
        "{refusal}"
    );
    assert!(
        refusal.contains("--overwrite-tags") && refusal.ends_with("exit: 12"),
        "{refusal}"
    );
    assert!(writes(&registry).is_empty());
    assert_eq!(
        registry.manifest("library/postgres", "17-alpine").unwrap(),
        before
    );
    let report = shipped
        .push_with(&registry, |options| options.settings.overwrites_tags = true)
        .unwrap();
    let (_, bytes) = registry.manifest("library/postgres", "17-alpine").unwrap();
    assert_eq!(
        reference(&report, "library/postgres:17-alpine")["digest"],
        rune_testkit::sha256(&bytes)
    );
}

#[test]
fn a_registry_that_limits_depth_takes_flattened_names() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    registry.behave(|behaviour| behaviour.max_depth = Some(2));
    let nested = format!("{}/team", registry.host());
    let said = shipped
        .push_with(&registry, |options| {
            options.settings.destination = nested.parse().unwrap();
        })
        .unwrap_err();
    assert!(
        said.contains("answered 400 Bad Request (name invalid)")
            && said.contains("--flatten")
            && said.ends_with("exit: 2"),
        "{said}"
    );
    let report = shipped.report(&nested, &["--flatten"]);
    let entry = reference(&report, "team/library-postgres:17-alpine");
    assert_eq!(entry["source"], "docker.io/library/postgres:17-alpine");
    assert!(everything_is_there(&registry, "team/lpasquali-rune", "v0.0.0a6") > 0);
    assert!(registry.manifest("team/bundles-twins", "0.1.0").is_some());
}

#[test]
fn people_read_what_happened_line_by_line() {
    let shipped = Shipped::twins();
    let registry = Registry::start();
    let output = shipped.run(&registry.host(), &[]);
    let said = ends_with(&output, 0);
    let host = registry.host();
    assert!(
        said.starts_with(&format!("pushed twins 0.1.0 to {host}: 4 references\n")),
        "{said}"
    );
    for line in [
        format!("image      {host}/library/postgres:17-alpine  sha256:"),
        format!("index      {host}/bundles/twins:0.1.0  sha256:"),
    ] {
        assert!(said.contains(&line), "{said}");
    }
    assert!(
        said.contains("every manifest and tag was fetched again and is what the bundle has\n"),
        "{said}"
    );
    assert!(ends_with(&shipped.run(&host, &[]), 0).contains("(already present)"));
}
