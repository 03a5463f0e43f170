//! A delta in volumes: written by `delta` and `split`, read where they are, joined byte for byte.

use std::{fs, process::Command};

use crate::bundle::{
    delta_support::{Pair, layer},
    foreign_support::Distribution,
    small_bundle::{ends_with, entries_of},
};

/// What a volume begins with.
const RECORD_BYTES: u64 = 4096;

/// `old.tar`, `new.tar`, `delta.tar`, and the delta as seven volumes.
struct Set {
    pair: Pair,
    volume_bytes: u64,
    head_bytes: u64,
}

impl Set {
    fn new() -> Self {
        let pair = Pair::new(&[40_000, 30_000], 300_000);
        pair.delta();
        // Behind the record of the delta, the bundle index and the slots.
        let head_bytes = entries_of(&pair.file("delta.tar"))[10].header;
        let body = fs::metadata(pair.file("delta.tar")).unwrap().len() - head_bytes;
        let stride = body.div_ceil(7).next_multiple_of(512);
        let volume_bytes = RECORD_BYTES + head_bytes + stride;
        let set = Self {
            pair,
            volume_bytes,
            head_bytes,
        };
        let size = volume_bytes.to_string();
        let delta = ["delta", "--base", "old.tar", "new.tar", "-o", "v.tar"];
        let said = set
            .pair
            .run(&[&delta[..], &["--volume-size", &size]].concat(), 0);
        assert!(
            said.contains("wrote a delta of small 1.3.0")
                && said.contains("[ ] volume 7 of 7  v.volume-7-of-7"),
            "{said}"
        );
        set
    }

    fn volume(&self, number: usize) -> String {
        self.pair.path(&format!("v.volume-{number}-of-7"))
    }

    /// Moves volumes into a directory.
    fn move_to(&self, directory: &str, numbers: &[usize]) -> String {
        let directory = self.pair.path(directory);
        fs::create_dir(&directory).unwrap();
        for number in numbers {
            let moved = format!("{directory}/v.volume-{number}-of-7");
            fs::rename(self.volume(*number), moved).unwrap();
        }
        directory
    }
}

#[test]
fn split_writes_the_same_volumes_and_coreutils_and_join_make_the_delta_of_them() {
    let set = Set::new();
    let (size, pair) = (set.volume_bytes.to_string(), &set.pair);
    let split = ["split", "delta.tar", "--volume-size", &size, "-o", "w.tar"];
    let said = pair.run(&split, 0);
    assert!(said.contains("split a delta of small 1.3.0"), "{said}");
    let from = RECORD_BYTES + 1;
    let behind_head = from + set.head_bytes;
    let mut script = format!("tail -c +{from} v.volume-1-of-7 > joined");
    for number in 1..=7 {
        if number > 1 {
            script += &format!(" && tail -c +{behind_head} v.volume-{number}-of-7 >> joined");
        }
        script += &format!(" && cmp v.volume-{number}-of-7 w.volume-{number}-of-7");
        let bytes = fs::metadata(set.volume(number)).unwrap().len();
        assert!(bytes <= set.volume_bytes, "volume {number}: {bytes}");
    }
    script += " && cmp joined delta.tar";
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(pair.file("."));
    ends_with(&command.output().unwrap(), 0);

    // One after another, in any order.
    let stock = set.move_to("stock", &[1, 2, 3, 4, 5, 6, 7]);
    for number in [6, 2, 7, 1, 5, 4, 3] {
        let volume = format!("{stock}/v.volume-{number}-of-7");
        let drive = set.volume(number);
        fs::copy(&volume, &drive).unwrap();
        let said = pair.run(&["join", &drive, "-o", "back.tar"], 0);
        fs::remove_file(drive).unwrap();
        let expected = if number == 3 {
            "joined a delta of small 1.3.0 to".to_owned()
        } else {
            format!("volume {number} of 7 of a delta of small 1.3.0 is intact and joined")
        };
        assert!(said.contains(&expected), "{said}");
    }
    assert_eq!(pair.sum("back.tar"), pair.sum("delta.tar"));
}

