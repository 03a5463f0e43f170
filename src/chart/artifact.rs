//! A chart as an OCI artifact, as `helm push` stores it: its metadata as configuration, the `.tgz` as the first layer, its
//! provenance as the second if it is signed.
//!
//! Helm also writes the moment of pushing into the manifest; here there is none, so that the digest depends on the chart alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ChartError, ChartMetadata, Package};
use crate::{
    canonical_json,
    oci::{Descriptor, media_type},
};

/// Media type of the configuration.
const CONFIG_TYPE: &str = "application/vnd.cncf.helm.config.v1+json";
/// Media type of the layer.
const LAYER_TYPE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// Media type of the layer with the provenance.
const PROVENANCE_TYPE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";

/// Bytes and the descriptor that names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The blobs of a chart in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartArtifact {
    /// The manifest.
    pub manifest: Blob,
    /// The metadata.
    pub config: Blob,
    /// The `.tgz`, and its provenance if there is one.
    pub layers: Vec<Blob>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestDocument<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: &'a Descriptor,
    layers: Vec<&'a Descriptor>,
    annotations: BTreeMap<String, String>,
}

impl Blob {
    fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}

impl ChartArtifact {
    /// Makes the artifact of a packaged chart.
    ///
    /// # Errors
    /// When the metadata has no canonical JSON form.
    pub fn new(package: &Package) -> Result<Self, ChartError> {
        let config = Blob::new(CONFIG_TYPE, canonical_json::to_bytes(&package.metadata)?);
        let mut layers = vec![Blob::new(LAYER_TYPE, package.bytes.clone())];
        layers.extend(package.provenance.clone().map(|provenance| Blob::new(PROVENANCE_TYPE, provenance)));
        let manifest = canonical_json::to_bytes(&ManifestDocument {
            schema_version: 2,
            media_type: media_type::MANIFEST,
            config: &config.descriptor,
            layers: layers.iter().map(|layer| &layer.descriptor).collect(),
            annotations: annotations(&package.metadata),
        })?;
        Ok(Self { manifest: Blob::new(media_type::MANIFEST, manifest), config, layers })
    }

    /// The tag under which Helm looks for a version: a `+` cannot stand in a tag and becomes `_`.
    pub fn tag(metadata: &ChartMetadata) -> String {
        metadata.version.to_string().replace('+', "_")
    }
}

/// The annotations that Helm writes: the chart's own, and the standard ones derived from its metadata.
fn annotations(metadata: &ChartMetadata) -> BTreeMap<String, String> {
    let mut annotations = metadata.annotations.clone();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            annotations.insert(format!("org.opencontainers.image.{name}"), value);
        }
    };
    let authors: Vec<String> = metadata
        .maintainers
        .iter()
        .map(|maintainer| {
            maintainer.email.as_ref().map_or_else(|| maintainer.name.clone(), |email| format!("{} ({email})", maintainer.name))
        })
        .collect();
    set("title", Some(metadata.name.clone()));
    set("version", Some(metadata.version.to_string()));
    set("description", metadata.description.clone());
    set("url", metadata.home.clone());
    set("source", metadata.sources.first().cloned());
    set("authors", Some(authors.join(", ")));
    annotations
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::ChartArtifact;
    use crate::{
        chart::{ChartMetadata, Package},
        oci::{Digest, Manifest},
    };

    #[test]
    fn the_manifest_names_config_and_layer_and_never_a_time() {
        let text = "apiVersion: v2\nname: demo\nversion: 1.2.3+b.1\ndescription: A demo\nmaintainers: [{ name: A, email: a@example.org }, { name: B }]\nannotations: { org.opencontainers.image.title: other }\n";
        let metadata = ChartMetadata::parse(Utf8Path::new("Chart.yaml"), text).unwrap();
        assert_eq!(ChartArtifact::tag(&metadata), "1.2.3_b.1");
        let artifact = ChartArtifact::new(&Package { metadata, bytes: b"tgz".to_vec(), provenance: None }).unwrap();
        assert_eq!(artifact.layers[0].descriptor.digest, Digest::of(b"tgz"));
        let manifest = String::from_utf8(artifact.manifest.bytes.clone()).unwrap();
        assert!(manifest.contains(r#""org.opencontainers.image.authors":"A (a@example.org), B""#), "{manifest}");
        assert!(manifest.contains(r#""org.opencontainers.image.title":"demo""#), "{manifest}");
        assert!(!manifest.contains("created"), "{manifest}");
        let config = String::from_utf8(artifact.config.bytes).unwrap();
        assert!(config.starts_with(r#"{"annotations":{"#) && config.contains(r#""version":"1.2.3+b.1""#), "{config}");
        Manifest::parse(artifact.manifest.bytes, None).unwrap();
    }
}
