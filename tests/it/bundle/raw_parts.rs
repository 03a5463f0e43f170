//! Parts that `split -b` made of a bundle are read as the bundle.

use std::{fs, path::PathBuf, process::Command};

use crate::bundle::small_bundle::{Scratch, ends_with, rune_bundle, signed};

/// Parts of 20,000 bytes with the counter of these options of `split`, without the bundle.
struct Parts {
    scratch: Scratch,
    bytes: Vec<u8>,
}

impl Parts {
    fn new(counter: &[&str]) -> Self {
        let scratch = Scratch::new();
        let bundle = signed(&scratch);
        let bytes = fs::read(&bundle).unwrap();
        let split = Command::new("split")
            .args(["-b", "20000"])
            .args(counter)
            .args(["small.bundle.tar", "b.tar."])
            .current_dir(scratch.path("."))
            .output()
            .unwrap();
        ends_with(&split, 0);
        fs::remove_file(bundle).unwrap();
        Self { scratch, bytes }
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path(name).to_str().unwrap().to_owned()
    }

    /// Runs a verb on a part, with the key.
    fn run(&self, verb: &str, first: &str, more: &[&str], code: i32) -> String {
        let (first, key) = (self.path(first), self.path("key.pub"));
        let mut arguments = vec![verb, &first];
        arguments.extend(more);
        arguments.extend(["--key", &key]);
        ends_with(&rune_bundle(arguments), code)
    }

    fn names(&self) -> Vec<String> {
        let names = self.scratch.names().into_iter();
        names.filter(|name| name.starts_with("b.tar.")).collect()
    }
}

#[test]
fn every_reading_verb_takes_the_first_part_for_the_bundle() {
    for (counter, first) in [
        (&["-d"][..], "b.tar.00"),
        (&[], "b.tar.aa"),
        (&["-d", "-a", "3"], "b.tar.000"),
        (&["--numeric-suffixes=1"], "b.tar.01"),
    ] {
        let parts = Parts::new(counter);
        let said = parts.run("verify", first, &[], 0);
        assert!(said.contains("small 1.2.3 is intact"), "{first}: {said}");
    }
    let parts = Parts::new(&["-d"]);
    let (first, page, images) = ("b.tar.00", parts.path("page.html"), parts.path("images"));
    fs::write(parts.scratch.path("whole.tar"), &parts.bytes).unwrap();
    let (whole, unpacked) = (parts.path("whole.tar"), parts.path("unpacked"));
    fs::create_dir(&images).unwrap();
    for (verb, more, expected) in [
        ("inspect", &[][..], "registry.example/small:1"),
        ("cat", &["INSTALL.md"], "# Install"),
        ("diff", &[&whole], "nothing differs"),
        ("report", &["--output", &page], "page.html"),
        ("unpack", &[&unpacked], "unpacked small 1.2.3"),
        ("load", &["--images-dir", &images], "small 1.2.3"),
    ] {
        let said = parts.run(verb, first, more, 0);
        assert!(said.contains(expected), "{verb}: {said}");
    }
    assert_eq!(
        fs::read(parts.scratch.path("unpacked/extra.txt"))
            .or_else(|_| fs::read(parts.scratch.path("unpacked/files/extra.txt")))
            .unwrap(),
        b"carried as it is\n"
    );
}

#[test]
fn parts_in_other_places_are_named_or_looked_for_there() {
    let parts = Parts::new(&["-d"]);
    let names = parts.names();
    assert!(names.len() > 4, "{names:?}");
    fs::create_dir(parts.scratch.path("stick")).unwrap();
    for name in &names[2..] {
        fs::rename(
            parts.scratch.path(name),
            parts.scratch.path("stick").join(name),
        )
        .unwrap();
    }
    let stick = parts.path("stick");
    parts.run("verify", "b.tar.00", &["--part", &stick], 0);
    let named: Vec<String> = names[2..]
        .iter()
        .map(|name| parts.path(&format!("stick/{name}")))
        .collect();
    let options: Vec<&str> = named
        .iter()
        .flat_map(|path| ["--part", path.as_str()])
        .collect();
    parts.run("verify", "b.tar.00", &options, 0);
    let said = parts.run("verify", "b.tar.00", &["--part", &parts.path("key.pub")], 2);
    assert!(
        said.contains("key.pub` is not a part of `") && said.contains("help: "),
        "{said}"
    );
}

