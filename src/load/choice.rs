//! What containerd takes of an index: the first of the entries that fit the platform best, and no other.
//!
//! Entries without a platform come after those with one. Where the first leads to something else than an image, containerd runs
//! nothing, although another entry would do.
//!
//! Source: containerd, `core/images/image.go`.

use crate::{
    bundle::OpenBundle,
    oci::{Digest, Manifest, ManifestError, ManifestKind, Platform},
};

/// The manifest, or whatever else it is, that containerd would run of an image.
///
/// # Errors
/// When an index of the bundle cannot be read.
pub(super) fn choice(bundle: &OpenBundle, target: Digest, platform: &Platform) -> Result<Digest, ManifestError> {
    let Some(bytes) = bundle.document(target) else { return Ok(target) };
    let document = Manifest::parse(bytes.to_vec(), None)?;
    if !matches!(document.kind(), ManifestKind::Index { .. }) {
        return Ok(target);
    }
    let rank = |own: Option<&Platform>| own.map_or(Some((true, 0)), |own| Some((false, own.distance_from(platform)?)));
    let fitting = document.children().filter_map(|child| Some((rank(child.platform.as_ref())?, child.digest)));
    match fitting.min_by_key(|(rank, _)| *rank) {
        Some((_, digest)) => choice(bundle, digest, platform),
        None => Ok(target),
    }
}
