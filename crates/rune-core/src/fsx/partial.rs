//! The file that a long write grows in, before it gets its final name.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Action, PathError, exclusive::lock, identity, lacking, publish, remove_if_same, whole,
};

/// A locked file beside its destination, `<destination>.partial`, written by position from several
/// threads.
///
/// Dropping it leaves the file for the next run to continue; [`PartialFile::finish`] gives it its
/// name.
#[derive(Debug, Clone)]
pub struct PartialFile {
    file: Arc<File>,
    path: Utf8PathBuf,
    destination: Utf8PathBuf,
}

impl PartialFile {
    /// Opens or creates the partial file of `destination`, which must be free, and locks it.
    pub fn open(destination: &Utf8Path) -> Result<Self, PathError> {
        publish::check_free(destination)?;
        let path = publish::partial_path(destination);
        let failed = |error| PathError::of(Action::Write, &path)(error);
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match options.open(&path) {
            // A run that was killed had given it its name already, and somebody has moved that
            // file: it is not ours to write.
            Ok(file) if file.metadata().map_err(failed)?.nlink() > 1 => {
                lock(&file, &path)?;
                whole::remove_file(&path)?;
                options.create_new(true).open(&path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                options.create_new(true).open(&path)
            }
            opened => opened,
        };
        let file = file.map_err(|error| publish::not_created(destination, error))?;
        lock(&file, &path)?;
        publish::remove_placeholder(destination)?;
        Ok(Self {
            file: Arc::new(file),
            path,
            destination: destination.to_owned(),
        })
    }

    /// Removes the working name of a file that has its final one: a run was killed between giving
    /// it the one and taking the other.
    pub fn remove_second_name(destination: &Utf8Path) -> Result<(), PathError> {
        remove_if_same(
            &publish::partial_path(destination),
            identity::identity(destination)?,
        )
    }

    /// How many bytes of the disk an earlier partial file of `destination` holds already.
    pub fn reserved_bytes(destination: &Utf8Path) -> u64 {
        std::fs::metadata(publish::partial_path(destination))
            .map_or(0, |metadata| metadata.blocks().saturating_mul(512))
    }

    pub fn size(&self) -> Result<u64, PathError> {
        self.file
            .metadata()
            .map(|metadata| metadata.len())
            .map_err(PathError::of(Action::Inspect, &self.path))
    }

    /// Gives it exactly `size` bytes and reserves them on the disk where the file system can.
    pub fn allocate(&self, size: u64) -> Result<(), PathError> {
        let failed = |error: io::Error| PathError::of(Action::Write, &self.path)(error);
        self.file.set_len(size).map_err(failed)?;
        if size == 0 {
            return Ok(());
        }
        lacking::reserve(&self.file, size).map_err(failed)
    }

    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), PathError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(PathError::of(Action::Write, &self.path))
    }

    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), PathError> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(PathError::of(Action::Read, &self.path))
    }

    pub fn reader(&self) -> Result<File, PathError> {
        whole::duplicate(&self.file, &self.path)
    }

    /// Waits until what was written is durable (`fdatasync`).
    pub fn sync(&self) -> Result<(), PathError> {
        lacking::sync_data(&self.file, &self.path)
    }

    /// Makes everything durable and gives the file its final name, which must be free.
    pub fn finish(self) -> Result<(), PathError> {
        lacking::sync_file(&self.file, &self.path)?;
        publish::file(&self.file, &self.path, &self.destination)
    }
}
