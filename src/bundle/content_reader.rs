//! One content of an open bundle, in pieces; never whole unless it is right.
//!
//! The last piece waits until header, digest and padding are known to be as they must be, so
//! whoever passes the pieces on as they come passes on everything or a part that is visibly too
//! short.

use std::sync::Arc;

use super::{BundleFile, ContentError, OpenBundle, archive::At, content_error::Problem};
use crate::archive::{CheckError, Placed};
use rune_core::{
    digest::{Digest, Sha256},
    fsx::Stamp,
};

/// How much is read at once, in bytes.
const PIECE_BYTES: u64 = 256 << 10;

/// How much is withheld at least, in bytes.
const WITHHELD_BYTES: u64 = 64 << 10;

type Open<'a> = fn(&'a BundleFile, u64) -> At<'a>;

/// A place in one content, from its beginning to its end. A clone is another place, at the same
/// byte.
#[derive(Debug, Clone)]
pub(crate) struct ContentReader {
    source: Source,
    offset: u64,
}

#[derive(Debug, Clone)]
enum Source {
    Archive {
        placed: Placed,
        digest: Digest,
        check: Check,
    },
    /// Made by this program, so there is nothing to check.
    Memory(Arc<[u8]>),
}

/// How it is known that a content is right.
#[derive(Debug, Clone)]
enum Check {
    Hash(Sha256),
    /// It was right when the file looked like this.
    Unchanged(Arc<[Stamp]>),
}

impl ContentReader {
    pub(super) fn of_archive(
        placed: Placed,
        digest: Digest,
        verified: Option<Arc<[Stamp]>>,
    ) -> Self {
        let check = verified.map_or_else(|| Check::Hash(Sha256::new()), Check::Unchanged);
        Self {
            source: Source::Archive {
                placed,
                digest,
                check,
            },
            offset: 0,
        }
    }

    pub(super) const fn of_memory(bytes: Arc<[u8]>) -> Self {
        Self {
            source: Source::Memory(bytes),
            offset: 0,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        match &self.source {
            Source::Archive { placed, .. } => placed.size(),
            Source::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Reads the next piece into the buffer, whose old content is lost, and says whether there may
    /// be another; the last piece can be empty. The buffer is empty after a failure.
    pub(crate) fn next_piece(
        &mut self,
        bundle: &OpenBundle,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, ContentError> {
        self.advance(bundle, buffer, At::new)
            .map_err(|problem| self.wrong(problem, bundle))
    }

    /// The same for whoever must not wait for a disk: nothing happens, and there is no answer,
    /// unless the system has all of the piece in memory.
    pub(crate) fn next_cached_piece(
        &mut self,
        bundle: &OpenBundle,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<bool>, ContentError> {
        match self.advance(bundle, buffer, At::cached) {
            // What is a failure and not a wait is met again by whoever reads with patience.
            Err(Problem::Frame(CheckError::Read(_))) => Ok(None),
            outcome => outcome
                .map(Some)
                .map_err(|problem| self.wrong(problem, bundle)),
        }
    }

    fn wrong(&self, problem: Problem, bundle: &OpenBundle) -> ContentError {
        match &self.source {
            Source::Archive { placed, .. } => {
                ContentError::of_entry(problem, bundle.file(), placed)
            }
            Source::Memory(_) => ContentError::of_whole(problem),
        }
    }

    fn advance<'a>(
        &mut self,
        bundle: &'a OpenBundle,
        buffer: &mut Vec<u8>,
        at: Open<'a>,
    ) -> Result<bool, Problem> {
        let left = self.size().saturating_sub(self.offset);
        let is_last = left <= PIECE_BYTES;
        let length = if is_last {
            left
        } else {
            PIECE_BYTES.min(left.saturating_sub(WITHHELD_BYTES))
        };
        // What is in it stays until it is read over: filling it with zeros every time costs as much
        // as reading.
        buffer.resize(usize::try_from(length).unwrap_or(0), 0);
        if let Err(problem) = self.fill(bundle, buffer, is_last, at) {
            buffer.clear();
            return Err(problem);
        }
        self.offset = self.offset.saturating_add(length);
        Ok(!is_last)
    }

    fn fill<'a>(
        &mut self,
        bundle: &'a OpenBundle,
        buffer: &mut [u8],
        is_last: bool,
        at: Open<'a>,
    ) -> Result<(), Problem> {
        let (placed, digest, check) = match &mut self.source {
            Source::Archive {
                placed,
                digest,
                check,
            } => (placed, *digest, check),
            Source::Memory(bytes) => {
                let rest = usize::try_from(self.offset)
                    .ok()
                    .and_then(|start| bytes.get(start..))
                    .unwrap_or_default();
                buffer
                    .iter_mut()
                    .zip(rest)
                    .for_each(|(to, from)| *to = *from);
                return Ok(());
            }
        };
        if self.offset == 0 {
            placed.check_header(&mut at(bundle.file(), placed.header_offset()))?;
        }
        let mut source = at(
            bundle.file(),
            placed.content_offset().saturating_add(self.offset),
        );
        placed.fill(&mut source, buffer)?;
        if is_last {
            placed.check_padding(&mut source)?;
        }
        // After everything that was to be read: what would have had to wait is read once more, and
        // whoever wrote to the file did so after this was read, or is noticed here.
        let hasher = match check {
            Check::Hash(hasher) => hasher,
            Check::Unchanged(stamps) if bundle.file().has_stamp(stamps) => return Ok(()),
            Check::Unchanged(_) => return Err(Problem::Changed(placed.name().clone())),
        };
        hasher.update(buffer);
        if !is_last {
            return Ok(());
        }
        let actual = hasher.clone().finish();
        if actual == digest {
            Ok(())
        } else {
            Err(Problem::Digest {
                path: placed.name().clone(),
                expected: digest,
                actual,
            })
        }
    }
}
