//! Deltas and bases that are damaged, forged or of something else are refused, and nothing stands
//! under the final name.

use std::fs;

use rune_testkit::sha256;
use serde_json::{Value, json};

use crate::bundle::{
    delta_support::{Pair, layer},
    small_bundle::{Found, entries_of},
};

/// A delta as it is, in parts.
struct Delta {
    pair: Pair,
    bytes: Vec<u8>,
    entries: Vec<Found>,
}

/// What is done to a delta.
type Change = fn(&Delta) -> Vec<u8>;

impl Delta {
    fn new() -> Self {
        let pair = Pair::new(&[40_000, 30_000], 10_000);
        pair.delta();
        Self {
            bytes: pair.bytes("delta.tar"),
            entries: entries_of(&pair.file("delta.tar")),
            pair,
        }
    }

    fn header(&self, entry: usize) -> usize {
        usize::try_from(self.entries[entry].header).unwrap()
    }

    fn content(&self, entry: usize) -> usize {
        usize::try_from(self.entries[entry].content).unwrap()
    }

    /// The number of the largest entry.
    fn largest(&self) -> usize {
        let sizes = self.entries.iter().enumerate();
        sizes.max_by_key(|(_, entry)| entry.size).unwrap().0
    }

    /// All bytes of an entry.
    fn whole(&self, entry: usize) -> std::ops::Range<usize> {
        let next = entry + 1;
        let end = if next == self.entries.len() {
            self.bytes.len() - 1024
        } else {
            self.header(next)
        };
        self.header(entry)..end
    }

    fn flipped(&self, at: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at] ^= 1;
        bytes
    }

    fn without(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        [&self.bytes[..range.start], &self.bytes[range.end..]].concat()
    }

    fn record(&self) -> Value {
        let begin = self.content(0);
        let end = begin + usize::try_from(self.entries[0].size).unwrap();
        serde_json::from_slice(&self.bytes[begin..end]).unwrap()
    }

    /// The same with another text for the record.
    fn with_text(&self, text: &str) -> Vec<u8> {
        let mut bytes = header("delta.json", text.len()).to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(512 + text.len().next_multiple_of(512), 0);
        bytes.extend(&self.bytes[self.header(1)..]);
        bytes
    }

    /// The same with another list of entries in the record.
    fn with_entries(&self, change: fn(&mut Vec<Value>)) -> Vec<u8> {
        let mut record = self.record();
        change(record["entries"].as_array_mut().unwrap());
        self.with_text(&record.to_string())
    }

    /// The same with the head of another bundle, of which the record says that it is this one.
    fn with_head_of(&self, name: &str) -> Vec<u8> {
        let other = self.pair.bytes(name);
        let found = entries_of(&self.pair.file(name));
        let at = |position: u64| usize::try_from(position).unwrap();
        let index = &other[at(found[0].content)..at(found[0].content + found[0].size)];
        let mut record = self.record();
        record["bundle"] = json!(format!(
            "sha256:{}",
            sha256(index).trim_start_matches("sha256:")
        ));
        let text = record.to_string();
        let mut bytes = header("delta.json", text.len()).to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(512 + text.len().next_multiple_of(512), 0);
        bytes.extend(&other[..at(found[9].header)]);
        bytes.extend(&self.bytes[self.header(10)..]);
        bytes
    }
}

