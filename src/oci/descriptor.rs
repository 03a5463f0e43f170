//! Content descriptors: what a blob is, how large, and which digest it must have.
//!
//! Follows the OCI image specification, `descriptor.md`. Fields this project has no use for are not
//! modelled; the raw bytes of the manifest around a descriptor are what is stored and pushed, so
//! nothing is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Digest, Platform, media_type};

/// The annotation that names the file that a content is.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";

/// A pointer to content: media type, digest and size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    /// Which platform an entry of an image index is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact the manifest behind this descriptor describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A descriptor as a document of others has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
    platform: Option<serde_json::Value>,
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Reads a descriptor out of a document of others, after [`super::go_json`] has brought it into
    /// form: its media type in lower case, and a platform only if it decides anything.
    pub(super) fn from_document(value: serde_json::Value) -> Result<Self, serde_json::Error> {
        let Written {
            media_type,
            digest,
            size,
            platform,
            artifact_type,
            annotations,
        } = serde_json::from_value(value)?;
        Ok(Self {
            media_type: media_type.to_ascii_lowercase(),
            digest,
            size,
            platform: platform.map(Platform::from_document).transpose()?.flatten(),
            artifact_type: artifact_type.filter(|artifact_type| !artifact_type.is_empty()),
            annotations,
        })
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            media_type::INDEX | media_type::DOCKER_LIST
        )
    }

    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.into(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Whether this entry of an index is a `BuildKit` attestation manifest (`SBOM`, provenance),
    /// not an image to run.
    ///
    /// Source: `BuildKit`, `docs/attestations/attestation-storage.md`.
    pub(crate) fn is_attestation(&self) -> bool {
        self.annotations
            .get("vnd.docker.reference.type")
            .is_some_and(|kind| kind == "attestation-manifest")
    }

    /// The annotations that mark an attestation manifest about an image manifest.
    pub(crate) fn attestation_annotations(attested: Digest) -> BTreeMap<String, String> {
        let pairs = [
            ("vnd.docker.reference.digest", attested.to_string()),
            (
                "vnd.docker.reference.type",
                "attestation-manifest".to_owned(),
            ),
        ];
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// Which image manifest an attestation manifest speaks about, when it is one and says so.
    pub(crate) fn attested_digest(&self) -> Option<Digest> {
        self.annotations
            .get("vnd.docker.reference.digest")?
            .parse()
            .ok()
    }
}
