//! Bases that lack some of what a delta leaves out: exactly that is named, whatever it is.

use std::{collections::BTreeSet, fs, path::Path};

use crate::bundle::{
    delta_support::Pair,
    small_bundle::{ends_with, entries_of, index_of, rune_bundle},
};

/// The names of entries in a message, without their sizes.
fn named(said: &str) -> BTreeSet<String> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("  "));
    let names = lines.filter_map(|line| line.trim_start().split_once(" ("));
    let names = names.filter(|(_, size)| size.ends_with(" bytes)"));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// The entries that the delta leaves out, one name for each content.
fn left_out(pair: &Pair) -> Vec<(String, String)> {
    let delta = entries_of(&pair.file("delta.tar"));
    let included: BTreeSet<&str> = delta.iter().map(|entry| entry.name.as_str()).collect();
    let index = index_of(&pair.file("new.tar"));
    let has: BTreeSet<_> = index
        .entries
        .iter()
        .filter(|entry| included.contains(entry.path.as_str()))
        .map(|entry| entry.sha256)
        .collect();
    let entries = index.entries.iter();
    let left_out = entries.filter(|entry| !has.contains(&entry.sha256));
    left_out
        .map(|entry| (entry.path.to_string(), entry.sha256.hex()))
        .collect()
}

/// Takes the files with these contents away from an unpacked bundle, and puts them back.
fn without(site: &Path, digests: &BTreeSet<&str>, run: impl FnOnce()) {
    let sums = fs::read_to_string(site.join("SHA256SUMS")).unwrap();
    let files = sums.lines().filter_map(|line| line.split_once("  "));
    let files: Vec<_> = files
        .filter(|(digest, _)| digests.contains(digest))
        .map(|(_, name)| (site.join(name), site.join(format!("{name}.away"))))
        .collect();
    assert!(!files.is_empty());
    for (file, away) in &files {
        fs::rename(file, away).unwrap();
    }
    run();
    for (file, away) in &files {
        fs::rename(away, file).unwrap();
    }
}

#[test]
fn every_entry_and_every_pair_of_entries_that_a_base_lacks_is_named() {
    let pair = Pair::new(&[4_000, 3_000, 2_000], 1_000);
    pair.delta();
    let site = pair.path("site");
    pair.run(&["unpack", "old.tar", &site], 0);
    let left_out = left_out(&pair);
    assert!(left_out.len() > 8, "{left_out:?}");
    let apply = [
        "apply",
        "delta.tar",
        "--from",
        &site,
        "--dry-run",
        "-o",
        "out.tar",
    ];
    pair.run(&apply, 0);
    let following = left_out.iter().cycle().skip(1);
    for (one, other) in left_out.iter().zip(following) {
        for mutant in [&[one][..], &[one, other]] {
            let digests: BTreeSet<&str> = mutant.iter().map(|(_, hex)| hex.as_str()).collect();
            let expected: BTreeSet<String> = left_out
                .iter()
                .filter(|(_, hex)| digests.contains(hex.as_str()))
                .map(|(name, _)| name.clone())
                .collect();
            without(Path::new(&site), &digests, || {
                let said = pair.run(&apply, 4);
                assert_eq!(named(&said), expected, "{said}");
                assert!(said.contains(&format!("not found in the delta or `{site}`")));
            });
        }
    }
    pair.run(&apply, 0);
}

#[test]
fn what_several_bases_lack_together_is_named_with_all_of_them() {
    let pair = Pair::new(&[4_000, 3_000, 2_000], 1_000);
    pair.delta();
    let (one, other) = (pair.path("one"), pair.path("other"));
    for site in [&one, &other] {
        pair.run(&["unpack", "old.tar", site], 0);
    }
    let left_out = left_out(&pair);
    let hex = |position: usize| left_out[position].1.as_str();
    let from = [
        "--from",
        &one,
        "--from",
        &other,
        "--dry-run",
        "-o",
        "out.tar",
    ];
    let apply = [&["apply", "delta.tar"][..], &from].concat();
    let (first, second) = (
        BTreeSet::from([hex(0), hex(1)]),
        BTreeSet::from([hex(1), hex(2)]),
    );
    without(Path::new(&one), &first, || {
        without(Path::new(&other), &second, || {
            let said = pair.run(&apply, 4);
            let expected = BTreeSet::from([left_out[1].0.clone()]);
            assert_eq!(named(&said), expected, "{said}");
            let looked_in = format!("the delta or `{one}`, `{other}`");
            assert!(said.contains(&looked_in), "{said}");
        });
    });
}

#[test]
fn of_many_missing_entries_ten_are_named_and_the_others_counted() {
    let pair = Pair::new(&[400; 20], 1_000);
    pair.delta();
    let count = left_out(&pair).len();
    let arguments = pair.arguments(&["apply", "delta.tar", "--dry-run", "-o", "out.tar"]);
    let said = ends_with(&rune_bundle(arguments), 4);
    assert_eq!(named(&said).len(), 10, "{said}");
    let counted = [
        format!("{count} entries of the bundle ("),
        format!("and {} more", count - 10),
    ];
    for counted in counted {
        assert!(said.contains(&counted), "{counted}: {said}");
    }
}
