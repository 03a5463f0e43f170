//! An existing file, of which a few bytes are changed in place.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Action, PathError, exclusive, lacking, publish, whole};

/// A regular file, open for reading and writing by position.
#[derive(Debug)]
pub struct EditableFile {
    file: File,
    path: Utf8PathBuf,
}

impl EditableFile {
    pub fn open(path: &Utf8Path) -> Result<Self, PathError> {
        let irregular = || {
            PathError::of(Action::Write, path)(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not a regular file",
            ))
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::IsADirectory => irregular(),
                _ => PathError::of(Action::Write, path)(error),
            })?;
        if !whole::is_regular(&file) {
            return Err(irregular());
        }
        publish::check_finished(path)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    pub fn reader(&self) -> Result<File, PathError> {
        whole::duplicate(&self.file, &self.path)
    }

    /// Waits until no other process holds the file with this lock, and holds it until the value and
    /// its readers are dropped. Programs that do not ask for the lock are not kept out, and nobody
    /// is where the file system has no locks.
    pub fn lock(&self) -> Result<(), PathError> {
        exclusive::wait(&self.file, &self.path)
    }

    /// Writes all bytes at a position, with one call when the system takes them all at once.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), PathError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(PathError::of(Action::Write, &self.path))
    }

    /// Waits until what was written is durable (`fdatasync`).
    pub fn sync(&self) -> Result<(), PathError> {
        lacking::sync_data(&self.file, &self.path)
    }
}
