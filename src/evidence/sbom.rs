//! Which artifacts are lists of what is in an image (SBOMs), and where one was found.
//!
//! Sources: cosign, `pkg/types/media.go` (types of `cosign attach sbom`); in-toto attestation,
//! `spec/predicates` (SPDX, `CycloneDX`); IANA (`application/spdx+json`).

use serde::{Deserialize, Serialize};

use super::CosignTag;
use rune_core::digest::Digest;

const PREDICATES: [(&str, SbomFormat); 2] = [
    ("https://spdx.dev/Document", SbomFormat::Spdx),
    ("https://cyclonedx.org/bom", SbomFormat::CycloneDx),
];

/// The types of SBOMs, without parameters and without the encoding behind `+`.
const TYPES: [(&str, SbomFormat); 4] = [
    ("text/spdx", SbomFormat::Spdx),
    ("application/spdx", SbomFormat::Spdx),
    ("application/vnd.cyclonedx", SbomFormat::CycloneDx),
    ("application/vnd.syft", SbomFormat::Syft),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum SbomFormat {
    #[serde(rename = "spdx")]
    Spdx,
    #[serde(rename = "cyclonedx")]
    CycloneDx,
    #[serde(rename = "syft")]
    Syft,
    /// It lies under the tag of SBOMs and does not say what it is.
    #[serde(rename = "unknown")]
    Unknown,
}

/// In which way an SBOM comes with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SbomSource {
    Attestation,
    Referrer,
    Tag,
    /// The publisher has none, and `lock` had one generated.
    Generated,
}

/// An SBOM of an image. Nobody has verified it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FoundSbom {
    pub(crate) source: SbomSource,
    pub(crate) format: SbomFormat,
    /// Of the manifest that has it; of a generated one, its own.
    pub(crate) digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool: Option<String>,
}

impl SbomFormat {
    /// The format that a predicate type says, in whatever version.
    pub(crate) fn of_predicate(predicate: &str) -> Option<Self> {
        let is_of = |family: &str| {
            let rest = predicate.strip_prefix(family);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut known = PREDICATES.into_iter();
        known.find_map(|(family, format)| is_of(family).then_some(format))
    }

    fn of_type(stated: &str) -> Option<Self> {
        let plain = stated.split(';').next().unwrap_or_default().trim();
        let plain = plain.split('+').next().unwrap_or_default();
        let mut known = TYPES.into_iter();
        known.find_map(|(name, format)| plain.eq_ignore_ascii_case(name).then_some(format))
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Spdx => "SPDX",
            Self::CycloneDx => "CycloneDX",
            Self::Syft => "Syft JSON",
            Self::Unknown => "unknown format",
        }
    }
}

impl FoundSbom {
    /// The SBOMs in an attestation within an index, by the predicate types that it states.
    pub(crate) fn in_attestation(digest: Digest, predicates: &[String]) -> Vec<Self> {
        Self::of_predicates(SbomSource::Attestation, digest, predicates)
    }

    /// The SBOMs in an artifact about an image.
    pub(crate) fn in_referrer(
        digest: Digest,
        artifact_type: Option<&str>,
        predicates: &[String],
        tag: Option<&str>,
    ) -> Vec<Self> {
        let source = match tag {
            Some(_) => SbomSource::Tag,
            None => SbomSource::Referrer,
        };
        let stated = Self::of_predicates(source, digest, predicates);
        if !stated.is_empty() {
            return stated;
        }
        let is_tag_of_sboms = tag.and_then(CosignTag::parse) == Some(CosignTag::Sbom);
        let format = artifact_type
            .and_then(SbomFormat::of_type)
            .or_else(|| is_tag_of_sboms.then_some(SbomFormat::Unknown));
        let found = format.map(|format| Self {
            source,
            format,
            digest,
            tool: None,
        });
        found.into_iter().collect()
    }

    /// An SBOM that was generated when the image was locked.
    pub(crate) fn generated(format: SbomFormat, digest: Digest, tool: &str) -> Self {
        Self {
            source: SbomSource::Generated,
            format,
            digest,
            tool: Some(tool.to_owned()),
        }
    }

    fn of_predicates(source: SbomSource, digest: Digest, predicates: &[String]) -> Vec<Self> {
        let formats = predicates
            .iter()
            .filter_map(|predicate| SbomFormat::of_predicate(predicate));
        let mut found: Vec<Self> = formats
            .map(|format| Self {
                source,
                format,
                digest,
                tool: None,
            })
            .collect();
        found.dedup();
        found
    }

    pub(crate) fn sentence(&self) -> String {
        let source = match self.source {
            SbomSource::Attestation => "attestation",
            SbomSource::Referrer => "referrer",
            SbomSource::Tag => "tag",
            SbomSource::Generated => {
                let tool = self.tool.as_deref().unwrap_or_default();
                &format!("generated by {tool} at lock,")
            }
        };
        format!("{}, {source} {}", self.format.name(), self.digest)
    }
}

/// A serial number of a `CycloneDX` document: a UUID of version 8, whose bits are those of the
/// digest of the document without it.
pub(crate) fn serial_number(document: &[u8]) -> String {
    let hex = Digest::of(document).hex();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0..8),
        part(8..12),
        part(12..15),
        part(15..18),
        part(18..30)
    )
}

#[cfg(test)]
mod tests {
    use super::{FoundSbom, SbomFormat, SbomSource};
    use rune_core::digest::Digest;

    fn found(
        artifact_type: &str,
        predicates: &[&str],
        tag: Option<&str>,
    ) -> Vec<(SbomSource, SbomFormat)> {
        let predicates: Vec<String> = predicates.iter().map(ToString::to_string).collect();
        let digest = Digest::of(b"");
        FoundSbom::in_referrer(digest, Some(artifact_type), &predicates, tag)
            .into_iter()
            .map(|sbom| (sbom.source, sbom.format))
            .collect()
    }

    #[test]
    fn an_sbom_is_known_by_its_predicate_its_type_or_its_tag() {
        use SbomFormat::{CycloneDx, Spdx, Syft, Unknown};
        use SbomSource::{Referrer, Tag};
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        assert_eq!(
            found(bundle, &["https://spdx.dev/Document/v2.3"], None),
            [(Referrer, Spdx)]
        );
        assert_eq!(
            found("application/vnd.cyclonedx+json;version=1.5", &[], None),
            [(Referrer, CycloneDx)]
        );
        assert_eq!(
            found("text/spdx+json", &[], Some("sha256-0.sbom")),
            [(Tag, Spdx)]
        );
        assert_eq!(
            found("application/vnd.syft+json", &[], None),
            [(Referrer, Syft)]
        );
        assert_eq!(
            found("text/x", &[], Some("sha256-0.sbom")),
            [(Tag, Unknown)]
        );
    }

    #[test]
    fn signatures_and_other_statements_are_no_sboms() {
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        for predicate in [
            "https://sigstore.dev/cosign/sign/v1",
            "https://slsa.dev/provenance/v1",
            "https://spdx.dev/Documents",
            "https://cyclonedx.org/vex",
        ] {
            assert_eq!(found(bundle, &[predicate], None), [], "{predicate}");
        }
        assert_eq!(found("text/spdxx", &[], Some("sha256-0.att")), []);
    }
}
