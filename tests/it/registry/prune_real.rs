//! `prune` at the registries that people run: what goes, and that nothing of anybody else does.

use std::{collections::BTreeSet, fs};

use rune_testkit::sample::Sample;
use serde_json::{Value, json};

use crate::{
    bundle::foreign_support::Distribution,
    bundle::small_bundle::ends_with,
    registry::prune_support::{Crane, INDEXES, PROGRAM, Shop, fates},
};

fn keep_all_but(versions: [bool; 4]) -> Vec<(String, bool)> {
    let named = versions.iter().zip(1..);
    named
        .map(|(kept, major)| (format!("{major}.0.0"), *kept))
        .collect()
}

/// The digest of what `publish` adds to the images and charts of a version.
fn publish(shop: &Shop, host: &str, file: &str) -> String {
    let publish = [
        "publish",
        file,
        host,
        "--key",
        "release.pub",
        "--json",
        "--quiet",
    ];
    let output = shop.project.run(&publish);
    ends_with(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let references = report["references"].as_array().unwrap();
    let files = references
        .iter()
        .find(|reference| reference["kind"] == "files");
    files.unwrap()["digest"].as_str().unwrap().to_owned()
}

#[test]
fn what_publish_added_goes_with_its_bundle_and_stays_with_the_others() {
    for program in ["distribution2", "distribution3"] {
        let shop = Shop::new();
        let registry = Distribution::start_program(program, "plain");
        let (host, crane) = (registry.host(), Crane::new());
        let files = ["1.tar", "2.tar"].map(|file| publish(&shop, host, file));
        let clusters = [shop.cluster("one", &[2])];
        let pruned = shop.pruned(host, &clusters, &["--keep", "1", "--yes"]);
        let there = files.map(|digest| crane.has(host, INDEXES, &digest));
        assert_eq!(there, [false, true], "{program}: {pruned:#}");
        let index = format!("{INDEXES}:1.0.0");
        assert!(!crane.listing(host).contains_key(&index), "{program}");
    }
}

/// Four versions, the last two of which stay.
fn keeps_exactly_two(program: &str) {
    let shop = Shop::new();
    let registry = Distribution::start_program(program, "plain");
    let (host, crane) = (registry.host(), Crane::new());
    shop.push(host, 1..=4);
    let before = crane.listing(host);
    let all: Vec<BTreeSet<String>> = (1..=4)
        .map(|major| crane.manifests(host, &format!("{PROGRAM}:v{major}")))
        .collect();
    let clusters = [shop.cluster("one", &[1, 2, 3, 4])];

    let planned = shop.pruned(host, &clusters, &["--keep", "2"]);
    assert_eq!(fates(&planned), keep_all_but([false, false, true, true]));
    assert_eq!(crane.listing(host), before, "{program}: a plan");

    let pruned = shop.pruned(host, &clusters, &["--keep", "2", "--yes"]);
    assert_eq!(pruned["bytes"], planned["bytes"], "{program}");
    assert!(pruned["bytes"].as_u64().unwrap() > 20_000, "{pruned:#}");
    let left = crane.listing(host);
    let gone: BTreeSet<&String> = before
        .keys()
        .filter(|name| !left.contains_key(*name))
        .collect();
    for version in ["1", "2"] {
        let image = format!("{PROGRAM}:v{version}");
        let index = format!("{INDEXES}:{version}.0.0");
        let list = format!("{INDEXES}:{}", before[&index].replace(':', "-"));
        assert!(gone.contains(&image) && gone.contains(&index), "{gone:?}");
        assert!(!left.contains_key(&list), "{program}: {left:?}");
    }
    let stays = |name: &str| left.get(name) == before.get(name) && left.contains_key(name);
    for name in [
        "library/postgres:17-alpine",
        "lpasquali/rune:v3",
        "bundles/shop:4.0.0",
    ] {
        assert!(stays(name), "{program}: {name}");
    }
    let shared: BTreeSet<&String> = all[2].union(&all[3]).collect();
    for (manifests, stay) in all.iter().zip([false, false, true, true]) {
        for digest in manifests
            .iter()
            .filter(|digest| stay || !shared.contains(digest))
        {
            assert_eq!(
                crane.has(host, PROGRAM, digest),
                stay,
                "{program}: {digest}"
            );
        }
    }
    let copy = format!("oci:{}:x", crane.tools().path("copy").display());
    for kept in [
        "library/postgres:17-alpine",
        "lpasquali/rune:v3",
        "lpasquali/rune:v4",
    ] {
        let from = format!("docker://{host}/{kept}");
        let copied = [
            "--insecure-policy",
            "copy",
            "--quiet",
            "--all",
            "--src-tls-verify=false",
        ];
        crane
            .tools()
            .run("skopeo", copied.into_iter().chain([from.as_str(), &copy]));
    }

    let again = shop.pruned(host, &clusters, &["--keep", "2", "--yes"]);
    assert!(
        again["manifests"].as_array().unwrap().is_empty(),
        "{again:#}"
    );
    assert_eq!(
        crane.listing(host),
        left,
        "{program}: nothing was left to do"
    );
}

#[test]
fn distribution_2_keeps_exactly_two_versions() {
    keeps_exactly_two("distribution2");
}

#[test]
fn distribution_3_keeps_exactly_two_versions() {
    keeps_exactly_two("distribution3");
}

#[test]
fn the_registry_of_crane_keeps_exactly_two_versions() {
    keeps_exactly_two("crane");
}

/// Signs what is at a place with a key of the site, as cosign does by default or as asked.
fn sign_with_cosign(crane: &Crane, place: &str, options: &[&str]) {
    let tools = crane.tools();
    if !tools.path("cosign.key").exists() {
        let mut keys = tools.command("cosign", ["generate-key-pair"]);
        ends_with(&keys.env("COSIGN_PASSWORD", "").output().unwrap(), 0);
    }
    let arguments = [
        &[
            "sign",
            "--yes",
            "--key",
            "cosign.key",
            "--use-signing-config=false",
            "--tlog-upload=false",
        ],
        options,
        &["--allow-insecure-registry", "--allow-http-registry", place],
    ]
    .concat();
    let mut sign = tools.command("cosign", arguments);
    ends_with(&sign.env("COSIGN_PASSWORD", "").output().unwrap(), 0);
}

/// Pushes an image of somebody else.
fn push_foreign(crane: &Crane, place: &str) {
    let layout = crane.tools().path("foreign");
    let sample = Sample {
        seed: "somebody else".to_owned(),
        ..Sample::default()
    };
    sample.build().write_layout(&layout, "x");
    crane.run(&["push", layout.to_str().unwrap(), place, "--index"]);
}

fn touches_nothing_of_others(program: &str) {
    let shop = Shop::new();
    let registry = Distribution::start_program(program, "plain");
    let (host, crane) = (registry.host(), Crane::new());
    shop.push(host, 1..=4);
    let digest = |name: &str| {
        let place = format!("{host}/{name}");
        crane.run(&["digest", &place]).trim().to_owned()
    };
    // A signature of the site for the program of 1, by the tag of cosign and by a referrer; one of
    // its platforms under a tag of the site; and the tag of 2 means something else.
    let first = digest("lpasquali/rune:v1");
    let second = digest("lpasquali/rune:v2");
    let of_first = crane.manifests(host, "lpasquali/rune:v1");
    let of_second = crane.manifests(host, "lpasquali/rune:v2");
    let signed = format!("{host}/lpasquali/rune@{first}");
    for form in ["--new-bundle-format=false", "--new-bundle-format=true"] {
        sign_with_cosign(&crane, &signed, &[form]);
    }
    let platform = of_second.iter().find(|one| **one != second).unwrap();
    crane.run(&[
        "tag",
        &format!("{host}/lpasquali/rune@{platform}"),
        "site-arm",
    ]);
    push_foreign(&crane, &format!("{host}/lpasquali/rune:v2"));
    push_foreign(&crane, &format!("{host}/other/thing:1"));
    let before = crane.listing(host);

    let clusters = [shop.cluster("one", &[3, 4])];
    let pruned = shop.pruned(host, &clusters, &["--keep", "2", "--yes"]);
    assert_eq!(fates(&pruned), keep_all_but([false, false, true, true]));
    let left = crane.listing(host);
    for (name, digest) in &before {
        let is_ours = name.starts_with("bundles/shop:");
        assert!(
            is_ours || left.get(name) == Some(digest),
            "{program}: {name}"
        );
    }
    assert!(!left.contains_key("bundles/shop:1.0.0"), "{left:?}");
    for digest in &of_first {
        assert!(
            crane.has(host, PROGRAM, digest),
            "{program}: signed {digest}"
        );
    }
    for digest in &of_second {
        let stays = digest == platform;
        assert_eq!(
            crane.has(host, PROGRAM, digest),
            stays,
            "{program}: {digest}"
        );
    }
    let place = format!("{host}/lpasquali/rune@{first}");
    let verify = [
        "verify",
        "--key",
        "cosign.pub",
        "--insecure-ignore-tlog=true",
    ];
    let insecure = ["--allow-insecure-registry", "--allow-http-registry", &place];
    crane
        .tools()
        .run("cosign", [&verify[..], &insecure].concat());
    let held = pruned["held"].as_array().unwrap();
    assert!(
        held.iter()
            .any(|held| held["why"].as_str().unwrap().contains("site-arm")),
        "{held:#?}"
    );
}

#[test]
fn distribution_2_loses_nothing_of_others() {
    touches_nothing_of_others("distribution2");
}

#[test]
fn distribution_3_loses_nothing_of_others() {
    touches_nothing_of_others("distribution3");
}

#[test]
fn what_another_cluster_runs_or_can_roll_back_to_stays() {
    let shop = Shop::new();
    let registry = Distribution::start_program("distribution3", "plain");
    let (host, crane) = (registry.host(), Crane::new());
    shop.push(host, 1..=4);
    let before = crane.listing(host);
    let clusters = [
        shop.cluster("one", &[2, 3, 4]),
        shop.cluster("two", &[1, 2]),
    ];
    let planned = shop.pruned(host, &clusters, &["--keep", "1"]);
    assert_eq!(fates(&planned), keep_all_but([true; 4]));
    let why = planned["bundles"][1]["kept"][0].as_str().unwrap();
    let place = format!(
        "release shop in namespace shop of {}",
        clusters[1].address()
    );
    assert_eq!(why, format!("installed as {place}"));
    shop.pruned(host, &clusters, &["--keep", "1", "--yes"]);
    assert_eq!(crane.listing(host), before);

    // The first cluster alone would let 1 and 2 go.
    let alone = shop.pruned(host, &clusters[..1], &["--keep", "1"]);
    assert_eq!(fates(&alone), keep_all_but([false, false, true, true]));
}

#[test]
fn a_tag_of_the_site_on_a_bundle_index_keeps_the_bundle() {
    let shop = Shop::new();
    let registry = Distribution::start_program("distribution2", "plain");
    let (host, crane) = (registry.host(), Crane::new());
    shop.push(host, 1..=4);
    crane.run(&["tag", &format!("{host}/bundles/shop:1.0.0"), "production"]);
    let clusters = [shop.cluster("one", &[4])];
    let pruned = shop.pruned(host, &clusters, &["--keep", "1", "--yes"]);
    assert_eq!(fates(&pruned), keep_all_but([true, false, false, true]));
    let left = crane.listing(host);
    assert!(left.contains_key("lpasquali/rune:v1") && !left.contains_key("lpasquali/rune:v2"));
}

#[test]
fn an_index_that_nobody_signed_or_that_is_another_artifact_ends_the_run() {
    let shop = Shop::new();
    let registry = Distribution::start_program("distribution2", "plain");
    let (host, crane) = (registry.host(), Crane::new());
    shop.push(host, 1..=4);
    let clusters = [shop.cluster("one", &[4])];
    let run = |code| {
        let before = crane.listing(host);
        let said = shop.refused(host, &clusters, &["--keep", "1", "--yes"], code);
        assert_eq!(crane.listing(host), before, "{said}");
        said
    };
    let files = crane.tools();
    let mut file = files.command(
        "tar",
        [
            "-xf",
            shop.project.path("4.tar").to_str().unwrap(),
            "bundle.json",
        ],
    );
    ends_with(&file.output().unwrap(), 0);
    let index = fs::read_to_string(files.path("bundle.json")).unwrap();
    let forge = |version: &str, index: &str| {
        fs::write(files.path("bundle.json"), index).unwrap();
        let place = format!("{host}/bundles/shop:{version}");
        let kind = "application/vnd.rune-bundle.index.v1+json";
        let layer = format!("bundle.json:{kind}");
        let push = [
            "push",
            "--plain-http",
            "--artifact-type",
            kind,
            &place,
            &layer,
        ];
        files.run("oras", push);
        place
    };
    // Nobody signed it.
    let place = forge("9.0.0", &index.replace("\"4.0.0\"", "\"9.0.0\""));
    let said = run(7);
    assert!(said.contains("bundles/shop:9.0.0"), "{said}");
    crane.run(&[
        "delete",
        &format!(
            "{host}/bundles/shop@{}",
            crane.run(&["digest", &place]).trim()
        ),
    ]);

    // It is of another type.
    push_foreign(&crane, &format!("{host}/bundles/shop:9.0.0"));
    let said = run(3);
    assert!(said.contains("bundles/shop:9.0.0"), "{said}");
}

#[test]
fn an_installed_bundle_without_an_index_ends_the_run() {
    let shop = Shop::new();
    let registry = Distribution::start_program("distribution3", "plain");
    let (host, crane) = (registry.host(), Crane::new());
    shop.push(host, [1, 2, 4]);
    let clusters = [shop.cluster("one", &[2, 3])];
    let before = crane.listing(host);
    let said = shop.refused(host, &clusters, &["--keep", "1", "--yes"], 4);
    assert!(
        said.contains("shop 3.0.0") && said.contains("release shop"),
        "{said}"
    );
    assert_eq!(crane.listing(host), before);
    // What only `rollback` would go back to may have gone before.
    let clusters = [shop.cluster("two", &[3, 4])];
    let planned = shop.pruned(host, &clusters, &["--keep", "1"]);
    let notes = planned["notes"].to_string();
    assert!(notes.contains("goes back to shop 3.0.0"), "{notes}");
}

#[test]
fn artifacts_go_with_the_bundles_that_alone_need_them() {
    let shop = Shop::new();
    let registry = &shop.project.registry;
    let blob = |media_type: &str, bytes: &[u8]| {
        registry.put_blob("lpasquali/rules", bytes);
        json!({"mediaType": media_type, "digest": rune_testkit::sha256(bytes), "size": bytes.len()})
    };
    for major in 1..=4 {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "artifactType": "application/vnd.acme.rules",
            "config": blob("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [blob("text/plain", format!("rules {major}").as_bytes())]});
        let (tag, bytes) = (format!("v{major}"), manifest.to_string());
        registry.put_manifest("lpasquali/rules", Some(&tag), media_type, bytes.as_bytes());
        let file = format!("{major}.tar");
        fs::remove_file(shop.project.path(&file)).unwrap();
        let artifact = format!(
            "artifacts: [{{ name: rules, reference: 'ghcr.io/lpasquali/rules:{tag}', license: MIT }}]\n"
        );
        shop.build_with(major, &file, &artifact);
    }
    let destination = Distribution::start_program("distribution3", "plain");
    let (host, crane) = (destination.host(), Crane::new());
    shop.push(host, 1..=4);
    let clusters = [shop.cluster("one", &[1, 2, 3, 4])];
    let planned = shop.pruned(host, &clusters, &["--keep", "2"]);
    assert!(
        planned.to_string().contains("\"kind\":\"artifact\""),
        "{planned:#}"
    );
    shop.pruned(host, &clusters, &["--keep", "2", "--yes"]);
    let left = crane.listing(host);
    for (major, stays) in [(1, false), (2, false), (3, true), (4, true)] {
        let name = format!("lpasquali/rules:v{major}");
        assert_eq!(left.contains_key(&name), stays, "{name} {left:?}");
    }
}
