//! What differs between two locks, in the words of whoever has to decide about it.

use std::{collections::BTreeMap, fmt};

use camino::Utf8Path;
use serde::Serialize;

use super::{Lock, LockedChartSource, LockedContent, LockedImage, LockedReferrer};
use crate::oci::{Platform, Reference};
use rune_core::{digest::Digest, failure::Failure};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Change {
    pub(crate) subject: String,
    /// Its reference, when it is an image or artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<Reference>,
    pub(crate) property: &'static str,
    /// What the lock says; nothing when the lock does not have it.
    pub(crate) old: Option<String>,
    /// What is the case; nothing when it is gone.
    pub(crate) new: Option<String>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Drift: "review what changed, then run `rune-bundle lock`", details: .changes)]
pub(crate) struct StaleLock {
    pub(super) changes: Vec<Change>,
}

impl Lock {
    pub(crate) fn changes(&self, new: &Self) -> Vec<Change> {
        let both = self
            .images_and_artifacts()
            .chain(new.images_and_artifacts());
        let references: BTreeMap<String, &Reference> = both
            .map(|(kind, image)| (kind.label(&image.name), &image.reference))
            .collect();
        let (old, new) = (self.facts(new), new.facts(self));
        let change = |subject: &str, property, old: Option<&String>, new: Option<&String>| Change {
            subject: subject.to_owned(),
            reference: references
                .get(subject)
                .map(|reference| Reference::clone(reference)),
            property,
            old: old.cloned(),
            new: new.cloned(),
        };
        let mut changes = Vec::new();
        for ((subject, property), value) in &old {
            let now = new.get(&(subject.clone(), *property));
            if now != Some(value) {
                changes.push(change(subject, property, Some(value), now));
            }
        }
        for ((subject, property), value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            changes.push(change(subject, property, None, Some(value)));
        }
        changes.sort();
        changes
    }

    /// Everything that can differ from another lock, as subject, property and value. What hangs on
    /// an image is compared as long as it is the same image.
    fn facts(&self, other: &Self) -> BTreeMap<(String, &'static str), String> {
        let mut facts = Facts::default();
        facts.add("the bundle", "name", &self.bundle.name);
        facts.add("the bundle", "version", &self.bundle.version);
        facts.add("the bundle", "platforms", &platforms(self));
        for (kind, image) in self.images_and_artifacts() {
            let subject = kind.label(&image.name);
            facts.image(&subject, image);
            for referrer in image.referrers_beside(other.named(kind, &image.name)) {
                facts.referrer(&subject, referrer);
            }
            for sbom in image.sboms_beside(other.named(kind, &image.name)) {
                let platform = text(sbom.platform.as_ref());
                let subject = format!("{subject}, SBOM of {platform} by {}", sbom.tool);
                facts.add(&subject, "digest", &sbom.digest);
            }
        }
        for chart in &self.charts {
            let subject = format!("chart `{}`", chart.name);
            facts.add(&subject, "version", &chart.version);
            match &chart.source {
                LockedChartSource::Directory { path } => facts.add(&subject, "path", path),
                LockedChartSource::Archive { path, digest, .. } => {
                    facts.add(&subject, "path", path);
                    facts.file(path, *digest);
                }
                LockedChartSource::Registry {
                    reference,
                    manifest,
                    ..
                } => {
                    facts.add(&subject, "source", &format!("oci://{}", reference.name()));
                    facts.add(&subject, "digest", &manifest.digest);
                }
                LockedChartSource::Repository {
                    repository, digest, ..
                } => {
                    facts.add(&subject, "source", repository);
                    facts.add(&subject, "digest", digest);
                }
            }
        }
        for binary in &self.binaries {
            let subject = format!("program `{}` for {}", binary.name, binary.platform);
            if let Some(path) = &binary.path {
                facts.add(&subject, "path", path);
                facts.file(path, binary.digest);
            }
            if let Some(url) = &binary.url {
                facts.add(&subject, "url", url);
                facts.add(&subject, "digest", &binary.digest);
            }
        }
        for file in &self.files {
            let subject = format!("file `{}`", file.path);
            facts.add(&subject, "url", &file.url);
            facts.add(&subject, "digest", &file.digest);
        }
        if let Some(migrations) = &self.migrations {
            facts.add("the migrations", "path", &migrations.path);
            facts.add(
                "the migrations",
                "schema version",
                &migrations.schema_version,
            );
            for file in &migrations.files {
                facts.file(&migrations.path.join(&file.file), file.digest);
            }
        }
        facts.0
    }
}

