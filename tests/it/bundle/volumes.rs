//! Volumes: a bundle in files of limited size, made by `split`, verified one by one, read as one,
//! signed as one, and joined again.

use std::{fs, path::PathBuf, process::Command};

use crate::bundle::{
    sign_support::Team,
    small_bundle::{Scratch, ends_with, entries_of, index_of, rune_bundle, signed},
};

/// What a volume begins with.
const RECORD_BYTES: u64 = 4096;

/// A signed bundle and its volumes, all in one directory.
pub(crate) struct Set {
    pub(crate) scratch: Scratch,
    pub(crate) bundle: PathBuf,
    pub(crate) volume_bytes: u64,
    pub(crate) head_bytes: u64,
}

impl Set {
    /// A set of seven volumes.
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let bundle = signed(&scratch);
        let set = Self::of(scratch, bundle);
        let (bundle, key) = (set.path("small.bundle.tar"), set.path("key.pub"));
        set.split(&bundle, &key);
        set
    }

    fn of(scratch: Scratch, bundle: PathBuf) -> Self {
        let head_bytes = entries_of(&bundle)[9].header;
        let body = fs::metadata(&bundle).unwrap().len() - head_bytes;
        let stride = body.div_ceil(7).next_multiple_of(512);
        assert_eq!(body.div_ceil(stride), 7);
        Self {
            scratch,
            bundle,
            volume_bytes: RECORD_BYTES + head_bytes + stride,
            head_bytes,
        }
    }

    fn split(&self, bundle: &str, key: &str) {
        let (size, output) = (self.volume_bytes.to_string(), self.path("v.tar"));
        let split = ["split", bundle, "--volume-size", &size, "--output", &output];
        let said = ends_with(&rune_bundle(split.into_iter().chain(["--key", key])), 0);
        assert!(
            said.contains("[ ] volume 7 of 7  v.volume-7-of-7"),
            "{said}"
        );
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.scratch.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn volume(&self, number: usize) -> String {
        self.path(&format!("v.volume-{number}-of-7"))
    }

    /// Runs a verb with the key.
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let key = self.path("key.pub");
        let arguments = arguments.iter().copied().chain(["--key", &key]);
        ends_with(&rune_bundle(arguments), code)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.bundle).unwrap()
    }

    /// Moves volumes into a directory.
    fn move_to(&self, directory: &str, numbers: &[usize]) -> String {
        fs::create_dir(self.scratch.path(directory)).unwrap();
        for number in numbers {
            let name = format!("v.volume-{number}-of-7");
            fs::rename(
                self.scratch.path(&name),
                self.scratch.path(directory).join(name),
            )
            .unwrap();
        }
        self.path(directory)
    }
}

#[test]
fn coreutils_make_the_bundle_from_volumes() {
    let set = Set::new();
    let from = RECORD_BYTES + 1;
    let behind_head = from + set.head_bytes;
    let mut script = format!("tail -c +{from} v.volume-1-of-7 > joined");
    for number in 2..=7 {
        script += &format!(" && tail -c +{behind_head} v.volume-{number}-of-7 >> joined");
    }
    script += " && cmp joined small.bundle.tar";
    let joined = Command::new("sh")
        .args(["-c", &script])
        .current_dir(set.scratch.path("."))
        .output();
    ends_with(&joined.unwrap(), 0);
    for number in 1..=7 {
        let bytes = fs::metadata(set.volume(number)).unwrap().len();
        assert!(bytes <= set.volume_bytes, "volume {number}: {bytes}");
    }
}

