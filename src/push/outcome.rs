//! What a push did, reference by reference.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Blobs, Roots,
    blobs::BlobOutcome,
    plan::{Item, Plan},
    tags::Current,
};
use crate::{bundle::PublicationKind, oci::Reference};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) references: Vec<PushedReference>,
    pub(crate) refused: Vec<RefusedArtifact>,
    pub(crate) left_off: Vec<String>,
    /// Bytes of blobs that were sent, whatever was sent twice included; in a dry run, that would be
    /// sent.
    pub(crate) sent_bytes: u64,
}

/// Something that the registry does not take, although it takes images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedArtifact {
    pub(crate) kind: PushedKind,
    pub(crate) destination: String,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushedReference {
    pub(crate) kind: PushedKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Reference>,
    pub(crate) source_digest: Digest,
    /// Registry, repository and tag there; without a tag, the digest.
    pub destination: String,
    /// The digest there; in a dry run, the one that is tried first.
    pub(crate) digest: Digest,
    pub(crate) index: IndexForm,
    pub(crate) was_there: bool,
    /// Its blobs. What several references share counts for the first.
    pub(crate) blobs: BlobTally,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PushedKind {
    Image,
    Artifact,
    Chart,
    Referrer,
    ImageSignature,
    Index,
    Signature,
    Provenance,
    Files,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum IndexForm {
    /// What was locked, with everything that it names.
    Full,
    /// What was locked, without manifests of platforms that were left out.
    Sparse,
    Reduced,
    /// Sparse if the registry takes that, else reduced; in a dry run only.
    SparseOrReduced,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlobTally {
    pub(crate) uploaded: usize,
    pub(crate) uploaded_bytes: u64,
    pub(crate) mounted: usize,
    pub(crate) skipped: usize,
}

impl BlobTally {
    #[must_use]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            uploaded: self.uploaded.saturating_add(other.uploaded),
            uploaded_bytes: self.uploaded_bytes.saturating_add(other.uploaded_bytes),
            mounted: self.mounted.saturating_add(other.mounted),
            skipped: self.skipped.saturating_add(other.skipped),
        }
    }
}

impl RefusedArtifact {
    pub(crate) fn is_of_bundle(&self) -> bool {
        matches!(
            self.kind,
            PushedKind::Index | PushedKind::Signature | PushedKind::Provenance | PushedKind::Files
        )
    }
}

impl Pushed {
    pub(crate) fn blobs(&self) -> BlobTally {
        self.references
            .iter()
            .fold(BlobTally::default(), |sum, reference| {
                sum.plus(reference.blobs)
            })
    }
}

/// What was done; without roots, what would be.
pub(super) fn summary(
    plan: &Plan,
    current: &Current,
    blobs: &Blobs,
    sent_bytes: u64,
    roots: Option<&Roots>,
) -> Pushed {
    let mut counted = BTreeSet::new();
    let (mut references, mut refused) = (Vec::new(), Vec::new());
    for (position, item) in plan.items.iter().enumerate() {
        if let Some(reason) = roots.and_then(|roots| roots.refusal(position)) {
            let (kind, reason) = (PushedKind::of(&item.publication.kind), reason.to_owned());
            refused.push(RefusedArtifact {
                kind,
                destination: item.reference(),
                reason,
            });
            continue;
        }
        let tally = tally(item, blobs, &mut counted);
        let now = current.get(&position).copied();
        let would_be = item
            .root
            .otherwise
            .as_ref()
            .map(|reduced| reduced.descriptor.digest)
            .filter(|reduced| now == Some(*reduced));
        let planned = would_be.unwrap_or(item.root.first.descriptor.digest);
        let digest = roots
            .and_then(|roots| roots.of(position))
            .map_or(planned, |document| document.descriptor.digest);
        let was_there = match (roots, &item.publication.tag) {
            (_, Some(_)) => now == Some(digest),
            (Some(roots), None) => roots.was_there(position),
            (None, None) => false,
        };
        let source = match &item.publication.kind {
            PublicationKind::Image { reference, .. } | PublicationKind::Artifact { reference } => {
                Some(reference.clone())
            }
            _ => None,
        };
        references.push(PushedReference {
            kind: PushedKind::of(&item.publication.kind),
            source,
            source_digest: item.publication.target.digest,
            destination: item.reference(),
            digest,
            index: form(item, digest, roots.is_some() || was_there),
            was_there,
            blobs: tally,
        });
    }
    Pushed {
        references,
        refused,
        left_off: plan.left_off.clone(),
        sent_bytes,
    }
}

fn tally(item: &Item, blobs: &Blobs, counted: &mut BTreeSet<(String, Digest)>) -> BlobTally {
    let mut tally = BlobTally::default();
    for blob in item.documents().flat_map(|document| &document.blobs) {
        if !counted.insert((item.name.to_string(), blob.digest)) {
            continue;
        }
        match blobs.get(&(item.name.clone(), blob.digest)) {
            Some(BlobOutcome::Uploaded) => {
                tally = tally.plus(BlobTally {
                    uploaded: 1,
                    uploaded_bytes: blob.size,
                    ..BlobTally::default()
                });
            }
            Some(BlobOutcome::Mounted) => {
                tally = tally.plus(BlobTally {
                    mounted: 1,
                    ..BlobTally::default()
                });
            }
            Some(BlobOutcome::There) => {
                tally = tally.plus(BlobTally {
                    skipped: 1,
                    ..BlobTally::default()
                });
            }
            Some(BlobOutcome::Lacking) | None => {}
        }
    }
    tally
}

fn form(item: &Item, digest: Digest, is_decided: bool) -> IndexForm {
    let root = &item.root;
    if digest != item.publication.target.digest {
        IndexForm::Reduced
    } else if !root.is_sparse {
        IndexForm::Full
    } else if root.otherwise.is_some() && !is_decided {
        IndexForm::SparseOrReduced
    } else {
        IndexForm::Sparse
    }
}

impl PushedKind {
    const fn of(kind: &PublicationKind) -> Self {
        match kind {
            PublicationKind::Image { .. } => Self::Image,
            PublicationKind::Artifact { .. } => Self::Artifact,
            PublicationKind::Chart => Self::Chart,
            PublicationKind::Referrer { .. } => Self::Referrer,
            PublicationKind::ImageSignature { .. } => Self::ImageSignature,
            PublicationKind::Index => Self::Index,
            PublicationKind::Signature { .. } => Self::Signature,
            PublicationKind::Provenance { .. } => Self::Provenance,
            PublicationKind::Files { .. } => Self::Files,
        }
    }
}