#[derive(Default)]
struct Facts(BTreeMap<(String, &'static str), String>);

impl Facts {
    fn add(&mut self, subject: &str, property: &'static str, value: &impl ToString) {
        self.0
            .insert((subject.to_owned(), property), value.to_string());
    }

    /// A file that several things use is one fact.
    fn file(&mut self, path: &Utf8Path, digest: Digest) {
        self.add(&format!("file `{path}`"), "digest", &digest);
    }

    /// What lies under a tag may be replaced; what does not, is itself or gone.
    fn referrer(&mut self, image: &str, referrer: &LockedReferrer) {
        let (kind, digest) = (referrer.kind(), referrer.manifest.digest);
        let subject = match &referrer.tag {
            Some(tag) => format!("{image}, {kind} `{tag}`"),
            None => format!("{image}, {kind} {digest} about {}", referrer.subject),
        };
        match &referrer.omitted {
            Some(reason) => self.add(
                &subject,
                REFERRER,
                &format!("{digest} (not included: {reason})"),
            ),
            None => self.add(&subject, REFERRER, &digest),
        }
    }

    fn image(&mut self, subject: &str, image: &LockedImage) {
        self.add(subject, "reference", &image.reference);
        for (property, value) in [("component", &image.component), ("license", &image.license)] {
            if let Some(value) = value {
                self.add(subject, property, value);
            }
        }
        if image.extra {
            self.add(subject, "extra", &true);
        }
        match &image.content {
            LockedContent::Registry(pulled) => {
                self.add(subject, "digest", &pulled.root.digest);
                let left_out: Vec<String> = pulled
                    .manifests
                    .iter()
                    .filter(|entry| !entry.carried)
                    .map(|entry| text(entry.platform.as_ref()))
                    .collect();
                if !left_out.is_empty() {
                    self.add(subject, "platforms left out", &left_out.join(", "));
                }
            }
            LockedContent::Build(built) => {
                for binary in &built.binaries {
                    let mut program = format!("{subject}, program for {}", binary.platform);
                    if built.beside().any(|beside| beside == binary) {
                        program = format!("{subject}, {} for {}", binary.name(), binary.platform);
                    }
                    self.add(&program, "path", &binary.path);
                    self.file(&binary.path, binary.digest);
                }
            }
        }
    }
}

const REFERRER: &str = "artifact";

impl Change {
    /// Whether an artifact about an image is there that the lock does not have, which is not a
    /// difference of what the lock has.
    pub(crate) fn is_new_referrer(&self) -> bool {
        self.property == REFERRER && self.old.is_none()
    }
}

fn platforms(lock: &Lock) -> String {
    match &lock.platforms {
        super::Platforms::All => "all".to_owned(),
        super::Platforms::Only(platforms) => platforms
            .iter()
            .map(Platform::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn text(platform: Option<&Platform>) -> String {
    platform.map_or_else(|| "unknown".to_owned(), Platform::to_string)
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            reference,
            property,
            old,
            new,
        } = self;
        let subject = reference.as_ref().map_or_else(
            || subject.clone(),
            |reference| format!("{subject} ({reference})"),
        );
        match (old, new) {
            (Some(old), Some(new)) => {
                write!(formatter, "{subject}: {property} was {old}, is {new}")
            }
            (Some(old), None) => write!(formatter, "{subject}: {property} was {old}, is gone"),
            (None, Some(new)) => {
                write!(formatter, "{subject}: {property} is {new}, not in the lock")
            }
            (None, None) => write!(formatter, "{subject}: {property}"),
        }
    }
}

impl fmt::Display for StaleLock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the lock is not up to date with the manifest")?;
        self.changes
            .iter()
            .try_for_each(|change| write!(formatter, "\n  {change}"))
    }
}
