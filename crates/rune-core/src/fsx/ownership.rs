//! Whose word a file is: nobody but root and this user may write it, or put another in its place.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
};

use camino::Utf8Path;

use super::{Action, PathError, resolve};

/// Write permission of the group and of everybody.
const OTHERS_MAY_WRITE: u32 = 0o022;
/// Only owners remove and rename entries of such a directory.
const STICKY: u32 = 0o1000;

/// Checks that a file, each link to it and each directory on the way belong to root or to this
/// user, and that nobody else may write them.
///
/// # Errors
/// At the first that does not, or that cannot be asked about.
pub fn check_only_ours(path: &Utf8Path) -> Result<(), PathError> {
    let whole = camino::absolute_utf8(path).map_err(PathError::of(Action::Inspect, path))?;
    let target = resolve(&whole)?;
    for part in whole.ancestors().chain(target.ancestors()) {
        let found = fs::symlink_metadata(part).map_err(PathError::of(Action::Inspect, part))?;
        if let Some(problem) = problem(&found) {
            return Err(PathError::of(Action::Trust, part)(io::Error::new(
                io::ErrorKind::PermissionDenied,
                problem,
            )));
        }
    }
    Ok(())
}

fn problem(found: &Metadata) -> Option<String> {
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
