//! A directory for files that another program is to read, removed with all that is in it.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Action, PathError, whole};

/// A directory of the system's place for temporary files that only this user may enter. It is
/// removed when the value is dropped.
#[derive(Debug)]
pub struct ScratchDirectory {
    _guard: tempfile::TempDir,
    path: Utf8PathBuf,
}

impl ScratchDirectory {
    pub fn create() -> Result<Self, PathError> {
        let place = Utf8Path::new("a temporary directory");
        let only_ours = fs::Permissions::from_mode(0o700);
        let guard = tempfile::Builder::new()
            .prefix("rune-bundle-")
            .permissions(only_ours)
            .tempdir()
            .map_err(PathError::of(Action::Write, place))?;
        let path = Utf8PathBuf::from_path_buf(guard.path().to_owned()).map_err(|_| {
            PathError::of(Action::Write, place)(io::Error::new(
                io::ErrorKind::InvalidData,
                "its name is not UTF-8",
            ))
        })?;
        Ok(Self {
            _guard: guard,
            path,
        })
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// What only this user may read, with the directories it needs. Nothing here is made durable.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<Utf8PathBuf, PathError> {
        let path = self.path.join(name);
        whole::create_dir_all(whole::parent(&path))?;
        let mut options = fs::File::options();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.map_err(PathError::of(Action::Write, &path))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::ScratchDirectory;
    use crate::fsx;

    #[test]
    fn is_gone_with_its_files_when_it_is_dropped() {
        let scratch = ScratchDirectory::create().unwrap();
        let file = scratch.write("a/b", b"x").unwrap();
        let directory = scratch.path().to_owned();
        assert!(fsx::exists(&file));
        drop(scratch);
        assert!(!fsx::exists(&directory));
    }
}
