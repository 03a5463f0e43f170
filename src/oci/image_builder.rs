//! Images made from scratch: a few files, no base, the same bytes every time.
//!
//! Everything that usually differs between two builds is fixed: times are 0, owners are root, entries are in byte
//! order, the gzip header says nothing about when or where. The layer is a plain ustar.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
};

use flate2::{Compression, GzBuilder};
use serde::Serialize;

use super::{Descriptor, Digest, Platform, media_type};
use crate::{
    canonical_json::{self, CanonicalJsonError},
    failure::{Failure, FailureKind},
};

/// "Unknown" in the operating system byte of a gzip header.
const GZIP_UNKNOWN_SYSTEM: u8 = 255;

/// What a container of the image runs, and as whom.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageConfig {
    /// User and group, as numbers: `65532:65532`.
    pub user: String,
    /// The program, with its first arguments.
    pub entrypoint: Vec<String>,
    /// Variables, `NAME=value`.
    pub env: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A file of an image.
#[derive(Debug, Clone)]
pub struct ImageFile {
    /// Its path without a leading slash.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A finished image: an index of one manifest for each platform.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The index.
    pub target: Descriptor,
    /// The manifest of each platform.
    pub manifests: Vec<(Platform, Digest)>,
    /// Every blob, the index included.
    pub blobs: Vec<(Descriptor, Vec<u8>)>,
}

/// Why an image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageBuilderError {
    /// A document has no canonical form.
    #[error("a document of the image has no canonical form")]
    Json(#[from] CanonicalJsonError),
    /// A path does not fit a ustar header.
    #[error("the layer of the image cannot be written")]
    Layer(#[source] io::Error),
}

impl Failure for ImageBuilderError {
    fn kind(&self) -> FailureKind {
        FailureKind::Internal
    }
}

/// The configuration document of an image.
#[derive(Serialize)]
struct ConfigDocument<'a> {
    architecture: &'a str,
    os: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    config: &'a ImageConfig,
    rootfs: RootFs,
}

#[derive(Serialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: [Digest; 1],
}

/// A manifest document; an index has `manifests` only, an image the other two.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u32,
    media_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<[&'a Descriptor; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<&'a [Descriptor]>,
}

/// Makes an image of the given files for each platform.
///
/// # Errors
/// When a path is too long for the layer.
pub fn build_image(config: &ImageConfig, platforms: Vec<(Platform, Vec<ImageFile>)>) -> Result<BuiltImage, ImageBuilderError> {
    let mut blobs = Vec::new();
    let mut manifests = Vec::new();
    let mut add = |media_type: &str, bytes: Vec<u8>| {
        let descriptor = Descriptor::of(media_type, &bytes);
        blobs.push((descriptor.clone(), bytes));
        descriptor
    };
    for (platform, files) in platforms {
        let layer = layer(files).map_err(ImageBuilderError::Layer)?;
        let diff_id = Digest::of(&layer);
        let layer = add(media_type::LAYER_GZIP, compress(&layer).map_err(ImageBuilderError::Layer)?);
        let document = ConfigDocument {
            architecture: &platform.architecture,
            os: &platform.os,
            variant: platform.variant.as_deref(),
            config,
            rootfs: RootFs { kind: "layers", diff_ids: [diff_id] },
        };
        let config = add(media_type::CONFIG, canonical_json::to_bytes(&document)?);
        let mut document = Document::new(media_type::MANIFEST);
        (document.config, document.layers) = (Some(&config), Some([&layer]));
        let manifest = add(media_type::MANIFEST, canonical_json::to_bytes(&document)?);
        manifests.push(Descriptor { platform: Some(platform), ..manifest });
    }
    let mut document = Document::new(media_type::INDEX);
    document.manifests = Some(&manifests);
    let target = add(media_type::INDEX, canonical_json::to_bytes(&document)?);
    let manifests = manifests.into_iter().filter_map(|manifest| Some((manifest.platform?, manifest.digest))).collect();
    Ok(BuiltImage { target, manifests, blobs })
}

impl Document<'_> {
    const fn new(media_type: &'static str) -> Self {
        Self { schema_version: 2, media_type, config: None, layers: None, manifests: None }
    }
}

/// A ustar of the files and of the directories they lie in.
fn layer(mut files: Vec<ImageFile>) -> io::Result<Vec<u8>> {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let parents = files.iter().flat_map(|file| file.path.match_indices('/').filter_map(|(end, _)| file.path.get(..=end)));
    let directories: BTreeSet<String> = parents.map(str::to_owned).collect();
    let mut archive = tar::Builder::new(Vec::new());
    for directory in directories {
        archive.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), directory, io::empty())?;
    }
    for file in files {
        let mut header = header(tar::EntryType::Regular, file.mode, file.bytes.len() as u64);
        archive.append_data(&mut header, file.path, file.bytes.as_slice())?;
    }
    archive.into_inner()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(GZIP_UNKNOWN_SYSTEM).write(Vec::new(), Compression::default());
    gzip.write_all(bytes)?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use super::{BuiltImage, ImageConfig, ImageFile, build_image};
    use crate::oci::{Manifest, ManifestKind, media_type};

    fn sample(order: [usize; 2]) -> BuiltImage {
        let config = ImageConfig {
            user: "65532:65532".into(),
            entrypoint: vec!["/usr/local/bin/x".into()],
            env: Vec::new(),
            labels: BTreeMap::new(),
        };
        let file = |path: &str, mode| ImageFile { path: path.into(), mode, bytes: path.as_bytes().to_vec() };
        let files = [file("usr/local/bin/x", 0o755), file("etc/passwd", 0o644)];
        build_image(&config, vec![("linux/amd64".parse().unwrap(), order.map(|n| files[n].clone()).to_vec())]).unwrap()
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let (one, other) = (sample([0, 1]), sample([1, 0]));
        assert_eq!(one.target, other.target);
        assert_eq!(one.blobs, other.blobs);
    }

    #[test]
    fn the_index_leads_to_everything_and_the_layer_holds_the_files() {
        let image = sample([0, 1]);
        let find = |digest| image.blobs.iter().find(|(descriptor, _)| descriptor.digest == digest).unwrap();
        let index = Manifest::parse(find(image.target.digest).1.clone(), Some(media_type::INDEX)).unwrap();
        assert_eq!(index.children().next().unwrap().platform.as_ref().unwrap().to_string(), "linux/amd64");
        let manifest = Manifest::parse(find(image.manifests[0].1).1.clone(), Some(media_type::MANIFEST)).unwrap();
        let ManifestKind::Image { layers, .. } = manifest.kind() else { panic!() };
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(find(layers[0].digest).1.as_slice()).read_to_end(&mut layer).unwrap();
        let mut archive = tar::Archive::new(layer.as_slice());
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.map(|entry| (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())).unwrap())
            .collect();
        let expected = [("etc/", 0o755), ("usr/", 0o755), ("usr/local/", 0o755), ("usr/local/bin/", 0o755)];
        let expected = expected.into_iter().chain([("etc/passwd", 0o644), ("usr/local/bin/x", 0o755)]);
        assert!(found.iter().map(|(path, mode)| (path.as_str(), *mode)).eq(expected), "{found:?}");
        assert_eq!(image.blobs.len(), 4);
    }
}
