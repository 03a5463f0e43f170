//! Where everything stands: computed from names, sizes and modes alone.

use std::{collections::BTreeSet, ops::Range};

use super::{
    EntryName, Mode,
    header::{BLOCK, BLOCK_BYTES, encode, header_bytes},
};
use rune_core::failure::Failure;

const END_BYTES: u64 = 2 * BLOCK_BYTES;

static ZEROS: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: EntryName,
    pub size: u64,
    pub mode: Mode,
}

/// One entry with its place. All offsets are from the beginning of the archive, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    entry: Entry,
    header_offset: u64,
    content_offset: u64,
    end_offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    placed: Vec<Placed>,
    end_offset: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[failure(Input)]
pub enum LayoutError {
    #[error("the entry name `{0}` occurs twice (upper and lower case count as the same)")]
    Duplicate(EntryName),
    #[error("the entry name `{0}` is also a directory of another entry")]
    FileAndDirectory(EntryName),
    #[error("the entries are too large for one archive")]
    TooLarge,
}

impl Layout {
    /// The two zero blocks at the end of every archive.
    pub(crate) const TRAILER: &'static [u8] = &ZEROS;

    /// Gives every entry its place, in the given order.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Result<Self, LayoutError> {
        let mut placed = Vec::new();
        let mut offset = 0_u64;
        for entry in entries {
            let place = Placed::at(offset, entry).ok_or(LayoutError::TooLarge)?;
            offset = place.end_offset;
            placed.push(place);
        }
        let end_offset = offset
            .checked_add(END_BYTES)
            .filter(|end| i64::try_from(*end).is_ok())
            .ok_or(LayoutError::TooLarge)?;
        refuse_collisions(&placed)?;
        Ok(Self { placed, end_offset })
    }

    pub fn entries(&self) -> &[Placed] {
        &self.placed
    }

    pub(crate) const fn total_bytes(&self) -> u64 {
        self.end_offset
    }

    /// Where the two zero blocks at the end begin.
    pub(crate) const fn trailer_offset(&self) -> u64 {
        self.end_offset.saturating_sub(END_BYTES)
    }
}

fn refuse_collisions(placed: &[Placed]) -> Result<(), LayoutError> {
    let folded = |placed: &Placed| placed.entry.name.as_str().to_ascii_lowercase();
    let mut names = BTreeSet::new();
    for place in placed {
        if !names.insert(folded(place)) {
            return Err(LayoutError::Duplicate(place.entry.name.clone()));
        }
    }
    let mut directories = BTreeSet::new();
    for name in &names {
        directories.extend(
            name.match_indices('/')
                .filter_map(|(position, _)| name.get(..position)),
        );
    }
    match placed
        .iter()
        .find(|place| directories.contains(folded(place).as_str()))
    {
        Some(place) => Err(LayoutError::FileAndDirectory(place.entry.name.clone())),
        None => Ok(()),
    }
}

impl Placed {
    fn at(header_offset: u64, entry: Entry) -> Option<Self> {
        let content_offset = header_offset.checked_add(header_bytes(entry.size))?;
        let end_offset = content_offset
            .checked_add(entry.size)?
            .checked_next_multiple_of(BLOCK_BYTES)?;
        Some(Self {
            entry,
            header_offset,
            content_offset,
            end_offset,
        })
    }

    pub const fn name(&self) -> &EntryName {
        &self.entry.name
    }

    pub const fn size(&self) -> u64 {
        self.entry.size
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.entry.mode
    }

    pub(crate) const fn header_offset(&self) -> u64 {
        self.header_offset
    }

    pub const fn content_offset(&self) -> u64 {
        self.content_offset
    }

    pub(crate) const fn content(&self) -> Range<u64> {
        self.content_offset..self.content_offset.saturating_add(self.entry.size)
    }

    /// Where its padding ends and the next header begins.
    pub const fn end_offset(&self) -> u64 {
        self.end_offset
    }

    /// The zero bytes that follow the content.
    pub(crate) fn padding(&self) -> &'static [u8] {
        let count = self.end_offset.saturating_sub(self.content().end);
        let count = usize::try_from(count).unwrap_or(BLOCK);
        ZEROS.get(..count).unwrap_or(&ZEROS)
    }

    pub fn header(&self) -> Vec<u8> {
        encode(&self.entry.name, self.entry.size, self.entry.mode)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Entry, Layout, LayoutError};
    use crate::archive::{EntryName, Mode};

    fn entry(name: &str, size: u64) -> Entry {
        Entry {
            name: EntryName::new(name).unwrap(),
            size,
            mode: Mode::Regular,
        }
    }

    #[test]
    fn places_headers_contents_and_padding() {
        let layout = Layout::new([entry("a", 0), entry("b", 1), entry("c", 512)]).unwrap();
        let offsets: Vec<_> = layout
            .entries()
            .iter()
            .map(|e| (e.header_offset(), e.content_offset(), e.padding().len()))
            .collect();
        assert_eq!(offsets, [(0, 512, 0), (512, 1024, 511), (1536, 2048, 0)]);
        assert_eq!(
            (layout.trailer_offset(), layout.total_bytes()),
            (2560, 3584)
        );
    }

    #[test]
    fn refuses_names_that_collide_on_some_file_system() {
        assert!(matches!(
            Layout::new([entry("a", 1), entry("a", 1)]),
            Err(LayoutError::Duplicate(_))
        ));
        assert!(matches!(
            Layout::new([entry("Files/x", 1), entry("files/X", 1)]),
            Err(LayoutError::Duplicate(_))
        ));
        assert!(matches!(
            Layout::new([entry("a/b", 1), entry("A", 1)]),
            Err(LayoutError::FileAndDirectory(_))
        ));
    }

    #[test]
    fn refuses_sizes_that_overflow() {
        assert_eq!(
            Layout::new([entry("a", u64::MAX)]),
            Err(LayoutError::TooLarge)
        );
        assert_eq!(
            Layout::new([entry("a", u64::MAX / 2), entry("b", u64::MAX / 2)]),
            Err(LayoutError::TooLarge)
        );
    }

    proptest! {
        #[test]
        fn the_tar_crate_finds_every_entry_where_the_layout_says(sizes in proptest::collection::vec(0_u64..5000, 1..12)) {
            let layout = Layout::new(sizes.iter().enumerate().map(|(n, size)| entry(&format!("f{n}"), *size))).unwrap();
            let mut bytes = vec![0; usize::try_from(layout.total_bytes()).unwrap()];
            for placed in layout.entries() {
                let at = usize::try_from(placed.header_offset()).unwrap();
                bytes[at..at + 512].copy_from_slice(&placed.header());
            }
            let mut archive = tar::Archive::new(bytes.as_slice());
            let found: Vec<_> = archive.entries().unwrap().map(|entry| entry.map(|entry| (entry.raw_file_position(), entry.size())).unwrap()).collect();
            let expected: Vec<_> = layout.entries().iter().map(|placed| (placed.content_offset(), placed.size())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
