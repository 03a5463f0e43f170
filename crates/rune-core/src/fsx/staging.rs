//! The directory that a tree is written into before it gets its final name.

use std::{fs::File, io};

use camino::{Utf8Path, Utf8PathBuf};
use cap_std::{ambient_authority, fs::Dir};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};

use super::{Action, PathError, lacking, publish, whole};

/// A locked directory beside its destination, `<destination>.partial`, reached only through one
/// handle, so that nothing written into it can land elsewhere.
#[derive(Debug)]
pub struct StagingDirectory {
    parent: Dir,
    handle: Dir,
    path: Utf8PathBuf,
    destination: Utf8PathBuf,
}

impl StagingDirectory {
    /// Creates it empty: what an earlier, killed run left in it is removed.
    pub fn create(destination: &Utf8Path) -> Result<Self, PathError> {
        let path = publish::partial_path(destination);
        let name = path.file_name().unwrap_or_default().to_owned();
        let at = |error: io::Error| PathError::of(Action::Write, &path)(error);
        let parent =
            Dir::open_ambient_dir(whole::parent(destination), ambient_authority()).map_err(at)?;
        match parent.create_dir(&name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(publish::not_created(destination, error));
            }
            _ => {}
        }
        // A plain descriptor, not one of the path-only kind that cap-std opens: it has to have the
        // lock.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&parent, name.as_str(), flags, Mode::empty())
            .map_err(|error| at(error.into()))?;
        let handle = Dir::from_std_file(opened.into());
        lacking::locked(
            flock(&handle, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from),
        )
        .map_err(PathError::of(Action::Lock, &path))?;
        for entry in handle.entries().map_err(at)? {
            let entry = entry.map_err(at)?;
            if entry.file_type().map_err(at)?.is_dir() {
                handle.remove_dir_all(entry.file_name()).map_err(at)?;
            } else {
                entry.remove_file().map_err(at)?;
            }
        }
        Ok(Self {
            parent,
            handle,
            path,
            destination: destination.to_owned(),
        })
    }

    pub const fn handle(&self) -> &Dir {
        &self.handle
    }

    /// Makes everything durable and gives the directory its final name, which must be free.
    pub fn finish(self) -> Result<(), PathError> {
        lacking::sync_file_system(&self.handle, &self.path)?;
        let opened = self
            .handle
            .try_clone()
            .map(|handle| File::from(std::os::fd::OwnedFd::from(handle)));
        let metadata = opened
            .and_then(|handle| handle.metadata())
            .map_err(PathError::of(Action::Inspect, &self.path))?;
        publish::directory(&metadata, &self.path, &self.destination)
    }

    pub fn discard(self) -> Result<(), PathError> {
        let name = self.path.file_name().unwrap_or_default();
        self.parent
            .remove_dir_all(name)
            .map_err(PathError::of(Action::Remove, &self.path))
    }
}
