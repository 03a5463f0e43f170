//! Everything that determines the bytes of a bundle, known before anything is fetched.

use std::sync::Arc;

use camino::Utf8PathBuf;

use crate::{
    archive::{Layout, Placed},
    oci::Descriptor,
    registry::RepositoryName,
};
use rune_core::digest::Digest;

/// Everything that determines the bytes of a bundle.
#[derive(Debug)]
pub struct Plan {
    /// Identifies the plan: the bundle digest.
    pub(in crate::bundle) digest: Digest,
    /// Where everything stands.
    pub(in crate::bundle) layout: Layout,
    /// The content of each entry of the layout, in its order.
    pub(in crate::bundle) contents: Vec<Content>,
}

/// Where the content of an entry comes from.
#[derive(Debug, Clone)]
pub enum Content {
    /// From memory.
    Bytes(Arc<[u8]>),
    /// From a file, which must have this digest.
    File {
        /// The file.
        path: Utf8PathBuf,
        /// The digest it had when the plan was made.
        digest: Digest,
    },
    /// From a registry.
    Blob {
        /// The name, in the manifest, of an image that it belongs to.
        image: Arc<str>,
        /// The repository.
        name: RepositoryName,
        /// What to fetch; a manifest is known by its media type.
        descriptor: Box<Descriptor>,
    },
}

impl Plan {
    /// The contents that come from registries: position, place, image, repository, descriptor.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (usize, &Placed, &Arc<str>, &RepositoryName, &Descriptor)> {
        self.layout.entries().iter().zip(&self.contents).enumerate().filter_map(|(position, (placed, content))| match content {
            Content::Blob { image, name, descriptor } => Some((position, placed, image, name, &**descriptor)),
            _ => None,
        })
    }

    /// The size of the bundle in bytes.
    pub const fn total_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }

    /// How many entries the archive has.
    pub fn entries(&self) -> usize {
        self.contents.len()
    }

    /// The bundle digest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes, in how many contents, come from registries.
    pub fn remote(&self) -> (u64, u64) {
        self.blobs().fold((0, 0), |(count, bytes), (.., descriptor)| (count + 1, bytes + descriptor.size))
    }
}
