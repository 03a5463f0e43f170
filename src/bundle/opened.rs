//! An open bundle: its documents are read and hang together, and every content can be had by its
//! digest, in place.
//!
//! For the verbs that give entries away: serving, pushing, loading, installing. Opening reads the
//! documents and the end of the file, so it takes the same time at any size. Entries are read from
//! the one open file by position, any number of them at the same time.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
    sync::Arc,
};

use super::{
    AuthenticatedHead, BundleFile, BundleIndex, ContentError, ContentReader, Documents, Elsewhere,
    IndexError,
    archive::At,
    closure::ClosureError,
    contents::Contents,
    files_artifact::files_artifact,
    index::blob_path,
    publication::{self, Made, Publication, PublicationKind},
};
use crate::{
    archive::{EntryName, Placed},
    oci::{Descriptor, Manifest, ManifestKind},
};
use rune_core::{digest::Digest, failure::Failure, fsx::Stamp};

/// A bundle whose head is authenticated and whose documents hang together.
#[derive(Debug)]
pub(crate) struct OpenBundle {
    contents: Contents,
    head: AuthenticatedHead,
    pub(super) made: Made,
    pub(super) publications: Vec<Publication>,
    files: Option<Publication>,
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// What is published beside the entries has no canonical form; does not happen.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl OpenBundle {
    /// Opens the bundle that lies in a file. With `verified`, what the file looked like when all of
    /// it was right, nothing is hashed again as long as it does.
    pub(crate) fn open(
        file: BundleFile,
        head: AuthenticatedHead,
        verified: Option<Arc<[Stamp]>>,
    ) -> Result<Arc<Self>, OpenError> {
        let contents = Contents::open(file, head.index(), head.layout(), verified)?;
        Self::of_contents(contents, head)
    }

    /// Opens a bundle that is elsewhere: what is read of it is fetched, and nothing of it can be
    /// given away.
    pub(crate) fn elsewhere(
        head: AuthenticatedHead,
        elsewhere: Elsewhere,
    ) -> Result<Arc<Self>, OpenError> {
        let contents = Contents::of_elsewhere(head.index(), elsewhere)?;
        Self::of_contents(contents, head)
    }

    /// Opens the part of a bundle that is at these places in a file, with documents that are as the
    /// bundle index says.
    pub(super) fn of_parts(
        file: BundleFile,
        head: AuthenticatedHead,
        documents: Documents,
        places: BTreeMap<Digest, Placed>,
        elsewhere: Option<Elsewhere>,
    ) -> Result<Arc<Self>, OpenError> {
        let contents = Contents::of_parts(file, head.index(), documents, places, elsewhere)?;
        Self::of_contents(contents, head)
    }

    /// Opens the part of a bundle that is at these places in a file, with some of its documents:
    /// for whoever asks for each that he needs.
    pub(super) fn of_some(
        file: BundleFile,
        head: AuthenticatedHead,
        documents: Documents,
        places: BTreeMap<Digest, Placed>,
    ) -> Result<Arc<Self>, OpenError> {
        Self::of_contents(Contents::of_some(file, documents, places), head)
    }

    fn of_contents(contents: Contents, head: AuthenticatedHead) -> Result<Arc<Self>, OpenError> {
        let (publications, mut made) = publication::publications(&head)?;
        let mut files = None;
        for index in publications
            .iter()
            .filter(|publication| publication.kind == PublicationKind::Index)
        {
            let (artifact, bytes) = files_artifact(&head, &contents.documents, index)?;
            made.insert(artifact.target.digest, bytes.into());
            files = Some(artifact);
        }
        Ok(Arc::new(Self {
            contents,
            head,
            made,
            publications,
            files,
        }))
    }

    pub(crate) const fn head(&self) -> &AuthenticatedHead {
        &self.head
    }

    pub(crate) const fn index(&self) -> &BundleIndex {
        self.head.index()
    }

    pub(crate) const fn file(&self) -> &BundleFile {
        &self.contents.file
    }

    /// The documents: the two OCI indexes and every manifest.
    pub(crate) const fn documents(&self) -> &Documents {
        &self.contents.documents
    }

    pub(crate) fn publications(&self) -> &[Publication] {
        &self.publications
    }

    pub(crate) const fn files(&self) -> Option<&Publication> {
        self.files.as_ref()
    }

    /// The bytes of a manifest or index, or of something else that was made when the bundle was
    /// opened.
    pub(crate) fn document(&self, digest: Digest) -> Option<&[u8]> {
        let made = || self.made.get(&digest).map(|bytes| &**bytes);
        self.contents
            .documents
            .get(blob_path(digest).as_str())
            .map(Vec::as_slice)
            .or_else(made)
    }

