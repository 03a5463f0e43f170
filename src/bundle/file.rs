//! The bytes of a bundle by position, in one file or one after another in several.
//!
//! Parts that `split` made and volumes differ only in where the bytes of the bundle begin in each
//! file. Whoever reads sees one bundle; whoever reports what is wrong asks here in which file it
//! is.

use std::{
    fs::File,
    io::{self, IoSliceMut, Read as _},
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::{ReadWriteFlags, preadv2};

use super::{HeadError, UnverifiedHead, archive::At};
use crate::archive::Placed;
use rune_core::{
    digest::{Digest, Sha256},
    fsx::{Action, PathError, Stamp},
};

/// How much is read at once to find out which of several files is wrong.
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, Clone)]
pub struct BundleFile {
    pieces: Arc<[Piece]>,
    /// The head, when each file has one of its own.
    head: Option<Arc<UnverifiedHead>>,
    /// Whether its last byte must be that of the bundle.
    has_end: bool,
    /// For reports, when the files are volumes.
    volumes: Option<Arc<Volumes>>,
}

/// A file and the bytes of the bundle that it has.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) file: File,
    pub(super) path: Utf8PathBuf,
    /// The bytes of the bundle; the last file is read to its end, wherever that is.
    pub(super) range: Range<u64>,
    pub(super) offset: u64,
    pub(super) kind: PieceKind,
}

#[derive(Debug)]
pub(super) enum PieceKind {
    Whole,
    /// One of the parts that `split` made.
    Part,
    /// A volume, and the digests of what it has of entries that it shares with others.
    Volume {
        number: u64,
        count: u64,
        shared: Vec<Digest>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volumes {
    pub(crate) volume_bytes: u64,
    pub(crate) files: Vec<Utf8PathBuf>,
}

impl From<File> for BundleFile {
    fn from(file: File) -> Self {
        Self::whole(file, Utf8PathBuf::new())
    }
}

impl BundleFile {
    pub(super) fn whole(file: File, path: Utf8PathBuf) -> Self {
        Self::new(vec![Piece {
            file,
            path,
            range: 0..u64::MAX,
            offset: 0,
            kind: PieceKind::Whole,
        }])
    }

    /// Of a bundle that is elsewhere.
    pub(super) fn nowhere() -> Self {
        Self::new(Vec::new())
    }

    /// The pieces in their order, without a gap.
    pub(super) fn new(pieces: Vec<Piece>) -> Self {
        Self {
            pieces: pieces.into(),
            has_end: true,
            head: None,
            volumes: None,
        }
    }

    pub(super) fn with_volumes(mut self, head: UnverifiedHead, volumes: Volumes) -> Self {
        self.head = Some(Arc::new(head));
        self.volumes = Some(Arc::new(volumes));
        self
    }

    /// The volumes that it is read from, if it is.
    pub fn volumes(&self) -> Option<&Volumes> {
        self.volumes.as_deref()
    }

    pub(crate) fn read_head(&self) -> Result<UnverifiedHead, HeadError> {
        let read = UnverifiedHead::read(&mut io::BufReader::new(At::new(self, 0)))?;
        Ok(self.head_of_set().cloned().unwrap_or(read))
    }

    /// The head of all volumes together, when it is read from volumes.
    pub(super) fn head_of_set(&self) -> Option<&UnverifiedHead> {
        self.head.as_deref()
    }

    /// Whether the end of the bundle is to be looked for.
    pub(super) const fn has_end(&self) -> bool {
        self.has_end
    }

    /// The same for whoever reads only some of it.
    pub(super) fn without_end(mut self) -> Self {
        self.has_end = false;
        self
    }

    pub(super) fn whole_file(&self) -> Option<&File> {
        match &*self.pieces {
            [piece] if matches!(piece.kind, PieceKind::Whole) => Some(&piece.file),
            _ => None,
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.pieces.iter().map(|piece| &piece.file)
    }

    /// Whether several files are read as one.
    pub(super) fn has_parts(&self) -> bool {
        self.pieces.len() > 1
    }

    pub(crate) fn length(&self) -> Result<u64, PathError> {
        let Some(last) = self.pieces.last() else {
            return Ok(0);
        };
        let metadata = last.file.metadata();
        let size = metadata
            .map_err(PathError::of(Action::Inspect, &last.path))?
            .len();
        Ok(last
            .range
            .start
            .saturating_add(size.saturating_sub(last.offset)))
    }

    /// Reads what one file has from a position, at most.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.place(buffer, offset) {
            Some((file, buffer, offset)) => file.read_at(buffer, offset),
            None => Ok(0),
        }
    }

    /// The same of what the system has in memory; an error where that ends, or where the file
    /// system cannot tell.
    pub(super) fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.place(buffer, offset) {
            Some((file, buffer, offset)) => Ok(preadv2(
                file,
                &mut [IoSliceMut::new(buffer)],
                offset,
                ReadWriteFlags::NOWAIT,
            )?),
            None => Ok(0),
        }
    }

