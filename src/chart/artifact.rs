//! A chart as an OCI artifact, as `helm push` stores it: its metadata as configuration, the `.tgz`
//! as the first layer, its provenance as the second if it is signed.
//!
//! Helm also writes the moment of pushing into the manifest; here there is none, so that the digest
//! depends on the chart alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ChartError, ChartMetadata, ChartVersion, Maintainer, Package};
use crate::oci::{Descriptor, media_type};

const CONFIG_TYPE: &str = "application/vnd.cncf.helm.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const PROVENANCE_TYPE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";

/// Media type of the layer before Helm 3.7.
const EARLY_LAYER_TYPE: &str = "application/tar+gzip";

pub(crate) fn is_config_type(media_type: &str) -> bool {
    media_type == CONFIG_TYPE
}

pub(crate) fn is_archive_type(media_type: &str) -> bool {
    [LAYER_TYPE, EARLY_LAYER_TYPE].contains(&media_type)
}

pub(crate) fn is_provenance_type(media_type: &str) -> bool {
    media_type == PROVENANCE_TYPE
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartArtifact {
    pub manifest: Blob,
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
        Self {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes,
        }
    }
}

impl ChartArtifact {
    /// The artifact of a packaged chart: what a registry has of it, or a new one.
    pub fn new(package: &Package) -> Result<Self, ChartError> {
        if let Some(published) = &package.published {
            return Ok(published.clone());
        }
        let config = Blob::new(CONFIG_TYPE, sorted_json(&package.metadata)?);
        let mut layers = vec![Blob::new(LAYER_TYPE, package.bytes.clone())];
        layers.extend(
            package
                .provenance
                .clone()
                .map(|provenance| Blob::new(PROVENANCE_TYPE, provenance)),
        );
        let manifest = sorted_json(&ManifestDocument {
            schema_version: 2,
            media_type: media_type::MANIFEST,
            config: &config.descriptor,
            layers: layers.iter().map(|layer| &layer.descriptor).collect(),
            annotations: annotations(&package.metadata),
        })?;
        Ok(Self {
            manifest: Blob::new(media_type::MANIFEST, manifest),
            config,
            layers,
        })
    }

    /// The tag under which Helm looks for a version: a `+` cannot stand in a tag and becomes `_`.
    pub fn tag(metadata: &ChartMetadata) -> String {
        Self::tag_of(&metadata.version)
    }

    pub(crate) fn tag_of(version: &ChartVersion) -> String {
        version.as_str().replace('+', "_")
    }
}

/// JSON with sorted keys and nothing between. Keys of annotations need not be ASCII, and numbers in
/// `import-values` may be any.
fn sorted_json<T: Serialize>(value: &T) -> Result<Vec<u8>, ChartError> {
    serde_json::to_value(value)
        .and_then(|value| serde_json::to_vec(&value))
        .map_err(ChartError::Json)
}

/// The annotations that Helm writes: the standard ones derived from the metadata, and the chart's
/// own, which win but for name and version.
fn annotations(metadata: &ChartMetadata) -> BTreeMap<String, String> {
    let standard = |name: &str, value: &str| {
        (!value.trim().is_empty())
            .then(|| (format!("org.opencontainers.image.{name}"), value.to_owned()))
    };
    let author = |maintainer: &Maintainer| {
        if maintainer.email.is_empty() {
            maintainer.name.clone()
        } else {
            format!("{} ({})", maintainer.name, maintainer.email)
        }
    };
    let authors: Vec<String> = metadata.maintainers.iter().map(author).collect();
    let derived = [
        standard("description", &metadata.description),
        standard("url", &metadata.home),
        standard(
            "source",
            metadata.sources.first().map_or("", String::as_str),
        ),
        standard("authors", &authors.join(", ")),
    ];
    let fixed = [
        standard("title", &metadata.name),
        standard("version", metadata.version.as_str()),
    ];
    let own = metadata.annotations.clone();
    derived
        .into_iter()
        .flatten()
        .chain(own)
        .chain(fixed.into_iter().flatten())
        .collect()
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::ChartArtifact;
    use crate::{
        chart::{ChartMetadata, Package},
        oci::Manifest,
    };
    use rune_core::digest::Digest;

    #[test]
    fn the_manifest_names_config_and_layer_and_never_a_time() {
        let text = "apiVersion: v2\nname: demo\nversion: 1.2.3+b.1\ndescription: A \
                    demo\nmaintainers: [{ name: A, email: a@example.org }, \
                    { name: B }]\nannotations: \
                    { org.opencontainers.image.title: other, org.opencontainers.image.url: https://own.example, ключ: '1' }\nhome: \
                    https://home.example\n";
        let metadata = ChartMetadata::parse(Utf8Path::new("demo"), text.as_bytes(), None).unwrap();
        assert_eq!(ChartArtifact::tag(&metadata), "1.2.3_b.1");
        let artifact = ChartArtifact::new(&Package {
            metadata,
            bytes: b"tgz".to_vec(),
            provenance: None,
            published: None,
        })
        .unwrap();
        assert_eq!(artifact.layers[0].descriptor.digest, Digest::of(b"tgz"));
        let manifest = String::from_utf8(artifact.manifest.bytes.clone()).unwrap();
        assert!(
            manifest.contains(r#""org.opencontainers.image.authors":"A (a@example.org), B""#),
            "{manifest}"
        );
        assert!(
            manifest.contains(r#""org.opencontainers.image.title":"demo""#),
            "{manifest}"
        );
        assert!(
            manifest.contains(r#""org.opencontainers.image.url":"https://own.example""#),
            "{manifest}"
        );
        assert!(!manifest.contains("created"), "{manifest}");
        let config = String::from_utf8(artifact.config.bytes).unwrap();
        assert!(
            config.starts_with(r#"{"annotations":{"#)
                && config.contains(r#""version":"1.2.3+b.1""#),
            "{config}"
        );
        Manifest::parse(artifact.manifest.bytes, None).unwrap();
    }
}
