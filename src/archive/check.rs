//! Reading an archive against its layout.
//!
//! One entry at a time: the header must be the computed one, the padding must be zero. Works the
//! same on a part of a file and on a stream.

use std::io::{self, Read};

use super::{EntryName, Placed};

const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("entry `{0}`: the header is not the one that the bundle index demands")]
    Header(EntryName),
    #[error("entry `{0}`: the padding after it is not empty")]
    Padding(EntryName),
    #[error("the end of the archive is damaged")]
    Trailer,
    #[error("there is more data after the end of the archive")]
    TrailingData,
    #[error("entry `{0}`: the archive ends in the middle of it")]
    Truncated(EntryName),
    #[error("the archive ends before its last two blocks")]
    NoTrailer,
    #[error("cannot read the archive: {0}")]
    Read(io::Error),
}

/// Reads entries from a position in an archive. Keeps one buffer for all of them.
#[derive(Debug)]
pub struct EntryReader {
    buffer: Vec<u8>,
}

impl Default for EntryReader {
    fn default() -> Self {
        Self {
            buffer: vec![0; CHUNK_BYTES],
        }
    }
}

impl EntryReader {
    /// Reads one entry, header to padding, from a source that stands at its header, and hands the
    /// content on in pieces. Fails as the [`CheckError`] of its frame, or as `sink` does.
    pub fn read<E: From<CheckError>>(
        &mut self,
        source: &mut impl Read,
        placed: &Placed,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        placed.check_header(source)?;
        let mut left = placed.size();
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let piece = self.buffer.get_mut(..length).unwrap_or_default();
            placed.fill(source, piece)?;
            sink(piece)?;
            left = left.saturating_sub(length as u64);
        }
        Ok(placed.check_padding(source)?)
    }
}

impl Placed {
    /// Checks that a source that stands at the header of this entry has it.
    pub(crate) fn check_header(&self, source: &mut impl Read) -> Result<(), CheckError> {
        let expected = self.header();
        let mut found = vec![0; expected.len()];
        self.fill(source, &mut found)?;
        if found == expected {
            Ok(())
        } else {
            Err(CheckError::Header(self.name().clone()))
        }
    }

    /// Checks that a source that stands after the content of this entry has its padding.
    pub(crate) fn check_padding(&self, source: &mut impl Read) -> Result<(), CheckError> {
        let mut padding = vec![0xff; self.padding().len()];
        self.fill(source, &mut padding)?;
        if padding.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(CheckError::Padding(self.name().clone()))
        }
    }

    pub(crate) fn fill(&self, source: &mut impl Read, buffer: &mut [u8]) -> Result<(), CheckError> {
        source
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => CheckError::Truncated(self.name().clone()),
                _ => CheckError::Read(error),
            })
    }
}

/// Checks that a source that stands after the last entry holds two zero blocks and nothing more.
pub(crate) fn check_end(source: &mut impl Read) -> Result<(), CheckError> {
    let mut blocks = [0xff_u8; 1024];
    source
        .read_exact(&mut blocks)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CheckError::NoTrailer,
            _ => CheckError::Read(error),
        })?;
    if blocks.iter().any(|byte| *byte != 0) {
        return Err(CheckError::Trailer);
    }
    let mut more = Vec::new();
    match source
        .take(1)
        .read_to_end(&mut more)
        .map_err(CheckError::Read)?
    {
        0 => Ok(()),
        _ => Err(CheckError::TrailingData),
    }
}