    fn place<'b>(&self, buffer: &'b mut [u8], offset: u64) -> Option<(&File, &'b mut [u8], u64)> {
        let next = self
            .pieces
            .partition_point(|piece| piece.range.start <= offset);
        let piece = self.pieces.get(next.checked_sub(1)?)?;
        let left = piece.range.end.checked_sub(offset)?;
        let length = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let within = offset.saturating_sub(piece.range.start);
        Some((
            &piece.file,
            buffer.get_mut(..length)?,
            piece.offset.saturating_add(within),
        ))
    }

    /// What the files look like from outside. None when the system does not say.
    pub(crate) fn stamp(&self) -> Option<Arc<[Stamp]>> {
        self.pieces
            .iter()
            .map(|piece| Stamp::of(&piece.file))
            .collect()
    }

    pub(crate) fn has_stamp(&self, stamps: &[Stamp]) -> bool {
        self.pieces.len() == stamps.len()
            && self
                .pieces
                .iter()
                .zip(stamps)
                .all(|(piece, stamp)| Stamp::of(&piece.file) == Some(*stamp))
    }

    /// The files that some bytes of the bundle lie in, as they are told to people; nothing when
    /// there is only one.
    pub(super) fn files_of(&self, range: &Range<u64>) -> Vec<String> {
        let touched = self.touched(range).filter(|_| self.has_parts());
        touched.map(|(_, piece)| piece.name()).collect()
    }

    /// The files in which some bytes of the bundle are not these.
    pub(super) fn files_unlike(&self, offset: u64, expected: &[u8]) -> Vec<String> {
        let range = offset..offset.saturating_add(expected.len() as u64);
        let within =
            |position: u64| usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX);
        let unlike = self.touched(&range).filter(|(part, _)| {
            let expected = expected.get(within(part.start)..within(part.end));
            let mut found = vec![0; expected.map_or(0, <[u8]>::len)];
            At::new(self, part.start).read_exact(&mut found).is_err()
                || expected != Some(found.as_slice())
        });
        let unlike: Vec<String> = unlike.map(|(_, piece)| piece.name()).collect();
        if self.has_parts() { unlike } else { Vec::new() }
    }

    /// The files in which the content of an entry is not what it was: by the digests that volumes
    /// have of what they share, and all that it lies in when these do not tell.
    pub(super) fn files_to_blame(&self, placed: &Placed) -> Vec<String> {
        let content = placed.content();
        let wrong = self.volumes_to_blame(placed);
        if wrong.is_empty() {
            self.files_of(&content)
        } else {
            wrong
        }
    }

    /// The volumes whose piece of an entry is not what their record says; nothing when the entry
    /// lies in one file.
    pub(super) fn volumes_to_blame(&self, placed: &Placed) -> Vec<String> {
        let content = placed.content();
        if !self.has_parts() || self.touched(&content).count() < 2 {
            return Vec::new();
        }
        let wrong = self.touched(&content).filter(|(within, piece)| {
            matches!(&piece.kind, PieceKind::Volume { shared, .. }
                if self.digest_of(within).is_none_or(|digest| !shared.contains(&digest)))
        });
        wrong.map(|(_, piece)| piece.name()).collect()
    }

    /// The pieces that have some bytes of the bundle, each with these bytes.
    fn touched<'a>(
        &'a self,
        range: &Range<u64>,
    ) -> impl Iterator<Item = (Range<u64>, &'a Piece)> + use<'a> {
        let range = range.clone();
        self.pieces.iter().filter_map(move |piece| {
            let within = range.start.max(piece.range.start)..range.end.min(piece.range.end);
            (!within.is_empty()).then_some((within, piece))
        })
    }

    pub(super) fn digest_of(&self, range: &Range<u64>) -> Option<Digest> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut offset = range.start;
        while offset < range.end {
            let left = usize::try_from(range.end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let chunk = buffer.get_mut(..left.min(CHUNK_BYTES))?;
            let count = self
                .read_at(chunk, offset)
                .ok()
                .filter(|count| *count > 0)?;
            hasher.update(chunk.get(..count)?);
            offset = offset.saturating_add(count as u64);
        }
        Some(hasher.finish())
    }

    /// The parts by name and size, for whoever says which one has the wrong length.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Utf8Path, u64)> {
        self.pieces.iter().map(|piece| {
            let size = piece.file.metadata().map_or(0, |metadata| metadata.len());
            (piece.path.as_path(), size)
        })
    }
}

impl Piece {
    fn name(&self) -> String {
        match self.kind {
            PieceKind::Whole | PieceKind::Part => format!("`{}`", self.path),
            PieceKind::Volume { number, count, .. } => {
                format!("volume {number} of {count} (`{}`)", self.path)
            }
        }
    }
}
