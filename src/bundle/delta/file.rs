//! Opening a delta: its record and head, and, once its index is known, where its entries lie.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read as _},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    BaseRecord, DeltaError,
    record::{DeltaRecord, record_size},
};
use crate::{
    archive::{BLOCK_BYTES, CheckError, Entry, EntryReader, Layout, Placed, check_end},
    bundle::{
        BundleFile, BundleIndex, ContentError, EntryRecord, UnverifiedHead,
        archive::{At, MAX_DOCUMENT_BYTES},
        index::head_entries,
        length::check_length,
    },
};
use rune_core::{
    digest::Digest,
    fsx::{self, Action, PathError},
};

/// A delta of which only record and head were read; nothing in it is trusted.
#[derive(Debug)]
pub(crate) struct Delta {
    path: Utf8PathBuf,
    file: BundleFile,
    record_bytes: u64,
    record: DeltaRecord,
    head: UnverifiedHead,
}

/// Where a delta has which entries of its bundle.
#[derive(Debug)]
pub struct DeltaContents<'a> {
    pub(super) file: &'a BundleFile,
    pub(super) path: &'a Utf8Path,
    pub(super) places: BTreeMap<Digest, Placed>,
    pub(super) bases: &'a [BaseRecord],
    bytes: u64,
}

impl Delta {
    /// Opens a file, or the parts of which it is the first, that begins as a delta does; nothing
    /// when it begins otherwise. With `is_only`, each file of `more` must belong to it.
    pub(crate) fn open(
        path: &Utf8Path,
        more: &[Utf8PathBuf],
        is_only: bool,
    ) -> Result<Option<Self>, DeltaError> {
        // A pipe that is opened and closed again would have lost its writer.
        if (fsx::exists(path) && !fsx::is_file(path)) || !begins_as_delta(path)? {
            return Ok(None);
        }
        let file = BundleFile::open(path, more, is_only)?;
        Self::read(path, file).map(Some)
    }

    fn read(path: &Utf8Path, file: BundleFile) -> Result<Self, DeltaError> {
        let block = first_block(&file, path)?;
        let size = record_size(&block).ok_or_else(|| DeltaError::NotADelta(path.to_owned()))?;
        let layout = Layout::new([DeltaRecord::entry(size)?])?;
        let mut bytes = Vec::new();
        for placed in layout.entries() {
            let keep = |piece: &[u8]| -> Result<(), CheckError> {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            EntryReader::default()
                .read(&mut At::new(&file, 0), placed, keep)
                .map_err(|error| ContentError::of_entry(error.into(), &file, placed))?;
        }
        let record = DeltaRecord::from_bytes(&bytes)?;
        let mut source = BufReader::new(At::new(&file, layout.trailer_offset()));
        let head = UnverifiedHead::read(&mut source)?;
        if record.bundle != head.digest() {
            return Err(DeltaError::OtherBundle(record.bundle));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            record_bytes: size,
            record,
            head,
        })
    }

    /// The head as it stands in the delta.
    pub(crate) const fn head(&self) -> &UnverifiedHead {
        &self.head
    }

    /// What it was created for, as it says.
    pub(crate) fn bases(&self) -> &[BaseRecord] {
        &self.record.bases
    }

    /// Compares the delta with the bundle index of its head: which entries it has, its length, and
    /// every byte around the entries, which are not read.
    pub(crate) fn contents(&self, index: &BundleIndex) -> Result<DeltaContents<'_>, DeltaError> {
        let mut listed = self.record.entries.iter().peekable();
        let has = |entry: &&EntryRecord| listed.next_if(|name| **name == entry.path).is_some();
        let included: Vec<&EntryRecord> = index.entries.iter().filter(has).collect();
        if let Some(entry) = listed.next() {
            return Err(DeltaError::Entry(entry.clone()));
        }
        let head = head_entries(self.head.index_size())?;
        let before = head.len().saturating_add(1);
        let layout = Layout::new(
            std::iter::once(DeltaRecord::entry(self.record_bytes)?)
                .chain(head)
                .chain(included.iter().map(|entry| Entry {
                    name: entry.path.clone(),
                    size: entry.size,
                    mode: entry.mode,
                })),
        )?;
        check_length(&self.file, &layout)?;
        let places = layout.entries().iter().skip(before);
        for placed in places.clone() {
            self.check_frame(placed)
                .map_err(|error| ContentError::of_entry(error.into(), &self.file, placed))?;
        }
        check_end(&mut At::new(&self.file, layout.trailer_offset()))
            .map_err(|error| ContentError::of_end(error, &self.file, &layout))?;
        Ok(DeltaContents {
            file: &self.file,
            path: &self.path,
            places: included
                .iter()
                .map(|entry| entry.sha256)
                .zip(places.cloned())
                .collect(),
            bases: &self.record.bases,
            bytes: layout.total_bytes(),
        })
    }

    fn check_frame(&self, placed: &Placed) -> Result<(), CheckError> {
        placed.check_header(&mut At::new(&self.file, placed.header_offset()))?;
        placed.check_padding(&mut At::new(&self.file, placed.content().end))
    }
}

impl DeltaContents<'_> {
    /// Whether it has the content of an entry.
    pub fn has(&self, entry: &EntryRecord) -> bool {
        self.places.contains_key(&entry.sha256)
    }

    /// A document that it has, if it is as its digest says.
    pub(super) fn bytes_of(&self, digest: Digest, size: u64) -> Option<Vec<u8>> {
        let placed = self.places.get(&digest)?;
        if placed.size() != size || size > MAX_DOCUMENT_BYTES {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(placed.size()).ok()?];
        let mut source = At::new(self.file, placed.content_offset());
        source.read_exact(&mut bytes).ok()?;
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn first_block(file: &BundleFile, path: &Utf8Path) -> Result<Vec<u8>, PathError> {
    let mut block = Vec::new();
    At::new(file, 0)
        .take(BLOCK_BYTES)
        .read_to_end(&mut block)
        .map_err(PathError::of(Action::Read, path))?;
    Ok(block)
}

fn begins_as_delta(path: &Utf8Path) -> Result<bool, PathError> {
    let file = BundleFile::whole(fsx::open(path)?, path.to_owned());
    Ok(record_size(&first_block(&file, path)?).is_some())
}
