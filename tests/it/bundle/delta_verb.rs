//! A delta and its base become the bundle, byte for byte; what it has and needs is shown; and what
//! is missing is named.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use rune_bundle::bundle::BundleIndex;
use rune_core::digest::Digest;

use crate::bundle::{
    delta_support::{Pair, layer},
    small_bundle::{ends_with, entries_of, index_of, rune_bundle},
};

const SHARED: [usize; 3] = [40_000, 30_000, 20_000];

fn digests(index: &BundleIndex) -> BTreeSet<Digest> {
    index.entries.iter().map(|entry| entry.sha256).collect()
}

#[test]
fn the_bundle_of_a_delta_is_the_original_by_sha256sum() {
    let pair = Pair::new(&SHARED, 10_000);
    let said = pair.delta();
    assert!(
        said.contains("wrote a delta of small 1.3.0")
            && said.contains("base           small 1.2.3"),
        "{said}"
    );
    let said = pair.apply(0);
    assert!(
        said.contains("from base") && said.contains("old.tar`"),
        "{said}"
    );
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
    let said = pair.run(&["verify", "out.tar"], 0);
    assert!(said.contains("small 1.3.0 is intact"), "{said}");
    let names = pair.scratch.names();
    assert!(
        !names
            .iter()
            .any(|name| name.ends_with(".partial") || name.ends_with(".journal")),
        "{names:?}"
    );
    pair.apply(12);
}

#[test]
fn a_delta_is_a_tar_of_a_record_the_head_and_only_what_the_base_lacks() {
    let pair = Pair::new(&SHARED, 10_000);
    pair.delta();
    let held = digests(&index_of(&pair.file("old.tar")));
    let index = index_of(&pair.file("new.tar"));
    // The first two lead to all others.
    let lacking = index.entries.iter().filter(|entry| {
        ["index.json", "artifacts/index.json"].contains(&entry.path.as_str())
            || !held.contains(&entry.sha256)
    });
    let lacking: Vec<(String, u64)> = lacking
        .map(|entry| (entry.path.to_string(), entry.size))
        .collect();
    let listed = pair.listed("delta.tar");
    assert_eq!(listed[0].0, "delta.json");
    assert_eq!(listed[1..10], pair.listed("new.tar")[..9]);
    assert_eq!(listed[10..], lacking);
    // The head is the signed one, byte for byte.
    let (delta, new) = (pair.bytes("delta.tar"), pair.bytes("new.tar"));
    let head = usize::try_from(pair.head_bytes("new.tar")).unwrap();
    let record = 512 + usize::try_from(listed[0].1).unwrap().next_multiple_of(512);
    assert!(delta[record..record + head] == new[..head]);
    // A program that knows no deltas looks for the header of `bundle.json` here.
    assert!(delta[..512] != new[..512] && delta.starts_with(b"delta.json\0"));
}

#[test]
fn a_delta_of_bundles_that_share_nine_tenths_has_little_besides_the_new_bytes() {
    let pair = Pair::new(&[1_000_000; 9], 1_000_000);
    pair.delta();
    let held = digests(&index_of(&pair.file("old.tar")));
    let index = index_of(&pair.file("new.tar"));
    let new = index
        .entries
        .iter()
        .filter(|entry| !held.contains(&entry.sha256));
    let new: u64 = new.map(|entry| entry.size).sum();
    let size = fs::metadata(pair.file("delta.tar")).unwrap().len();
    let limit = new + new / 50 + pair.head_bytes("new.tar");
    assert!(size <= limit, "{size} > {limit}");
}

