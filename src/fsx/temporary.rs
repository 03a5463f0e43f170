//! A file that another program fills before it gets its final name.

#![expect(clippy::disallowed_methods, reason = "this is the door to the file system")]

use camino::{Utf8Path, Utf8PathBuf};

use super::{Action, PathError, whole};

/// What SQLite makes beside a file.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// An empty file of its owner's alone, in the directory of its destination. Dropping it removes it and what a database
/// engine made beside it; [`TemporaryFile::publish`] gives it its name.
#[derive(Debug)]
pub struct TemporaryFile {
    path: Utf8PathBuf,
    destination: Utf8PathBuf,
    is_published: bool,
}

impl TemporaryFile {
    /// Makes the file for a destination that must be free.
    ///
    /// # Errors
    /// When the destination is taken (`Conflict`), or its directory is missing or not writable.
    pub fn beside(destination: &Utf8Path) -> Result<Self, PathError> {
        let failed = |error| PathError::of(Action::Write, destination)(error);
        if whole::exists(destination) {
            return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
        }
        let file = tempfile::Builder::new().prefix(".rune-").tempfile_in(whole::parent(destination)).map_err(failed)?;
        let path = file.into_temp_path().keep().map_err(|error| failed(error.error))?;
        let path = Utf8PathBuf::from_path_buf(path).map_err(|_| failed(std::io::ErrorKind::InvalidData.into()))?;
        Ok(Self { path, destination: destination.to_owned(), is_published: false })
    }

    /// The name it has now.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Makes the content durable and gives the file its final name, which must still be free.
    ///
    /// # Errors
    /// When the name was taken meanwhile, or the disk refuses.
    pub fn publish(mut self) -> Result<(), PathError> {
        whole::open(&self.path)?.sync_all().map_err(PathError::of(Action::Sync, &self.path))?;
        whole::rename_new(&self.path, &self.destination)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = std::fs::remove_file(&self.path);
        }
        for suffix in BESIDE {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.path));
        }
    }
}
