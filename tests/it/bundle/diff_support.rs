//! Pairs of bundles that differ in one thing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use camino::Utf8PathBuf;
use rune_bundle::bundle::Ingredients;
use rune_testkit::sample::Sample;
use serde_json::Value;

use crate::{
    bundle::project::Project,
    bundle::small_bundle::{Scratch, ends_with, ingredients, private_key, rune_bundle, write},
};

/// The parts of a comparison that list differences.
const PARTS: [&str; 11] = [
    "bundle",
    "signers",
    "waivers",
    "leftOut",
    "images",
    "charts",
    "profiles",
    "values",
    "migrations",
    "programs",
    "files",
];

/// A small bundle, and one in which something was changed.
pub(crate) struct Pair {
    pub(crate) scratch: Scratch,
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
}

impl Pair {
    /// Both signed with the same key, which lies in `key.pub`.
    pub(crate) fn new(change: impl FnOnce(&mut Ingredients)) -> Self {
        Self::of(|_| (), change)
    }

    /// The same with something done to the old one too.
    pub(crate) fn of(
        old: impl FnOnce(&mut Ingredients),
        new: impl FnOnce(&mut Ingredients),
    ) -> Self {
        let scratch = Scratch::new();
        let key = private_key();
        fs::write(scratch.path("key.pub"), key.public_key().to_pem()).unwrap();
        let put = |name: &str, mut made: Ingredients, change: &mut dyn FnMut(&mut Ingredients)| {
            change(&mut made);
            write(
                &made.compose().unwrap().sign(&[private_key()]).unwrap(),
                &scratch.utf8(name),
            );
            scratch.path(name)
        };
        let (mut old, mut new) = (Some(old), Some(new));
        let before = put("old.tar", ingredients(&scratch), &mut |made| {
            old.take().unwrap()(made);
        });
        let after = put("new.tar", ingredients(&scratch), &mut |made| {
            new.take().unwrap()(made);
        });
        Self {
            scratch,
            old: before,
            new: after,
        }
    }

    /// Runs `diff` with options.
    pub(crate) fn run(&self, options: &[&str]) -> Output {
        run(&self.old, &self.new, options)
    }

    /// What `diff` says, as text.
    pub(crate) fn said(&self) -> String {
        ends_with(&self.run(&[]), 0)
    }

    /// The report of `diff`, which must list differences in these parts and in no other.
    pub(crate) fn touched(&self, parts: &[&str]) -> Value {
        let report = report(&self.old, &self.new);
        assert_eq!(touched(&report), parts, "{report:#}");
        assert_eq!(report["different"], true);
        report
    }

    pub(crate) fn key(&self) -> Utf8PathBuf {
        self.scratch.utf8("key.pub")
    }
}

fn run(old: &Path, new: &Path, options: &[&str]) -> Output {
    let arguments = ["diff".as_ref(), old.as_os_str(), new.as_os_str()];
    rune_bundle(
        arguments
            .into_iter()
            .chain(options.iter().map(AsRef::as_ref)),
    )
}

/// The JSON report of `diff`.
pub(crate) fn report(old: &Path, new: &Path) -> Value {
    let output = run(old, new, &["--json"]);
    ends_with(&output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The parts of a report that list something.
pub(crate) fn touched(report: &Value) -> Vec<&'static str> {
    let lists = |value: &Value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => members
            .values()
            .any(|list| !list.as_array().unwrap().is_empty()),
        other => panic!("{other}"),
    };
    PARTS
        .into_iter()
        .filter(|part| lists(&report[part]))
        .collect()
}

/// A manifest of images alone.
pub(crate) struct Shelf {
    pub(crate) project: Project,
}

impl Shelf {
    /// One image, `base`, from a registry that stands in for docker.io.
    pub(crate) fn new(sample: &Sample) -> Self {
        let shelf = Self {
            project: Project::with_manifest(""),
        };
        shelf.put(sample);
        shelf.write_manifest("all", "");
        shelf
    }

    pub(crate) fn put(&self, sample: &Sample) {
        self.project.put("library/base", "1.0", sample);
    }

    /// Writes the manifest with more images.
    pub(crate) fn write_manifest(&self, platforms: &str, more: &str) {
        let text = format!(
            "apiVersion: rune-bundle/v1
kind: BundleManifest
name: shelf
version: 0.1.0
platforms: {platforms}
images:
  - {{ name: base, reference: 'docker.io/library/base:1.0', license: PostgreSQL }}
{more}policy: bundle-manifests/policy.yaml
"
        );
        fs::write(self.project.path("bundle-manifests/rune.yaml"), text).unwrap();
    }

    /// Locks and builds.
    pub(crate) fn build(&self, output: &str) -> PathBuf {
        self.project.lock();
        self.project.build(output)
    }
}