#[test]
fn a_volume_is_verified_alone_and_says_what_is_proven_only_with_others() {
    let set = Set::new();
    let alone = set.move_to("alone", &[3]);
    let path = format!("{alone}/v.volume-3-of-7");
    let said = set.run(&["verify", &path, "--expect", "small@1.2.3"], 0);
    assert!(
        said.contains("volume 3 of 7 of small 1.2.3 is intact"),
        "{said}"
    );
    let index = index_of(&set.bundle);
    let layer = index.entries.iter().max_by_key(|entry| entry.size).unwrap();
    // The layer is larger than a volume, so some volumes have nothing else.
    let mut shared = 0;
    for number in [1, 2, 4, 5, 6, 7] {
        let said = set.run(&["verify", &set.volume(number)], 0);
        assert!(
            said.contains(&format!("volume {number} of 7 of small 1.2.3 is intact")),
            "{said}"
        );
        let note = format!(
            "bytes) of {} are verified only together with volumes ",
            layer.path
        );
        shared += usize::from(said.contains(&note));
    }
    assert!(shared >= 2);
    let said = set.run(&["inspect", &path], 0);
    assert!(
        said.contains("small 1.2.3, format 1")
            && said.contains("volumes 1, 2, 4 to 7 of 7 are missing"),
        "{said}"
    );
    set.run(&["verify", &path, "--expect", "other@1.2.3"], 8);
    let wrong = set.path("other.pub");
    fs::write(&wrong, Team::new().join("other").public_key().to_pem()).unwrap();
    ends_with(&rune_bundle(["verify", &path, "--key", &wrong]), 7);
}

#[test]
fn every_reading_verb_takes_one_volume_for_the_set_in_several_directories() {
    let set = Set::new();
    let (bundle, page, images) = (
        set.path("small.bundle.tar"),
        set.path("page.html"),
        set.path("images"),
    );
    fs::create_dir(&images).unwrap();
    let one = set.move_to("one", &[1, 5, 7]);
    let two = set.move_to("two", &[2, 3]);
    let first = format!("{one}/v.volume-5-of-7");
    let places = [
        "--part",
        &two,
        "--part",
        &set.volume(4),
        "--part",
        &set.volume(6),
    ];
    let unpacked = set.path("unpacked");
    for (verb, more, expected) in [
        ("verify", &["--set"][..], "small 1.2.3 is intact"),
        ("inspect", &[], "volumes        7, of at most"),
        ("cat", &["INSTALL.md"], "# Install"),
        ("diff", &[&bundle], "nothing differs"),
        ("report", &["--output", &page], "page.html"),
        ("unpack", &[&unpacked], "unpacked small 1.2.3"),
        ("load", &["--images-dir", &images], "small 1.2.3"),
    ] {
        let arguments = [&[verb, &first], more, &places].concat();
        let said = set.run(&arguments, 0);
        assert!(said.contains(expected), "{verb}: {said}");
    }
    assert!(
        fs::read_to_string(&page)
            .unwrap()
            .contains("<dt>Volumes</dt><dd>7, of at most")
    );
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&unpacked)
        .output();
    ends_with(&sums.unwrap(), 0);
}

#[test]
fn missing_doubled_and_foreign_volumes_are_named() {
    let set = Set::new();
    set.move_to("away", &[3, 4]);
    let said = set.run(&["verify", "--set", &set.volume(1)], 4);
    assert!(
        said.contains("volumes 3, 4 of 7 are missing") && said.contains("v.volume-3-of-7"),
        "{said}"
    );
    fs::copy(set.volume(5), set.volume(3)).unwrap();
    let said = set.run(&["verify", "--set", &set.volume(1)], 12);
    assert!(said.contains("volume 5 of 7 is there twice"), "{said}");
    // The same bundle, cut otherwise.
    let size = (set.volume_bytes + 512).to_string();
    let (bundle, other) = (set.path("small.bundle.tar"), set.path("other.tar"));
    set.run(
        &["split", &bundle, "--volume-size", &size, "--output", &other],
        0,
    );
    let others: Vec<String> = set
        .scratch
        .names()
        .into_iter()
        .filter(|name| name.starts_with("other.volume-3-"))
        .collect();
    fs::copy(set.path(&others[0]), set.volume(3)).unwrap();
    let said = set.run(&["verify", "--set", &set.volume(1)], 6);
    assert!(
        said.contains("v.volume-3-of-7` is a volume of another set than"),
        "{said}"
    );
}

