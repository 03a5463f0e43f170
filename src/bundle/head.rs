//! The header of a bundle: the bundle index and the signature slots, before and after they are
//! authenticated.
//!
//! [`UnverifiedHead`] holds bytes. The only thing read from them is the size of the first entry.
//! [`AuthenticatedHead`] exists only when a key or digest from outside the bundle authenticates the
//! bundle index; every reader of entries asks for one.

use std::{collections::BTreeMap, io::Read};

use super::{
    BundleIndex, EntryRecord, IndexError,
    compression::Compression,
    delta::is_delta_header,
    index::{INDEX_NAME, MAX_INDEX_BYTES, head_entries},
    publication::{Publication, publications},
    trust::{Quorum, SlotState, Trust},
    trust_error::TrustError,
};
use crate::{
    archive::{
        BLOCK_BYTES, CheckError, EntryName, EntryNameError, EntryReader, Layout, LayoutError,
        Placed, first_entry_size,
    },
    sign::{SLOT_BYTES, SLOTS},
};
use rune_core::{digest::Digest, failure::Failure};

/// The head as it stands in the file; nothing in it is trusted.
#[derive(Debug, Clone)]
pub struct UnverifiedHead {
    index_bytes: Vec<u8>,
    slots: Vec<Vec<u8>>,
}

/// The header of a bundle that a trusted key or digest authenticates.
#[derive(Debug)]
pub struct AuthenticatedHead {
    bytes: UnverifiedHead,
    index: BundleIndex,
    digest: Digest,
    layout: Layout,
    slots: Vec<SlotState>,
    quorum: Option<Quorum>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input: "check that the path is right and that the file was copied completely")]
