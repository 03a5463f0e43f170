//! Signatures that whoever builds a bundle makes of its images and charts, for clusters that check
//! signatures at admission. They are entries, so the bundle digest covers them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BundleIndex, ImageRecord, Publication, PublicationKind};
use crate::{
    evidence::{CosignTag, ImagePayload, SignatureArtifact, is_sigstore_bundle},
    oci::Descriptor,
    sign::{ForeignSignature, PrivateKey, PublicKey, SignError, SlotSignature},
};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSignatures {
    pub(crate) key: Digest,
    pub manifests: Vec<ImageSignatureRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSignatureRecord {
    /// The image, image index or chart that is signed.
    pub subject: Digest,
    pub(crate) target: Descriptor,
    pub(crate) statement: Digest,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub enum ImageSigner {
    Key(PrivateKey),
    /// They were made before, by this key; by what they are about.
    Finished {
        key: PublicKey,
        signatures: BTreeMap<Digest, ForeignSignature>,
    },
}

/// Which of them are published. cosign ignores signatures in tags once an image has a Sigstore
/// bundle as referrer, so ours can hide those of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImageSignatureChoice {
    /// All but those of what others have signed in tags alone.
    #[default]
    Auto,
    Always,
    Never,
}

impl ImageSigner {
    pub(crate) const fn key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key.public_key(),
            Self::Finished { key, .. } => key,
        }
    }

    /// The signature of a payload; nothing when none was made.
    pub(super) fn sign(
        &self,
        payload: &ImagePayload,
    ) -> Result<Option<SignatureArtifact>, SignError> {
        let message = payload.message();
        let signature = match self {
            Self::Key(key) => Some(SlotSignature::sign(key, &message)),
            Self::Finished { key, signatures } => signatures
                .get(&payload.subject().digest)
                .map(|signature| signature.check(key, &message))
                .transpose()?,
        };
        signature
            .map(|signature| payload.signed(&signature).map_err(SignError::SlotForm))
            .transpose()
    }
}

impl ImageSignatureChoice {
    pub(crate) fn admits(self, publication: &Publication) -> bool {
        match (&publication.kind, self) {
            (PublicationKind::ImageSignature { hides_tags, .. }, Self::Auto) => !hides_tags,
            (PublicationKind::ImageSignature { .. }, Self::Never) => false,
            _ => true,
        }
    }

    /// Why some are not published, where that is not what was asked for.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Auto => {
                ": others have signed it in tags, which cosign ignores beside a Sigstore bundle"
            }
            Self::Always | Self::Never => "",
        }
    }
}

impl BundleIndex {
    pub(super) fn image_signatures(&self) -> impl Iterator<Item = &ImageSignatureRecord> {
        self.image_signatures
            .iter()
            .flat_map(|signatures| &signatures.manifests)
    }
}

impl ImageRecord {
    /// Whether what others say about a manifest of the image is in cosign's tags alone.
    pub(super) fn is_signed_in_tags_alone(&self, subject: Digest) -> bool {
        let about = || {
            self.carried_referrers()
                .filter(move |referrer| referrer.subject == subject)
        };
        let is_in_tag = about().any(|referrer| {
            let tag = referrer.tag.as_deref().and_then(CosignTag::parse);
            matches!(tag, Some(CosignTag::Signatures | CosignTag::Attestations))
        });
        let has_bundle = about().any(|referrer| {
            let artifact_type = referrer.target.artifact_type.as_deref();
            referrer.tag.is_none() && artifact_type.is_some_and(is_sigstore_bundle)
        });
        is_in_tag && !has_bundle
    }

    /// Whether the bundle has a manifest of the image that may be signed.
    pub(super) fn has_signable(&self, subject: Digest) -> bool {
        let reduced = self.reduced_index.as_ref();
        self.carries(subject) || reduced.is_some_and(|index| index.digest == subject)
    }
}