    pub(crate) fn config_of(&self, manifest: Digest) -> Option<Descriptor> {
        let bytes = self.contents.documents.get(blob_path(manifest).as_str())?;
        match Manifest::parse(bytes.clone(), None).ok()?.kind() {
            ManifestKind::Image { config, .. } => Some(config.clone()),
            ManifestKind::Index { .. } => None,
        }
    }

    pub(crate) fn size(&self, digest: Digest) -> Option<u64> {
        let made = || self.made.get(&digest).map(|bytes| bytes.len() as u64);
        self.contents.place(digest).map(Placed::size).or_else(made)
    }

    pub(crate) fn read(&self, digest: Digest) -> Option<ContentReader> {
        self.reader(digest, self.contents.verified())
    }

    fn reader(&self, digest: Digest, verified: Option<Arc<[Stamp]>>) -> Option<ContentReader> {
        let made = || {
            self.made
                .get(&digest)
                .map(|bytes| ContentReader::of_memory(Arc::clone(bytes)))
        };
        self.contents
            .place(digest)
            .map(|placed| ContentReader::of_archive(placed.clone(), digest, verified))
            .or_else(made)
    }

    /// What the file looks like, if all of it was right when it looked like that.
    pub(crate) fn verified(&self) -> Option<Arc<[Stamp]>> {
        self.contents.verified()
    }

    /// Reads a content whole and hashes it; for the small ones.
    pub(crate) fn whole(&self, digest: Digest) -> Result<Option<Vec<u8>>, ContentError> {
        let Some(mut reader) = self.reader(digest, None) else {
            return Ok(None);
        };
        let (mut whole, mut piece) = (Vec::new(), Vec::new());
        loop {
            let has_more = reader.next_piece(self, &mut piece)?;
            whole.extend_from_slice(&piece);
            if !has_more {
                return Ok(Some(whole));
            }
        }
    }

    /// Hashes a content that was given away without being hashed and that somebody refused.
    pub(crate) fn rehash(&self, digest: Digest) -> Result<(), ContentError> {
        let reader = self
            .contents
            .is_verified()
            .then(|| self.reader(digest, None));
        let mut piece = Vec::new();
        if let Some(mut reader) = reader.flatten() {
            while reader.next_piece(self, &mut piece)? {}
        }
        Ok(())
    }

    /// Reads a part of a content, unchecked: for entries that were read to their end before, from
    /// the file as it still is.
    pub(crate) fn read_part(
        &self,
        digest: Digest,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let outside = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let end = offset
            .checked_add(buffer.len() as u64)
            .ok_or_else(outside)?;
        if let Some(placed) = self
            .contents
            .place(digest)
            .filter(|placed| end <= placed.size())
        {
            let at = placed.content_offset().saturating_add(offset);
            return At::new(&self.contents.file, at).read_exact(buffer);
        }
        let range = usize::try_from(offset)
            .and_then(|start| Ok(start..usize::try_from(end)?))
            .map_err(|_| outside())?;
        buffer.copy_from_slice(
            self.made
                .get(&digest)
                .and_then(|bytes| bytes.get(range))
                .ok_or_else(outside)?,
        );
        Ok(())
    }

    /// Reads as much of a part of a content, unchecked, as the system has in memory, and says how
    /// many bytes that is: for whoever must not wait for a disk. See [`Self::read_part`].
    pub(crate) fn read_cached_part(
        &self,
        digest: Digest,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let Some(placed) = self.contents.place(digest) else {
            return self
                .read_part(digest, offset, buffer)
                .map(|()| buffer.len());
        };
        if offset
            .checked_add(buffer.len() as u64)
            .is_none_or(|end| end > placed.size())
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let at = placed.content_offset().saturating_add(offset);
        At::cached(&self.contents.file, at).read(buffer)
    }

    /// Begins to read an entry by its name, if there is one.
    pub(crate) fn read_entry(&self, name: &EntryName) -> Option<ContentReader> {
        let found = self.head.entries().find(|(record, _)| record.path == *name);
        found.map(|(record, placed)| ContentReader::of_archive(placed.clone(), record.sha256, None))
    }

    /// Reads an entry by its name, whole; for the small ones. `None` when there is no such entry.
    pub(crate) fn entry(&self, name: &EntryName) -> Result<Option<Vec<u8>>, ContentError> {
        let mut entries = self.index().entries.iter();
        let found = entries.find(|record| record.path == *name);
        found.map(|record| self.contents.entry(record)).transpose()
    }
}
