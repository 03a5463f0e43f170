//! A bundle through a registry: `publish` and `fetch`, with the registries that people run.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use rune_bundle::bundle::Ingredients;
use rune_testkit::{
    process::succeeded,
    registry::{Fault, Registry},
};
use serde_json::Value;

use crate::{
    bundle::foreign_support::Distribution,
    bundle::sign_support::Team,
    bundle::small_bundle::{
        Scratch, ends_with, image_of, index_of, ingredients, rune_bundle, sign_and_write,
    },
    registry::serve_support::noise,
};

const REGISTRIES: [&str; 3] = ["distribution2", "distribution3", "crane"];

/// What `fetch` is told besides the registry.
const REFERENCE: &str = "site/bundles/small:1.2.3";

/// Runs a verb with the key of the one who built the bundle, and gives what it said.
fn run(team: &Team, arguments: &[&str], code: i32) -> String {
    let key = team.file("first.pub");
    let arguments = arguments.iter().copied().chain(["--key", &key]);
    ends_with(&rune_bundle(arguments), code)
}

fn send(team: &Team, verb: &str, file: &str, host: &str) -> String {
    let (file, to) = (team.file(file), format!("{host}/site"));
    run(team, &[verb, &file, &to, "--no-receipt", "--quiet"], 0)
}

fn publish(team: &Team, file: &str, host: &str) -> String {
    send(team, "publish", file, host)
}

/// Fetches the bundle and gives its bytes.
fn fetch(team: &Team, host: &str, options: &[&str]) -> Vec<u8> {
    let output = team.file("fetched.tar");
    let reference = format!("{host}/{REFERENCE}");
    let arguments = ["fetch", &reference, "--output", &output];
    run(team, &[&arguments[..], options].concat(), 0);
    let bytes = fs::read(&output).unwrap();
    fs::remove_file(&output).unwrap();
    bytes
}

/// The bundle, and a copy that somebody has signed besides.
fn co_signed(team: &Team, name: &str) -> String {
    team.join(name);
    let copy = format!("{name}.tar");
    fs::copy(&team.bundle, team.scratch.path(&copy)).unwrap();
    let (file, key) = (team.file(&copy), team.file(&format!("{name}.key")));
    ends_with(&rune_bundle(["sign", &file, "--key", &key]), 0);
    copy
}

fn bytes(team: &Team, name: &str) -> Vec<u8> {
    fs::read(team.scratch.path(name)).unwrap()
}

/// Every manifest of a registry that keeps them in files, and every tag with what it means. A list
/// of referrers that was replaced by a longer one has no tag any more, and is not counted.
fn manifests_and_tags(registry: &Distribution) -> BTreeSet<String> {
    let data = Path::new(registry.text("data").unwrap());
    let root = data.join("docker/registry/v2/repositories");
    let (mut found, mut replaced) = (BTreeSet::new(), BTreeSet::new());
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let Some((repository, link)) = name.split_once("/_manifests/") else {
                continue;
            };
            let digest = || fs::read_to_string(&path).unwrap();
            if link.starts_with("revisions/") {
                found.insert(format!("{repository}@{}", digest()));
            } else if let Some(tag) = link.strip_suffix("/current/link") {
                found.insert(format!("{repository}:{tag} is {}", digest()));
            } else if link.starts_with("tags/sha256-") {
                let current = path.ancestors().nth(4).unwrap().join("current/link");
                if fs::read_to_string(current).unwrap() != digest() {
                    replaced.insert(format!("{repository}@{}", digest()));
                }
            }
        }
    }
    found.difference(&replaced).cloned().collect()
}

#[test]
fn a_published_bundle_is_fetched_byte_for_byte_also_when_somebody_signed_in_between() {
    for program in REGISTRIES {
        let team = Team::new();
        let registry = Distribution::start_program(program, "plain");
        let said = publish(&team, "small.bundle.tar", registry.host());
        let next = format!("rune-bundle fetch {}/{REFERENCE}", registry.host());
        assert!(said.contains(&next), "{program}: {said}");
        let fetched = fetch(&team, registry.host(), &[]);
        assert!(fetched == bytes(&team, "small.bundle.tar"), "{program}");

        let copy = co_signed(&team, "second");
        publish(&team, &copy, registry.host());
        let fetched = fetch(&team, registry.host(), &[]);
        assert!(fetched == bytes(&team, &copy), "{program}");
    }
}

