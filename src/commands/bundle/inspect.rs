//! `inspect`: what a bundle says it contains. Reads the head, and of a file the documents.

mod delta;
mod table;

use serde::Serialize;

use self::{delta::DeltaReport, table::ImageRow};
use super::{open::BundleOptions, trust_source::TrustSource};
use crate::{
    archive::EntryName,
    bundle::{
        BundleFile, BundleIndex, BundleSource, BundleView, Delta, ImageRecord, ImageSignatures,
        PlatformSboms, ShownAdvisory, SlotState, UnverifiedHead, Volume, Volumes,
    },
};
use rune_core::{
    command::{CommandError, Report, counted},
    digest::Digest,
    failure::{Failure as _, FailureKind},
    fsx,
    progress::Progress,
    text::{exact_size, shown},
};

#[derive(Debug, Clone)]
pub(crate) struct InspectOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) with_entries: bool,
    pub(crate) only_images: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InspectReport {
    verified: bool,
    digest: Digest,
    trust: Option<TrustSource>,
    signatures: Vec<SlotState>,
    index: BundleIndex,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Volumes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<DeltaReport>,
    not_reviewed: Vec<String>,
    /// The SBOMs of each platform that is included; absent when the documents were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    sboms: Option<Vec<ImageSboms>>,
    /// What the advisories say; absent when they were not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    advisories: Option<Vec<ShownAdvisory>>,
    /// For each image, how many bytes of blobs the bundle has of it; null when that is not known.
    image_bytes: Vec<Option<u64>>,
    artifact_bytes: Vec<Option<u64>>,
    #[serde(skip)]
    with_entries: bool,
    #[serde(skip)]
    only_images: bool,
}

#[derive(Debug, Serialize)]
struct ImageSboms {
    image: String,
    #[serde(flatten)]
    found: PlatformSboms,
}

const UNVERIFIED: &str =
    "UNVERIFIED: no --key and no --trust was given; everything below is only what the file claims";

impl Report for InspectReport {
    const VERB: &'static str = "inspect";

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let index = &self.index;
        if self.only_images {
            return index.images.iter().fold(String::new(), |text, image| {
                format!("{text}{}\n", shown(&image.reference.to_string()))
            });
        }
        let mut text = if self.verified {
            String::new()
        } else {
            format!("{UNVERIFIED}\n")
        };
        let _ = writeln!(
            text,
            "{} {}, format {}, built by {}",
            shown(&index.name),
            index.version,
            index.format,
            shown(&index.tool)
        );
        let _ = writeln!(text, "bundle digest  {}", self.digest);
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust          {trust}");
        }
        self.write_signatures(&mut text);
        let _ = writeln!(
            text,
            "size           {}, {} entries",
            exact_size(self.bytes),
            // The listed entries, the bundle index and the signature slots, as `verify` counts
            // them.
            index.entries.len() + 1 + self.signatures.len()
        );
        if let Some(volumes) = &self.volumes {
            let _ = writeln!(
                text,
                "volumes        {}, of at most {}",
                volumes.files.len(),
                exact_size(volumes.volume_bytes)
            );
        }
        if let Some(delta) = &self.delta {
            text.push_str(&delta.text());
        }
        self.write_charts(&mut text);
        self.write_rules(&mut text);
        text.push_str(&table::of(
            &index
                .images
                .iter()
                .zip(&self.image_bytes)
                .map(|(image, bytes)| ImageRow::of(image, *bytes))
                .collect::<Vec<_>>(),
        ));
        if index
            .entries
            .iter()
            .any(|entry| entry.path.as_str() == "INSTALL.md")
        {
            text.push_str("how to install: `rune-bundle cat BUNDLE INSTALL.md`\n");
        }
        if self.with_entries {
            for entry in &index.entries {
                let needed = self.delta.as_ref().filter(|delta| delta.needs(entry));
                let _ = writeln!(
                    text,
                    "{} {:>12} {}{}",
                    entry.sha256.hex(),
                    entry.size,
                    entry.path,
                    needed.map_or("", |_| " (not in the delta)")
                );
            }
        }
        text
    }
}

impl InspectReport {
    fn write_signatures(&self, text: &mut String) {
        for state in &self.signatures {
            let signer = state.signer().unwrap_or_default();
            match state {
                SlotState::Blank => {}
                SlotState::Verified { .. } => {
                    text.push_str(&format!("signature      good, by {signer}\n"));
                }
                SlotState::Revoked { reason, .. } => text.push_str(&format!(
                    "signature      revoked, by {signer}: {}\n",
                    shown(reason)
                )),
                SlotState::Unknown { .. } => text.push_str(&format!(
                    "signature      not checked, claims to be by {signer}\n"
                )),
                SlotState::Malformed => text.push_str("signature      malformed\n"),
            }
        }
    }

