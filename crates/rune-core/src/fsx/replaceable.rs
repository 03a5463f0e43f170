//! A small private file that several programs change: one at a time, and each change appears whole
//! or not at all.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Action, PathError,
    exclusive::{self, is_at},
    exists, parent, remove_file, resolve, whole,
};

/// A file that nobody else changes in the meantime. Dropping it leaves the file as it was.
#[derive(Debug)]
pub struct ReplaceableFile {
    /// Links resolved: a link to the file stays a link.
    path: Utf8PathBuf,
    file: File,
    content: Vec<u8>,
    is_new: bool,
    /// Those that were made for it, the innermost first.
    new_directories: Vec<Utf8PathBuf>,
}

impl ReplaceableFile {
    /// Waits for the file, locks and reads it; without one there, begins an empty one for this user
    /// alone, in directories for this user alone.
    pub fn open(path: &Utf8Path, max_bytes: u64) -> Result<Self, PathError> {
        loop {
            let is_new = !exists(path);
            let directory = parent(path);
            let new_directories: Vec<_> = directory
                .ancestors()
                .take_while(|directory| !exists(directory))
                .map(Utf8Path::to_owned)
                .collect();
            if !new_directories.is_empty() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory)
                    .map_err(PathError::of(Action::Write, directory))?;
            }
            let open = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path);
            let mut file = open.map_err(PathError::of(Action::Write, path))?;
            exclusive::wait(&file, path)?;
            // Another program may have replaced it while this one waited.
            if !is_at(&file, path).unwrap_or(false) {
                continue;
            }
            let mut content = Vec::new();
            (&mut file)
                .take(max_bytes.saturating_add(1))
                .read_to_end(&mut content)
                .map_err(PathError::of(Action::Read, path))?;
            if content.len() as u64 > max_bytes {
                let error = io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("it is larger than {max_bytes} bytes"),
                );
                return Err(PathError::of(Action::Read, path)(error));
            }
            let path = resolve(path)?;
            super::check_writable(parent(&path))?;
            return Ok(Self {
                path,
                file,
                is_new: is_new && content.is_empty(),
                new_directories,
                content,
            });
        }
    }

    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Checks that its file system lets nobody but its owner read it.
    pub fn check_keeps_private(&self) -> Result<(), PathError> {
        whole::check_keeps_private(parent(&self.path))
    }

    /// Readable by its owner alone, where permissions are kept; after a failure the file is as it
    /// was.
    pub fn replace(self, bytes: &[u8]) -> Result<(), PathError> {
        let owner = self
            .file
            .metadata()
            .map_err(PathError::of(Action::Inspect, &self.path))?;
        whole::replace(&self.path, bytes, |file| {
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
                fchown(file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(())
        })
    }
}

/// The empty file that was begun goes again, with its directories, when nothing was put in its
/// place.
impl Drop for ReplaceableFile {
    fn drop(&mut self) {
        if self.is_new && is_at(&self.file, &self.path).unwrap_or(false) {
            let _ = remove_file(&self.path);
            for directory in &self.new_directories {
                // Somebody may have put something else there meanwhile.
                let _ = fs::remove_dir(directory);
            }
        }
    }
}
