//! Everything that determines the bytes of a bundle, known before anything is fetched.

use std::{fmt, sync::Arc};

use camino::Utf8PathBuf;

use super::{FilePart, MaterialiseError};
use crate::{
    archive::{EntryName, Layout, Placed},
    oci::Descriptor,
    registry::{RepositoryName, WebUrl},
};
use rune_core::digest::Digest;

/// Everything that determines the bytes of a bundle.
#[derive(Debug)]
pub struct Plan {
    pub(in crate::bundle) digest: Digest,
    pub(in crate::bundle) layout: Layout,
    /// The content of each entry of the layout, in its order.
    pub(in crate::bundle) contents: Vec<Content>,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Bytes(Arc<[u8]>),
    /// From a file, which must have this digest.
    File {
        path: Utf8PathBuf,
        digest: Digest,
    },
    /// From a place in a file, which must have this digest there.
    Part {
        part: Box<FilePart>,
        entry: EntryName,
        size: u64,
        digest: Digest,
    },
    Blob {
        /// The name, in the manifest, of an image that it belongs to.
        image: Arc<str>,
        name: RepositoryName,
        /// What to fetch; a manifest is known by its media type.
        descriptor: Box<Descriptor>,
    },
    Web {
        url: Box<WebUrl>,
        size: u64,
        digest: Digest,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Fetch {
    pub(super) source: FetchSource,
    pub(super) size: u64,
    pub(super) digest: Digest,
}

#[derive(Debug, Clone)]
pub(super) enum FetchSource {
    Registry {
        image: Arc<str>,
        name: RepositoryName,
        descriptor: Box<Descriptor>,
    },
    Web(Box<WebUrl>),
    File {
        part: Box<FilePart>,
        entry: EntryName,
    },
}

impl Content {
    pub(super) fn fetch(&self) -> Option<Fetch> {
        match self {
            Self::Bytes(_) | Self::File { .. } => None,
            Self::Blob {
                image,
                name,
                descriptor,
            } => {
                let (size, digest) = (descriptor.size, descriptor.digest);
                let (image, name, descriptor) =
                    (Arc::clone(image), name.clone(), descriptor.clone());
                Some(Fetch {
                    source: FetchSource::Registry {
                        image,
                        name,
                        descriptor,
                    },
                    size,
                    digest,
                })
            }
            Self::Part {
                part,
                entry,
                size,
                digest,
            } => Some(Fetch {
                source: FetchSource::File {
                    part: part.clone(),
                    entry: entry.clone(),
                },
                size: *size,
                digest: *digest,
            }),
            Self::Web { url, size, digest } => Some(Fetch {
                source: FetchSource::Web(url.clone()),
                size: *size,
                digest: *digest,
            }),
        }
    }
}

impl Fetch {
    pub(super) fn differs(&self, actual: Digest) -> MaterialiseError {
        let expected = self.digest;
        let source_name = match &self.source {
            FetchSource::File { part, entry } => {
                return MaterialiseError::Damaged {
                    entry: entry.clone(),
                    file: part.path().to_owned(),
                    expected,
                    actual,
                };
            }
            FetchSource::Registry { name, .. } => name.to_string(),
            FetchSource::Web(url) => url.to_string(),
        };
        MaterialiseError::Digest {
            source_name,
            expected,
            actual,
        }
    }
}

impl fmt::Display for Fetch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            FetchSource::Registry { name, .. } => write!(formatter, "{name} {}", self.digest),
            FetchSource::Web(url) => write!(formatter, "{url}"),
            FetchSource::File { entry, .. } => write!(formatter, "{entry}"),
        }
    }
}

impl Plan {
    /// The entries that are fetched: position, place, what and from where.
    pub(super) fn fetches(&self) -> impl Iterator<Item = (usize, &Placed, Fetch)> {
        self.layout
            .entries()
            .iter()
            .zip(&self.contents)
            .enumerate()
            .filter_map(|(position, (placed, content))| {
                content.fetch().map(|fetch| (position, placed, fetch))
            })
    }

    pub(crate) const fn total_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn entries(&self) -> usize {
        self.contents.len()
    }

    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many entries are fetched, and how many bytes.
    pub(crate) fn remote(&self) -> (u64, u64) {
        self.fetches().fold((0, 0), |(count, bytes), (.., fetch)| {
            (count + 1, bytes + fetch.size)
        })
    }

    pub(super) fn activity(&self) -> &'static str {
        let is_copied = |content: &Content| matches!(content, Content::Part { .. });
        if self.contents.iter().any(is_copied) {
            "copying"
        } else {
            "fetching"
        }
    }

    /// How many bytes of entries do not come from elsewhere.
    pub(super) fn local_bytes(&self) -> u64 {
        let all: u64 = self.layout.entries().iter().map(Placed::size).sum();
        all.saturating_sub(self.remote().1)
    }
}
