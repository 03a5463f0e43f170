//! A new file that is written piece by piece and appears whole or not at all.

use std::io::Write as _;

use camino::Utf8Path;

use super::{Action, FileMode, PathError, TemporaryFile};

/// A file without its name yet; dropping it removes what was written.
#[derive(Debug)]
pub struct NewFile {
    file: TemporaryFile,
}

impl NewFile {
    /// Begins a file beside its destination, which must not exist, with the given permission bits.
    pub fn create(path: &Utf8Path, mode: u32) -> Result<Self, PathError> {
        Ok(Self {
            file: TemporaryFile::beside(path, FileMode::Exact(mode))?,
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.file
            .file()
            .write_all(bytes)
            .map_err(PathError::of(Action::Write, self.file.path()))
    }

    /// Makes it durable and gives it its name, which must still be free.
    pub fn finish(mut self) -> Result<(), PathError> {
        self.file.publish()
    }
}