#[test]
fn push_and_publish_leave_the_same_in_either_order() {
    for program in ["distribution2", "distribution3"] {
        let team = Team::new();
        let left = [["push", "publish"], ["publish", "push"], ["publish"; 2]].map(|verbs| {
            let registry = Distribution::start_program(program, "plain");
            for verb in verbs {
                send(&team, verb, "small.bundle.tar", registry.host());
            }
            manifests_and_tags(&registry)
        });
        assert!(left[0].len() > 5, "{:?}", left[0]);
        assert_eq!(left[0], left[1], "{program}");
        assert_eq!(left[0], left[2], "{program}");
    }
}

/// Publishes the small bundle; gives what the report says of each reference.
fn published(team: &Team, host: &str) -> Vec<Value> {
    let (file, to) = (team.file("small.bundle.tar"), format!("{host}/site"));
    let said = run(
        team,
        &["publish", &file, &to, "--no-receipt", "--quiet", "--json"],
        0,
    );
    let report: Value = serde_json::from_str(&said).unwrap();
    report["references"].as_array().unwrap().clone()
}

#[test]
fn what_push_has_written_is_not_sent_again_by_publish() {
    let team = Team::new();
    let registry = Distribution::start_program("distribution3", "plain");
    send(&team, "push", "small.bundle.tar", registry.host());
    let references = published(&team, registry.host());
    let (files, others): (Vec<_>, Vec<_>) = references
        .iter()
        .partition(|reference| reference["kind"] == "files");
    assert_eq!(files.len(), 1);
    assert!(others.iter().all(|other| other["blobs"]["uploaded"] == 0));
    // Layer and configuration of the image are where `push` has them.
    let blobs = files[0]["blobs"]["uploaded"].as_u64().unwrap();
    let entries = index_of(&team.bundle).entries;
    assert!(blobs < entries.len() as u64, "{blobs}");
}

#[test]
fn a_garbage_collection_between_publish_and_fetch_loses_nothing() {
    for (program, collector) in [
        ("distribution2", "docker-registry"),
        ("distribution3", "distribution"),
    ] {
        let team = Team::new();
        let registry = Distribution::start_program(program, "plain");
        publish(&team, "small.bundle.tar", registry.host());
        let config = Path::new(registry.text("data").unwrap()).with_file_name("config.yml");
        let mut collect = Command::new(collector);
        collect.arg("garbage-collect").arg(config);
        succeeded(collect.env("OTEL_TRACES_EXPORTER", "none"));
        let fetched = fetch(&team, registry.host(), &[]);
        assert!(fetched == bytes(&team, "small.bundle.tar"), "{program}");
    }
}

#[test]
fn later_signatures_are_left_in_the_registry_unless_they_are_wanted() {
    for program in REGISTRIES {
        let team = Team::new();
        let registry = Distribution::start_program(program, "plain");
        publish(&team, "small.bundle.tar", registry.host());
        let copy = co_signed(&team, "second");
        send(&team, "push", &copy, registry.host());
        let fetched = fetch(&team, registry.host(), &[]);
        assert!(fetched == bytes(&team, "small.bundle.tar"), "{program}");
        let fetched = fetch(&team, registry.host(), &["--with-later-signatures"]);
        assert!(fetched == bytes(&team, &copy), "{program}");
    }
}

#[test]
fn two_later_signatures_for_one_slot_are_a_conflict() {
    let team = Team::new();
    let registry = Distribution::start_program("distribution3", "plain");
    publish(&team, "small.bundle.tar", registry.host());
    for name in ["second", "third"] {
        let copy = co_signed(&team, name);
        send(&team, "push", &copy, registry.host());
    }
    let (reference, output) = (
        format!("{}/{REFERENCE}", registry.host()),
        team.file("fetched.tar"),
    );
    let fetch_all = [
        "fetch",
        &reference,
        "--output",
        &output,
        "--with-later-signatures",
    ];
    let said = run(&team, &fetch_all, 12);
    assert!(
        said.contains("two different signatures for slot 1"),
        "{said}"
    );
    assert!(!Path::new(&output).exists());
    let fetched = fetch(&team, registry.host(), &[]);
    assert!(fetched == bytes(&team, "small.bundle.tar"));
}

