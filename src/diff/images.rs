//! What changed among the images: digests, platforms, licences, layers, packages.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Change, DiffError, Difference, ListDiff, PackagesDiff, packages,
    pairs::{Pair, paired},
};
use crate::bundle::{BundleIndex, BundleView, ImageRecord, ManifestRecord, ReferrerRecord, Role};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageDiff {
    pub(crate) name: String,
    /// The reference it is known by, of the new bundle if it is there.
    pub(crate) reference: String,
    pub(crate) change: Change,
    /// What it was and is: reference, digest, licence, component.
    pub(crate) differences: Vec<Difference>,
    pub(crate) platforms: Vec<PlatformDiff>,
    /// Signatures and other artifacts about it, one sentence each.
    pub(crate) referrers: ListDiff,
    pub(crate) layers: Layers,
    /// Its packages, where both bundles include a list of them; empty when the image is in one
    /// bundle alone.
    pub(crate) packages: Vec<PackagesDiff>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlatformDiff {
    /// Which; `any platform` for an image that says none.
    pub(crate) platform: String,
    pub(crate) state: PlatformState,
    pub(crate) old: Option<Digest>,
    pub(crate) new: Option<Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PlatformState {
    Added,
    /// The image does not have it any more.
    Removed,
    Changed,
    /// The bundle no longer includes it; the image has it.
    LeftOut,
    /// The bundle includes it now; the image had it.
    Carried,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layers {
    pub(crate) shared: Tally,
    pub(crate) new: Tally,
    pub(crate) gone: Tally,
    pub(crate) list: Vec<LayerDiff>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayerDiff {
    pub(crate) digest: Digest,
    /// Its bytes as they are included.
    pub(crate) bytes: u64,
    pub(crate) state: LayerState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LayerState {
    Shared,
    New,
    Gone,
}

/// What changed among the images, or among the artifacts.
pub(super) fn between(
    old: &BundleView,
    new: &BundleView,
    list: impl Fn(&BundleIndex) -> &[ImageRecord],
) -> Result<Vec<ImageDiff>, DiffError> {
    let pairs = paired(list(old.index()), list(new.index()), |image| {
        image.name.clone()
    });
    let changed = pairs
        .into_iter()
        .filter_map(|pair| image(old, new, pair).transpose());
    changed.collect()
}

fn image(
    old: &BundleView,
    new: &BundleView,
    pair: Pair<'_, ImageRecord>,
) -> Result<Option<ImageDiff>, DiffError> {
    let (left, right) = pair;
    let (Some(change), Some(either)) = (Change::between(left, right), right.or(left)) else {
        return Ok(None);
    };
    let facts = |image: Option<&ImageRecord>| {
        [
            ("reference", image.map(|image| image.reference.to_string())),
            ("digest", image.map(|image| image.target.digest.to_string())),
            ("licence", image.and_then(|image| image.license.clone())),
            ("component", image.and_then(|image| image.component.clone())),
        ]
    };
    let differences = facts(left).into_iter().zip(facts(right));
    let differences = differences
        .filter_map(|((subject, old), (_, new))| Difference::between(subject, old, new))
        .collect();
    let packages = left
        .zip(right)
        .map(|(left, right)| packages::between(old, left, new, right))
        .transpose()?;
    Ok(Some(ImageDiff {
        name: either.name.clone(),
        reference: either.reference.to_string(),
        change,
        differences,
        platforms: platforms(left, right),
        referrers: ListDiff::between(&referrers(left), &referrers(right)),
        layers: Layers::between(&layers(old, left), &layers(new, right)),
        packages: packages.unwrap_or_default(),
    }))
}

fn referrers(image: Option<&ImageRecord>) -> Vec<String> {
    let referrers = image.iter().flat_map(|image| &image.referrers);
    let sentence = |referrer: &ReferrerRecord| {
        let omitted = referrer
            .omitted
            .as_ref()
            .map(|reason| format!(", not included: {reason}"));
        format!(
            "{} {} of {}{}",
            referrer.kind(),
            referrer.target.digest,
            referrer.subject,
            omitted.unwrap_or_default()
        )
    };
    referrers.map(sentence).collect()
}

fn platforms<'a>(
    left: Option<&'a ImageRecord>,
    right: Option<&'a ImageRecord>,
) -> Vec<PlatformDiff> {
    let runnable =
        |image: Option<&'a ImageRecord>| image.into_iter().flat_map(ImageRecord::runnable);
    let changed = paired(
        runnable(left),
        runnable(right),
        ManifestRecord::platform_name,
    )
    .into_iter()
    .filter_map(|(old, new)| {
        let state = match (old, new) {
            (None, Some(_)) => PlatformState::Added,
            (Some(_), None) => PlatformState::Removed,
            (Some(old), Some(new)) if old.carried && !new.carried => PlatformState::LeftOut,
            (Some(old), Some(new)) if !old.carried && new.carried => PlatformState::Carried,
            (Some(old), Some(new)) if old.digest != new.digest => PlatformState::Changed,
            _ => return None,
        };
        let digest = |manifest: Option<&ManifestRecord>| manifest.map(|manifest| manifest.digest);
        Some(PlatformDiff {
            platform: new.or(old)?.platform_name(),
            state,
            old: digest(old),
            new: digest(new),
        })
    });
    changed.collect()
}

fn layers(view: &BundleView, image: Option<&ImageRecord>) -> BTreeMap<Digest, u64> {
    let manifests = image.into_iter().flat_map(|image| &image.manifests);
    let layers = manifests
        .filter(|manifest| manifest.carried)
        .filter(|manifest| matches!(manifest.role, Role::Image | Role::Artifact))
        .filter_map(|manifest| view.parts(manifest.digest))
        .flat_map(|(_, layers)| layers);
    layers.map(|layer| (layer.digest, layer.size)).collect()
}

impl Layers {
    fn between(old: &BTreeMap<Digest, u64>, new: &BTreeMap<Digest, u64>) -> Self {
        let mut layers = Self::default();
        let gone = old
            .iter()
            .filter(|(digest, _)| !new.contains_key(*digest))
            .map(|layer| (LayerState::Gone, layer));
        let existing = new.iter().map(|layer| {
            (
                if old.contains_key(layer.0) {
                    LayerState::Shared
                } else {
                    LayerState::New
                },
                layer,
            )
        });
        for (state, (digest, bytes)) in existing.chain(gone) {
            let tally = match state {
                LayerState::Shared => &mut layers.shared,
                LayerState::New => &mut layers.new,
                LayerState::Gone => &mut layers.gone,
            };
            tally.count += 1;
            tally.bytes = tally.bytes.saturating_add(*bytes);
            layers.list.push(LayerDiff {
                digest: *digest,
                bytes: *bytes,
                state,
            });
        }
        layers.list.sort_by_key(|layer| (layer.state, layer.digest));
        layers
    }
}