#[test]
fn apply_writes_each_byte_once() {
    let pair = Pair::new(&[3_000_000, 200_000], 1_500_000);
    pair.delta();
    // A file for each thread, so that no line is cut in two.
    let log = pair.path("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-ff", "-y", "-q", "-s", "0", "-o", &log])
        .args(["-e", "trace=pwrite64,write,writev,pwritev"])
        .arg(env!("CARGO_BIN_EXE_rune-bundle"))
        .args(pair.arguments(&["apply", "delta.tar", "--from", "old.tar", "-o", "out.tar"]));
    ends_with(&strace.output().unwrap(), 0);
    let names = pair.scratch.names();
    let logs = names.iter().filter(|name| name.starts_with("trace."));
    let log: String = logs
        .map(|name| fs::read_to_string(pair.file(name)).unwrap())
        .collect();
    let mut ends = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("out.tar.partial>")) {
        assert!(line.starts_with("pwrite64("), "{line}");
        let (call, length) = line.rsplit_once(" = ").unwrap();
        let (_, offset) = call
            .trim_end()
            .trim_end_matches(')')
            .rsplit_once(", ")
            .unwrap();
        let (offset, length): (u64, u64) = (offset.parse().unwrap(), length.parse().unwrap());
        assert_eq!(ends.insert(offset, offset + length), None, "{line}");
    }
    let written: u64 = ends.iter().map(|(begin, end)| end - begin).sum();
    assert!(written > 4_700_000, "{written}");
    let begins = ends.keys().skip(1);
    assert!(ends.values().zip(begins).all(|(end, begin)| end <= begin));
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
}