/// A bundle with large layers, in the directory of somebody with its key.
fn large() -> Team {
    let team = Team::new();
    let mut ingredients = ingredients(&team.scratch);
    ingredients.images = vec![image_of(vec![noise(1, 24 << 20), noise(2, 30_000)])];
    fs::remove_file(&team.bundle).unwrap();
    sign_and_write(&team.scratch, ingredients.compose().unwrap());
    team
}

#[test]
fn fetch_killed_at_ten_moments_goes_on_and_ends_with_the_same_bytes() {
    const MOMENTS: [(&str, u32); 10] = [
        ("pwrite64", 1),
        ("pwrite64", 12),
        ("pwrite64", 24),
        ("pwrite64", 30),
        ("pwrite64", 40),
        ("pwrite64", 44),
        ("fdatasync", 1),
        ("fallocate", 1),
        ("renameat2", 1),
        ("unlink", 2),
    ];
    let team = large();
    let expected = bytes(&team, "small.bundle.tar");
    for program in REGISTRIES {
        let registry = Distribution::start_program(program, "plain");
        publish(&team, "small.bundle.tar", registry.host());
        let (output, key) = (team.file("fetched.tar"), team.file("first.pub"));
        let reference = format!("{}/{REFERENCE}", registry.host());
        for (call, count) in MOMENTS {
            let killed = Command::new("strace")
                .args(["-f", "-q", "-o", "/dev/null"])
                .args(["-e", &format!("trace={call}")])
                .args(["-e", &format!("inject={call}:signal=KILL:when={count}")])
                .arg(env!("CARGO_BIN_EXE_rune-bundle"))
                .args(["fetch", &reference, "--output", &output, "--key", &key])
                .output()
                .unwrap();
            assert!(
                !killed.status.success(),
                "{program}: it was not killed at {call} {count}"
            );
            let is_named = Path::new(&output).exists();
            assert_eq!(is_named, call == "unlink", "{program}: {call} {count}");
            let fetched = fetch(&team, registry.host(), &[]);
            assert!(fetched == expected, "{program}: killed at {call} {count}");
        }
    }
}

#[test]
fn what_a_base_has_is_not_fetched() {
    let team = large();
    let registry = Registry::start();
    publish(&team, "small.bundle.tar", &registry.host());
    registry.forget_requests();
    let base = team.file("small.bundle.tar");
    let fetched = fetch(&team, &registry.host(), &["--base", &base]);
    assert!(fetched == bytes(&team, "small.bundle.tar"));
    let layer = "/v2/site/small/blobs/sha256:";
    let gets = registry
        .requests()
        .into_iter()
        .filter(|request| request.method == "GET" && request.path.starts_with(layer));
    assert_eq!(gets.count(), 0);
}

#[test]
fn a_bundle_that_was_only_pushed_is_not_fetched() {
    let team = Team::new();
    let registry = Distribution::start_program("distribution3", "plain");
    send(&team, "push", "small.bundle.tar", registry.host());
    let reference = format!("{}/{REFERENCE}", registry.host());
    let said = run(&team, &["fetch", &reference], 4);
    assert!(said.contains("pushed and not published"), "{said}");
    let said = run(
        &team,
        &["fetch", &format!("{}/site/small:1", registry.host())],
        4,
    );
    assert!(said.contains("is not the index of a bundle"), "{said}");
}

#[test]
fn another_key_than_that_of_a_signer_fetches_nothing() {
    let team = Team::new();
    team.join("stranger");
    let registry = Distribution::start_program("distribution3", "plain");
    publish(&team, "small.bundle.tar", registry.host());
    let reference = format!("{}/{REFERENCE}", registry.host());
    let (output, key) = (team.file("fetched.tar"), team.file("stranger.pub"));
    let fetch = ["fetch", &reference, "--output", &output, "--key", &key];
    ends_with(&rune_bundle(fetch), 7);
    assert!(!Path::new(&output).exists());
}