    fn write_charts(&self, text: &mut String) {
        use std::fmt::Write as _;
        let index = &self.index;
        for chart in &index.charts {
            let _ = writeln!(
                text,
                "chart          {} {} in {}{}",
                shown(&chart.name),
                shown(&chart.version),
                chart.path,
                self.from(&chart.path)
            );
        }
        for profile in &index.profiles {
            let values: Vec<&str> = profile.values.iter().map(EntryName::as_str).collect();
            let charts = if profile.charts.is_empty() {
                String::new()
            } else {
                format!(" of {}", profile.charts.join(", "))
            };
            let _ = writeln!(
                text,
                "profile        {}{}: {}",
                shown(&profile.name),
                shown(&charts),
                values.join(", ")
            );
        }
        for release in &index.releases {
            let line = format!("{}: {release}", release.name);
            let _ = writeln!(text, "release        {}", shown(&line));
        }
        for namespace in &index.namespaces {
            let name = namespace.name.as_deref().unwrap_or("any other");
            let line = format!("{name}: {namespace}");
            let _ = writeln!(text, "namespace      {}", shown(&line));
        }
        if let Some(migrations) = &index.migrations {
            let _ = writeln!(
                text,
                "migrations     {}, schema version {}",
                migrations.files.len(),
                migrations.schema_version
            );
        }
        for binary in &index.binaries {
            let (name, platform, path) = (
                shown(&binary.name),
                shown(&binary.platform.to_string()),
                &binary.path,
            );
            let _ = writeln!(
                text,
                "binary         {name} for {platform} in {path}{}",
                self.from(path)
            );
        }
        for (artifact, bytes) in index.artifacts.iter().zip(&self.artifact_bytes) {
            let _ = writeln!(text, "artifact       {}", table::artifact(artifact, *bytes));
        }
        for path in index
            .origins
            .keys()
            .filter(|path| path.as_str().starts_with("files/"))
        {
            let _ = writeln!(text, "file           {path}{}", self.from(path));
        }
    }

    /// Where an entry comes from, when it is not of the project.
    fn from(&self, path: &EntryName) -> String {
        self.index
            .origins
            .get(path)
            .map(|origin| format!(", from {}", shown(origin)))
            .unwrap_or_default()
    }

    /// What a reviewer asks: by which rules it was built, and what was let through.
    fn write_rules(&self, text: &mut String) {
        use std::fmt::Write as _;
        let index = &self.index;
        let checked = if index.completeness.checked {
            "checked"
        } else {
            "not checked"
        };
        let _ = writeln!(text, "completeness   {checked} when it was built");
        for sentence in index
            .completeness
            .left_out
            .iter()
            .chain(&index.completeness.exceptions())
        {
            let _ = writeln!(text, "               {}", shown(sentence));
        }
        let _ = writeln!(text, "policy         {}", index.policy.sha256.grouped());
        match index.policy.waived.as_slice() {
            [] => text.push_str("waivers        none\n"),
            waived => waived
                .iter()
                .for_each(|waiver| text.push_str(&format!("waiver         {}\n", shown(waiver)))),
        }
        if !self.not_reviewed.is_empty() {
            let _ = writeln!(
                text,
                "not reviewed   {}: no licence is stated",
                shown(&self.not_reviewed.join(", "))
            );
        }
        let attestations = table::attestations(&index.images);
        let _ = writeln!(
            text,
            "attestations   {}",
            if attestations.is_empty() {
                "none".to_owned()
            } else {
                attestations.join(", ")
            }
        );
        for image in index.images_and_artifacts() {
            for referrer in &image.referrers {
                let _ = writeln!(text, "referrer       {}", table::referrer(image, referrer));
            }
        }
        for line in self.sboms.iter().flat_map(|sboms| table::sboms(sboms)) {
            let _ = writeln!(text, "SBOMs          {line}");
        }
        for advisory in self.advisories.iter().flatten() {
            table::advisory(advisory)
                .iter()
                .for_each(|line| text.push_str(&format!("advisory       {line}\n")));
        }
        if let Some(ImageSignatures { key, manifests }) = &index.image_signatures {
            let count = counted(manifests.len(), "image signature");
            let _ = writeln!(text, "image key      {}: {count}", key.grouped());
        }
    }
}

