//! The lock's entry of what hangs on an image: an artifact about one of its manifests.

use serde::{Deserialize, Serialize};

use super::{Blob, LockedContent, LockedImage, LockedSbom, PulledImage};
use crate::{evidence::kind_of, registry::RepositoryName};
use rune_core::digest::Digest;

/// An artifact about a manifest that is included, or about another such artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedReferrer {
    pub(crate) subject: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    /// The predicate types that it states, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) predicates: Vec<String>,
    /// The tag under which the registry has it, when it is kept in the way of cosign's tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// Where the registry has it, when that is not the repository of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<RepositoryName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) omitted: Option<String>,
    pub(crate) manifest: Blob,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) blobs: Vec<Blob>,
    /// The layers that may hold a signature.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) statements: Vec<Digest>,
}

impl LockedReferrer {
    pub(crate) const fn is_carried(&self) -> bool {
        self.omitted.is_none()
    }

    pub(super) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.manifest).chain(&self.blobs)
    }

    pub(crate) fn kind(&self) -> String {
        kind_of(
            self.artifact_type.as_deref(),
            &self.predicates,
            self.tag.as_deref(),
        )
    }
}

impl LockedImage {
    /// What hangs on the image, if the other is the same image.
    pub(super) fn referrers_beside(&self, other: Option<&Self>) -> &[LockedReferrer] {
        self.pulled_beside(other).map_or(&[], |own| &own.referrers)
    }

    /// Its generated SBOMs, if the other is the same image.
    pub(super) fn sboms_beside(&self, other: Option<&Self>) -> &[LockedSbom] {
        self.pulled_beside(other).map_or(&[], |own| &own.sboms)
    }

    fn pulled_beside(&self, other: Option<&Self>) -> Option<&PulledImage> {
        let pulled = |image: &'_ Self| match &image.content {
            LockedContent::Registry(pulled) => Some(pulled.root.digest),
            LockedContent::Build(_) => None,
        };
        match &self.content {
            LockedContent::Registry(own) if other.and_then(pulled) == Some(own.root.digest) => {
                Some(own)
            }
            _ => None,
        }
    }
}

impl PulledImage {
    pub(crate) fn carried_referrers(&self) -> impl Iterator<Item = &LockedReferrer> {
        self.referrers
            .iter()
            .filter(|referrer| referrer.is_carried())
    }

    /// The manifests that something included may be about: the root, and what is included below it.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = Digest> {
        let carried = self.contents().filter(|content| content.carried);
        std::iter::once(self.root.digest).chain(carried.map(|content| content.manifest.digest))
    }

    /// The first included referrer whose subject is not included.
    pub(super) fn first_stray_referrer(&self) -> Option<Digest> {
        let is_carried = |subject: Digest| {
            let of_image = self.subjects();
            let of_referrers = self
                .carried_referrers()
                .map(|referrer| referrer.manifest.digest);
            of_image.chain(of_referrers).any(|known| known == subject)
        };
        let mut referrers = self.carried_referrers();
        referrers
            .find(|referrer| !is_carried(referrer.subject))
            .map(|referrer| referrer.manifest.digest)
    }
}
