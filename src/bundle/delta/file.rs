//! Opening a delta: its record and head, and, once its index is known, where its entries lie.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read as _},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{BaseRecord, DeltaError, DeltaStart, Tally, record::is_delta_header};
use crate::{
    archive::{BLOCK_BYTES, CheckError, Placed, check_end},
    bundle::{
        AuthenticatedHead, BundleFile, BundleIndex, BundleSource, ContentError, EntryRecord,
        UnverifiedHead, Volumes,
        archive::{At, MAX_DOCUMENT_BYTES, Sink, read_contents},
        length::check_length,
        volume::{RECORD_END, is_volume_header},
    },
};
use rune_core::{
    digest::Digest,
    fsx::{self, Action, PathError},
    progress::Progress,
};

/// A delta of which only record and head were read; nothing in it is trusted.
#[derive(Debug)]
pub(crate) struct Delta {
    pub(super) path: Utf8PathBuf,
    pub(super) file: BundleFile,
    pub(super) start: DeltaStart,
    head: UnverifiedHead,
}

/// Where a delta has which entries of its bundle.
#[derive(Debug)]
pub(crate) struct DeltaContents<'a> {
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
        let start = DeltaStart::read(&file, 0, path)?
            .ok_or_else(|| DeltaError::NotADelta(path.to_owned()))?;
        let head = match file.head_of_set() {
            Some(head) => head.clone(),
            None => UnverifiedHead::read(&mut BufReader::new(At::new(&file, start.end())))?,
        };
        if start.bundle() != head.digest() {
            return Err(DeltaError::OtherBundle(start.bundle()));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            start,
            head,
        })
    }

    pub(crate) fn volumes(&self) -> Option<&Volumes> {
        self.file.volumes()
    }

    pub(crate) const fn head(&self) -> &UnverifiedHead {
        &self.head
    }

    /// What it was created for, as it says.
    pub(crate) fn bases(&self) -> &[BaseRecord] {
        &self.start.record.bases
    }

    /// Compares the delta with the bundle index of its head: which entries it has, its length, and
    /// every byte around the entries, which are not read.
    pub(crate) fn contents(&self, index: &BundleIndex) -> Result<DeltaContents<'_>, DeltaError> {
        let (included, layout) = self.start.included(index, self.head.index_size())?;
        let before = layout.entries().len().saturating_sub(included.len());
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
            bases: &self.start.record.bases,
            bytes: layout.total_bytes(),
        })
    }

    /// Checks every byte of it behind its head, as the bundle index says.
    pub(crate) fn verify(
        &self,
        head: &AuthenticatedHead,
        threads: usize,
        progress: &dyn Progress,
    ) -> Result<(), DeltaError> {
        let head = self.start.head_of(head)?;
        let source = BundleSource::File(self.file.clone());
        read_contents(source, &head, threads, progress, None, &|_| {
            Ok(Box::new(io::sink()) as Sink<'_>)
        })?;
        Ok(())
    }

    fn check_frame(&self, placed: &Placed) -> Result<(), CheckError> {
        placed.check_header(&mut At::new(&self.file, placed.header_offset()))?;
        placed.check_padding(&mut At::new(&self.file, placed.content().end))
    }
}

impl DeltaContents<'_> {
    /// Whether it has the content of an entry.
    pub(crate) fn has(&self, entry: &EntryRecord) -> bool {
        self.places.contains_key(&entry.sha256)
    }

    /// A document that it has, if it is as its digest says.
    pub(crate) fn bytes_of(&self, digest: Digest, size: u64) -> Option<Vec<u8>> {
        let placed = self.places.get(&digest)?;
        if placed.size() != size || size > MAX_DOCUMENT_BYTES {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(placed.size()).ok()?];
        let mut source = At::new(self.file, placed.content_offset());
        source.read_exact(&mut bytes).ok()?;
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    /// How much of the bundle it has, and how much it lacks.
    pub(crate) fn tallies(&self, index: &BundleIndex) -> (Tally, Tally) {
        let tally = |is_included: bool| {
            let entries = index.entries.iter();
            Tally::of(entries.filter(|entry| self.has(entry) == is_included))
        };
        (tally(true), tally(false))
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Whether a file is a delta, or a volume of one.
fn begins_as_delta(path: &Utf8Path) -> Result<bool, PathError> {
    let file = BundleFile::whole(fsx::open(path)?, path.to_owned());
    let block = |offset| {
        let mut block = Vec::new();
        At::new(&file, offset)
            .take(BLOCK_BYTES)
            .read_to_end(&mut block)
            .map_err(PathError::of(Action::Read, path))?;
        Ok(block)
    };
    let first = block(0)?;
    let is_volume = is_volume_header(&first);
    Ok(is_delta_header(&if is_volume {
        block(RECORD_END)?
    } else {
        first
    }))
}
