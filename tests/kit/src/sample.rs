//! A small multi-platform image in the shape of a Docker official image.
//!
//! Three platforms, each with an attestation manifest under the platform `unknown/unknown`. The
//! bytes depend on the [`Sample`] alone. It is not the software it may be named after, and says so
//! in its labels and annotations.

use std::{fs, path::Path};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::sha256;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The label and annotation that marks a sample.
pub const MARK: &str = "io.rune.sample";
const MARK_TEXT: &str = "a sample for tests and the demo, not the software it is named after";

/// What a sample image is made of.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Operating system, architecture and variant of each platform.
    pub platforms: Vec<(&'static str, &'static str, Option<&'static str>)>,
    /// Bytes of content in each layer of each platform.
    pub layer_bytes: Vec<usize>,
    /// The files of one more layer of each platform, by path, if there are any.
    pub files: Vec<(&'static str, String)>,
    /// Whether each platform has an attestation manifest.
    pub attestations: bool,
    /// The packages that the attestations list, with their versions; without any they say nothing
    /// about packages.
    pub packages: Vec<(&'static str, &'static str)>,
    /// Labels of the image besides the mark.
    pub labels: Vec<(String, String)>,
    /// A word that makes the content differ from that of other samples.
    pub seed: String,
}

/// A finished image: its index and everything below it.
#[derive(Debug, Clone)]
pub struct Image {
    /// The image index.
    pub index: Document,
    /// The manifests that the index names, attestations included, in its order.
    pub manifests: Vec<Document>,
    /// Configurations and layers.
    pub blobs: Vec<Vec<u8>>,
}

/// A manifest or index.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its media type.
    pub media_type: &'static str,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

impl Document {
    fn of(media_type: &'static str, value: &Value) -> Self {
        Self {
            media_type,
            bytes: serde_json::to_vec_pretty(value).unwrap(),
        }
    }

    /// Its digest, `sha256:<hex>`.
    pub fn digest(&self) -> String {
        sha256(&self.bytes)
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len()})
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            platforms: vec![
                ("linux", "amd64", None),
                ("linux", "arm64", Some("v8")),
                ("linux", "arm", Some("v7")),
            ],
            layer_bytes: vec![40_000, 3_000],
            files: Vec::new(),
            attestations: true,
            packages: Vec::new(),
            labels: Vec::new(),
            seed: String::new(),
        }
    }
}

impl Sample {
    /// Makes the image.
    pub fn build(&self) -> Image {
        let mut image = Image {
            index: Document::of(INDEX, &json!({})),
            manifests: Vec::new(),
            blobs: Vec::new(),
        };
        let mut attestations = Vec::new();
        let mut entries = Vec::new();
        for (os, architecture, variant) in &self.platforms {
            let mut platform = json!({"os": os, "architecture": architecture});
            if let Some(variant) = variant {
                platform["variant"] = json!(variant);
            }
            let manifest = self.platform_manifest(&platform, &mut image.blobs);
            let mut entry = manifest.descriptor();
            entry["platform"] = platform;
            entry["annotations"] = json!({MARK: MARK_TEXT});
            if self.attestations {
                attestations.push(attestation_of(&manifest, &self.packages, &mut image.blobs));
            }
            entries.push(entry);
            image.manifests.push(manifest);
        }
        for (entry, manifest) in attestations {
            entries.push(entry);
            image.manifests.push(manifest);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, "annotations": {MARK: MARK_TEXT}});
        image.index = Document::of(INDEX, &index);
        image
    }

    fn platform_manifest(&self, platform: &Value, blobs: &mut Vec<Vec<u8>>) -> Document {
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        let noise = self.layer_bytes.iter().enumerate().map(|(number, bytes)| {
            let content = noise(&format!("{}{platform}{number}", self.seed), *bytes);
            vec![(format!("sample-{number}"), content)]
        });
        let files = self.files.iter();
        let files: Vec<_> = files
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect();
        for files in noise.chain((!files.is_empty()).then_some(files)) {
            let (diff_id, layer) = layer(&files);
            layers.push(json!({"mediaType": LAYER, "digest": sha256(&layer), "size": layer.len()}));
            diff_ids.push(diff_id);
            blobs.push(layer);
        }
        let mut config = platform.clone();
        config["config"] =
            json!({"User": "70:70", "Labels": {MARK: MARK_TEXT}, "Cmd": ["/sample-0"]});
        for (label, text) in &self.labels {
            config["config"]["Labels"][label] = json!(text);
        }
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = serde_json::to_vec(&config).unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": sha256(&config), "size": config.len()},
            "layers": layers,
            "annotations": {MARK: MARK_TEXT},
        });
        blobs.push(config);
        Document::of(MANIFEST, &manifest)
    }
}

