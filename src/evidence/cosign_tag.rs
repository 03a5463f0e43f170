//! The tags under which cosign keeps what is about an image, where it does not use referrers.
//!
//! Source: cosign, `specs/SIGNATURE_SPEC.md`: the digest of the image with `-` for `:`, and a
//! suffix.

use rune_core::digest::Digest;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CosignTag {
    Signatures,
    Attestations,
    Sbom,
}

impl CosignTag {
    pub(crate) const ALL: [Self; 3] = [Self::Signatures, Self::Attestations, Self::Sbom];

    pub(crate) fn of(self, image: Digest) -> String {
        format!("sha256-{}.{}", image.hex(), self.suffix())
    }

    pub(crate) fn parse(tag: &str) -> Option<Self> {
        let (_, suffix) = tag.rsplit_once('.')?;
        Self::ALL.into_iter().find(|kind| kind.suffix() == suffix)
    }

    pub(crate) fn is_for(tag: &str, image: Digest) -> bool {
        Self::parse(tag).is_some_and(|kind| kind.of(image) == tag)
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Signatures => "sig",
            Self::Attestations => "att",
            Self::Sbom => "sbom",
        }
    }
}
