//! Images made from scratch: a few files, no base, the same bytes every time.
//!
//! The documents are canonical JSON without any time in them; [`super::image_layer`] does the same
//! for the files.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Descriptor, Digest, ImageFile, ImageLayerError, Platform, image_layer::ImageLayer, media_type,
};
use crate::canonical_json::{self, CanonicalJsonError};
use rune_core::failure::Failure;

/// What a container of the image runs, and as whom.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageConfig {
    /// User and group, as numbers: `65532:65532`.
    pub(crate) user: String,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct BuiltImage {
    pub target: Descriptor,
    pub manifests: Vec<(Platform, Digest)>,
    pub blobs: Vec<(Descriptor, Vec<u8>)>,
}

#[derive(Debug, thiserror::Error, Failure)]
pub enum ImageBuilderError {
    #[error("a document of the image has no canonical form")]
    #[failure(inner)]
    Json(#[from] CanonicalJsonError),
    #[error("the layer of the image cannot be made")]
    #[failure(inner)]
    Layer(#[from] ImageLayerError),
}

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
pub(crate) fn build_image(
    config: &ImageConfig,
    platforms: Vec<(Platform, Vec<ImageFile>)>,
) -> Result<BuiltImage, ImageBuilderError> {
    let mut blobs: Vec<(Descriptor, Vec<u8>)> = Vec::new();
    let mut manifests = Vec::new();
    let mut add = |media_type: &str, bytes: Vec<u8>| {
        let descriptor = Descriptor::of(media_type, &bytes);
        if !blobs.iter().any(|(known, _)| *known == descriptor) {
            blobs.push((descriptor.clone(), bytes));
        }
        descriptor
    };
    for (platform, files) in platforms {
        let ImageLayer { diff_id, bytes } = ImageLayer::of(files)?;
        let layer = add(media_type::LAYER_GZIP, bytes);
        let document = ConfigDocument {
            architecture: &platform.architecture,
            os: &platform.os,
            variant: platform.variant.as_deref(),
            config,
            rootfs: RootFs {
                kind: "layers",
                diff_ids: [diff_id],
            },
        };
        let config = add(media_type::CONFIG, canonical_json::to_bytes(&document)?);
        let mut document = Document::new(media_type::MANIFEST);
        (document.config, document.layers) = (Some(&config), Some([&layer]));
        let manifest = add(media_type::MANIFEST, canonical_json::to_bytes(&document)?);
        manifests.push(Descriptor {
            platform: Some(platform),
            ..manifest
        });
    }
    let mut document = Document::new(media_type::INDEX);
    document.manifests = Some(&manifests);
    let target = add(media_type::INDEX, canonical_json::to_bytes(&document)?);
    let manifests = manifests
        .into_iter()
        .filter_map(|manifest| Some((manifest.platform?, manifest.digest)))
        .collect();
    Ok(BuiltImage {
        target,
        manifests,
        blobs,
    })
}

impl Document<'_> {
    const fn new(media_type: &'static str) -> Self {
        Self {
            schema_version: 2,
            media_type,
            config: None,
            layers: None,
            manifests: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BuiltImage, ImageConfig, build_image};
    use crate::oci::{ImageFile, Manifest, ManifestKind, media_type};
    use rune_core::digest::Digest;

    fn sample(order: [usize; 2]) -> BuiltImage {
        let config = ImageConfig {
            user: "65532:65532".into(),
            entrypoint: vec!["/usr/local/bin/x".into()],
            env: Vec::new(),
            labels: BTreeMap::new(),
        };
        let file = |path: &str, mode| ImageFile {
            path: path.into(),
            mode,
            content: Some(path.as_bytes().to_vec()),
        };
        let files = [file("usr/local/bin/x", 0o755), file("etc/passwd", 0o644)];
        let platforms = ["linux/amd64", "linux/arm64/v8"].map(|platform| {
            (
                platform.parse().unwrap(),
                order.map(|n| files[n].clone()).to_vec(),
            )
        });
        build_image(&config, platforms.to_vec()).unwrap()
    }

    fn document(image: &BuiltImage, digest: Digest, media_type: &str) -> Manifest {
        let (descriptor, bytes) = image
            .blobs
            .iter()
            .find(|(descriptor, _)| descriptor.digest == digest)
            .unwrap();
        assert_eq!(descriptor.media_type, media_type);
        Manifest::parse(bytes.clone(), Some(media_type)).unwrap()
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let (one, other) = (sample([0, 1]), sample([1, 0]));
        assert_eq!(one.target, other.target);
        assert_eq!(one.blobs, other.blobs);
    }

    #[test]
    fn the_index_leads_to_every_blob_by_platform() {
        let image = sample([0, 1]);
        let index = document(&image, image.target.digest, media_type::INDEX);
        let platforms: Vec<_> = index
            .children()
            .map(|child| child.platform.as_ref().unwrap().to_string())
            .collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64/v8"]);
        let mut reached = vec![image.target.digest];
        for (child, (_, digest)) in index.children().zip(&image.manifests) {
            assert_eq!(child.digest, *digest);
            let manifest = document(&image, *digest, media_type::MANIFEST);
            assert!(
                matches!(manifest.kind(), ManifestKind::Image { layers, .. } if layers.len() == 1)
            );
            reached.push(*digest);
            reached.extend(manifest.children().map(|descriptor| descriptor.digest));
        }
        let made: Vec<_> = image
            .blobs
            .iter()
            .map(|(descriptor, _)| descriptor.digest)
            .collect();
        assert!(
            made.iter().all(|digest| reached.contains(digest))
                && reached.iter().all(|digest| made.contains(digest))
        );
    }

    #[test]
    fn a_blob_that_two_platforms_share_is_there_once() {
        let image = sample([0, 1]);
        let mut digests: Vec<_> = image
            .blobs
            .iter()
            .map(|(descriptor, _)| descriptor.digest)
            .collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), image.blobs.len());
    }

    #[test]
    fn the_digest_of_an_image_is_fixed() {
        assert_eq!(
            sample([0, 1]).target.digest.to_string(),
            "sha256:dd550102017950642131d0b209666ce02ea09f5070825ad66fac1b3641fa69cf"
        );
    }
}