#[test]
fn what_a_delta_has_and_needs_is_shown_with_and_without_a_key() {
    let pair = Pair::new(&SHARED, 10_000);
    pair.delta();
    let said = pair.run(&["inspect", "delta.tar", "--entries"], 0);
    for part in [
        "small 1.3.0, format 1",
        "signature      good",
        "\nneeded  ",
        "\nbase           small 1.2.3 (sha256:",
        "charts/small-0.1.0.tgz (not in the delta)\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = rune_bundle(["inspect", &pair.path("delta.tar"), "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let index = index_of(&pair.file("new.tar"));
    let listed = pair.listed("delta.tar").len() - 10;
    let delta = &report["delta"];
    assert_eq!(report["verified"], false);
    assert_eq!(delta["included"]["count"], listed);
    assert_eq!(delta["needed"]["count"], index.entries.len() - listed);
    assert_eq!(
        delta["neededEntries"].as_array().unwrap().len(),
        index.entries.len() - listed
    );
    assert_eq!(delta["bases"][0]["name"], "small 1.2.3");
}

#[test]
fn verbs_that_need_the_bundle_refuse_a_delta_and_name_apply() {
    let pair = Pair::new(&SHARED, 10_000);
    pair.delta();
    for verb in [
        &["unpack", "delta.tar", "x"][..],
        &["serve", "delta.tar"],
        &["delta", "delta.tar", "--base", "old.tar"],
        &["cat", "delta.tar", "INSTALL.md"],
    ] {
        let said = pair.run(verb, 3);
        assert!(
            said.contains("this is a delta") && said.contains("rune-bundle apply DELTA --from"),
            "{verb:?}: {said}"
        );
    }
    let said = pair.run(&["apply", "new.tar", "-o", "out.tar"], 3);
    assert!(said.contains("is not a delta"), "{said}");
}

#[test]
fn verify_proves_what_a_delta_has_and_says_how_much_it_needs() {
    let pair = Pair::new(&SHARED, 10_000);
    pair.delta();
    let said = pair.run(&["verify", "delta.tar", "--expect", "small@1.3.0"], 0);
    let (listed, needed) = (pair.listed("delta.tar"), pair.listed("new.tar"));
    // Before its entries are its record, the bundle index, and eight slots.
    let included = listed.len() - 10;
    for expected in [
        "the delta of small 1.3.0 is intact: ".to_owned(),
        format!("included       {included} entries, "),
        format!("needed         {} entries, ", needed.len() - 9 - included),
    ] {
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    pair.run(&["verify", "delta.tar", "--expect", "small@1.2.3"], 8);
    pair.run_alone(&["verify", "delta.tar"], 7);
    pair.run(&["verify", "delta.tar", "--policy", "policy.yaml"], 2);
    let layer = entries_of(&pair.file("delta.tar")).into_iter();
    let layer = layer.max_by_key(|entry| entry.size).unwrap();
    let mut bytes = pair.bytes("delta.tar");
    bytes[usize::try_from(layer.content + layer.size / 2).unwrap()] ^= 1;
    fs::write(pair.file("delta.tar"), bytes).unwrap();
    let said = pair.run(&["verify", "delta.tar"], 6);
    assert!(said.contains(&format!("entry `{}`", layer.name)), "{said}");
}

#[test]
fn entries_that_are_nowhere_are_named_with_where_they_were_looked_for() {
    let pair = Pair::new(&SHARED, 10_000);
    pair.delta();
    let said = pair.run(&["apply", "delta.tar", "-o", "out.tar"], 4);
    assert!(
        said.contains("no base was named")
            && said.contains("charts/small-0.1.0.tgz (")
            && said.contains("created for small 1.2.3 (sha256:")
            && said.contains("--from"),
        "{said}"
    );
    pair.write(
        "other.tar",
        "1.2.2",
        vec![layer(1, 40_000), layer(2, 30_000)],
    );
    let apply = ["apply", "delta.tar", "--from", "other.tar", "-o", "out.tar"];
    let said = pair.run(&apply, 4);
    let digest = rune_testkit::sha256(&layer(3, 20_000));
    let hex = digest.strip_prefix("sha256:").unwrap_or(&digest);
    assert!(
        said.contains(&format!("blobs/sha256/{hex} (20000 bytes)")) && said.contains("other.tar`"),
        "{said}"
    );
    pair.run(&[&apply[..], &["--dry-run"]].concat(), 4);
    // Two bases that have it together.
    let both = [&apply[..], &["--from", "old.tar"]].concat();
    let said = pair.run(&[&both[..], &["--dry-run"]].concat(), 0);
    assert!(said.contains("would write small 1.3.0"), "{said}");
    assert!(!pair.file("out.tar").exists() && !pair.file("out.tar.partial").exists());
    pair.run(&both, 0);
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
}

#[test]
fn bundle_base_and_delta_may_be_in_several_files() {
    let pair = Pair::new(&SHARED, 10_000);
    for name in ["old", "new"] {
        let (bundle, volumes) = (format!("{name}.tar"), format!("{name}-v.tar"));
        pair.run(
            &[
                "split",
                &bundle,
                "--volume-size",
                "120kB",
                "--output",
                &volumes,
            ],
            0,
        );
    }
    let volume = |stem: &str| {
        let names = pair.scratch.names();
        let first = format!("{stem}-v.volume-1-of-");
        pair.path(names.iter().find(|name| name.starts_with(&first)).unwrap())
    };
    let (old, new) = (volume("old"), volume("new"));
    pair.run(&["delta", "--base", &old, &new, "-o", "delta.tar"], 0);
    let parts = Command::new("split")
        .args(["-b", "30000", "-d"])
        .args([pair.path("delta.tar"), pair.path("part.")])
        .output();
    ends_with(&parts.unwrap(), 0);
    assert!(pair.file("part.01").exists());
    let apply = ["apply", "part.00", "--from", &old, "-o", "out.tar"];
    fs::create_dir(pair.file("stick")).unwrap();
    let moved = old.replace("volume-1-of", "volume-2-of");
    let name = moved.rsplit('/').next().unwrap();
    fs::rename(&moved, pair.file("stick").join(name)).unwrap();
    let said = pair.run(&apply, 4);
    assert!(
        said.contains("volume 2 of") && said.contains("--part"),
        "{said}"
    );
    let stick = pair.path("stick");
    pair.run(&[&apply[..], &["--part", &stick]].concat(), 0);
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
}