#[test]
fn other_bytes_from_the_registry_are_refused_and_leave_no_file() {
    let team = large();
    let registry = Registry::start();
    publish(&team, "small.bundle.tar", &registry.host());
    registry.fault(
        Fault::on("GET", "/v2/site/small/blobs/*")
            .wrong_at(1000)
            .always(),
    );
    let reference = format!("{}/{REFERENCE}", registry.host());
    let output = team.file("fetched.tar");
    let said = run(&team, &["fetch", &reference, "--output", &output], 6);
    assert!(said.contains("sha256:"), "{said}");
    assert!(!Path::new(&output).exists());
}

#[test]
fn a_registry_without_a_prefix_and_one_with_flat_names_are_understood() {
    let team = Team::new();
    for (options, reference) in [
        (&[][..], "bundles/small:1.2.3"),
        (&["--flatten"], "bundles-small:1.2.3"),
    ] {
        let registry = Distribution::start_program("distribution3", "plain");
        let (file, host) = (team.file("small.bundle.tar"), registry.host());
        let publish = ["publish", &file, host, "--no-receipt"];
        run(&team, &[&publish[..], options].concat(), 0);
        let (reference, output) = (
            format!("oci://{host}/{reference}"),
            team.file("fetched.tar"),
        );
        run(&team, &["fetch", &reference, "--output", &output], 0);
        assert!(fs::read(&output).unwrap() == bytes(&team, "small.bundle.tar"));
        fs::remove_file(&output).unwrap();
    }
}

