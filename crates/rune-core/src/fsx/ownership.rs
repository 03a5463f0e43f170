//! Whose word a file is: nobody but root and this user may write it, or put another in its place.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
};

use camino::Utf8Path;
use rustix::fs::OFlags;

use super::{Action, PathError, resolve};

const OTHERS_MAY_WRITE: u32 = 0o022;
/// Only owners remove and rename entries of such a directory.
const STICKY: u32 = 0o1000;

/// Checks that a file, each link to it and each directory on the way belong to root or to this
/// user, and that nobody else may write them.
pub fn check_only_ours(path: &Utf8Path) -> Result<(), PathError> {
    let whole = camino::absolute_utf8(path).map_err(PathError::of(Action::Inspect, path))?;
    let target = resolve(&whole)?;
    for part in whole.ancestors().chain(target.ancestors()) {
        let found = fs::symlink_metadata(part).map_err(PathError::of(Action::Inspect, part))?;
        check(&found, part)?;
    }
    Ok(())
}

/// Reads a file of at most `max_bytes` bytes that belongs to root or to this user and that nobody
/// else may write, without following a link to it.
pub fn read_only_ours(path: &Utf8Path, max_bytes: u64) -> Result<Vec<u8>, PathError> {
    // A pipe in its place is not waited for.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let failed = |error| PathError::of(Action::Read, path)(error);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    check(&found, path)?;
    if !found.is_file() || found.len() > max_bytes {
        return Err(failed(io::ErrorKind::InvalidData.into()));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

fn check(found: &Metadata, path: &Utf8Path) -> Result<(), PathError> {
    who_else_may_write(found).map_or(Ok(()), |problem| {
        Err(PathError::of(Action::Trust, path)(io::Error::new(
            io::ErrorKind::PermissionDenied,
            problem,
        )))
    })
}

pub(super) fn who_else_may_write(found: &Metadata) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    let is_shared_directory = found.is_dir() && found.mode() & STICKY != 0;
    if found.uid() != 0 && found.uid() != user {
        return Some(format!(
            "it belongs to the user {}, not to root or the user {user}",
            found.uid()
        ));
    }
    // The permission bits of a link mean nothing.
    let is_open =
        !found.is_symlink() && !is_shared_directory && found.mode() & OTHERS_MAY_WRITE != 0;
    is_open.then(|| format!("others may write it (mode {:04o})", found.mode() & 0o7777))
}
