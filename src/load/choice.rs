//! What containerd takes of an index: the first of the entries that fit the platform best, and no
//! other.
//!
//! Entries without a platform come after those with one. Where the first leads to something else
//! than an image, containerd runs nothing, although another entry would do.
//!
//! Source: containerd, `core/images/image.go`.

use std::collections::BTreeSet;

use crate::{
    bundle::OpenBundle,
    oci::{Manifest, ManifestError, ManifestKind, Platform},
};
use rune_core::digest::Digest;

/// What makes containerd refuse an index of the bundle, or run nothing of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Obstacle {
    /// It takes this first, which is not wanted.
    Taken(Digest),
    /// It wants this, which the bundle does not have.
    Lacking(Digest),
}

/// Whether containerd would run one of the wanted manifests of an image.
pub(super) fn obstacle(
    bundle: &OpenBundle,
    target: Digest,
    wanted: &BTreeSet<Digest>,
    platform: &Platform,
) -> Result<Option<Obstacle>, ManifestError> {
    let taken = choice(bundle, target, platform)?;
    if !wanted.contains(&taken) {
        return Ok(Some(Obstacle::Taken(taken)));
    }
    Ok(lacking(bundle, target)?.map(Obstacle::Lacking))
}

/// An index without a platform, below another index, that the bundle does not have. containerd
/// looks into all of those.
fn lacking(bundle: &OpenBundle, index: Digest) -> Result<Option<Digest>, ManifestError> {
    let Some(bytes) = bundle.document(index) else {
        return Ok(Some(index));
    };
    let document = Manifest::parse(bytes.to_vec(), None)?;
    for child in document
        .children()
        .filter(|child| child.platform.is_none() && child.is_index())
    {
        if let Some(digest) = lacking(bundle, child.digest)? {
            return Ok(Some(digest));
        }
    }
    Ok(None)
}

/// The manifest, or whatever else it is, that containerd would run of an image.
fn choice(
    bundle: &OpenBundle,
    target: Digest,
    platform: &Platform,
) -> Result<Digest, ManifestError> {
    let Some(bytes) = bundle.document(target) else {
        return Ok(target);
    };
    let document = Manifest::parse(bytes.to_vec(), None)?;
    if !matches!(document.kind(), ManifestKind::Index { .. }) {
        return Ok(target);
    }
    let rank = |own: Option<&Platform>| {
        own.map_or(Some((true, 0)), |own| {
            Some((false, own.distance_from(platform)?))
        })
    };
    let fitting = document
        .children()
        .filter_map(|child| Some((rank(child.platform.as_ref())?, child.digest)));
    match fitting.min_by_key(|(rank, _)| *rank) {
        Some((_, digest)) => choice(bundle, digest, platform),
        None => Ok(target),
    }
}
