//! The signatures of locked images, fetched as the lock pins them, for a policy that demands them.

use std::{collections::BTreeMap, time::SystemTime};

use super::{Blob, Lock, LockedContent, LockedImage, LockedImageGone, LockedReferrer, PulledImage};
use crate::{
    evidence::{
        ImageAttestation, ImageSignature, MAX_ATTESTATION_BYTES, attestations_of, is_attestation,
        may_attest, signatures_of,
    },
    oci::Manifest,
    policy::{Policy, SignedImage},
    registry::{Client, RegistryError, RepositoryName},
};
use rune_core::{digest::Digest, failure::Failure};

#[derive(Debug, Clone, Default)]
pub struct Evidence {
    documents: BTreeMap<Digest, Vec<u8>>,
    builder: Builder,
    locked_at: Option<SystemTime>,
}

#[derive(Debug, Clone, Default)]
enum Builder {
    /// A bundle is not built, or not yet.
    #[default]
    Unknown,
    Nobody,
    Key(Digest),
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum EvidenceError {
    #[error(transparent)]
    Gone(Box<LockedImageGone>),
    #[error(transparent)]
    Registry(RegistryError),
}

impl Evidence {
    #[must_use]
    pub(crate) fn with_builder(mut self, fingerprint: Option<Digest>) -> Self {
        self.builder = fingerprint.map_or(Builder::Nobody, Builder::Key);
        self
    }

    #[must_use]
    pub(crate) const fn locked_at(mut self, now: SystemTime) -> Self {
        self.locked_at = Some(now);
        self
    }

    /// Adds what was read already, by digest.
    pub(super) fn extend(&mut self, documents: BTreeMap<Digest, Vec<u8>>) {
        self.documents.extend(documents);
    }

    /// Fetches what is missing of the signatures and attestations that the policy demands.
    pub(crate) async fn completed(
        mut self,
        policy: &Policy,
        lock: &Lock,
        client: &Client,
    ) -> Result<Self, EvidenceError> {
        for (_, image) in lock.images_and_artifacts() {
            let LockedContent::Registry(pulled) = &image.content else {
                continue;
            };
            let source = image.reference.name();
            let mut wanted = Vec::new();
            if policy.demands_signatures(&source) {
                wanted.extend(signatures(pulled));
            }
            wanted.extend(attestations(pulled, &policy.demanded_attestations(&source)));
            let fetched = self.add(image, &wanted, client).await;
            fetched.map_err(|error| {
                LockedImageGone::from_missing(&image.name, error)
                    .map_or_else(EvidenceError::Registry, |gone| {
                        EvidenceError::Gone(Box::new(gone))
                    })
            })?;
        }
        Ok(self)
    }

    async fn add(
        &mut self,
        image: &LockedImage,
        wanted: &[&LockedReferrer],
        client: &Client,
    ) -> Result<(), RegistryError> {
        let beside = RepositoryName::from(&image.reference);
        for referrer in wanted {
            let name = referrer.repository.as_ref().unwrap_or(&beside);
            let Blob {
                digest, media_type, ..
            } = &referrer.manifest;
            if !self.documents.contains_key(digest) {
                let manifest = client.manifest(name, *digest, Some(media_type)).await?;
                self.documents.insert(*digest, manifest.into_bytes());
            }
            let is_statement = |blob: &&Blob| {
                referrer.statements.contains(&blob.digest)
                    || is_attestation(&blob.media_type, blob.size)
            };
            for blob in referrer.blobs.iter().filter(is_statement) {
                if self.documents.contains_key(&blob.digest) {
                    continue;
                }
                let bytes = client
                    .blob_bytes(name, &blob.descriptor(), MAX_ATTESTATION_BYTES)
                    .await?;
                self.documents.insert(blob.digest, bytes);
            }
        }
        Ok(())
    }

    pub(super) fn of(&self, pulled: &PulledImage) -> SignedImage {
        let manifest = |referrer: &LockedReferrer| {
            let Blob {
                digest, media_type, ..
            } = &referrer.manifest;
            let bytes = self.documents.get(digest).cloned();
            bytes.and_then(|bytes| Manifest::parse(bytes, Some(media_type)).ok())
        };
        let content = |layer: Digest| self.documents.get(&layer).cloned();
        let signatures = signatures(pulled).filter_map(manifest);
        let signatures: Vec<ImageSignature> = signatures
            .flat_map(|manifest| signatures_of(&manifest, content))
            .collect();
        // Those of other types than the policy demands were not fetched.
        let attestations = pulled.carried_referrers().filter_map(manifest);
        let attestations: Vec<ImageAttestation> = attestations
            .flat_map(|manifest| attestations_of(&manifest, content))
            .collect();
        SignedImage {
            digest: Some(pulled.root.digest),
            signatures: Some(signatures),
            attestations,
            manifests: pulled.carried_platforms(),
            builder: self.builder_key(),
            locked_at: self.locked_at,
        }
    }

    /// The signatures of an image that is about to be built: not checked as long as nobody knows
    /// who signs it.
    pub(super) fn of_built(&self) -> SignedImage {
        SignedImage {
            signatures: match self.builder {
                Builder::Unknown => None,
                Builder::Nobody | Builder::Key(_) => Some(Vec::new()),
            },
            builder: self.builder_key(),
            locked_at: self.locked_at,
            ..SignedImage::default()
        }
    }

    const fn builder_key(&self) -> Option<Digest> {
        match self.builder {
            Builder::Key(fingerprint) => Some(fingerprint),
            Builder::Unknown | Builder::Nobody => None,
        }
    }
}

fn attestations<'p>(
    pulled: &'p PulledImage,
    predicate_types: &[&str],
) -> impl Iterator<Item = &'p LockedReferrer> {
    let referrers = pulled.carried_referrers();
    referrers.filter(|referrer| may_attest(&referrer.predicates, predicate_types))
}

/// What may be a signature of the image itself.
fn signatures(pulled: &PulledImage) -> impl Iterator<Item = &LockedReferrer> {
    pulled.carried_referrers().filter(|referrer| {
        referrer.subject == pulled.root.digest && !referrer.statements.is_empty()
    })
}