impl Image {
    /// Writes the image as an OCI layout that foreign tools read, under the name `name`.
    pub fn write_layout(&self, directory: &Path, name: &str) {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let documents = std::iter::once(&self.index)
            .chain(&self.manifests)
            .map(|document| &document.bytes);
        for bytes in documents.chain(&self.blobs) {
            fs::write(
                blobs.join(sha256(bytes).trim_start_matches("sha256:")),
                bytes,
            )
            .unwrap();
        }
        let mut root = self.index.descriptor();
        root["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [root]});
        fs::write(directory.join("index.json"), index.to_string()).unwrap();
        fs::write(
            directory.join("oci-layout"),
            json!({"imageLayoutVersion": "1.0.0"}).to_string(),
        )
        .unwrap();
    }

    /// The number of bytes of all distinct manifests and blobs.
    pub fn total_bytes(&self) -> u64 {
        let documents = std::iter::once(&self.index)
            .chain(&self.manifests)
            .map(|document| &document.bytes);
        let distinct: std::collections::BTreeMap<String, usize> = documents
            .chain(&self.blobs)
            .map(|bytes| (sha256(bytes), bytes.len()))
            .collect();
        distinct.values().map(|bytes| *bytes as u64).sum()
    }
}

/// An attestation manifest in the form that `docker buildx` writes, and its entry in the index.
fn attestation_of(
    subject: &Document,
    packages: &[(&str, &str)],
    blobs: &mut Vec<Vec<u8>>,
) -> (Value, Document) {
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    for predicate in [
        "https://spdx.dev/Document",
        "https://slsa.dev/provenance/v1",
    ] {
        let subject = json!([{"name": "sample", "digest": {"sha256": subject.digest().trim_start_matches("sha256:")}}]);
        let mut statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate, "predicate": {MARK: MARK_TEXT},
        });
        if predicate.contains("spdx") && !packages.is_empty() {
            let packages = packages.iter().map(
                |(name, version)| json!({"SPDXID": format!("SPDXRef-Package-{name}-{version}"), "name": name, "versionInfo": version}),
            );
            let root = json!({"SPDXID": "SPDXRef-DocumentRoot-Directory-sbom", "name": "sbom"});
            statement["predicate"]["spdxVersion"] = json!("SPDX-2.3");
            statement["predicate"]["packages"] = std::iter::once(root).chain(packages).collect();
        }
        let statement = serde_json::to_vec(&statement).unwrap();
        let annotations = json!({"in-toto.io/predicate-type": predicate});
        let digest = sha256(&statement);
        layers.push(
            json!({"mediaType": "application/vnd.in-toto+json", "digest": digest, "size": statement.len(), "annotations": annotations}),
        );
        diff_ids.push(digest);
        blobs.push(statement);
    }
    let config = json!({"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = serde_json::to_vec(&config).unwrap();
    let manifest = Document::of(
        MANIFEST,
        &json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": sha256(&config), "size": config.len()},
            "layers": layers,
        }),
    );
    blobs.push(config);
    let mut entry = manifest.descriptor();
    entry["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    entry["annotations"] = json!({"vnd.docker.reference.digest": subject.digest(), "vnd.docker.reference.type": "attestation-manifest"});
    (entry, manifest)
}

/// A layer with these files: the digest of its tar, and the gzipped tar.
///
/// Stored, not compressed: quick, and the same bytes with every version of the compressor.
fn layer(files: &[(String, Vec<u8>)]) -> (String, Vec<u8>) {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        archive
            .append_data(&mut header, path, content.as_slice())
            .unwrap();
    }
    let tar = archive.into_inner().unwrap();
    let diff_id = sha256(&tar);
    let mut encoder = GzEncoder::new(Vec::with_capacity(tar.len() + 1024), Compression::none());
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    (diff_id, encoder.finish().unwrap())
}

/// Bytes that look random and depend on the seed alone (xorshift64).
fn noise(seed: &str, bytes: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    }) | 1;
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(bytes);
    content
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn is_the_same_every_time_and_differs_by_seed() {
        let (one, two) = (Sample::default().build(), Sample::default().build());
        assert_eq!(one.index.digest(), two.index.digest());
        let other = Sample {
            seed: "other".to_owned(),
            ..Sample::default()
        }
        .build();
        assert_ne!(one.index.digest(), other.index.digest());
        assert_eq!(one.manifests.len(), 6);
    }
}