#[test]
fn join_takes_volumes_one_after_another_in_any_order_and_goes_on_after_a_bad_one() {
    let set = Set::new();
    let drive = set.path("drive");
    let stock = set.move_to("stock", &[1, 2, 3, 4, 5, 6, 7]);
    fs::create_dir(&drive).unwrap();
    let output = set.path("joined.tar");
    let join = |number: usize, code| {
        let name = format!("v.volume-{number}-of-7");
        let path = format!("{drive}/{name}");
        fs::copy(format!("{stock}/{name}"), &path).unwrap();
        let said = set.run(&["join", &path, "--output", &output], code);
        fs::remove_file(path).unwrap();
        said
    };
    for (number, rest) in [(6, "1 to 5, 7"), (2, "1, 3 to 5, 7"), (7, "1, 3 to 5")] {
        let said = join(number, 0);
        assert!(
            said.contains(&format!("volume {number} of 7 of small 1.2.3 is intact"))
                && said.contains(&format!("with volumes {rest}")),
            "{said}"
        );
    }
    // A volume of the stock is damaged; a copy of that one mends it.
    let bad = format!("{stock}/v.volume-4-of-7");
    let good = fs::read(&bad).unwrap();
    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&bad, &bytes).unwrap();
    join(4, 6);
    fs::write(&bad, &good).unwrap();
    for number in [4, 1, 4, 3] {
        join(number, 0);
    }
    assert!(!set.scratch.path("joined.tar").exists());
    let said = join(5, 0);
    assert!(said.contains("joined small 1.2.3 to"), "{said}");
    assert_eq!(fs::read(&output).unwrap(), set.bytes());
    assert!(
        set.scratch
            .names()
            .iter()
            .all(|name| !name.starts_with("joined.tar.")),
        "{:?}",
        set.scratch.names()
    );
}

#[test]
fn a_piece_that_was_changed_together_with_its_digest_is_found_by_the_set() {
    let set = Set::new();
    // Volumes 3 and 4 lie within the layer.
    forge(&set, 4);
    let said = set.run(&["verify", &set.volume(4)], 0);
    assert!(said.contains("are verified only together with"), "{said}");
    let said = set.run(&["verify", "--set", &set.volume(1)], 6);
    assert!(said.contains("volume 4 of 7 ("), "{said}");
    let joined = set.path("joined.tar");
    let said = set.run(&["join", &set.volume(1), "--output", &joined], 6);
    assert!(said.contains("entry `blobs/sha256/"), "{said}");
    assert!(!set.scratch.path("joined.tar").exists());
}

/// Changes the last byte of a volume, and its record so that it agrees: with Python, which shares
/// nothing with the product.
fn forge(set: &Set, number: usize) {
    let script = "
import hashlib, json, sys
path = sys.argv[1]
volume = bytearray(open(path, 'rb').read())
record = json.loads(volume[512:4096])
volume[-1] ^= 1
piece = record['first']
assert piece['bytes'] == record['end'] - record['begin'], record
piece['digest'] = 'sha256:' + hashlib.sha256(volume[record['offset']:]).hexdigest()
text = json.dumps(record, sort_keys=True, separators=(',', ':')).encode()
volume[512:4096] = text.ljust(3584)
open(path, 'wb').write(volume)
";
    let forged = Command::new("python3")
        .args(["-c", script, &set.volume(number)])
        .output();
    ends_with(&forged.unwrap(), 0);
}

/// A team, whose bundle is in seven volumes.
fn signed_by_team() -> (Team, Set) {
    let team = Team::new();
    team.join("second");
    team.join("third");
    let scratch = Scratch::new();
    let bundle = scratch.path("small.bundle.tar");
    fs::copy(&team.bundle, &bundle).unwrap();
    let set = Set::of(scratch, bundle);
    set.split(&set.path("small.bundle.tar"), &team.file("first.pub"));
    (team, set)
}

