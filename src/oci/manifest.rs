//! Image manifests and image indexes: the bytes that came, and what they say.
//!
//! The bytes are what is stored, hashed and pushed; parsing is a view. A document that is both an
//! index and an image, or whose media type contradicts its content, is refused: two readers could
//! disagree about it (CVE-2021-41190).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Descriptor, Digest, DigestError,
    go_json::{self, Shape},
};
use rune_core::failure::Failure;

/// Media types of the OCI image specification and Docker's image manifest version 2, schema 2.
pub mod media_type {
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub(crate) const DOCKER_LIST: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
}

/// The annotation by which a layer says what kind of statement it holds.
pub(crate) const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

#[derive(Debug, Clone)]
pub struct Manifest {
    bytes: Vec<u8>,
    digest: Digest,
    media_type: String,
    kind: ManifestKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestKind {
    Index {
        manifests: Vec<Descriptor>,
        /// The digests of entries that cannot be verified here: of an algorithm other than SHA-256.
        unsupported: Vec<String>,
    },
    Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
        /// The manifest this one refers to, if any.
        subject: Option<Box<Descriptor>>,
    },
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Content)]
pub enum ManifestError {
    #[error("not an image manifest or index: {0}")]
    Syntax(String),
    #[error("manifest schema version {0} is not supported, only 2 is")]
    SchemaVersion(u64),
    #[error("the document is not clearly either an image index or an image manifest: {0}")]
    Ambiguous(&'static str),
    #[error("media type `{stated}` does not fit the content, which is of type `{actual}`")]
    MediaType { stated: String, actual: String },
    #[error("media type `{0}` is not an OCI or Docker (schema 2) manifest")]
    Unsupported(String),
}

impl ManifestError {
    fn syntax(place: &str, error: &serde_json::Error) -> Self {
        let text = shown(error);
        Self::Syntax(if place.is_empty() {
            text
        } else {
            format!("`{place}`: {text}")
        })
    }
}

/// The reason of the parser, which may quote what it found.
fn shown(error: &serde_json::Error) -> String {
    error
        .to_string()
        .chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    /// Absent, it is 2: the programs in Go ignore it.
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: String,
    manifests: Option<Vec<Value>>,
    config: Option<Value>,
    layers: Option<Vec<Value>>,
    subject: Option<Value>,
}

impl Manifest {
    /// Parses bytes. `stated_media_type` is what the registry or the descriptor said; the
    /// document's own `mediaType`, when there is one, must agree with it.
    pub fn parse(bytes: Vec<u8>, stated_media_type: Option<&str>) -> Result<Self, ManifestError> {
        let value = go_json::read(&bytes, Shape::Manifest)
            .map_err(|error| ManifestError::syntax("", &error))?;
        let document: Document =
            serde_json::from_value(value).map_err(|error| ManifestError::syntax("", &error))?;
        if let Some(other) = document.schema_version.filter(|version| *version != 2) {
            return Err(ManifestError::SchemaVersion(other));
        }
        let own = Some(document.media_type.to_ascii_lowercase()).filter(|own| !own.is_empty());
        let stated = stated_media_type
            .map(str::to_ascii_lowercase)
            .filter(|stated| !stated.is_empty());
        let media_type = match (own, stated) {
            (Some(own), Some(stated)) if own != stated => {
                return Err(ManifestError::MediaType {
                    stated,
                    actual: own,
                });
            }
            (own, stated) => own.or(stated),
        };
        let kind = document.kind(media_type.as_deref())?;
        let media_type = media_type.unwrap_or_else(|| kind.oci_media_type().to_owned());
        Ok(Self {
            digest: Digest::of(&bytes),
            bytes,
            media_type,
            kind,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub const fn digest(&self) -> Digest {
        self.digest
    }

    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    pub const fn kind(&self) -> &ManifestKind {
        &self.kind
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor::of(self.media_type.clone(), &self.bytes)
    }

    /// The in-toto predicate types that an attestation manifest's layers state, sorted, each once.
    ///
    /// Source: `BuildKit`, `docs/attestations/attestation-storage.md`.
    pub(crate) fn predicate_types(&self) -> Vec<String> {
        let types: BTreeSet<&String> = self
            .children()
            .filter_map(|child| child.annotations.get(PREDICATE_TYPE))
            .collect();
        types.into_iter().cloned().collect()
    }

    /// Every descriptor this document refers to and that belongs to it: children of an index, or
    /// configuration and layers of an image. The subject is not among them.
    pub fn children(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, list) = match &self.kind {
            ManifestKind::Index { manifests, .. } => (None, manifests),
            ManifestKind::Image { config, layers, .. } => (Some(config), layers),
        };
        config.into_iter().chain(list)
    }
}

impl Document {
    /// What the document is. An empty list of the other kind does no harm: everybody reads it as
    /// nothing.
    fn kind(self, media_type: Option<&str>) -> Result<ManifestKind, ManifestError> {
        let has_manifests = self.manifests.as_ref().is_some_and(|list| !list.is_empty());
        let has_layers = self.layers.as_ref().is_some_and(|list| !list.is_empty());
        if has_manifests && (has_layers || self.config.is_some()) {
            return Err(ManifestError::Ambiguous(
                "it has both `manifests` and `config` or `layers`",
            ));
        }
        let is_index = match media_type {
            Some(media_type::INDEX | media_type::DOCKER_LIST) => true,
            Some(media_type::MANIFEST | media_type::DOCKER_MANIFEST) => false,
            Some(other) => return Err(ManifestError::Unsupported(other.to_owned())),
            None => self.config.is_none() && self.manifests.is_some(),
        };
        let contradicts = |actual: &str| {
            let stated = media_type.unwrap_or_default().to_owned();
            Err(ManifestError::MediaType {
                stated,
                actual: actual.to_owned(),
            })
        };
        if is_index {
            if self.config.is_some() || has_layers {
                return contradicts(media_type::MANIFEST);
            }
            let (manifests, unsupported) = entries(self.manifests.unwrap_or_default())?;
            return Ok(ManifestKind::Index {
                manifests,
                unsupported,
            });
        }
        if has_manifests || (self.config.is_none() && self.manifests.is_some()) {
            return contradicts(media_type::INDEX);
        }
        let Some(config) = self.config else {
            return Err(ManifestError::Ambiguous(
                "it has neither `manifests` nor `config`",
            ));
        };
        let layers = self.layers.unwrap_or_default().into_iter().enumerate();
        Ok(ManifestKind::Image {
            config: Descriptor::from_document(config)
                .map_err(|error| ManifestError::syntax("config", &error))?,
            layers: layers
                .map(|(position, layer)| {
                    Descriptor::from_document(layer).map_err(|error| {
                        ManifestError::syntax(&format!("layers[{position}]"), &error)
                    })
                })
                .collect::<Result<_, _>>()?,
            subject: (self.subject.map(Descriptor::from_document).transpose())
                .map_err(|error| ManifestError::syntax("subject", &error))?
                .map(Box::new),
        })
    }
}

/// The entries of an index, and the digests of those that are of an algorithm other than SHA-256.
fn entries(list: Vec<Value>) -> Result<(Vec<Descriptor>, Vec<String>), ManifestError> {
    let (mut manifests, mut unsupported) = (Vec::new(), Vec::new());
    for (position, entry) in list.into_iter().enumerate() {
        let digest = entry
            .get("digest")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match digest.parse::<Digest>() {
            Err(DigestError::Algorithm(_))
                if digest.starts_with("sha512:") || digest.starts_with("sha384:") =>
            {
                unsupported.push(digest.escape_debug().to_string());
            }
            _ => {
                let wrong =
                    |error| ManifestError::syntax(&format!("manifests[{position}]"), &error);
                manifests.push(Descriptor::from_document(entry).map_err(wrong)?);
            }
        }
    }
    Ok((manifests, unsupported))
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
    use rune_core::digest::Digest;

    fn parse(value: &serde_json::Value, stated: Option<&str>) -> Result<Manifest, ManifestError> {
        Manifest::parse(serde_json::to_vec(value).unwrap(), stated)
    }

    #[test]
    fn keeps_the_bytes_that_came() {
        let bytes = b"{ \"schemaVersion\": 2,\n \"manifests\": [] }".to_vec();
        let manifest = Manifest::parse(bytes.clone(), Some(media_type::INDEX)).unwrap();
        assert_eq!(manifest.bytes(), bytes);
        assert!(
            matches!(manifest.kind(), ManifestKind::Index { manifests, .. } if manifests.is_empty())
        );
    }

    #[test]
    fn refuses_a_document_that_is_index_and_image_at_once() {
        let config = Descriptor::of(media_type::CONFIG, b"{}");
        for (manifests, layers) in [
            (json!([config]), json!([config])),
            (json!([config]), json!([])),
        ] {
            let both = json!({"schemaVersion": 2, "manifests": manifests, "config": config, "layers": layers});
            for stated in [None, Some(media_type::MANIFEST), Some(media_type::INDEX)] {
                assert!(matches!(
                    parse(&both, stated),
                    Err(ManifestError::Ambiguous(_))
                ));
            }
        }
        assert!(matches!(
            parse(&json!({"schemaVersion": 2}), None),
            Err(ManifestError::Ambiguous(_))
        ));
        // What is empty says nothing.
        let image =
            json!({"schemaVersion": 2, "manifests": [], "config": config, "layers": [config]});
        assert!(
            matches!(parse(&image, None).unwrap().kind(), ManifestKind::Image { layers, .. } if layers.len() == 1)
        );
    }

    #[test]
    fn refuses_a_media_type_that_contradicts_the_content() {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": []});
        assert!(matches!(
            parse(&index, Some(media_type::MANIFEST)),
            Err(ManifestError::MediaType { .. })
        ));
        let lie = json!({"schemaVersion": 2, "mediaType": media_type::MANIFEST, "manifests": []});
        assert!(matches!(
            parse(&lie, None),
            Err(ManifestError::MediaType { .. })
        ));
    }

    #[test]
    fn media_types_are_compared_without_regard_to_case() {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX.to_uppercase(), "manifests": []});
        assert_eq!(
            parse(&index, Some("Application/Vnd.Oci.Image.Index.V1+Json"))
                .unwrap()
                .media_type(),
            media_type::INDEX
        );
        let config = json!({"mediaType": "Application/X", "digest": Digest::of(b"").to_string(), "size": 0, "annotations": null});
        assert!(parse(&json!({"config": config, "layers": []}), None).is_ok());
        let image = parse(
            &json!({"schemaVersion": 2, "config": config, "layers": null}),
            None,
        )
        .unwrap();
        assert!(
            matches!(image.kind(), ManifestKind::Image { config, layers, .. } if config.media_type == "application/x" && layers.is_empty())
        );
    }