/// Reads what a bundle says it contains; with a key or digest, only after its head was
/// authenticated.
pub(crate) fn run(
    options: &InspectOptions,
    progress: &dyn Progress,
) -> Result<InspectReport, CommandError> {
    let delta = open_delta(options)?;
    let (source, head) = match &delta {
        Some(delta) => (None, delta.head().clone()),
        None => open(options, progress)?,
    };
    let volumes = match &delta {
        Some(delta) => delta.volumes(),
        None => source.as_ref().and_then(BundleSource::volumes),
    };
    let volumes = volumes.cloned();
    let mut report = if options.bundle.has_trust() {
        let trust = options.bundle.trust()?;
        let head = head
            .authenticate(&trust)
            .map_err(|error| options.bundle.refused(error.into()))?;
        let view = view(
            source,
            |file| BundleView::of_authenticated(file, &head),
            progress,
        );
        let (digest, signatures, index) =
            (head.digest(), head.slots().to_vec(), head.index().clone());
        report(
            options,
            true,
            digest,
            signatures,
            index,
            head.layout().total_bytes(),
            view.as_ref(),
        )
    } else {
        let (index, signatures) = head.peek()?;
        let bytes = index.layout(head.index_size())?.total_bytes();
        let view = view(
            source,
            |file| BundleView::of_unverified(file, &head),
            progress,
        );
        report(
            options,
            false,
            head.digest(),
            signatures,
            index,
            bytes,
            view.as_ref(),
        )
    };
    report.volumes = volumes;
    if let Some(delta) = delta {
        let contents = delta
            .contents(&report.index)
            .map_err(|error| options.bundle.refused(error.into()))?;
        report.delta = Some(DeltaReport::new(&delta, &contents, &report.index));
    }
    if options.only_images && !report.verified {
        progress.announce(UNVERIFIED);
    }
    Ok(report)
}

impl InspectReport {
    /// Of a bundle that is looked into where it is stored.
    pub(super) fn of_stored(options: &InspectOptions, view: &BundleView) -> Self {
        report(
            options,
            view.is_verified(),
            view.digest(),
            view.signatures().to_vec(),
            view.index().clone(),
            view.total_bytes(),
            Some(view),
        )
    }
}

/// Opens the file, if it is a delta. Of a volume whose set is not complete here, there is the head
/// alone.
fn open_delta(options: &InspectOptions) -> Result<Option<Delta>, CommandError> {
    let BundleOptions { bundle, parts, .. } = &options.bundle;
    if bundle == "-" || !fsx::is_file(bundle) {
        return Ok(None);
    }
    match Delta::open(bundle, &parts.places, !parts.are_shared) {
        Err(error) if error.kind() == FailureKind::NotFound => Ok(None),
        opened => opened
            .map_err(|error| CommandError::from(error).context(format!("cannot read `{bundle}`"))),
    }
}

/// Opens the bundle. Of a volume whose set is not complete here, there is the head.
fn open(
    options: &InspectOptions,
    progress: &dyn Progress,
) -> Result<(Option<BundleSource>, UnverifiedHead), CommandError> {
    let error = match options.bundle.open() {
        Ok((source, head)) => return Ok((Some(source), head)),
        Err(error) => error,
    };
    let is_incomplete = error.kind() == FailureKind::NotFound && options.bundle.bundle != "-";
    match is_incomplete.then(|| Volume::open(&options.bundle.bundle)) {
        Some(Ok(Some(volume))) => {
            progress.announce(&format!(
                "note: only the head could be read: {}",
                error.messages().join(": ")
            ));
            Ok((None, volume.head().clone()))
        }
        _ => Err(error),
    }
}

fn view(
    source: Option<BundleSource>,
    open: impl FnOnce(BundleFile) -> Result<BundleView, crate::bundle::OpenError>,
    progress: &dyn Progress,
) -> Option<BundleView> {
    let Some(BundleSource::File(file)) = source else {
        return None;
    };
    match open(file) {
        Ok(view) => Some(view),
        Err(error) => {
            progress.announce(&format!(
                "note: only the head could be read: {}",
                CommandError::from(error).messages().join(": ")
            ));
            None
        }
    }
}

fn sboms(view: &BundleView) -> Vec<ImageSboms> {
    let images = view.index().images.iter();
    let found = images.flat_map(|image| {
        view.sboms(image).into_iter().map(|found| ImageSboms {
            image: image.name.clone(),
            found,
        })
    });
    found.collect()
}

fn report(
    options: &InspectOptions,
    verified: bool,
    digest: Digest,
    signatures: Vec<SlotState>,
    index: BundleIndex,
    bytes: u64,
    view: Option<&BundleView>,
) -> InspectReport {
    let bytes_of = |image: &ImageRecord| view.map(|view| view.carried_bytes(image));
    InspectReport {
        verified,
        digest,
        trust: options.bundle.trust_source(),
        signatures,
        not_reviewed: index
            .not_reviewed()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        sboms: view.map(sboms),
        advisories: view.and_then(|view| view.advisories().ok()),
        image_bytes: index.images.iter().map(bytes_of).collect(),
        artifact_bytes: index.artifacts.iter().map(bytes_of).collect(),
        index,
        bytes,
        volumes: None,
        delta: None,
        with_entries: options.with_entries,
        only_images: options.only_images,
    }
}
