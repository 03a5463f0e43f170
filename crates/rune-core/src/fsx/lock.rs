//! One writer at a time in a directory.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::fs::{File, OpenOptions};

use camino::Utf8Path;

use super::{Action, PathError, exclusive};

/// The file that is locked. It stays: removing it would let a third writer in beside the second.
const NAME: &str = ".lock";

/// The lock on a directory, let go when the value is dropped or the process ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Waits until nobody else has it. Where the file system has no locks, nobody is waited for.
    pub fn wait(directory: &Utf8Path) -> Result<Self, PathError> {
        let path = directory.join(NAME);
        let open = OpenOptions::new().create(true).append(true).open(&path);
        let file = open.map_err(PathError::of(Action::Write, &path))?;
        exclusive::wait(&file, &path)?;
        Ok(Self { _file: file })
    }
}
