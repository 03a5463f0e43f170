//! A new file that is written piece by piece and appears whole or not at all.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Action, PathError, whole};

/// A file without its name yet; dropping it removes what was written.
#[derive(Debug)]
pub struct NewFile {
    file: tempfile::NamedTempFile,
    path: Utf8PathBuf,
}

impl NewFile {
    /// Begins a file beside its destination, which must not exist, with the given permission bits.
    ///
    /// # Errors
    /// When the name is taken, or nothing can be written there.
    pub fn create(path: &Utf8Path, mode: u32) -> Result<Self, PathError> {
        if whole::exists(path) {
            return Err(PathError::of(Action::Write, path)(std::io::ErrorKind::AlreadyExists.into()));
        }
        let begin = || {
            let file = tempfile::Builder::new().prefix(".rune-").tempfile_in(whole::parent(path))?;
            file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
            Ok(file)
        };
        Ok(Self { file: begin().map_err(PathError::of(Action::Write, path))?, path: path.to_owned() })
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PathError> {
        self.file.write_all(bytes).map_err(PathError::of(Action::Write, &self.path))
    }

    /// Makes it durable and gives it its name, which must still be free.
    ///
    /// # Errors
    /// When the name was taken meanwhile, or the disk refuses.
    pub fn finish(self) -> Result<(), PathError> {
        self.file.as_file().sync_all().map_err(PathError::of(Action::Sync, &self.path))?;
        self.file.persist_noclobber(&self.path).map_err(|error| PathError::of(Action::Write, &self.path)(error.error))?;
        whole::sync_parent(&self.path)
    }
}
