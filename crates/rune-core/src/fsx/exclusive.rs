//! The lock that keeps a second process off a file that one is writing under a name it does not
//! keep.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
};

use camino::Utf8Path;

use super::{Action, PathError, lacking};

/// Takes the lock if nobody has it and the name still leads to this file: whoever had it may have
/// given the file its final name. Without locks in the file system nobody is kept off.
pub(super) fn lock(file: &File, path: &Utf8Path) -> Result<(), PathError> {
    let failed = PathError::of(Action::Lock, path);
    let busy = || io::Error::new(io::ErrorKind::WouldBlock, "another process is writing it");
    let outcome = match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(failed(busy())),
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    match lacking::locked(outcome) {
        Ok(()) if is_at(file, path).unwrap_or(false) => Ok(()),
        Ok(()) => Err(failed(busy())),
        Err(error) => Err(failed(error)),
    }
}

pub(super) fn wait(file: &File, path: &Utf8Path) -> Result<(), PathError> {
    lacking::locked(file.lock()).map_err(PathError::of(Action::Lock, path))
}

pub(super) fn is_at(file: &File, path: &Utf8Path) -> io::Result<bool> {
    let (ours, current) = (file.metadata()?, fs::metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (current.dev(), current.ino()))
}
