//! Manifests of artifacts that have no configuration.
//!
//! Source: OCI image specification 1.1, `manifest.md`, guidance for an empty descriptor.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Descriptor, media_type};
use crate::canonical_json::{self, CanonicalJsonError};

pub(crate) const EMPTY_CONFIG: &[u8] = b"{}";

const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArtifactManifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    artifact_type: &'a str,
    config: Descriptor,
    layers: Vec<&'a Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

impl<'a> ArtifactManifest<'a> {
    pub(crate) fn new(artifact_type: &'a str, layer: &'a Descriptor) -> Self {
        Self::of_layers(artifact_type, vec![layer])
    }

    pub(crate) fn of_layers(artifact_type: &'a str, layers: Vec<&'a Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media_type::MANIFEST,
            artifact_type,
            config: Self::empty_config(),
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn empty_config() -> Descriptor {
        Descriptor::of(EMPTY_TYPE, EMPTY_CONFIG)
    }

    /// What the artifact is about. Of its descriptor only type, digest and size are kept.
    pub(crate) fn about(self, subject: &Descriptor) -> Self {
        let subject = Descriptor {
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
            ..subject.clone()
        };
        Self {
            subject: Some(subject),
            ..self
        }
    }

    pub(crate) fn with_annotations(self, annotations: BTreeMap<&'a str, &'a str>) -> Self {
        Self {
            annotations,
            ..self
        }
    }

    pub(crate) fn write(&self) -> Result<(Descriptor, Vec<u8>), CanonicalJsonError> {
        let bytes = canonical_json::to_bytes(self)?;
        let descriptor = Descriptor {
            artifact_type: Some(self.artifact_type.to_owned()),
            ..Descriptor::of(media_type::MANIFEST, &bytes)
        };
        Ok((descriptor, bytes))
    }
}