    #[test]
    fn an_entry_of_another_algorithm_is_kept_apart() {
        let entry = |digest: String| json!({"mediaType": media_type::MANIFEST, "digest": digest, "size": 1});
        let sha512 = format!("sha512:{}", "a".repeat(128));
        let index = json!({"schemaVersion": 2, "manifests": [entry(sha512.clone()), entry(Digest::of(b"").to_string())]});
        let index = parse(&index, None).unwrap();
        let ManifestKind::Index {
            manifests,
            unsupported,
        } = index.kind()
        else {
            panic!("{index:?}")
        };
        assert_eq!((manifests.len(), unsupported), (1, &vec![sha512]));
    }

    #[test]
    fn the_place_of_a_mistake_is_named() {
        let entry = json!({"mediaType": "a", "digest": "sha256:x", "size": 1});
        let error = parse(&json!({"schemaVersion": 2, "manifests": [entry]}), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`manifests[0]`") && error.contains("sha256:x"),
            "{error}"
        );
        let error = Manifest::parse(b"\xef\xbb\xbf{}".to_vec(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1 column 1"), "{error}");
    }

    #[test]
    fn refuses_schema_version_1() {
        let old = json!({"schemaVersion": 1, "manifests": []});
        assert!(matches!(
            parse(&old, None),
            Err(ManifestError::SchemaVersion(1))
        ));
    }
}
