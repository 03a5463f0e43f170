//! What the page says about the bundle itself.

use serde::Serialize;

use super::{
    ReportError,
    attention::{self, Point, Waiver},
    delta::DeltaPart,
    image::Image,
    subject::Subject,
    unproven,
};
use crate::bundle::{BundleIndex, BundleView, Quorum, ShownAdvisory, SlotState};
use rune_core::digest::Digest;

/// How many hex digits of a digest stand together where people compare it.
const GROUP: usize = 8;

#[derive(Debug, Serialize)]
pub(super) struct Contents {
    name: String,
    version: String,
    digest: Digest,
    digest_groups: Vec<String>,
    is_verified: bool,
    signatures: Vec<SlotState>,
    quorum: Option<Quorum>,
    tool: String,
    format: u64,
    predecessor: Option<Digest>,
    bytes: u64,
    delta: Option<DeltaPart>,
    /// How many files it is read from, and how large they may be, when these are volumes.
    volumes: Option<(usize, u64)>,
    entries: usize,
    images: Vec<Image>,
    artifacts: Vec<Image>,
    advisories: Vec<ShownAdvisory>,
    has_referrers: bool,
    /// How many images and charts the builder signed, and the fingerprint of the key.
    image_signatures: Option<(usize, Digest)>,
    charts: Vec<Chart>,
    profiles: Vec<Profile>,
    schema_version: Option<u32>,
    migrations: Vec<File>,
    programs: Vec<File>,
    origins: Vec<(String, String)>,
    policy: Digest,
    waived: Vec<Waiver>,
    attention: Vec<Point>,
    is_complete: bool,
    left_out: Vec<String>,
    exceptions: Vec<String>,
    unproven: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Chart {
    name: String,
    version: String,
    path: String,
    artifact: Digest,
}

#[derive(Debug, Serialize)]
struct Profile {
    name: String,
    /// Empty for all charts.
    charts: Vec<String>,
    values: Vec<String>,
}

#[derive(Debug, Serialize)]
struct File {
    label: String,
    path: String,
    bytes: u64,
    digest: Option<Digest>,
}

impl Contents {
    pub(super) fn of(subject: &Subject<'_>, delta: Option<DeltaPart>) -> Result<Self, ReportError> {
        let Subject { head, view, .. } = *subject;
        let index = head.index();
        let images = index
            .images
            .iter()
            .map(|image| Image::of(view, image))
            .collect::<Result<Vec<_>, _>>()?;
        let artifacts = index
            .artifacts
            .iter()
            .map(|artifact| Image::of(view, artifact))
            .collect::<Result<Vec<_>, _>>()?;
        let all: Vec<&Image> = images.iter().chain(&artifacts).collect();
        let hex = head.digest().hex();
        let charts = index.charts.iter().map(|chart| Chart {
            name: chart.name.clone(),
            version: chart.version.clone(),
            path: chart.path.to_string(),
            artifact: chart.artifact.digest,
        });
        let profiles = index.profiles.iter().map(|profile| Profile {
            name: profile.name.clone(),
            charts: profile.charts.clone(),
            values: profile.values.iter().map(ToString::to_string).collect(),
        });
        let migrations = index
            .migrations
            .iter()
            .flat_map(|migrations| &migrations.files);
        let programs = index.binaries.iter().map(|program| {
            File::of(
                index,
                format!("{} for {}", program.name, program.platform),
                program.path.as_str(),
            )
        });
        Ok(Self {
            name: index.name.clone(),
            version: index.version.to_string(),
            digest: head.digest(),
            digest_groups: hex
                .as_bytes()
                .chunks(GROUP)
                .map(|group| String::from_utf8_lossy(group).into_owned())
                .collect(),
            is_verified: head.is_verified(),
            signatures: head
                .signatures()
                .iter()
                .filter(|state| **state != SlotState::Blank)
                .cloned()
                .collect(),
            quorum: head.quorum().cloned(),
            tool: index.tool.clone(),
            format: index.format,
            predecessor: index.predecessor,
            bytes: head.bundle_bytes(),
            volumes: subject
                .volumes
                .map(|volumes| (volumes.files.len(), volumes.volume_bytes)),
            entries: index.entries.len(),
            charts: charts.collect(),
            profiles: profiles.collect(),
            schema_version: index
                .migrations
                .as_ref()
                .map(|migrations| migrations.schema_version),
            migrations: migrations
                .map(|file| File::of(index, file.version.to_string(), file.path.as_str()))
                .collect(),
            programs: programs.collect(),
            origins: index
                .origins
                .iter()
                .map(|(path, origin)| (path.to_string(), origin.clone()))
                .collect(),
            policy: index.policy.sha256,
            waived: index
                .policy
                .waived
                .iter()
                .map(|text| Waiver::of(text))
                .collect(),
            attention: attention::points(index, &all, delta.as_ref()),
            is_complete: index.completeness.checked,
            left_out: index.completeness.left_out.clone(),
            exceptions: index.completeness.exceptions(),
            unproven: unproven::sentences(subject, &all),
            advisories: view.map_or_else(|| Ok(Vec::new()), BundleView::advisories)?,
            delta,
            image_signatures: index
                .image_signatures
                .as_ref()
                .map(|signatures| (signatures.manifests.len(), signatures.key)),
            has_referrers: all.iter().any(|image| !image.referrers.is_empty()),
            images,
            artifacts,
        })
    }
}

impl File {
    fn of(index: &BundleIndex, label: String, path: &str) -> Self {
        let entry = index
            .entries
            .iter()
            .find(|entry| entry.path.as_str() == path);
        Self {
            label,
            path: path.to_owned(),
            bytes: entry.map_or(0, |entry| entry.size),
            digest: entry.map(|entry| entry.sha256),
        }
    }
}
