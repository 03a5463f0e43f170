//! Unpacking: all of it, verified, or nothing.
//!
//! The entries go into `<destination>.partial`, beneath one directory handle that nothing can
//! leave, and are checked while they are written. Only when the last byte was right does the
//! directory get its name. What a killed run left behind is cleared away by the next one.

use std::{collections::BTreeSet, io};

use camino::{Utf8Path, Utf8PathBuf};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};

use super::{
    AuthenticatedHead, BundleSource, ContentError, EntryRecord,
    archive::{Sink, read_contents},
    closure::{self, ClosureError},
};
use crate::archive::EntryName;
use rune_core::{
    failure::Failure,
    fsx::{self, PathError},
    progress::Progress,
};

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum UnpackError {
    #[error("`{directory}` already exists, and a bundle is unpacked into a new directory")]
    #[failure(Conflict: .inside.as_ref().map(|path| format!(
        "`{}` is a directory; name a new one in it, such as `{path}`", .directory
    )))]
    Exists {
        directory: Utf8PathBuf,
        /// A directory in it that could be one; none where it is not a directory.
        inside: Option<Utf8PathBuf>,
    },
    #[error("unpacking into `{directory}` needs {needed_bytes} bytes, {available_bytes} are free")]
    #[failure(Space: "make room, or name a directory on another disk")]
    Space {
        directory: Utf8PathBuf,
        needed_bytes: u64,
        available_bytes: u64,
    },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Closure(#[from] ClosureError),
}

/// Unpacks a bundle into a directory that must not exist yet; its parent must. Of `only` some
/// entries, nothing but these and the signed index is checked. After a failure it does not exist.
pub(crate) fn unpack(
    source: BundleSource,
    head: &AuthenticatedHead,
    only: Option<&BTreeSet<EntryName>>,
    destination: &Utf8Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(), UnpackError> {
    check_destination(head, only, destination)?;
    let staging = fsx::StagingDirectory::create(destination)?;
    let written = write_entries(source, head, only, staging.handle(), threads, progress);
    match written {
        Ok(()) => Ok(staging.finish()?),
        Err(error) => {
            staging.discard()?;
            Err(error)
        }
    }
}

pub(crate) fn check_destination(
    head: &AuthenticatedHead,
    only: Option<&BTreeSet<EntryName>>,
    destination: &Utf8Path,
) -> Result<(), UnpackError> {
    if fsx::exists(destination) {
        let name = || destination.join(format!("{}-{}", head.index().name, head.index().version));
        return Err(UnpackError::Exists {
            directory: destination.to_owned(),
            inside: fsx::is_dir(destination).then(name),
        });
    }
    let directory = fsx::parent(destination);
    let chosen = |only: &BTreeSet<EntryName>| {
        let entries = head
            .index()
            .entries
            .iter()
            .filter(|entry| only.contains(&entry.path));
        entries.map(|entry| entry.size).sum()
    };
    let needed_bytes = only.map_or_else(|| head.layout().total_bytes(), chosen);
    let available_bytes = fsx::available_space(directory)?;
    if needed_bytes > available_bytes {
        return Err(UnpackError::Space {
            directory: directory.to_owned(),
            needed_bytes,
            available_bytes,
        });
    }
    Ok(())
}

fn write_entries(
    source: BundleSource,
    head: &AuthenticatedHead,
    only: Option<&BTreeSet<EntryName>>,
    directory: &Dir,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(), UnpackError> {
    let open = |entry: &EntryRecord| Ok(Box::new(create(directory, entry)?) as Sink<'_>);
    let documents = read_contents(source, head, threads, progress, only, &open)?;
    if only.is_none() {
        closure::check(head.index(), &documents)?;
    }
    Ok(())
}

/// Creates the file of an entry beneath the directory; an existing one is an error.
fn create(directory: &Dir, entry: &EntryRecord) -> io::Result<cap_std::fs::File> {
    if let Some((parents, _)) = entry.path.as_str().rsplit_once('/') {
        directory.create_dir_all(parents)?;
    }
    directory.open_with(
        entry.path.as_str(),
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(entry.mode.bits()),
    )
}
