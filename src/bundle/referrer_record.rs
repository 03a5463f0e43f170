//! What the bundle index says about artifacts about images.

use serde::{Deserialize, Serialize};

use super::ImageRecord;
use crate::{evidence::kind_of, oci::Descriptor};
use rune_core::digest::Digest;

/// An artifact about a manifest of an image, or about another such artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferrerRecord {
    pub subject: Digest,
    pub target: Descriptor,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) predicates: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// The layers that may hold a signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) statements: Vec<Digest>,
    /// Why it is not in the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) omitted: Option<String>,
}

impl ImageRecord {
    /// What is about the image and in the bundle.
    pub(crate) fn carried_referrers(&self) -> impl Iterator<Item = &ReferrerRecord> {
        self.referrers
            .iter()
            .filter(|referrer| referrer.is_carried())
    }

    /// What is in the bundle of the image: its root, the manifests below it, and what is about
    /// these.
    pub(super) fn carries(&self, digest: Digest) -> bool {
        let manifests = self.manifests.iter().filter(|manifest| manifest.carried);
        let referrers = self
            .carried_referrers()
            .map(|referrer| referrer.target.digest);
        std::iter::once(self.target.digest)
            .chain(manifests.map(|manifest| manifest.digest))
            .chain(referrers)
            .any(|carried| carried == digest)
    }
}

impl ReferrerRecord {
    pub(crate) const fn is_carried(&self) -> bool {
        self.omitted.is_none()
    }

    pub(crate) fn kind(&self) -> String {
        kind_of(
            self.target.artifact_type.as_deref(),
            &self.predicates,
            self.tag.as_deref(),
        )
    }
}
