//! What a delta begins with: its record, as it stands in a file.

use super::{
    DeltaError,
    record::{DeltaRecord, record_size},
};
use crate::{
    archive::{BLOCK_BYTES, CheckError, Entry, EntryReader, Layout},
    bundle::{
        AuthenticatedHead, BundleFile, BundleIndex, ContentError, EntryRecord, archive::At,
        index::head_entries,
    },
};
use camino::Utf8Path;
use rune_core::{
    digest::Digest,
    fsx::{Action, PathError},
};
use std::io::Read as _;

/// The record of a delta and its exact bytes; nothing in it is trusted.
#[derive(Debug, Clone)]
pub(in crate::bundle) struct DeltaStart {
    bytes: Vec<u8>,
    pub(super) record: DeltaRecord,
    end: u64,
}

impl DeltaStart {
    /// Reads the record when a delta begins at this place of a file; nothing when it does not.
    pub(in crate::bundle) fn read(
        file: &BundleFile,
        begin: u64,
        path: &Utf8Path,
    ) -> Result<Option<Self>, DeltaError> {
        let mut block = Vec::new();
        At::new(file, begin)
            .take(BLOCK_BYTES)
            .read_to_end(&mut block)
            .map_err(PathError::of(Action::Read, path))?;
        let Some(size) = record_size(&block) else {
            return Ok(None);
        };
        let layout = Layout::new([DeltaRecord::entry(size)?])?;
        let mut bytes = Vec::new();
        for placed in layout.entries() {
            let keep = |piece: &[u8]| -> Result<(), CheckError> {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            EntryReader::default()
                .read(&mut At::new(file, begin), placed, keep)
                .map_err(|error| ContentError::of_entry(error.into(), file, placed))?;
        }
        Ok(Some(Self {
            record: DeltaRecord::from_bytes(&bytes)?,
            end: layout.trailer_offset(),
            bytes,
        }))
    }

    pub(in crate::bundle) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Identifies the delta: the record names the bundle and every entry.
    pub(in crate::bundle) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// How many bytes are before the head.
    pub(in crate::bundle) const fn end(&self) -> u64 {
        self.end
    }

    pub(in crate::bundle) const fn bundle(&self) -> Digest {
        self.record.bundle
    }

    pub(in crate::bundle) fn head_bytes(&self, index_bytes: u64) -> Result<u64, DeltaError> {
        let layout = Layout::new(self.head_entries(index_bytes)?)?;
        Ok(layout.trailer_offset())
    }

    fn head_entries(&self, index_bytes: u64) -> Result<Vec<Entry>, DeltaError> {
        let mut entries = vec![DeltaRecord::entry(self.bytes.len() as u64)?];
        entries.extend(head_entries(index_bytes)?);
        Ok(entries)
    }

    /// An authenticated head before those entries that the delta has, where it has them.
    pub(in crate::bundle) fn head_of(
        &self,
        head: &AuthenticatedHead,
    ) -> Result<AuthenticatedHead, DeltaError> {
        let index_bytes = head.unverified().index_size();
        let (included, layout) = self.included(head.index(), index_bytes)?;
        let included = included.into_iter().cloned().collect();
        Ok(head.with_entries(included, layout))
    }

    /// The entries that the delta says it has, and the layout of all of it.
    pub(super) fn included<'a>(
        &self,
        index: &'a BundleIndex,
        index_bytes: u64,
    ) -> Result<(Vec<&'a EntryRecord>, Layout), DeltaError> {
        let mut listed = self.record.entries.iter().peekable();
        let has = |entry: &&EntryRecord| listed.next_if(|name| **name == entry.path).is_some();
        let included: Vec<&EntryRecord> = index.entries.iter().filter(has).collect();
        if let Some(entry) = listed.next() {
            return Err(DeltaError::Entry(entry.clone()));
        }
        let entries = included.iter().map(|entry| Entry {
            name: entry.path.clone(),
            size: entry.size,
            mode: entry.mode,
        });
        let layout = Layout::new(self.head_entries(index_bytes)?.into_iter().chain(entries))?;
        Ok((included, layout))
    }
}
