//! What an open file looks like from outside, so that a change of it is noticed.

use std::{fs::File, os::unix::fs::MetadataExt as _};

/// Device, inode, size, and the times at which content and inode of a file last changed.
///
/// Whoever writes to the file changes it. What it does not notice: a disk that gives other bytes
/// than were written, and whoever sets the clock of the machine back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Looks at an open file. None when the system does not say.
    pub fn of(file: &File) -> Option<Self> {
        let found = file.metadata().ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
