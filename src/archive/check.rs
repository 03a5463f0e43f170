//! Reading an archive against its layout.
//!
//! One entry at a time: the header must be the computed one, the padding must be zero. Works the same on a
//! part of a file and on a stream.

use std::io::{self, Read};

use super::{EntryName, Placed};

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What an archive has wrong in the frame around its contents.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A header is not the one that the layout has at this place.
    #[error("entry `{0}`: the header is not the one that the index demands")]
    Header(EntryName),
    /// The bytes after the content are not all zero.
    #[error("entry `{0}`: the padding after it is not empty")]
    Padding(EntryName),
    /// The two zero blocks at the end are missing or not zero.
    #[error("the end of the archive is damaged")]
    Trailer,
    /// Something follows the end.
    #[error("there is more data after the end of the archive")]
    TrailingData,
    /// The archive is shorter than its layout.
    #[error("entry `{0}`: the archive ends in the middle of it")]
    Truncated(EntryName),
    /// The archive ends before its end.
    #[error("the archive ends before its last two blocks")]
    NoTrailer,
    /// Reading failed.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
}

/// Reads entries from a position in an archive. Keeps one buffer for all of them.
#[derive(Debug)]
pub struct EntryReader {
    buffer: Vec<u8>,
}

impl Default for EntryReader {
    fn default() -> Self {
        Self { buffer: vec![0; CHUNK_BYTES] }
    }
}

impl EntryReader {
    /// Reads one entry, header to padding, from a source that stands at its header, and hands the content on
    /// in pieces.
    ///
    /// # Errors
    /// A [`CheckError`] when the frame is not as laid out; whatever `sink` returns when it refuses a piece.
    pub fn read<E: From<CheckError>>(
        &mut self,
        source: &mut impl Read,
        placed: &Placed,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let expected = placed.header();
        let found = self.fill(source, placed, expected.len())?;
        if found != expected {
            return Err(CheckError::Header(placed.name().clone()).into());
        }
        let mut left = placed.size();
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            sink(self.fill(source, placed, piece)?)?;
            left = left.saturating_sub(piece as u64);
        }
        let padding = usize::try_from(placed.padding_bytes()).unwrap_or(0);
        if self.fill(source, placed, padding)?.iter().any(|byte| *byte != 0) {
            return Err(CheckError::Padding(placed.name().clone()).into());
        }
        Ok(())
    }

    fn fill(&mut self, source: &mut impl Read, placed: &Placed, length: usize) -> Result<&[u8], CheckError> {
        let buffer = self.buffer.get_mut(..length).unwrap_or_default();
        source.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CheckError::Truncated(placed.name().clone()),
            _ => CheckError::Read(error),
        })?;
        Ok(buffer)
    }
}

/// Checks that a source that stands after the last entry holds two zero blocks and nothing more.
///
/// # Errors
/// When it does not.
pub fn check_end(source: &mut impl Read) -> Result<(), CheckError> {
    let mut blocks = [0xff_u8; 1024];
    source.read_exact(&mut blocks).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => CheckError::NoTrailer,
        _ => CheckError::Read(error),
    })?;
    if blocks.iter().any(|byte| *byte != 0) {
        return Err(CheckError::Trailer);
    }
    let mut more = Vec::new();
    match source.take(1).read_to_end(&mut more).map_err(CheckError::Read)? {
        0 => Ok(()),
        _ => Err(CheckError::TrailingData),
    }
}