pub enum HeadError {
    #[error("this is not a bundle: the file is empty")]
    Empty,
    #[error("this is not a bundle: the file does not begin with the header of `bundle.json`")]
    NotABundle,
    #[error("this is a delta: it has a part of the bundle, and the rest is elsewhere")]
    #[failure(help: "create the bundle of it first: `rune-bundle apply DELTA --from BASE --output \
        FILE`")]
    Delta,
    #[error("this is not a bundle: it is a {} file", .0.name())]
    #[failure(help: .0.help("FILE"))]
    Compressed(Compression),
    #[error("the header of the bundle is damaged")]
    Damaged(#[source] CheckError),
    #[error("the fixed part of the archive is malformed")]
    Layout(#[from] LayoutError),
    #[error("the fixed part of the archive is malformed")]
    Name(#[from] EntryNameError),
}

#[derive(Debug, thiserror::Error, Failure)]
pub enum AuthenticationError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl UnverifiedHead {
    /// Reads the head from a source that stands at the beginning, and leaves it after the last
    /// slot.
    pub fn read(source: &mut impl Read) -> Result<Self, HeadError> {
        let mut first = Vec::new();
        source
            .take(BLOCK_BYTES)
            .read_to_end(&mut first)
            .map_err(|error| HeadError::Damaged(CheckError::Read(error)))?;
        if first.is_empty() {
            return Err(HeadError::Empty);
        }
        let name = EntryName::new(INDEX_NAME)?;
        let size = first_entry_size(&first, &name, MAX_INDEX_BYTES).map_err(|_| {
            if is_delta_header(&first) {
                return HeadError::Delta;
            }
            Compression::of(&first).map_or(HeadError::NotABundle, HeadError::Compressed)
        })?;
        let layout = Layout::new(head_entries(size)?)?;
        let mut reader = EntryReader::default();
        let mut whole = first.as_slice().chain(source);
        let mut contents = Vec::new();
        for placed in layout.entries() {
            let mut content = Vec::new();
            let keep = |piece: &[u8]| -> Result<(), CheckError> {
                content.extend_from_slice(piece);
                Ok(())
            };
            reader
                .read(&mut whole, placed, keep)
                .map_err(HeadError::Damaged)?;
            contents.push(content);
        }
        let mut contents = contents.into_iter();
        Ok(Self {
            index_bytes: contents.next().unwrap_or_default(),
            slots: contents.collect(),
        })
    }

    /// The header of a bundle as a registry has it: the bundle index, and by its number what each
    /// slot held.
    pub(crate) fn published(index_bytes: Vec<u8>, signatures: BTreeMap<usize, Vec<u8>>) -> Self {
        let mut slots = vec![vec![b' '; SLOT_BYTES]; SLOTS];
        for (number, mut signature) in signatures {
            signature.resize(signature.len().max(SLOT_BYTES), b' ');
            if let Some(slot) = slots.get_mut(number) {
                *slot = signature;
            }
        }
        Self { index_bytes, slots }
    }

    /// The bundle digest: the SHA-256 of the bundle index as it stands in the file.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.index_bytes)
    }

    pub(crate) const fn index_size(&self) -> u64 {
        self.index_bytes.len() as u64
    }

    pub(super) fn index_bytes(&self) -> &[u8] {
        &self.index_bytes
    }

    pub(super) fn slots(&self) -> &[Vec<u8>] {
        &self.slots
    }

    pub(super) fn set_slot(&mut self, slot: usize, bytes: Vec<u8>) {
        if let Some(held) = self.slots.get_mut(slot) {
            *held = bytes;
        }
    }

    /// Decides whether a trusted key or digest authenticates the bundle index, and only then reads
    /// it.
    pub fn authenticate(self, trust: &Trust) -> Result<AuthenticatedHead, AuthenticationError> {
        let slots = trust.evaluate(&self.index_bytes, &self.slots)?;
        let index = BundleIndex::from_bytes(&self.index_bytes)?;
        let layout = index.layout(self.index_bytes.len() as u64)?;
        Ok(AuthenticatedHead {
            digest: self.digest(),
            index,
            layout,
            quorum: trust.quorum(&slots),
            slots,
            bytes: self,
        })
    }

    /// Reads the bundle index on the word of whoever is about to sign it. It serves to check the
    /// entries behind it, which is what a signer signs, and nothing else is done with them.
    pub(super) fn vouched_for_by_signer(self) -> Result<AuthenticatedHead, IndexError> {
        let (index, slots) = self.peek()?;
        let layout = index.layout(self.index_bytes.len() as u64)?;
        Ok(AuthenticatedHead {
            digest: self.digest(),
            index,
            layout,
            slots,
            quorum: None,
            bytes: self,
        })
    }

    /// Reads the bundle index although nobody authenticated it; for showing only, never for acting.
    pub fn peek(&self) -> Result<(BundleIndex, Vec<SlotState>), IndexError> {
        let digest = self.digest();
        Ok((
            BundleIndex::from_bytes(&self.index_bytes)?,
            self.slots
                .iter()
                .map(|slot| SlotState::peek(digest, slot))
                .collect(),
        ))
    }
}

impl AuthenticatedHead {
    pub(crate) const fn index(&self) -> &BundleIndex {
        &self.index
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// What is published of the bundle, and under which names.
    pub(crate) fn publications(&self) -> Result<Vec<Publication>, IndexError> {
        publications(self).map(|(published, _)| published)
    }

    pub(crate) fn slots(&self) -> &[SlotState] {
        &self.slots
    }

    pub(crate) const fn quorum(&self) -> Option<&Quorum> {
        self.quorum.as_ref()
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn index_bytes(&self) -> &[u8] {
        &self.bytes.index_bytes
    }

    /// The same head before some of the entries, in another layout.
    pub(super) fn with_entries(&self, entries: Vec<EntryRecord>, layout: Layout) -> Self {
        Self {
            bytes: self.bytes.clone(),
            index: BundleIndex {
                entries,
                ..self.index.clone()
            },
            digest: self.digest,
            layout,
            slots: self.slots.clone(),
            quorum: self.quorum.clone(),
        }
    }

    /// Where the content of a signature slot begins in the file.
    pub(super) fn slot_offset(&self, slot: usize) -> u64 {
        // The bundle index comes first.
        self.layout
            .entries()
            .get(slot.saturating_add(1))
            .map_or(u64::MAX, Placed::content_offset)
    }

    pub(super) const fn unverified(&self) -> &UnverifiedHead {
        &self.bytes
    }

    /// The number and the content, without the spaces after it, of each slot that is not blank.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = (usize, Vec<u8>)> {
        let slots = self
            .bytes
            .slots
            .iter()
            .map(|slot| slot.trim_ascii_end().to_vec());
        slots
            .enumerate()
            .filter(|(_, signature)| !signature.is_empty())
    }

    /// The entries behind the head with their places, in archive order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&EntryRecord, &Placed)> {
        placed_entries(&self.index, &self.layout)
    }
}

/// The entries of an index with their places in its layout, in archive order.
pub(super) fn placed_entries<'a>(
    index: &'a BundleIndex,
    layout: &'a Layout,
) -> impl Iterator<Item = (&'a EntryRecord, &'a Placed)> {
    let skipped = layout.entries().len().saturating_sub(index.entries.len());
    index
        .entries
        .iter()
        .zip(layout.entries().iter().skip(skipped))
}
