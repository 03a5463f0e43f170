//! Two bundles of which the second has most contents of the first, and the delta between them.

use std::{fs, path::PathBuf, process::Command};

use rune_bundle::bundle::Ingredients;

use crate::bundle::{
    sign_support::Team,
    small_bundle::{
        Scratch, ends_with, entries_of, image_of, ingredients, rune_bundle, sign_and_write, write,
    },
};

/// `old.tar` and `new.tar`, signed by `key.pub`.
pub(crate) struct Pair {
    pub(crate) scratch: Scratch,
}

/// Bytes that are other ones for each seed (a linear congruential sequence).
pub(crate) fn layer(seed: u32, bytes: usize) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(seed), next)
        .map(|state| state.to_be_bytes()[0])
        .take(bytes)
        .collect()
}

impl Pair {
    /// The new bundle has a layer more than the old one.
    pub(crate) fn new(shared: &[usize], added: usize) -> Self {
        let scratch = Scratch::new();
        let shared: Vec<Vec<u8>> = (1..).zip(shared).map(|(n, size)| layer(n, *size)).collect();
        let pair = Self { scratch };
        pair.write("old.tar", "1.2.3", shared.clone());
        let added = layer(1000, added);
        pair.write("new.tar", "1.3.0", [shared, vec![added]].concat());
        pair
    }

    /// A bundle of this version whose image has these layers.
    pub(crate) fn write(&self, name: &str, version: &str, layers: Vec<Vec<u8>>) {
        let draft = Ingredients {
            version: version.parse().unwrap(),
            images: vec![image_of(layers)],
            ..ingredients(&self.scratch)
        }
        .compose();
        let written = sign_and_write(&self.scratch, draft.unwrap());
        fs::rename(written, self.file(name)).unwrap();
    }

    /// A bundle that another key has signed.
    pub(crate) fn write_for_stranger(&self, name: &str) {
        let draft = ingredients(&self.scratch).compose().unwrap();
        let key = Team::new().join("stranger");
        let plan = draft.sign(&[key]).unwrap();
        write(&plan, &self.scratch.utf8(name));
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    /// Runs a verb with the key; a word that is the name of a file in the directory is its path.
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> String {
        ends_with(&rune_bundle(self.arguments(arguments)), code)
    }

    /// The same without the key.
    pub(crate) fn run_alone(&self, arguments: &[&str], code: i32) -> String {
        ends_with(&rune_bundle(self.in_directory(arguments)), code)
    }

    pub(crate) fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let mut arguments = self.in_directory(arguments);
        arguments.extend(["--key".to_owned(), self.path("key.pub")]);
        arguments
    }

    fn in_directory(&self, arguments: &[&str]) -> Vec<String> {
        let path = |word: &&str| match word.rsplit_once('.') {
            Some((_, "tar" | "json" | "00")) => self.path(word),
            _ => (*word).to_owned(),
        };
        arguments.iter().map(path).collect()
    }

    /// Writes `delta.tar`, from the old bundle to the new one.
    pub(crate) fn delta(&self) -> String {
        self.run(
            &["delta", "--base", "old.tar", "new.tar", "-o", "delta.tar"],
            0,
        )
    }

    pub(crate) fn apply(&self, code: i32) -> String {
        self.run(
            &["apply", "delta.tar", "--from", "old.tar", "-o", "out.tar"],
            code,
        )
    }

    /// What `sha256sum` says of a file.
    pub(crate) fn sum(&self, name: &str) -> String {
        let output = Command::new("sha256sum").arg(self.file(name)).output();
        let said = ends_with(&output.unwrap(), 0);
        said.split(' ').next().unwrap().to_owned()
    }

    /// The names and sizes of the entries of a tar, as Python's `tarfile` reads them.
    pub(crate) fn listed(&self, name: &str) -> Vec<(String, u64)> {
        let script =
            "import sys, tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name, m.size)";
        let output = Command::new("python3")
            .args(["-c", script])
            .arg(self.file(name))
            .output();
        let said = ends_with(&output.unwrap(), 0);
        let lines = said.lines().map(|line| line.rsplit_once(' ').unwrap());
        lines
            .map(|(name, size)| (name.to_owned(), size.parse().unwrap()))
            .collect()
    }

    /// The bytes before the contents of a bundle.
    pub(crate) fn head_bytes(&self, name: &str) -> u64 {
        entries_of(&self.file(name))[9].header
    }
}
