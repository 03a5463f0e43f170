//! The images of a bundle as a table.

use super::{super::table::aligned, ImageSboms};
use crate::bundle::{ImageRecord, ReferrerRecord, Role, ShownAdvisory};
use rune_core::{
    command::counted,
    text::{shown, size},
};

const MAX_LISTED: usize = 4;
const HEADINGS: [&str; 5] = ["IMAGE", "DIGEST", "PLATFORMS", "SIZE", "LICENCE"];
/// As many hex digits of a digest as people take to tell images apart.
const SHORT_DIGEST: usize = 12;

pub(super) struct ImageRow([String; 5]);

impl ImageRow {
    pub(super) fn of(image: &ImageRecord, bytes: Option<u64>) -> Self {
        let digest: String = image
            .target
            .digest
            .hex()
            .chars()
            .take(SHORT_DIGEST)
            .collect();
        Self([
            shown(&image.reference.to_string()),
            digest,
            platforms(image),
            bytes.map_or_else(|| "?".to_owned(), size),
            image
                .license
                .as_deref()
                .map_or_else(|| "not stated".to_owned(), shown),
        ])
    }
}

/// The included platforms, in short, and how many were left out.
fn platforms(image: &ImageRecord) -> String {
    // Nearly all are of Linux: there the processor says enough.
    let short = |name: String| {
        name.strip_prefix("linux/")
            .map(str::to_owned)
            .unwrap_or(name)
    };
    let carried: Vec<String> = image
        .carried_runnable()
        .map(|manifest| shown(&short(manifest.platform_name())))
        .collect();
    let left_out = image.runnable().count().saturating_sub(carried.len());
    let mut text = carried
        .iter()
        .take(MAX_LISTED)
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    if let Some(more) = carried
        .len()
        .checked_sub(MAX_LISTED)
        .filter(|more| *more > 0)
    {
        text.push_str(&format!(" +{more}"));
    }
    if left_out > 0 {
        text.push_str(&format!(" ({left_out} left out)"));
    }
    text
}

pub(super) fn of(rows: &[ImageRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let headings = HEADINGS.map(str::to_owned);
    let rows = rows.iter().map(|ImageRow(cells)| cells);
    aligned(std::iter::once(&headings).chain(rows))
}

/// An artifact that is not run: where it comes from, what it is, how large.
pub(super) fn artifact(artifact: &ImageRecord, bytes: Option<u64>) -> String {
    let kind = artifact.target.artifact_type.as_deref();
    format!(
        "{} {}, {}, {}, {}",
        shown(&artifact.reference.to_string()),
        artifact.target.digest,
        kind.map_or_else(|| "several manifests".to_owned(), shown),
        bytes.map_or_else(|| "?".to_owned(), size),
        artifact
            .license
            .as_deref()
            .map_or_else(|| "licence not stated".to_owned(), shown),
    )
}

/// An artifact about an image: what it is, of which image, and whether it is in the bundle.
pub(super) fn referrer(image: &ImageRecord, referrer: &ReferrerRecord) -> String {
    let (kind, digest) = (referrer.kind(), referrer.target.digest);
    let about = if referrer.subject == image.target.digest {
        shown(&image.name)
    } else {
        format!("{} in {}", referrer.subject, shown(&image.name))
    };
    match &referrer.omitted {
        None => format!("{kind} of {about}: {digest}"),
        Some(reason) => format!(
            "not included: {kind} of {about}: {digest}: {}",
            shown(reason)
        ),
    }
}

/// How many platforms of the images have SBOMs: in one line when it is the same for all, else a
/// line for each image. Which they are is in the JSON report and on the page of `report`.
pub(super) fn sboms(sboms: &[ImageSboms]) -> Vec<String> {
    let lacks = |one: &&ImageSboms| one.found.sboms.is_empty();
    match sboms.iter().filter(lacks).count() {
        _ if sboms.is_empty() => Vec::new(),
        0 => vec!["for every platform of every image".to_owned()],
        count if count == sboms.len() => vec!["none".to_owned()],
        _ => sboms
            .chunk_by(|one, other| one.image == other.image)
            .map(of_image)
            .collect(),
    }
}

fn of_image(platforms: &[ImageSboms]) -> String {
    let name = platforms.first().map(|one| shown(&one.image));
    let lacking: Vec<String> = platforms
        .iter()
        .filter(|one| one.found.sboms.is_empty())
        .map(|one| shown(&one.found.platform))
        .collect();
    let name = name.unwrap_or_default();
    match lacking.len() {
        0 => format!("{name}: for every platform"),
        count if count == platforms.len() => format!("{name}: none"),
        _ => format!("{name}: none for {}", lacking.join(", ")),
    }
}

/// What an advisory says, a line for each statement.
pub(super) fn advisory(advisory: &ShownAdvisory) -> Vec<String> {
    let (path, kind) = (&advisory.path, advisory.kind.name());
    let mut lines = vec![format!("{path} ({kind})")];
    lines.extend(advisory.statements.iter().map(|said| {
        let products = shown(&said.products.join(", "));
        let (name, status) = (shown(&said.vulnerability), shown(&said.status));
        format!("  {name} {status}: {products}")
    }));
    lines
}

pub(super) fn attestations(images: &[ImageRecord]) -> Vec<String> {
    let counts = images.iter().map(|image| {
        (
            image,
            image
                .manifests
                .iter()
                .filter(|manifest| manifest.carried && manifest.role == Role::Attestation)
                .count(),
        )
    });
    counts
        .filter(|(_, count)| *count > 0)
        .map(|(image, count)| {
            format!(
                "{} for {}",
                counted(count, "attestation"),
                shown(&image.name)
            )
        })
        .collect()
}
