//! The file that a long write grows in, before it gets its final name.

#![expect(clippy::disallowed_methods, reason = "this is the door to the file system")]

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::{Action, PathError, exclusive::lock, whole};

/// A locked file beside its destination, `<destination>.partial`, written by position from several threads.
///
/// Dropping it leaves the file for the next run to continue; [`PartialFile::finish`] gives it its name.
#[derive(Debug, Clone)]
pub struct PartialFile {
    file: Arc<File>,
    path: Utf8PathBuf,
    destination: Utf8PathBuf,
}

impl PartialFile {
    /// Opens or creates the partial file of `destination` and locks it.
    ///
    /// # Errors
    /// When it cannot be created, or another process holds it (`Conflict`).
    pub fn open(destination: &Utf8Path) -> Result<Self, PathError> {
        let path = Self::path_for(destination);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(PathError::of(Action::Write, &path))?;
        lock(&file, &path)?;
        Ok(Self { file: Arc::new(file), path, destination: destination.to_owned() })
    }

    fn path_for(destination: &Utf8Path) -> Utf8PathBuf {
        Utf8PathBuf::from(format!("{destination}.partial"))
    }

    /// How many bytes of the disk an earlier partial file of `destination` holds already.
    pub fn reserved_bytes(destination: &Utf8Path) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(Self::path_for(destination)).map_or(0, |metadata| metadata.blocks().saturating_mul(512))
    }

    /// The size it has now, in bytes.
    ///
    /// # Errors
    /// When it cannot be asked about.
    pub fn size(&self) -> Result<u64, PathError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(PathError::of(Action::Inspect, &self.path))
    }

    /// Gives it exactly `size` bytes and reserves them on the disk where the file system can.
    ///
    /// # Errors
    /// When there is not enough space (`Space`), or the size is beyond a limit.
    pub fn allocate(&self, size: u64) -> Result<(), PathError> {
        let failed = |error: io::Error| PathError::of(Action::Write, &self.path)(error);
        self.file.set_len(size).map_err(failed)?;
        if size == 0 {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            // Where space cannot be reserved, the file is sparse.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Writes all bytes at a position.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), PathError> {
        self.file.write_all_at(bytes, offset).map_err(PathError::of(Action::Write, &self.path))
    }

    /// Fills the buffer from a position.
    ///
    /// # Errors
    /// When the disk refuses, or the file is shorter.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), PathError> {
        self.file.read_exact_at(buffer, offset).map_err(PathError::of(Action::Read, &self.path))
    }

    /// Waits until what was written is durable (`fdatasync`).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> Result<(), PathError> {
        self.file.sync_data().map_err(PathError::of(Action::Sync, &self.path))
    }

    /// Makes everything durable and gives the file its final name, which must be free.
    ///
    /// # Errors
    /// When the name was taken meanwhile, or the disk refuses.
    pub fn finish(self) -> Result<(), PathError> {
        self.file.sync_all().map_err(PathError::of(Action::Sync, &self.path))?;
        whole::rename_new(&self.path, &self.destination)
    }
}