/// What a site can do without this program: the files are layers with their paths.
#[test]
fn crane_reads_a_file_of_a_published_bundle() {
    let team = Team::new();
    let registry = Distribution::start_program("distribution3", "plain");
    let references = published(&team, registry.host());
    let files = references
        .iter()
        .find(|reference| reference["kind"] == "files");
    let files = files.unwrap()["destination"].as_str().unwrap();
    let crane = |arguments: &[&str]| {
        let output = Command::new("crane").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let manifest: Value =
        serde_json::from_slice(&crane(&["manifest", "--insecure", files])).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let title = "org.opencontainers.image.title";
    let install = layers
        .iter()
        .find(|layer| layer["annotations"][title] == "INSTALL.md");
    let digest = install.unwrap()["digest"].as_str().unwrap();
    let repository = files.split_once('@').unwrap().0;
    let content = crane(&["blob", "--insecure", &format!("{repository}@{digest}")]);
    assert_eq!(content, b"# Install\n");
}

#[test]
fn nothing_is_written_in_a_dry_run() {
    let team = Team::new();
    let registry = Distribution::start_program("distribution3", "plain");
    publish(&team, "small.bundle.tar", registry.host());
    let elsewhere = Scratch::new();
    let output = elsewhere.path("fetched.tar");
    let (reference, output) = (
        format!("{}/{REFERENCE}", registry.host()),
        output.to_str().unwrap(),
    );
    let said = run(
        &team,
        &["fetch", &reference, "--output", output, "--dry-run"],
        0,
    );
    assert!(said.starts_with("would fetch small 1.2.3"), "{said}");
    assert!(elsewhere.names().is_empty());
}

#[test]
fn a_stored_bundle_is_verified_inspected_and_compared_as_its_file_is_and_nothing_is_written() {
    let team = Team::new();
    let file = team.file("small.bundle.tar");
    for program in REGISTRIES {
        let registry = Distribution::start_program(program, "plain");
        publish(&team, "small.bundle.tar", registry.host());
        let before = team.scratch.names();
        let reference = format!("{}/{REFERENCE}", registry.host());
        for (option, of_file) in [
            ("--verify", &["verify", &file][..]),
            ("--inspect", &["inspect", &file]),
        ] {
            for json in [&[][..], &["--json"]] {
                let stored = run(
                    &team,
                    &[&["fetch", &reference, option][..], json].concat(),
                    0,
                );
                let told = run(&team, &[of_file, json].concat(), 0);
                assert_eq!(stored, told, "{program}: {option}");
            }
        }
        let against = ["fetch", &reference, "--against", &file];
        let said = run(&team, &against, 0);
        assert_eq!(said, run(&team, &["diff", &file, &file], 0));
        assert_eq!(team.scratch.names(), before, "{program}");
    }
}

#[test]
fn a_stored_bundle_is_compared_with_one_of_other_values_and_another_image_as_its_file_is() {
    let team = Team::new();
    let file = team.file("small.bundle.tar");
    let scratch = Scratch::new();
    let mut changed = Ingredients {
        version: "1.3.0".parse().unwrap(),
        images: vec![image_of(vec![noise(9, 20_000)])],
        ..ingredients(&scratch)
    };
    changed.profiles[0].values[0].1 = "replicas: 3\n".to_owned();
    let changed = sign_and_write(&scratch, changed.compose().unwrap());
    let (changed, key) = (changed.to_str().unwrap(), scratch.utf8("key.pub"));
    let run = |arguments: &[&str], code| {
        let keys = ["--key", &team.file("first.pub"), "--key", key.as_str()];
        ends_with(&rune_bundle([arguments, &keys].concat()), code)
    };
    for program in REGISTRIES {
        let registry = Distribution::start_program(program, "plain");
        publish(&team, "small.bundle.tar", registry.host());
        let reference = format!("{}/{REFERENCE}", registry.host());
        for json in [&[][..], &["--json"]] {
            let fetch = ["fetch", &reference, "--against", changed];
            let stored = run(&[&fetch[..], json].concat(), 0);
            let told = run(&[&["diff", changed, &file][..], json].concat(), 0);
            assert_eq!(stored, told, "{program}");
        }
        let said = run(&["fetch", &reference, "--against", changed], 0);
        for expected in ["replicas", "registry.example/small:1", "layers: "] {
            assert!(said.contains(expected), "{program}: {expected}: {said}");
        }
    }
}

#[test]
fn verifying_a_stored_bundle_names_the_entry_whose_bytes_are_others() {
    let team = large();
    let registry = Registry::start();
    publish(&team, "small.bundle.tar", &registry.host());
    let reference = format!("{}/{REFERENCE}", registry.host());
    let verify = ["fetch", &reference, "--verify"];
    run(&team, &verify, 0);
    let blobs = || Fault::on("GET", "/v2/site/small/blobs/*");
    registry.fault(blobs().wrong_at(1000).always());
    let said = run(&team, &verify, 6);
    assert!(said.contains("entry `blobs/sha256/"), "{said}");
    // What only looks at it does not read layers.
    run(&team, &["fetch", &reference, "--inspect"], 0);
}

#[test]
fn a_stored_bundle_is_not_looked_into_with_a_stranger_s_key_and_is_unverified_without_any() {
    let team = Team::new();
    team.join("stranger");
    let registry = Distribution::start_program("distribution3", "plain");
    publish(&team, "small.bundle.tar", registry.host());
    let (reference, key) = (
        format!("{}/{REFERENCE}", registry.host()),
        team.file("stranger.pub"),
    );
    let file = team.file("small.bundle.tar");
    for look in [&["--verify"][..], &["--inspect"], &["--against", &file]] {
        let fetch = ["fetch", &reference, "--key", &key];
        ends_with(&rune_bundle([&fetch[..], look].concat()), 7);
    }
    let said = ends_with(&rune_bundle(["fetch", &reference, "--inspect"]), 0);
    assert!(said.starts_with("UNVERIFIED: "), "{said}");
}

#[test]
fn only_what_changed_is_read_when_a_stored_bundle_is_compared() {
    let team = large();
    let registry = Registry::start();
    publish(&team, "small.bundle.tar", &registry.host());
    registry.forget_requests();
    let (reference, file) = (
        format!("{}/{REFERENCE}", registry.host()),
        team.file("small.bundle.tar"),
    );
    run(&team, &["fetch", &reference, "--against", &file], 0);
    let requests = registry.requests().into_iter();
    let layers = requests.filter(|request| {
        request.method == "GET" && request.path.starts_with("/v2/site/small/blobs/")
    });
    assert_eq!(layers.count(), 0);
}