#[test]
fn signing_a_set_signs_every_volume_and_the_joined_bundle_is_the_one_signed_as_a_file() {
    let (team, set) = signed_by_team();
    let (second, bundle) = (team.file("second.key"), set.path("small.bundle.tar"));
    let two = set.move_to("two", &[2, 3]);
    ends_with(
        &rune_bundle(["sign", &set.volume(7), "--key", &second, "--part", &two]),
        0,
    );
    ends_with(&rune_bundle(["sign", &bundle, "--key", &second]), 0);
    let key = team.file("second.pub");
    ends_with(&rune_bundle(["verify", &set.volume(5), "--key", &key]), 0);
    let joined = set.path("joined.tar");
    let join = [
        "join",
        &set.volume(1),
        &two,
        "--output",
        &joined,
        "--key",
        &key,
    ];
    ends_with(&rune_bundle(join), 0);
    assert_eq!(fs::read(&joined).unwrap(), set.bytes());
}

#[test]
fn join_unites_the_slots_and_refuses_two_signatures_in_one() {
    let (team, set) = signed_by_team();
    let [first, second] = ["first.pub", "second.pub"].map(|name| team.file(name));
    let (key, bundle) = (team.file("second.key"), set.path("small.bundle.tar"));
    let plain = fs::read(set.volume(3)).unwrap();
    // All but the third volume are signed by the second person.
    ends_with(&rune_bundle(["sign", &set.volume(1), "--key", &key]), 0);
    fs::write(set.volume(3), &plain).unwrap();
    ends_with(
        &rune_bundle(["verify", &set.volume(3), "--key", &second]),
        7,
    );
    let both = ["--key", &first, "--key", &second, "--threshold", "2"];
    let joined = set.path("joined.tar");
    let join = ["join", &set.volume(3), "--output", &joined];
    ends_with(&rune_bundle(join.into_iter().chain(both)), 0);
    ends_with(&rune_bundle(["sign", &bundle, "--key", &key]), 0);
    assert_eq!(fs::read(&joined).unwrap(), set.bytes());
    // Running it again completes what is missing.
    ends_with(&rune_bundle(["sign", &set.volume(1), "--key", &key]), 0);
    ends_with(
        &rune_bundle(["verify", &set.volume(3), "--key", &second]),
        0,
    );

    // The third person signs the same slot of one volume that the second has not signed.
    let alone = set.path("alone.bundle.tar");
    fs::copy(&team.bundle, &alone).unwrap();
    ends_with(
        &rune_bundle(["sign", &alone, "--key", &team.file("third.key")]),
        0,
    );
    let slot = usize::try_from(entries_of(&set.bundle)[2].content).unwrap();
    let mut volume = plain;
    let from = usize::try_from(RECORD_BYTES).unwrap() + slot;
    volume[from..from + 8192].copy_from_slice(&fs::read(&alone).unwrap()[slot..slot + 8192]);
    fs::write(set.volume(3), &volume).unwrap();
    let again = set.path("again.tar");
    let join = ["join", &set.volume(1), "--output", &again, "--key", &first];
    let said = ends_with(&rune_bundle(join), 12);
    assert!(
        said.contains("signature slot 1 has one signature in") && said.contains("v.volume-3-of-7"),
        "{said}"
    );
}

#[test]
fn volumes_that_cannot_be_are_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    let bundle = signed(&scratch);
    let set = Set::of(scratch, bundle);
    let (bundle, output) = (set.path("small.bundle.tar"), set.path("v.tar"));
    let before = set.scratch.names();
    let least = RECORD_BYTES + set.head_bytes + 512;
    for (size, code, expected) in [
        ((least - 1).to_string(), 2, "the head does not fit"),
        ("4.5GB".to_owned(), 2, "fat32, github, dvd"),
    ] {
        let split = [
            "split",
            &bundle,
            "--volume-size",
            &size,
            "--output",
            &output,
        ];
        let said = set.run(&split, code);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(set.scratch.names(), before);
    fs::write(set.scratch.path("v.volume-1-of-1"), "taken").unwrap();
    let split = [
        "split",
        &bundle,
        "--volume-size",
        "fat32",
        "--output",
        &output,
    ];
    let said = set.run(&split, 12);
    assert!(said.contains("v.volume-1-of-1` already exists"), "{said}");
}
