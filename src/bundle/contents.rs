//! The file of a bundle, its documents, and where each content lies in it: what showing and acting
//! have in common.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    BundleFile, BundleIndex, ContentError, Documents, Elsewhere, EntryRecord, OpenError,
    archive::{At, document_entries, documents_of},
    closure,
    content_error::Problem,
    head::placed_entries,
    length::check_length,
};
use crate::archive::{CheckError, EntryName, EntryReader, Layout, Placed, check_end};
use rune_core::{digest::Digest, fsx::Stamp};

/// A file whose end is where its index says, and whose documents are as it says and hang together.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) file: BundleFile,
    pub(super) documents: Documents,
    /// Where the file has a content; one place of those that have the same.
    places: BTreeMap<Digest, Placed>,
    /// Where it has an entry, if it has all of them: each is read where it is, not its equal.
    entries: BTreeMap<EntryName, Placed>,
    elsewhere: Option<Elsewhere>,
    /// What the file looked like when all of it was right.
    verified: Option<Arc<[Stamp]>>,
}

impl Contents {
    /// Reads the end of the file and the documents, so it takes the same time at any size. Of a
    /// file that was verified before it compares every header too.
    pub(super) fn open(
        file: BundleFile,
        index: &BundleIndex,
        layout: &Layout,
        verified: Option<Arc<[Stamp]>>,
    ) -> Result<Self, OpenError> {
        check_length(&file, layout)?;
        let mut end = At::new(&file, layout.trailer_offset());
        check_end(&mut end).map_err(|error| ContentError::of_end(error, &file, layout))?;
        let places = placed_entries(index, layout)
            .map(|(record, placed)| (record.sha256, placed.clone()))
            .collect();
        let entries = placed_entries(index, layout)
            .map(|(record, placed)| (record.path.clone(), placed.clone()))
            .collect();
        let mut contents = Self {
            file,
            documents: Documents::new(),
            places,
            entries,
            elsewhere: None,
            verified,
        };
        if contents.verified.is_some() {
            for placed in layout.entries() {
                placed
                    .check_header(&mut At::new(&contents.file, placed.header_offset()))
                    .map_err(|error| contents.wrong(error.into(), placed))?;
            }
        }
        let wanted = documents_of(index);
        for (record, placed) in
            placed_entries(index, layout).filter(|(record, _)| wanted.contains(&record.path))
        {
            let document = contents.whole(placed, record.sha256)?;
            contents.documents.insert(record.path.clone(), document);
        }
        closure::check(index, &contents.documents)?;
        Ok(contents)
    }

    pub(super) fn of_parts(
        file: BundleFile,
        index: &BundleIndex,
        documents: Documents,
        places: BTreeMap<Digest, Placed>,
        elsewhere: Option<Elsewhere>,
    ) -> Result<Self, OpenError> {
        closure::check(index, &documents)?;
        Ok(Self {
            elsewhere,
            ..Self::of_some(file, documents, places)
        })
    }

    /// Only these documents are known, so it is not known whether anything is missing.
    pub(super) const fn of_some(
        file: BundleFile,
        documents: Documents,
        places: BTreeMap<Digest, Placed>,
    ) -> Self {
        Self {
            file,
            documents,
            places,
            entries: BTreeMap::new(),
            elsewhere: None,
            verified: None,
        }
    }

    /// All of it is elsewhere, and the documents are read there.
    pub(super) fn of_elsewhere(
        index: &BundleIndex,
        elsewhere: Elsewhere,
    ) -> Result<Self, OpenError> {
        let mut documents = Documents::new();
        for entry in document_entries(index) {
            let read = elsewhere.read(entry.sha256, entry.size);
            let bytes = read.map_err(|error| ContentError::fetching(&entry.path, error))?;
            let bytes = bytes.ok_or_else(|| ContentError::not_here(&entry.path))?;
            documents.insert(entry.path.clone(), bytes);
        }
        let (nowhere, nothing) = (BundleFile::nowhere(), BTreeMap::new());
        Self::of_parts(nowhere, index, documents, nothing, Some(elsewhere))
    }

    /// Reads an entry into memory, wherever it is.
    pub(super) fn entry(&self, entry: &EntryRecord) -> Result<Vec<u8>, ContentError> {
        let placed = self.entries.get(&entry.path);
        if let Some(placed) = placed.or_else(|| self.places.get(&entry.sha256)) {
            return self.whole(placed, entry.sha256);
        }
        let read = self.elsewhere.as_ref();
        let read = read.map_or(Ok(None), |found| found.read(entry.sha256, entry.size));
        read.map_err(|error| ContentError::fetching(&entry.path, error))?
            .ok_or_else(|| ContentError::not_here(&entry.path))
    }

    /// What the file looks like, if that is what it looked like when all of it was right.
    pub(super) fn verified(&self) -> Option<Arc<[Stamp]>> {
        self.verified
            .clone()
            .filter(|stamps| self.file.has_stamp(stamps))
    }

    /// Whether all of the file was right before it was opened.
    pub(super) const fn is_verified(&self) -> bool {
        self.verified.is_some()
    }

    pub(super) fn place(&self, digest: Digest) -> Option<&Placed> {
        self.places.get(&digest)
    }

    fn whole(&self, placed: &Placed, expected: Digest) -> Result<Vec<u8>, ContentError> {
        let mut source = At::new(&self.file, placed.header_offset());
        let mut content = Vec::new();
        let keep = |piece: &[u8]| -> Result<(), CheckError> {
            content.extend_from_slice(piece);
            Ok(())
        };
        EntryReader::default()
            .read(&mut source, placed, keep)
            .map_err(|error| self.wrong(error.into(), placed))?;
        let actual = Digest::of(&content);
        if actual == expected {
            Ok(content)
        } else {
            let problem = Problem::Digest {
                path: placed.name().clone(),
                expected,
                actual,
            };
            Err(self.wrong(problem, placed))
        }
    }

    fn wrong(&self, problem: Problem, placed: &Placed) -> ContentError {
        ContentError::of_entry(problem, &self.file, placed)
    }
}
