//! The length of a bundle, which its index determines: a copy that was not finished is recognised
//! before anything else is read.

use std::io::{self, Read};

use super::{BundleFile, ContentError, archive::BundleSource, content_error::Problem, parts};
use crate::archive::{CheckError, Layout};
use rune_core::command::counted;

#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub(super) struct LengthError {
    actual: u64,
    expected: u64,
}

impl LengthError {
    fn text(&self) -> String {
        let Self { actual, expected } = self;
        match expected.checked_sub(*actual) {
            Some(missing) => format!(
                "the bundle is {} short ({actual} of {expected} bytes): the copy was not finished",
                counted(missing, "byte")
            ),
            None => format!(
                "{} bytes follow the end of the bundle ({actual} bytes instead of {expected})",
                actual.saturating_sub(*expected)
            ),
        }
    }

    pub(super) fn help(&self) -> String {
        if self.actual < self.expected {
            "copy the file again from its source, and run `sync` before you remove the medium"
                .to_owned()
        } else {
            format!(
                "a copy of a whole disk or partition ends with other data; keep the bundle alone: \
                 `head --bytes={} FILE > BUNDLE`",
                self.expected
            )
        }
    }
}

pub(super) fn check_length(file: &BundleFile, layout: &Layout) -> Result<(), ContentError> {
    let expected = layout.total_bytes();
    let Some(whole) = file.whole_file() else {
        return parts::check_length(file, expected).map_err(ContentError::of_whole);
    };
    match whole.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() != expected => {
            let actual = metadata.len();
            Err(ContentError::of_whole(LengthError { actual, expected }))
        }
        // A device has no length of its own; its end shows when it is read.
        _ => Ok(()),
    }
}

impl BundleSource {
    /// Compares the length of a file with that of its layout; of a stream it is not known yet.
    pub(crate) fn check_length(&self, layout: &Layout) -> Result<(), ContentError> {
        match self {
            Self::File(file) => check_length(file, layout),
            Self::Stream(_) => Ok(()),
        }
    }
}

/// A stream that counts what was read of it.
pub(super) struct Counted<R> {
    stream: R,
    count: u64,
}

impl<R: Read> Counted<R> {
    pub(super) const fn from(stream: R, count: u64) -> Self {
        Self { stream, count }
    }

    /// The end of the stream in the middle of the archive says how much is missing.
    pub(super) fn explain(&self, error: Problem, layout: &Layout) -> Problem {
        match error {
            Problem::Frame(CheckError::Truncated(_) | CheckError::NoTrailer) => LengthError {
                actual: self.count,
                expected: layout.total_bytes(),
            }
            .into(),
            other => other,
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.count = self.count.saturating_add(count as u64);
        Ok(count)
    }
}
