//! What `lock` says: what was locked, or what moved.

use std::{collections::BTreeSet, fmt::Write as _};

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    super::{chart_check::CompletenessReport, remarks},
    referrers::{ReferrerSummary, kinds},
    sboms::SbomSummary,
};
use crate::{
    manifest::{
        Blob, Change, Lock, LockedChartSource, LockedContent, LockedImage, Platforms, Project,
        PulledImage,
    },
    oci::{Platform, Reference},
    policy::Evaluation,
};
use rune_core::{
    command::{Report, counted},
    digest::Digest,
    failure::FailureKind,
    remark::Remark,
    text::{shown, size},
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockReport {
    manifest: Utf8PathBuf,
    lock: Utf8PathBuf,
    name: String,
    version: semver::Version,
    outcome: LockOutcome,
    images: Vec<ImageSummary>,
    artifacts: Vec<ArtifactSummary>,
    fetched: Vec<FetchedSummary>,
    charts: usize,
    migrations: usize,
    binaries: usize,
    fetch_bytes: u64,
    changes: Vec<Change>,
    /// Artifacts about images that the lock does not have: signatures, scans.
    pub(super) new_referrers: Vec<Change>,
    /// Images and artifacts whose pinned digest the registry does not have any more.
    pub(super) gone: Vec<String>,
    policy: Evaluation,
    not_reviewed: Vec<String>,
    completeness: CompletenessReport,
    #[serde(skip)]
    remarks: Vec<Remark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum LockOutcome {
    Written,
    Unchanged,
    /// It would be written, were this no dry run.
    WouldBeWritten,
    Drifted,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageSummary {
    name: String,
    reference: Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    platforms: Vec<Platform>,
    platforms_left_out: Vec<Platform>,
    /// What was chosen and the image does not have.
    platforms_missing: Vec<Platform>,
    attestations: usize,
    referrers: Vec<ReferrerSummary>,
    /// SBOMs that were generated, not those of the publisher.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sboms: Vec<SbomSummary>,
    bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactSummary {
    name: String,
    reference: Reference,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    referrers: Vec<ReferrerSummary>,
    bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FetchedSummary {
    kind: &'static str,
    /// Its name, with the version of a chart and the platform of a program.
    name: String,
    origin: String,
    digest: Digest,
    bytes: u64,
}

impl Report for LockReport {
    const VERB: &'static str = "lock";

    fn remarks(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    fn verdict(&self) -> Option<FailureKind> {
        (self.outcome == LockOutcome::Drifted).then_some(FailureKind::Drift)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let lock = &self.lock;
        let _ = match self.outcome {
            LockOutcome::Written => {
                writeln!(text, "locked {} {} in {lock}", self.name, self.version)
            }
            LockOutcome::Unchanged => writeln!(text, "{lock} is up to date"),
            LockOutcome::WouldBeWritten => writeln!(text, "{lock} would be written"),
            LockOutcome::Drifted => writeln!(text, "{lock} is out of date; nothing was written"),
        };
        for change in &self.changes {
            let _ = writeln!(text, "changed     {change}");
        }
        for change in &self.new_referrers {
            let _ = writeln!(text, "note        {change}");
        }
        for name in &self.gone {
            let _ = writeln!(
                text,
                "gone        `{name}`: the registry no longer has what the lock pins; run \
                 `rune-bundle lock --update {name}`"
            );
        }
        if self.outcome == LockOutcome::Drifted {
            let _ = writeln!(
                text,
                "review what changed, then run `rune-bundle lock {}`",
                self.manifest
            );
            return text;
        }
        for image in &self.images {
            let digest = image.digest.map_or_else(
                || "built by rune-bundle".to_owned(),
                |digest| digest.to_string(),
            );
            let _ = writeln!(text, "image       {}  {digest}", image.reference);
            let _ = writeln!(
                text,
                "            {}, {}, {}",
                listed(&image.platforms),
                counted(image.attestations, "attestation"),
                size(image.bytes)
            );
            for (kind, count) in kinds(&image.referrers) {
                let _ = writeln!(text, "            {count} x {kind}");
            }
            for sbom in &image.sboms {
                let _ = writeln!(text, "            {}", sbom.line());
            }
            if !image.platforms_left_out.is_empty() {
                let _ = writeln!(
                    text,
                    "            left out: {}",
                    listed(&image.platforms_left_out)
                );
            }
            if !image.platforms_missing.is_empty() {
                let _ = writeln!(
                    text,
                    "            it has no {}",
                    listed(&image.platforms_missing)
                );
            }
        }
        for artifact in &self.artifacts {
            let kind = artifact.artifact_type.as_deref().unwrap_or("no type");
            let _ = writeln!(
                text,
                "artifact    {}  {}\n            {}, {}",
                artifact.reference,
                artifact.digest,
                shown(kind),
                size(artifact.bytes)
            );
            for (kind, count) in kinds(&artifact.referrers) {
                let _ = writeln!(text, "            {count} x {kind}");
            }
        }
        for FetchedSummary {
            kind,
            name,
            origin,
            digest,
            bytes,
        } in &self.fetched
        {
            let _ = writeln!(
                text,
                "{kind:<11} {name} of {origin}\n            {digest}, {}",
                size(*bytes)
            );
        }
        let others = [
            (self.charts, "chart"),
            (self.migrations, "migration"),
            (self.binaries, "program"),
        ];
        let others: Vec<String> = others
            .into_iter()
            .map(|(count, thing)| counted(count, thing))
            .collect();
        let _ = writeln!(
            text,
            "also        {}; {} to fetch",
            others.join(", "),
            size(self.fetch_bytes)
        );
        for signed in self.policy.signed() {
            let _ = writeln!(text, "signed      {signed}");
        }
        for waived in self.policy.waived() {
            let _ = writeln!(text, "waived      {waived}");
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "note: {remark}");
        }
        if !self.not_reviewed.is_empty() {
            let _ = writeln!(
                text,
                "unreviewed  no licence is stated: {}",
                self.not_reviewed.join(", ")
            );
        }
        text.push_str(&self.completeness.text("complete    "));
        text
    }
}

fn listed(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "no platform".to_owned();
    }
    platforms
        .iter()
        .map(Platform::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn report(
    project: &Project,
    path: Utf8PathBuf,
    lock: &Lock,
    outcome: LockOutcome,
    changes: Vec<Change>,
    policy: Evaluation,
    completeness: CompletenessReport,
) -> LockReport {
    let pulled = lock
        .images_and_artifacts()
        .filter_map(|(_, image)| match &image.content {
            LockedContent::Registry(pulled) => Some(pulled),
            LockedContent::Build(_) => None,
        });
    let downloads = fetched(lock).iter().map(|fetched| fetched.bytes).sum();
    let mut remarks = remarks::ending_waivers(project, &policy);
    if outcome == LockOutcome::Drifted {
        remarks.extend(
            changes
                .iter()
                .map(|change| remarks::drifted(project, change)),
        );
    }
    LockReport {
        remarks,
        manifest: project.manifest_path().to_owned(),
        lock: path,
        name: lock.bundle.name.clone(),
        version: lock.bundle.version.clone(),
        outcome,
        images: lock
            .images
            .iter()
            .map(|image| summary(image, &lock.platforms))
            .collect(),
        artifacts: lock.artifacts.iter().filter_map(artifact_summary).collect(),
        fetched: fetched(lock),
        charts: lock.charts.len(),
        migrations: lock
            .migrations
            .as_ref()
            .map_or(0, |migrations| migrations.files.len()),
        binaries: lock.binaries.len(),
        fetch_bytes: distinct_bytes(pulled.flat_map(PulledImage::carried_blobs))
            .saturating_add(downloads),
        changes,
        new_referrers: Vec::new(),
        gone: Vec::new(),
        not_reviewed: policy.not_reviewed(),
        policy,
        completeness,
    }
}

fn fetched(lock: &Lock) -> Vec<FetchedSummary> {
    let charts = lock.charts.iter().filter_map(|chart| {
        let (origin, digest, bytes) = match &chart.source {
            LockedChartSource::Registry {
                reference,
                manifest,
                size,
                ..
            } => (
                format!("oci://{}", reference.name()),
                manifest.digest,
                *size,
            ),
            LockedChartSource::Repository {
                repository,
                digest,
                size,
            } => (repository.clone(), *digest, *size),
            LockedChartSource::Directory { .. } | LockedChartSource::Archive { .. } => return None,
        };
        Some(FetchedSummary {
            kind: "chart",
            name: format!("{} {}", chart.name, chart.version),
            origin,
            digest,
            bytes,
        })
    });
    let binaries = lock.binaries.iter().filter_map(|binary| {
        let (name, origin) = (
            format!("{} for {}", binary.name, binary.platform),
            binary.url.clone()?,
        );
        Some(FetchedSummary {
            kind: "program",
            name,
            origin,
            digest: binary.digest,
            bytes: binary.size,
        })
    });
    let files = lock.files.iter().map(|file| {
        let (name, origin) = (file.path.to_string(), file.url.clone());
        FetchedSummary {
            kind: "file",
            name,
            origin,
            digest: file.digest,
            bytes: file.size,
        }
    });
    charts.chain(binaries).chain(files).collect()
}

fn summary(image: &LockedImage, chosen: &Platforms) -> ImageSummary {
    let (name, reference) = (image.name.clone(), image.reference.clone());
    let missing = |has: &dyn Fn(&Platform) -> bool| match chosen {
        Platforms::All => Vec::new(),
        Platforms::Only(wanted) => wanted
            .iter()
            .filter(|wanted| !has(wanted))
            .cloned()
            .collect(),
    };
    match &image.content {
        LockedContent::Registry(pulled) => {
            let platforms = |carried: bool| {
                let entries = pulled
                    .manifests
                    .iter()
                    .filter(move |entry| entry.carried == carried);
                entries
                    .filter_map(|entry| entry.platform.clone())
                    .collect::<Vec<_>>()
            };
            let carried = platforms(true);
            ImageSummary {
                name,
                reference,
                digest: Some(pulled.root.digest),
                platforms_left_out: platforms(false),
                platforms_missing: missing(&|wanted| {
                    carried.iter().any(|platform| platform.matches(wanted))
                }),
                platforms: carried,
                attestations: pulled
                    .attestations
                    .iter()
                    .filter(|attestation| attestation.carried)
                    .count(),
                referrers: pulled.referrers.iter().map(ReferrerSummary::of).collect(),
                sboms: pulled.sboms.iter().map(SbomSummary::of).collect(),
                bytes: distinct_bytes(pulled.carried_blobs()),
            }
        }
        LockedContent::Build(built) => ImageSummary {
            name,
            reference,
            digest: None,
            platforms: built
                .binaries
                .iter()
                .filter(|binary| !built.beside().any(|beside| beside == *binary))
                .map(|binary| binary.platform.clone())
                .collect(),
            platforms_left_out: Vec::new(),
            platforms_missing: missing(&|wanted| {
                built
                    .binaries
                    .iter()
                    .any(|binary| binary.platform.matches(wanted))
            }),
            attestations: 0,
            referrers: Vec::new(),
            sboms: Vec::new(),
            bytes: built.binaries.iter().map(|binary| binary.size).sum(),
        },
    }
}

fn artifact_summary(artifact: &LockedImage) -> Option<ArtifactSummary> {
    let LockedContent::Registry(pulled) = &artifact.content else {
        return None;
    };
    Some(ArtifactSummary {
        name: artifact.name.clone(),
        reference: artifact.reference.clone(),
        digest: pulled.root.digest,
        artifact_type: pulled.artifact_type().map(str::to_owned),
        referrers: pulled.referrers.iter().map(ReferrerSummary::of).collect(),
        bytes: distinct_bytes(pulled.carried_blobs()),
    })
}

fn distinct_bytes<'a>(blobs: impl Iterator<Item = &'a Blob>) -> u64 {
    let mut seen = BTreeSet::new();
    blobs
        .filter(|blob| seen.insert(blob.digest))
        .map(|blob| blob.size)
        .sum()
}
