//! The images of a lock, and which of them a reference means.

use std::collections::BTreeSet;

use crate::oci::Reference;
use rune_core::digest::Digest;

/// Registries that many people share: what stands before a repository there is the name of somebody
/// else.
const SHARED_REGISTRIES: [&str; 9] = [
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "registry.k8s.io",
    "public.ecr.aws",
    "mcr.microsoft.com",
    "registry.gitlab.com",
    "nvcr.io",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AvailableImage {
    pub(crate) name: String,
    pub(crate) reference: Reference,
    /// The digest of its index, or of its manifest where there is no index.
    pub(crate) digest: Digest,
    /// The digests of what the bundle index leads to.
    pub(crate) manifests: Vec<Digest>,
    /// Whether the packager builds it, so that no registry knows it.
    pub(crate) is_built: bool,
    /// Other tags that its registry had for this digest when it was locked.
    pub(crate) other_tags: Vec<String>,
    /// The component that it belongs to, when that is left out of the bundle.
    pub(crate) left_out_with: Option<String>,
    pub(crate) extra: bool,
}

impl AvailableImage {
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.reference.tag() == Some(tag) || self.other_tags.iter().any(|other| other == tag)
    }

    pub(super) fn label(&self) -> String {
        format!("`{}`, {}", self.name, self.reference)
    }
}

/// Whether a reference names the repository of an image: at any registry, and below a prefix only
/// where that cannot be the name of another repository: not at a registry that many people share,
/// or that an image of the lock comes from.
pub(super) fn is_repository_of(
    reference: &Reference,
    image: &AvailableImage,
    images: &[AvailableImage],
) -> bool {
    let wanted = image.reference.repository();
    let Some(prefix) = reference.repository().strip_suffix(wanted) else {
        return false;
    };
    if prefix.is_empty() {
        return true;
    }
    // Another repository of the lock is meant when one fits better.
    let is_closer = images.iter().any(|other| {
        let other = other.reference.repository();
        other.len() > wanted.len() && reference.repository().ends_with(other)
    });
    prefix.ends_with('/') && is_at_destination(reference, images) && !is_closer
}

/// Whether a reference is at the registry of an image; Docker Hub has several names.
pub(super) fn is_same_registry(reference: &Reference, image: &AvailableImage) -> bool {
    let name_of = |registry: &str| {
        if registry.ends_with(".docker.io") {
            "docker.io".to_owned()
        } else {
            registry.to_owned()
        }
    };
    name_of(reference.registry()) == name_of(image.reference.registry())
}

/// Whether a reference is at a registry of one's own: not one that many people share, or that an
/// image of the lock comes from.
pub(super) fn is_at_destination(reference: &Reference, images: &[AvailableImage]) -> bool {
    let sources: BTreeSet<&str> = images
        .iter()
        .map(|image| image.reference.registry())
        .chain(SHARED_REGISTRIES)
        .collect();
    let registry = reference.registry();
    !sources
        .iter()
        .any(|source| registry == *source || registry.ends_with(&format!(".{source}")))
}

/// The image that a reference of a chart means: its digest is that of the image, or it has no
/// digest and the tag of the image at the same source, or at a registry of one's own.
pub(crate) fn meant_image(text: &str, images: &[AvailableImage]) -> Option<usize> {
    let reference = Reference::parse_like_a_runtime(text).ok()?;
    let is_meant = |image: &AvailableImage| {
        is_repository_of(&reference, image, images)
            && if let Some(digest) = reference.digest() {
                digest == image.digest
            } else {
                let is_same =
                    is_at_destination(&reference, images) || is_same_registry(&reference, image);
                is_same && reference.tag().is_some_and(|tag| image.has_tag(tag))
            }
    };
    images.iter().position(is_meant)
}
