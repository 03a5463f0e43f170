//! Image manifests and image indexes: the bytes that came, and what they say.
//!
//! The bytes are what is stored, hashed and pushed; parsing is a view. A document that is both an index and
//! an image, or whose media type contradicts its content, is refused: two readers could disagree about it
//! (CVE-2021-41190).

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Descriptor, Digest};
use crate::failure::{Failure, FailureKind};

/// Media types of the OCI image specification and Docker's image manifest version 2, schema 2.
pub mod media_type {
    /// OCI image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI image layer, gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
}

/// The annotation by which a layer says what kind of statement it holds.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

/// A manifest or index: its exact bytes, its descriptor's fields, and its parsed content.
#[derive(Debug, Clone)]
pub struct Manifest {
    bytes: Vec<u8>,
    digest: Digest,
    media_type: String,
    kind: ManifestKind,
}

/// What a manifest document is.
#[expect(clippy::large_enum_variant, reason = "there are few of them, and each is used at once")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestKind {
    /// An image index: manifests of several platforms.
    Index {
        /// The entries, in the order of the document.
        manifests: Vec<Descriptor>,
    },
    /// An image (or artifact) manifest.
    Image {
        /// The configuration blob.
        config: Descriptor,
        /// The layers, in the order of the document.
        layers: Vec<Descriptor>,
        /// The manifest this one refers to, if any.
        subject: Option<Box<Descriptor>>,
    },
}

/// Why bytes are not a manifest this project carries.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or a required field is missing or malformed.
    #[error("not an image manifest or index")]
    Syntax(#[source] serde_json::Error),
    /// The schema version is not 2.
    #[error("manifest schema version {0} is not supported, only 2 is")]
    SchemaVersion(u64),
    /// The document has the fields of an index and of an image, or of neither.
    #[error("the document is not clearly either an image index or an image manifest")]
    Ambiguous,
    /// The media type of the document contradicts what it contains, or what the server said.
    #[error("media type `{stated}` does not fit the content, which is of type `{actual}`")]
    MediaType {
        /// What was said.
        stated: String,
        /// What it is.
        actual: String,
    },
    /// The media type is none that this project carries.
    #[error("media type `{0}` is not an OCI or Docker (schema 2) manifest")]
    Unsupported(String),
}

impl Failure for ManifestError {
    fn kind(&self) -> FailureKind {
        FailureKind::Content
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    subject: Option<Box<Descriptor>>,
}

impl Manifest {
    /// Parses bytes. `stated_media_type` is what the registry or the descriptor said; the document's own
    /// `mediaType`, when there is one, must agree with it.
    ///
    /// # Errors
    /// When the bytes are not a schema 2 manifest or index, or its media types contradict each other.
    pub fn parse(bytes: Vec<u8>, stated_media_type: Option<&str>) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(&bytes).map_err(ManifestError::Syntax)?;
        if document.schema_version != 2 {
            return Err(ManifestError::SchemaVersion(document.schema_version));
        }
        let kind = match (document.manifests, document.config, document.layers) {
            (Some(manifests), None, None) => ManifestKind::Index { manifests },
            (None, Some(config), Some(layers)) => ManifestKind::Image { config, layers, subject: document.subject },
            _ => return Err(ManifestError::Ambiguous),
        };
        let media_type = match (document.media_type, stated_media_type) {
            (Some(own), Some(stated)) if own != stated => {
                return Err(ManifestError::MediaType { stated: stated.to_owned(), actual: own });
            }
            (Some(own), _) => own,
            (None, Some(stated)) => stated.to_owned(),
            (None, None) => kind.oci_media_type().to_owned(),
        };
        let is_index = match media_type.as_str() {
            media_type::INDEX | media_type::DOCKER_LIST => true,
            media_type::MANIFEST | media_type::DOCKER_MANIFEST => false,
            _ => return Err(ManifestError::Unsupported(media_type)),
        };
        if is_index != matches!(kind, ManifestKind::Index { .. }) {
            return Err(ManifestError::MediaType { stated: media_type, actual: kind.oci_media_type().to_owned() });
        }
        Ok(Self { digest: Digest::of(&bytes), bytes, media_type, kind })
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the exact bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The digest of the bytes, computed here.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The media type of the document.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The parsed content.
    pub const fn kind(&self) -> &ManifestKind {
        &self.kind
    }

    /// A descriptor that points at this document.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.media_type.clone(), &self.bytes)
    }

    /// The in-toto predicate types that an attestation manifest's layers state, sorted, each once.
    ///
    /// Source: `BuildKit`, `docs/attestations/attestation-storage.md`.
    pub fn predicate_types(&self) -> Vec<String> {
        let types: BTreeSet<&String> = self.children().filter_map(|child| child.annotations.get(PREDICATE_TYPE)).collect();
        types.into_iter().cloned().collect()
    }

    /// Every descriptor this document refers to and that belongs to it: children of an index, or
    /// configuration and layers of an image. The subject is not among them.
    pub fn children(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, list) = match &self.kind {
            ManifestKind::Index { manifests } => (None, manifests),
            ManifestKind::Image { config, layers, .. } => (Some(config), layers),
        };
        config.into_iter().chain(list)
    }
}

impl ManifestKind {
    const fn oci_media_type(&self) -> &'static str {
        match self {
            Self::Index { .. } => media_type::INDEX,
            Self::Image { .. } => media_type::MANIFEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Manifest, ManifestError, ManifestKind, media_type};
    use crate::oci::Descriptor;

    fn parse(value: &serde_json::Value, stated: Option<&str>) -> Result<Manifest, ManifestError> {
        Manifest::parse(serde_json::to_vec(value).unwrap(), stated)
    }

    #[test]
    fn keeps_the_bytes_that_came() {
        let bytes = b"{ \"schemaVersion\": 2,\n \"manifests\": [] }".to_vec();
        let manifest = Manifest::parse(bytes.clone(), Some(media_type::INDEX)).unwrap();
        assert_eq!(manifest.bytes(), bytes);
        assert!(matches!(manifest.kind(), ManifestKind::Index { manifests } if manifests.is_empty()));
    }

    #[test]
    fn refuses_a_document_that_is_index_and_image_at_once() {
        let config = Descriptor::of(media_type::CONFIG, b"{}");
        let both = json!({"schemaVersion": 2, "manifests": [], "config": config, "layers": []});
        assert!(matches!(parse(&both, None), Err(ManifestError::Ambiguous)));
        assert!(matches!(parse(&json!({"schemaVersion": 2}), None), Err(ManifestError::Ambiguous)));
    }

    #[test]
    fn refuses_a_media_type_that_contradicts_the_content() {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": []});
        assert!(matches!(parse(&index, Some(media_type::MANIFEST)), Err(ManifestError::MediaType { .. })));
        let lie = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "manifests": []});
        assert!(matches!(parse(&lie, None), Err(ManifestError::MediaType { .. })));
    }

    #[test]
    fn refuses_schema_version_1() {
        let old = json!({"schemaVersion": 1, "manifests": []});
        assert!(matches!(parse(&old, None), Err(ManifestError::SchemaVersion(1))));
    }
}
