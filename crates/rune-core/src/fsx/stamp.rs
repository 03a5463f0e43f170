//! What an open file looks like from outside, so that a change of it is noticed.

use std::{
    fs::{File, Metadata},
    os::unix::fs::MetadataExt as _,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

/// Device, inode, size, and the times at which content and inode of a file last changed.
///
/// Whoever writes to the file changes it. What it does not notice: a disk that gives other bytes
/// than were written, and whoever sets the clock of the machine back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl Stamp {
    /// Reads the state of an open file. None when the system does not say.
    pub fn of(file: &File) -> Option<Self> {
        file.metadata().ok().as_ref().map(Self::from)
    }

    pub(super) const fn device(&self) -> u64 {
        self.device
    }

    /// The later of its times. None when it is before 1970.
    pub(super) fn newest(&self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let since = Duration::new(
            u64::try_from(seconds).ok()?,
            u32::try_from(nanoseconds).ok()?,
        );
        SystemTime::UNIX_EPOCH.checked_add(since)
    }
}
