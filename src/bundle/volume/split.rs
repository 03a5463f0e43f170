//! Cutting an existing bundle into volumes.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{ContentHasher, Destination, Output, RewriteError};
use crate::{
    archive::{EntryName, Placed},
    bundle::{
        AuthenticatedHead, BundleSource, EntryRecord, MaterialiseError,
        archive::{Sink, read_contents},
        closure,
        delta::DeltaStart,
        materialise::{check_free, check_room},
    },
};
use rune_core::{fsx::PathError, progress::Progress};

/// Writes a bundle to volumes, and verifies it while it is read. An interrupted run begins anew.
pub(crate) fn split(
    source: BundleSource,
    head: &AuthenticatedHead,
    destination: &Destination,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(), RewriteError> {
    check_split(head, destination)?;
    let layout = head.layout();
    let output = Output::open(destination, layout.total_bytes())?;
    output.clear()?;
    output.allocate()?;
    write_frame(&output, None, head)?;
    let places: BTreeMap<&EntryName, &Placed> = layout
        .entries()
        .iter()
        .map(|placed| (placed.name(), placed))
        .collect();
    let open = |entry: &EntryRecord| {
        let placed = places.get(&entry.path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(EntryWriter {
            output: &output,
            offset: placed.content_offset(),
            hasher: output.hasher(placed),
        }) as Sink<'_>)
    };
    let documents = read_contents(source, head, threads, progress, None, &open)?;
    closure::check(head.index(), &documents)?;
    Ok(output.finish(head.digest(), layout)?)
}

pub(crate) fn check_split(
    head: &AuthenticatedHead,
    destination: &Destination,
) -> Result<(), MaterialiseError> {
    check_free(destination)?;
    check_room(destination, head.layout().total_bytes())
}

/// Writes the head, of a delta with its record, and the header of every entry. Padding is what the
/// files are made of.
pub(super) fn write_frame(
    output: &Output,
    delta: Option<&DeltaStart>,
    head: &AuthenticatedHead,
) -> Result<(), PathError> {
    let unverified = head.unverified();
    let record = delta.map(DeltaStart::bytes);
    let contents = record
        .into_iter()
        .chain([unverified.index_bytes()])
        .chain(unverified.slots().iter().map(Vec::as_slice));
    for (placed, content) in head.layout().entries().iter().zip(contents) {
        output.write_at(content, placed.content_offset())?;
    }
    for placed in head.layout().entries() {
        output.write_at(&placed.header(), placed.header_offset())?;
    }
    Ok(())
}

/// Writes the content of an entry to where it belongs.
struct EntryWriter<'a> {
    output: &'a Output,
    offset: u64,
    hasher: ContentHasher,
}

impl Write for EntryWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update_pieces(bytes);
        self.output
            .write_at(bytes, self.offset)
            .map_err(|error| error.source)?;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
