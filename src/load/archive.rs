//! The images as an OCI archive: a tar that is written as it is read, the same every time.
//!
//! First the blobs in the order of their digests, then `oci-layout` and, last of all, `index.json`.
//! It lists every image once for each of its names, so that whoever imports it makes the names
//! together with the images.
//!
//! Source: OCI image specification 1.1, `image-layout.md`.

use std::collections::BTreeSet;

use super::{LoadError, SelectedImage};
use crate::{
    archive::{Entry, EntryName, Layout, Mode},
    bundle::{ContentError, OpenBundle},
    oci::{LAYOUT, index_document},
};
use rune_core::{digest::Digest, progress::Progress};

#[derive(Debug)]
pub(crate) struct ImageArchive {
    layout: Layout,
    contents: Vec<Content>,
}

#[derive(Debug)]
enum Content {
    Bundle(Digest),
    Memory(Vec<u8>),
}

impl ImageArchive {
    /// Lays out the archive of images of a bundle, without what its receiver has.
    pub(crate) fn new<'a>(
        bundle: &OpenBundle,
        images: impl IntoIterator<Item = &'a SelectedImage>,
        held: impl Fn(Digest) -> bool,
    ) -> Result<Self, LoadError> {
        let (mut digests, mut listed) = (BTreeSet::new(), Vec::new());
        for image in images {
            digests.extend(image.contents.iter().copied());
            listed.extend(image.names().iter().map(|name| image.target.named(name)));
        }
        let (mut entries, mut contents) = (Vec::new(), Vec::new());
        for digest in digests {
            let Some(size) = bundle.size(digest) else {
                if held(digest) {
                    continue;
                }
                return Err(LoadError::Missing(digest));
            };
            entries.push(entry(format!("blobs/sha256/{}", digest.hex()), size)?);
            contents.push(Content::Bundle(digest));
        }
        let documents = [
            ("oci-layout", LAYOUT.to_vec()),
            (
                "index.json",
                index_document(&listed).map_err(LoadError::Index)?,
            ),
        ];
        for (name, bytes) in documents {
            entries.push(entry(name.to_owned(), bytes.len() as u64)?);
            contents.push(Content::Memory(bytes));
        }
        Ok(Self {
            layout: Layout::new(entries)?,
            contents,
        })
    }

    pub(crate) const fn total_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }

    /// Hands the archive on in pieces. A content that is not what the bundle's index says ends it
    /// before the last piece of that content.
    pub(super) fn stream<E: From<ContentError>>(
        &self,
        bundle: &OpenBundle,
        progress: &dyn Progress,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut piece = Vec::new();
        for (placed, content) in self.layout.entries().iter().zip(&self.contents) {
            take(&placed.header())?;
            match content {
                Content::Memory(bytes) => take(bytes)?,
                Content::Bundle(digest) => {
                    // Laying it out has shown that the bundle has it.
                    let Some(mut reader) = bundle.read(*digest) else {
                        continue;
                    };
                    loop {
                        let has_more = reader.next_piece(bundle, &mut piece)?;
                        take(&piece)?;
                        progress.advance(piece.len() as u64);
                        if !has_more {
                            break;
                        }
                    }
                }
            }
            take(placed.padding())?;
        }
        take(Layout::TRAILER)
    }
}

fn entry(name: String, size: u64) -> Result<Entry, LoadError> {
    Ok(Entry {
        name: EntryName::new(name)?,
        size,
        mode: Mode::Regular,
    })
}
