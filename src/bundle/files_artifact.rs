//! What a bundle has besides its images and charts, as one artifact about its index.
//!
//! `push` gives a registry what a cluster needs. With this artifact the registry has every entry: a
//! blob that an image or chart leads to stays where `push` writes it, and everything else is a
//! layer here, the documents included: a registry that took another index of an image, or no
//! artifact about it, has them all the same. The slots that are signed are its annotations.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AuthenticatedHead, Documents, IndexError,
    closure::is_manifest,
    index::blob_path,
    publication::{Publication, PublicationKind},
};
use crate::oci::{ArtifactManifest, Descriptor, Manifest, TITLE};
use rune_core::digest::Digest;

pub(super) const FILES_ARTIFACT: &str = "application/vnd.rune-bundle.files.v1+json";

/// The annotation that has the digest of the signature in a slot, without the number of the slot.
/// The digest is bare: lists of referrers repeat annotations, and what looks like a digest there
/// may be taken for that of a manifest.
pub(super) const SLOT: &str = "io.rune-bundle.slot.";

/// What a layer is, whatever it has: a registry that looks into documents would miss what they
/// lead to.
pub(super) const LAYER_TYPE: &str = "application/octet-stream";

pub(super) fn files_artifact(
    head: &AuthenticatedHead,
    documents: &Documents,
    index: &Publication,
) -> Result<(Publication, Vec<u8>), IndexError> {
    let elsewhere = blobs_of_images_and_charts(head, documents);
    let mut seen = BTreeSet::new();
    let entries = head.index().entries.iter();
    // What has no bytes needs no registry, and some take no blob without any.
    let own = entries.filter(|entry| {
        entry.size > 0 && !elsewhere.contains(&entry.sha256) && seen.insert(entry.sha256)
    });
    let layers: Vec<Descriptor> = own
        .map(|entry| Descriptor {
            media_type: LAYER_TYPE.to_owned(),
            digest: entry.sha256,
            size: entry.size,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::from([(TITLE.to_owned(), entry.path.to_string())]),
        })
        .collect();
    let slots = head.signatures();
    let slots: Vec<(String, String)> = slots
        .map(|(slot, signature)| (format!("{SLOT}{slot}"), Digest::of(&signature).hex()))
        .collect();
    let slots = slots.iter().map(|(key, value)| (&**key, &**value));
    let (target, bytes) = ArtifactManifest::of_layers(FILES_ARTIFACT, layers.iter().collect())
        .about(&index.target)
        .with_annotations(slots.collect())
        .write()
        .map_err(IndexError::Form)?;
    let files = Publication {
        repository: index.repository.clone(),
        tag: None,
        target,
        kind: PublicationKind::Files {
            subject: index.target.digest,
        },
    };
    Ok((files, bytes))
}

/// The blobs that `push` writes in any case. Artifacts about images are not always taken.
fn blobs_of_images_and_charts(head: &AuthenticatedHead, documents: &Documents) -> BTreeSet<Digest> {
    let index = head.index();
    let images = index.images.iter().flat_map(|image| {
        [Some(&image.target), image.reduced_index.as_ref()]
            .into_iter()
            .flatten()
    });
    let charts = index.charts.iter().map(|chart| &chart.artifact);
    let mut pending: Vec<Digest> = images.chain(charts).map(|target| target.digest).collect();
    let (mut seen, mut blobs) = (BTreeSet::new(), BTreeSet::new());
    while let Some(digest) = pending.pop() {
        let bytes = documents.get(blob_path(digest).as_str());
        let Some(bytes) = bytes.filter(|_| seen.insert(digest)) else {
            continue;
        };
        let Ok(manifest) = Manifest::parse(bytes.clone(), None) else {
            continue;
        };
        for child in manifest.children() {
            if is_manifest(&child.media_type) {
                pending.push(child.digest);
            } else {
                blobs.insert(child.digest);
            }
        }
    }
    blobs
}