/// A ustar header as bundles have them.
pub(crate) fn header(name: &str, size: usize) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// What is wrong, the change, and the exit code.
const DELTAS: &[(&str, Change, i32)] = &[
    ("empty", |_| Vec::new(), 3),
    ("name in the first block", |d| d.flipped(0), 3),
    ("mode in the first block", |d| d.flipped(106), 3),
    ("size in the first block", |d| d.flipped(134), 3),
    ("checksum of the first block", |d| d.flipped(150), 3),
    ("link in the first block", |d| d.flipped(156), 3),
    (
        "a record of 17 MiB",
        |d| [&header("delta.json", 17 << 20)[..], &d.bytes[512..]].concat(),
        3,
    ),
    (
        "a record longer than the file",
        |d| [&header("delta.json", 9 << 20)[..], &d.bytes[512..]].concat(),
        6,
    ),
    ("record that is no JSON", |d| d.with_text("delta"), 6),
    (
        "record with a space",
        |d| d.with_text(&format!("{} ", d.record())),
        6,
    ),
    (
        "record with an unknown field",
        |d| {
            let mut record = d.record();
            record["more"] = json!(1);
            d.with_text(&record.to_string())
        },
        6,
    ),
    (
        "record of a later format",
        |d| {
            let mut record = d.record();
            record["format"] = json!(2);
            d.with_text(&record.to_string())
        },
        3,
    ),
    (
        "record of another bundle",
        |d| {
            let mut record = d.record();
            record["bundle"] = json!(format!("sha256:{}", "0".repeat(64)));
            d.with_text(&record.to_string())
        },
        6,
    ),
    (
        "record without an entry of the file",
        |d| d.with_entries(|entries| drop(entries.pop())),
        6,
    ),
    (
        "record with an entry that is not in the file",
        |d| d.with_entries(|entries| entries.insert(0, json!("INSTALL.md"))),
        6,
    ),
    (
        "record with an entry twice",
        |d| d.with_entries(|entries| entries.insert(0, entries[0].clone())),
        6,
    ),
    (
        "record in another order",
        |d| d.with_entries(|entries| entries.swap(0, 1)),
        6,
    ),
    (
        "record with an unknown entry",
        |d| d.with_entries(|entries| entries.push(json!("zzz"))),
        6,
    ),
    (
        "record with a path to the parent",
        |d| d.with_entries(|entries| entries.push(json!("../../etc/passwd"))),
        6,
    ),
    (
        "record with an absolute path",
        |d| d.with_entries(|entries| entries.push(json!("/etc/passwd"))),
        6,
    ),
    (
        "record with the head",
        |d| d.with_entries(|entries| entries.insert(0, json!("bundle.json"))),
        6,
    ),
    ("padding of the record", |d| d.flipped(d.header(1) - 1), 6),
    ("byte of bundle.json", |d| d.flipped(d.content(1) + 100), 6),
    ("header of bundle.json", |d| d.flipped(d.header(1) + 3), 3),
    (
        "byte of the signature",
        |d| d.flipped(d.content(2) + 200),
        7,
    ),
    (
        "head of a bundle of another key",
        |d| d.with_head_of("stranger.tar"),
        7,
    ),
    (
        "head of another bundle of the same key",
        |d| d.with_head_of("other.tar"),
        6,
    ),
    (
        "end within the head",
        |d| d.bytes[..d.content(4)].to_vec(),
        3,
    ),
    (
        "byte of a content",
        |d| d.flipped(d.content(d.largest()) + 77),
        6,
    ),
    (
        "header of an entry",
        |d| d.flipped(d.header(d.largest()) + 20),
        6,
    ),
    (
        "size in the header of an entry",
        |d| d.flipped(d.header(d.largest()) + 134),
        6,
    ),
    (
        "link in the header of an entry",
        |d| d.flipped(d.header(d.largest()) + 156),
        6,
    ),
    (
        "padding of an entry",
        |d| d.flipped(d.whole(d.largest()).end - 1),
        6,
    ),
    (
        "an entry that is not there",
        |d| d.without(d.whole(d.largest())),
        6,
    ),
    (
        "an entry twice",
        |d| {
            let range = d.whole(10);
            [
                &d.bytes[..range.end],
                &d.bytes[range.clone()],
                &d.bytes[range.end..],
            ]
            .concat()
        },
        6,
    ),
    (
        "two entries in another order",
        |d| {
            let (one, two) = (d.whole(10), d.whole(11));
            [
                &d.bytes[..one.start],
                &d.bytes[two.clone()],
                &d.bytes[one],
                &d.bytes[two.end..],
            ]
            .concat()
        },
        6,
    ),
    (
        "end within a content",
        |d| d.bytes[..d.content(d.largest()) + 100].to_vec(),
        6,
    ),
    ("no end", |d| d.bytes[..d.bytes.len() - 1024].to_vec(), 6),
    (
        "an end that is not empty",
        |d| d.flipped(d.bytes.len() - 1),
        6,
    ),
    (
        "more behind the end",
        |d| [&d.bytes[..], &[0; 512]].concat(),
        6,
    ),
];

#[test]
fn hostile_deltas_are_refused_and_leave_nothing_under_the_final_name() {
    let delta = Delta::new();
    let pair = &delta.pair;
    pair.write("other.tar", "1.2.9", vec![layer(9, 5_000)]);
    pair.write_for_stranger("stranger.tar");
    assert!(DELTAS.len() >= 30);
    for (what, change, code) in DELTAS {
        fs::write(pair.file("delta.tar"), change(&delta)).unwrap();
        let said = pair.apply(*code);
        assert!(!pair.file("out.tar").exists(), "{what}: {said}");
    }
    // What they left does no harm to the good one.
    fs::write(pair.file("delta.tar"), &delta.bytes).unwrap();
    pair.apply(0);
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
}

#[test]
fn hostile_bases_are_refused_and_leave_nothing_under_the_final_name() {
    let delta = Delta::new();
    let pair = &delta.pair;
    let old = pair.bytes("old.tar");
    let entries = entries_of(&pair.file("old.tar"));
    let largest = entries.iter().max_by_key(|entry| entry.size).unwrap();
    let content = usize::try_from(largest.content).unwrap();
    let flipped = |at: usize| {
        let mut bytes = old.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cut = old[..content + 5000].to_vec();
    for (what, base, code, words) in [
        (
            "byte of a content",
            flipped(content + 9),
            6,
            "old.tar`: expected sha256:",
        ),
        ("end within a content", cut, 6, "old.tar`: expected sha256:"),
        ("no bundle", b"nothing".repeat(200), 3, "as a base"),
        (
            "the delta itself",
            delta.bytes.clone(),
            3,
            "this is a delta",
        ),
    ] {
        fs::write(pair.file("old.tar"), base).unwrap();
        let said = pair.apply(code);
        assert!(said.contains(words), "{what}: {said}");
        assert!(!pair.file("out.tar").exists(), "{what}");
    }
    fs::write(pair.file("old.tar"), old).unwrap();
    pair.apply(0);
    assert_eq!(pair.sum("out.tar"), pair.sum("new.tar"));
}