type Fault<'a> = &'a dyn Fn(&Parts);

#[test]
fn what_is_wrong_with_the_parts_is_said_by_name() {
    // What is done to the parts, the exit code, and what is said.
    let gap = |parts: &Parts| fs::remove_file(parts.scratch.path("b.tar.02")).unwrap();
    let last = |parts: &Parts| {
        fs::remove_file(parts.scratch.path(parts.names().last().unwrap())).unwrap();
    };
    let extra = |parts: &Parts| {
        let next = format!("b.tar.{:02}", parts.names().len());
        fs::write(parts.scratch.path(&next), b"more").unwrap();
    };
    let swapped = |parts: &Parts| {
        let path = |name| parts.scratch.path(name);
        fs::rename(path("b.tar.04"), path("x")).unwrap();
        fs::rename(path("b.tar.05"), path("b.tar.04")).unwrap();
        fs::rename(path("x"), path("b.tar.05")).unwrap();
    };
    let short = |parts: &Parts| {
        let path = parts.scratch.path("b.tar.04");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..9999]).unwrap();
    };
    let changed = |parts: &Parts| {
        let path = parts.scratch.path("b.tar.05");
        let mut bytes = fs::read(&path).unwrap();
        bytes[10_000] ^= 1;
        fs::write(&path, bytes).unwrap();
    };
    let cases: [(&str, Fault<'_>, i32, &[&str]); 6] = [
        ("gap", &gap, 4, &["`b.tar.02` is missing"]),
        (
            "last",
            &last,
            6,
            &["bytes, the signed bundle has", "are missing"],
        ),
        ("extra", &extra, 6, &["does not belong to it"]),
        ("swapped", &swapped, 6, &["b.tar.04`"]),
        ("short", &short, 6, &["b.tar.04` has 9999 bytes"]),
        (
            "changed",
            &changed,
            6,
            &["b.tar.05`", "again from its source"],
        ),
    ];
    for (name, fault, code, expected) in cases {
        let parts = Parts::new(&["-d"]);
        assert!(parts.names().len() > 6, "{:?}", parts.names());
        fault(&parts);
        let said = parts.run("verify", "b.tar.00", &[], code);
        for text in expected {
            assert!(said.contains(text), "{name}: {said}");
        }
        assert!(!said.contains("b.tar.01"), "{name}: {said}");
    }
}

#[test]
fn parts_are_not_signed() {
    let parts = Parts::new(&["-d"]);
    let before: Vec<Vec<u8>> = contents(&parts);
    fs::write(
        parts.scratch.path("first.key"),
        crate::bundle::small_bundle::KEY,
    )
    .unwrap();
    let (first, key) = (parts.path("b.tar.00"), parts.path("first.key"));
    let said = ends_with(&rune_bundle(["sign", &first, "--key", &key]), 2);
    assert!(
        said.contains("is the first of several parts") && said.contains("help: join the parts"),
        "{said}"
    );
    let public = parts.path("key.pub");
    let attach = ["attach", &first, "--signature", &key, "--key", &public];
    ends_with(&rune_bundle(attach), 2);
    assert_eq!(contents(&parts), before);
}

fn contents(parts: &Parts) -> Vec<Vec<u8>> {
    let paths = parts.names().into_iter();
    let paths = paths.map(|name| parts.scratch.path(&name));
    paths.map(|path: PathBuf| fs::read(path).unwrap()).collect()
}
