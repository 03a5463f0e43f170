//! What a name leads to: links resolved, and the one file behind it.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statx};

use super::{Action, PathError};

#[derive(Debug, Clone, Copy)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    pub links: u64,
    pub size: u64,
    /// Whether it is a regular file: no directory, device, pipe or socket.
    pub is_regular: bool,
    pub is_directory: bool,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

/// The same file, whatever has changed about it.
impl PartialEq for FileIdentity {
    fn eq(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl From<Metadata> for FileIdentity {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            links: metadata.nlink(),
            size: metadata.size(),
            is_regular: metadata.is_file(),
            is_directory: metadata.is_dir(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
        }
    }
}

/// The absolute path without links, `.` and `..` of something that exists.
pub fn resolve(path: &Utf8Path) -> Result<Utf8PathBuf, PathError> {
    path.canonicalize_utf8()
        .map_err(PathError::of(Action::Read, path))
}

/// The file that a name leads to. Nothing is opened, so a pipe does not block and no lock is lost.
pub fn identity(path: &Utf8Path) -> Result<FileIdentity, PathError> {
    fs::metadata(path)
        .map(FileIdentity::from)
        .map_err(PathError::of(Action::Inspect, path))
}

pub fn is_link(path: &Utf8Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Whether something is mounted under exactly this name, as a container does with a single file.
/// The other name of the file is then out of sight. Kernels before 5.8 do not say.
pub fn is_mount_point(path: &Utf8Path) -> bool {
    statx(
        CWD,
        path.as_std_path(),
        AtFlags::empty(),
        StatxFlags::empty(),
    )
    .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Checks that this process may read a file, without opening it: closing it again would drop the
/// locks that SQLite holds on it.
pub fn check_readable(path: &Utf8Path) -> Result<(), PathError> {
    accessat(CWD, path.as_std_path(), Access::READ_OK, AtFlags::EACCESS)
        .map_err(|error| PathError::of(Action::Read, path)(error.into()))
}

/// By its permissions and those of the file system. Nothing is opened.
pub fn is_writable(path: &Utf8Path) -> bool {
    accessat(CWD, path.as_std_path(), Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

pub fn remove_if_same(path: &Utf8Path, expected: FileIdentity) -> Result<(), PathError> {
    let is_same =
        fs::symlink_metadata(path).is_ok_and(|metadata| FileIdentity::from(metadata) == expected);
    if is_same {
        fs::remove_file(path).map_err(PathError::of(Action::Remove, path))
    } else {
        Ok(())
    }
}