#[test]
fn whoever_takes_a_delta_reads_its_volumes_from_several_directories() {
    let set = Set::new();
    let pair = &set.pair;
    let registry = Distribution::start("plain");
    let receipts = pair.path("receipts");
    let push = |bundle: &str, more: &[&str]| {
        let push = ["push", bundle, registry.host(), "--receipts", &receipts];
        pair.run(&[&push[..], more].concat(), 0)
    };
    push("old.tar", &[]);
    let one = set.move_to("one", &[2, 5]);
    let two = set.move_to("two", &[1, 7]);
    let first = format!("{one}/v.volume-5-of-7");
    let here = pair.path("");
    let parts = ["--part", &two, "--part", &here];
    let run = |arguments: &[&str]| pair.run(&[arguments, &parts].concat(), 0);
    let said = run(&["apply", &first, "--from", "old.tar", "-o", "out.tar"]);
    assert!(said.contains("from delta     "), "{said}");
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
    let said = run(&["inspect", &first]);
    for expected in [
        "volumes        7, of at most",
        "needed         ",
        "base           small 1.2.3",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = run(&["verify", "--set", &first]);
    assert!(
        said.contains("the delta of small 1.3.0 is intact") && said.contains("volumes        7"),
        "{said}"
    );
    let said = push(&first, &[&parts[..], &["--overwrite-tags"]].concat());
    assert!(said.contains("is a delta, and all "), "{said}");
    let said = push("new.tar", &[]);
    assert!(said.contains("blobs      0 sent (0 bytes)"), "{said}");
}

#[test]
fn a_volume_of_a_delta_is_verified_alone_and_a_flipped_bit_is_found_in_it() {
    let set = Set::new();
    let pair = &set.pair;
    for number in 1..=7 {
        let volume = set.volume(number);
        let said = pair.run(&["verify", &volume, "--expect", "small@1.3.0"], 0);
        let expected = format!("volume {number} of 7 of a delta of small 1.3.0 is intact");
        assert!(said.contains(&expected), "{said}");
        let good = fs::read(&volume).unwrap();
        let behind = usize::try_from(RECORD_BYTES + set.head_bytes).unwrap();
        let last = good.len() - 1;
        for position in [512, 4096 + 600, behind, usize::midpoint(behind, last), last] {
            let mut bytes = good.clone();
            bytes[position] ^= 1;
            fs::write(&volume, &bytes).unwrap();
            let said = ends_with(
                &crate::bundle::small_bundle::rune_bundle(pair.arguments(&["verify", &volume])),
                6,
            );
            assert!(
                said.contains(&format!("v.volume-{number}-of-7")),
                "{position}: {said}"
            );
            pair.run(&["apply", &volume, "--from", "old.tar", "-o", "out.tar"], 6);
            assert!(!pair.file("out.tar").exists());
        }
        fs::write(&volume, good).unwrap();
    }
}

#[test]
fn missing_and_foreign_volumes_of_a_delta_are_named() {
    let set = Set::new();
    let pair = &set.pair;
    let away = set.move_to("away", &[4]);
    let apply = [
        "apply",
        &set.volume(1),
        "--from",
        "old.tar",
        "-o",
        "out.tar",
    ];
    let said = pair.run(&apply, 4);
    assert!(said.contains("volume 4 of 7 is missing"), "{said}");
    // The head of one volume says what bundle it is for.
    let said = pair.run(&["inspect", &set.volume(1)], 0);
    assert!(
        said.contains("small 1.3.0, format 1") && said.contains("volume 4 of 7 is missing"),
        "{said}"
    );
    // Another delta of the same bundle, in volumes of the same size.
    pair.write("other.tar", "1.2.4", vec![layer(1, 40_000)]);
    let size = set.volume_bytes.to_string();
    let delta = ["delta", "--base", "other.tar", "new.tar", "-o", "u.tar"];
    pair.run(&[&delta[..], &["--volume-size", &size]].concat(), 0);
    let mut others = pair.scratch.names().into_iter();
    let other = others.find(|name| name.starts_with("u.volume-4-")).unwrap();
    fs::copy(pair.file(&other), set.volume(4)).unwrap();
    let said = pair.run(&apply, 6);
    assert!(
        said.contains("v.volume-4-of-7` is a volume of another set than")
            && said.contains("it is of the delta "),
        "{said}"
    );
    fs::remove_file(set.volume(4)).unwrap();
    fs::rename(format!("{away}/v.volume-4-of-7"), set.volume(4)).unwrap();
    pair.run(&apply, 0);
}

#[test]
fn who_needs_the_bundle_refuses_the_volumes_of_a_delta() {
    let set = Set::new();
    let (pair, volume) = (&set.pair, set.volume(2));
    let directory = pair.path("unpacked");
    for arguments in [
        &["unpack", &volume, &directory][..],
        &["cat", &volume, "INSTALL.md"],
        &["delta", "--base", "old.tar", &volume, "-o", "x.tar"],
    ] {
        let said = pair.run(arguments, 3);
        assert!(
            said.contains("this is a delta") && said.contains("rune-bundle apply DELTA --from"),
            "{arguments:?}: {said}"
        );
    }
    let before = fs::read(&volume).unwrap();
    let key = pair.path("release.key");
    fs::write(&key, crate::bundle::small_bundle::KEY).unwrap();
    pair.run_alone(&["sign", &volume, "--key", &key], 3);
    assert_eq!(fs::read(&volume).unwrap(), before);
}

#[test]
fn a_head_that_does_not_fit_into_a_volume_is_refused() {
    let set = Set::new();
    let size = (RECORD_BYTES + set.head_bytes + 511).to_string();
    for verb in [
        &["split", "delta.tar"][..],
        &["delta", "--base", "old.tar", "new.tar"],
    ] {
        let more = ["--volume-size", &size, "-o", "small.tar"];
        let said = set.pair.run(&[verb, &more].concat(), 2);
        let least = format!(
            "choose a size of at least {} bytes",
            RECORD_BYTES + set.head_bytes + 512
        );
        assert!(said.contains(&least), "{said}");
    }
}
