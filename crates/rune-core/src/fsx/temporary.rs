//! A file that is filled, perhaps by another program, before it gets its final name.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::OFlags;

use super::{Action, FileIdentity, PathError, exclusive::lock, lacking, publish, whole};

/// What SQLite appends to the name of a database for the files beside it.
pub const SIDE_FILES: [&str; 3] = ["-journal", "-wal", "-shm"];
const PRIVATE: u32 = 0o600;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// Exactly these permission bits, whatever the umask.
    Exact(u32),
    /// What the umask, or the default access list of the directory, leaves of reading and writing
    /// for all.
    Umask,
}

impl FileMode {
    /// For its owner alone, where the file system keeps permissions.
    pub const PRIVATE: Self = Self::Exact(PRIVATE);
}

/// An empty, locked file of its owner's alone beside its destination, `<destination>.partial`.
/// Dropping it removes it and what a database engine made beside it; what a killed run left, the
/// next one for the same destination removes. [`TemporaryFile::publish`] gives it its name and its
/// permissions.
#[derive(Debug)]
pub struct TemporaryFile {
    /// Closing it would also undo the locks that SQLite has on it in this process, so it stays open
    /// as long as this lives.
    file: File,
    path: Utf8PathBuf,
    destination: Utf8PathBuf,
    mode: u32,
    is_published: bool,
}

impl TemporaryFile {
    /// Makes the file for a destination that must be free, and that nobody else is writing.
    pub fn beside(destination: &Utf8Path, mode: FileMode) -> Result<Self, PathError> {
        publish::check_free(destination)?;
        let path = publish::partial_path(destination);
        // Its lock is kept until the new file has its own, so that of two that begin at once one is
        // refused.
        let _left = remove_left(destination, &path)?;
        // Only the kernel knows what the umask or an access list leaves of a mode; it is asked by
        // creating the file.
        let asked = if mode == FileMode::Umask {
            0o666
        } else {
            PRIVATE
        };
        let begin = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(asked)
                .open(&path)?;
            let left = file.metadata()?.permissions().mode() & 0o7777;
            lacking::set_mode(&file, PRIVATE)?;
            Ok((file, left))
        };
        let (file, left) = begin().map_err(|error| publish::not_created(destination, error))?;
        lock(&file, &path)?;
        let mode = match mode {
            FileMode::Exact(mode) => mode,
            FileMode::Umask => left,
        };
        Ok(Self {
            file,
            path,
            destination: destination.to_owned(),
            mode,
            is_published: false,
        })
    }

    pub fn identity(&self) -> Result<FileIdentity, PathError> {
        self.file
            .metadata()
            .map(FileIdentity::from)
            .map_err(PathError::of(Action::Inspect, &self.path))
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), PathError> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(PathError::of(Action::Read, &self.path))
    }

    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), PathError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(PathError::of(Action::Write, &self.path))
    }

    /// Makes the content durable and gives the file its final name, which must still be free, and
    /// its permissions. The file stays open until this value is dropped.
    pub fn publish(&mut self) -> Result<(), PathError> {
        lacking::set_mode(&self.file, self.mode)
            .map_err(PathError::of(Action::Write, &self.path))?;
        lacking::sync_file(&self.file, &self.path)?;
        publish::file(&self.file, &self.path, &self.destination)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_published {
            let _ = fs::remove_file(&self.path);
        }
        remove_beside(&self.path);
    }
}

/// Removes what a killed run left. The file was never whole, or it would have its name.
fn remove_left(destination: &Utf8Path, path: &Utf8Path) -> Result<Option<File>, PathError> {
    // No link is followed, and a pipe is not waited for.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let open = |writable: bool| {
        OpenOptions::new()
            .read(true)
            .write(writable)
            .custom_flags(flags)
            .open(path)
    };
    // NFS locks only what is open for writing; a run that was killed may have set permissions
    // without it.
    let left = match open(true).or_else(|_| open(false)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PathError::of(Action::Write, path)(error)),
    };
    if !whole::is_regular(&left) {
        return Err(PathError::of(Action::Write, path)(
            io::ErrorKind::AlreadyExists.into(),
        ));
    }
    lock(&left, path)?;
    remove_beside(path);
    // First the name that it reserved: without a `.partial` beside it, the empty file would be
    // anybody's.
    publish::remove_placeholder(destination)?;
    whole::remove_file(path)?;
    Ok(Some(left))
}

fn remove_beside(path: &Utf8Path) {
    for suffix in SIDE_FILES {
        let _ = fs::remove_file(format!("{path}{suffix}"));
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{FileMode, TemporaryFile, publish};
    use crate::{
        failure::{Failure as _, FailureKind},
        fsx,
    };

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_a_running_one_writes_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let destination = Utf8Path::from_path(directory.path()).unwrap().join("a.db");
        for name in ["a.db.partial", "a.db.partial-wal", "a.db.partial-journal"] {
            std::fs::write(directory.path().join(name), "left").unwrap();
        }
        let mut file = TemporaryFile::beside(&destination, FileMode::PRIVATE).unwrap();
        assert_eq!(fsx::file_size(file.path()).unwrap(), 0);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(
            TemporaryFile::beside(&destination, FileMode::PRIVATE)
                .unwrap_err()
                .kind(),
            FailureKind::Conflict
        );
        file.write_at(b"whole", 0).unwrap();
        file.publish().unwrap();
        assert_eq!(fsx::read(&destination, 9).unwrap(), b"whole");
        assert_eq!(
            TemporaryFile::beside(&destination, FileMode::PRIVATE)
                .unwrap_err()
                .kind(),
            FailureKind::Conflict
        );
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let destination = Utf8Path::from_path(directory.path()).unwrap().join("a.db");
        let other = directory.path().join("other");
        std::fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, directory.path().join("a.db.partial")).unwrap();
        assert!(TemporaryFile::beside(&destination, FileMode::PRIVATE).is_err());
        assert_eq!(std::fs::read_to_string(other).unwrap(), "mine");
    }

    #[test]
    fn a_pipe_in_its_place_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let destination = Utf8Path::from_path(directory.path()).unwrap().join("a.db");
        let pipe = publish::partial_path(&destination);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            pipe.as_std_path(),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert_eq!(
            TemporaryFile::beside(&destination, FileMode::PRIVATE)
                .unwrap_err()
                .kind(),
            FailureKind::Conflict
        );
        assert!(pipe.exists(), "what no run of this program left is kept");
    }
}
