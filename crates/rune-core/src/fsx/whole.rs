//! Whole files: read with a limit, written so that they appear complete or not at all.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Action, FileMode, PathError, TemporaryFile, lacking, publish};

pub fn read(path: &Utf8Path, max_bytes: u64) -> Result<Vec<u8>, PathError> {
    let mut bytes = Vec::new();
    open(path)?
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(PathError::of(Action::Read, path))?;
    if bytes.len() as u64 > max_bytes {
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is larger than {max_bytes} bytes"),
        );
        return Err(PathError::of(Action::Read, path)(error));
    }
    Ok(bytes)
}

pub fn read_to_string(path: &Utf8Path, max_bytes: u64) -> Result<String, PathError> {
    String::from_utf8(read(path, max_bytes)?).map_err(|_| {
        PathError::of(Action::Read, path)(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not UTF-8 text",
        ))
    })
}

pub fn open(path: &Utf8Path) -> Result<File, PathError> {
    let file = File::open(path).map_err(PathError::of(Action::Read, path))?;
    let metadata = file
        .metadata()
        .map_err(PathError::of(Action::Inspect, path))?;
    if metadata.is_dir() {
        return Err(PathError::of(Action::Read, path)(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory",
        )));
    }
    if metadata.len() == 0 {
        publish::check_finished(path)?;
    }
    Ok(file)
}

/// Whether an open file is a regular one, which can be read at any position.
pub fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

pub fn duplicate(file: &File, path: &Utf8Path) -> Result<File, PathError> {
    file.try_clone().map_err(PathError::of(Action::Read, path))
}

pub fn file_size(path: &Utf8Path) -> Result<u64, PathError> {
    fs::metadata(path)
        .map(|metadata| metadata.len())
        .map_err(PathError::of(Action::Inspect, path))
}

/// Whether there is anything under this name, a dangling link included.
pub fn exists(path: &Utf8Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub fn is_dir(path: &Utf8Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

pub fn is_file(path: &Utf8Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Written beside its name, made durable, renamed into place: after a failure the old one is there.
pub fn write_atomic(path: &Utf8Path, bytes: &[u8]) -> Result<(), PathError> {
    replace(path, bytes, |file| lacking::set_mode(file, 0o644))
}

/// The same with a file that only its owner may use until `prepare` is done with it.
pub(super) fn replace(
    path: &Utf8Path,
    bytes: &[u8],
    prepare: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), PathError> {
    let write = || {
        let mut file = hidden_in(parent(path))?;
        file.write_all(bytes)?;
        prepare(file.as_file())?;
        Ok(file)
    };
    let file = write().map_err(PathError::of(Action::Write, path))?;
    lacking::sync_file(file.as_file(), path)?;
    let directory = lacking::open_directory(parent(path))?;
    file.persist(path)
        .map_err(|error| PathError::of(Action::Rename, path)(error.error))?;
    lacking::sync_directory(&directory, parent(path))
}

/// Creates a file of a random name for its owner alone, which is gone when it is dropped. An error
/// is that of the system, without the name: that says nothing to anybody.
fn hidden_in(directory: &Utf8Path) -> io::Result<tempfile::NamedTempFile<File>> {
    let create = |path: &Path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    };
    tempfile::Builder::new()
        .prefix(".rune-")
        .make_in(directory, create)
}

/// Creates a file that must not exist yet, with the given permission bits, whole or not at all.
pub fn write_new(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<(), PathError> {
    write_and_publish(TemporaryFile::beside(path, FileMode::Exact(mode))?, bytes)
}

/// The same for a file that only its owner may use: nothing is written where that cannot be had.
pub fn write_private(path: &Utf8Path, bytes: &[u8]) -> Result<(), PathError> {
    let file = TemporaryFile::beside(path, FileMode::PRIVATE)?;
    lacking::check_private(file.file(), path)?;
    write_and_publish(file, bytes)
}

fn write_and_publish(mut file: TemporaryFile, bytes: &[u8]) -> Result<(), PathError> {
    file.write_at(bytes, 0)?;
    file.publish()
}

pub fn create_dir_all(path: &Utf8Path) -> Result<(), PathError> {
    fs::create_dir_all(path).map_err(PathError::of(Action::Write, path))
}

pub fn remove_file(path: &Utf8Path) -> Result<(), PathError> {
    fs::remove_file(path).map_err(PathError::of(Action::Remove, path))
}

/// Every regular file below a directory, as paths relative to it with `/` separators, in byte
/// order. Symbolic links are an error: what they point at is not the project's.
pub fn list_files(root: &Utf8Path) -> Result<Vec<Utf8PathBuf>, PathError> {
    let mut files = Vec::new();
    let mut pending = vec![Utf8PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let directory = root.join(&relative);
        let at = |error| PathError::of(Action::Read, &directory)(error);
        for entry in directory.read_dir_utf8().map_err(at)? {
            let entry = entry.map_err(|error| PathError::of_entry(&directory, error))?;
            let kind = entry.file_type().map_err(at)?;
            let path = relative.join(entry.file_name());
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() {
                files.push(path);
            } else {
                let error = io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it is a link or special file, not a regular file",
                );
                return Err(PathError::of(Action::Read, &root.join(path))(error));
            }
        }
    }
    files.sort_unstable_by(|a, b| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
    Ok(files)
}

/// Links to files included, names that are not UTF-8 left out.
pub fn file_names(directory: &Utf8Path) -> Result<Vec<String>, PathError> {
    let at = |error| PathError::of(Action::Read, directory)(error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(at)? {
        let entry = entry.map_err(|error| PathError::of(Action::Read, directory)(error))?;
        let is_file = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
        names.extend(entry.file_name().into_string().ok().filter(|_| is_file));
    }
    Ok(names)
}

/// Free space, in bytes, for an unprivileged writer on the file system of an existing directory.
pub fn available_space(directory: &Utf8Path) -> Result<u64, PathError> {
    let status = rustix::fs::statvfs(directory.as_std_path())
        .map_err(|error| PathError::of(Action::Inspect, directory)(error.into()))?;
    // Some file systems by FUSE do not know their size, nor does a tmpfs without a limit: then it
    // is not a reason to refuse anything.
    Ok(if status.f_blocks == 0 {
        u64::MAX
    } else {
        status.f_bavail.saturating_mul(status.f_frsize)
    })
}

/// What kind of file system something lies on, as far as it matters to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// One of this machine's disks, as far as one can tell.
    Local,
    /// Shared over a network or with a host, by the name of the protocol.
    Network(&'static str),
    Memory,
    Overlay,
}

/// By the magic numbers of `statfs(2)`.
pub fn file_system(directory: &Utf8Path) -> Result<FileSystem, PathError> {
    let status = rustix::fs::statfs(directory.as_std_path())
        .map_err(|error| PathError::of(Action::Inspect, directory)(error.into()))?;
    // The field is signed on some machines; the magic numbers have 32 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the magic numbers have 32 bits"
    )]
    let magic = status.f_type as u32;
    Ok(match magic {
        0x6969 => FileSystem::Network("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => FileSystem::Network("SMB"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x00c3_6400 => FileSystem::Network("Ceph"),
        0x0102_1994 => FileSystem::Memory,
        0x794c_7630 => FileSystem::Overlay,
        _ => FileSystem::Local,
    })
}

/// Checks that files can be created in a directory, by creating one and removing it.
pub fn check_writable(directory: &Utf8Path) -> Result<(), PathError> {
    // One without a name would do, but not every file system has those, and some cannot remove a
    // file that is open.
    let probe = || hidden_in(directory)?.into_temp_path().close();
    probe().map_err(PathError::of(Action::Write, directory))
}

/// Checks that a directory lies on a file system that keeps the permissions of a private file.
pub fn check_keeps_private(directory: &Utf8Path) -> Result<(), PathError> {
    let failed = |error| PathError::of(Action::Write, directory)(error);
    let file = hidden_in(directory).map_err(failed)?;
    lacking::set_mode(file.as_file(), 0o600).map_err(failed)?;
    lacking::check_private(file.as_file(), directory)
}

/// The largest file that this process may write, in bytes, when there is a limit.
pub fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Hands the content of a file on in chunks; the file must have exactly `size` bytes.
pub fn for_each_chunk(
    path: &Utf8Path,
    size: u64,
    chunk_bytes: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), PathError>,
) -> Result<(), PathError> {
    let mut file = open(path)?;
    let failed = |error| PathError::of(Action::Read, path)(error);
    let mut buffer = vec![0; chunk_bytes];
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(chunk_bytes);
        let chunk = buffer.get_mut(..length).unwrap_or_default();
        file.read_exact(chunk).map_err(failed)?;
        each(chunk)?;
        left = left.saturating_sub(length as u64);
    }
    match file.read(&mut [0]).map_err(failed)? {
        0 => Ok(()),
        _ => Err(failed(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has more than the expected {size} bytes"),
        ))),
    }
}

/// `.` for a bare name.
pub fn parent(path: &Utf8Path) -> &Utf8Path {
    path.parent()
        .filter(|parent| !parent.as_str().is_empty())
        .unwrap_or_else(|| Utf8Path::new("."))
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::{list_files, read, write_atomic, write_new};
    use crate::failure::{Failure as _, FailureKind};

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    #[test]
    fn reads_at_most_the_limit() {
        let (_guard, dir) = scratch();
        let path = dir.join("a");
        write_atomic(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), FailureKind::Input);
    }

    #[test]
    fn a_new_file_never_replaces_an_old_one() {
        let (_guard, dir) = scratch();
        let path = dir.join("a");
        write_new(&path, b"1", 0o600).unwrap();
        assert_eq!(
            write_new(&path, b"2", 0o600).unwrap_err().kind(),
            FailureKind::Conflict
        );
        assert_eq!(read(&path, 9).unwrap(), b"1");
    }

    #[test]
    fn lists_files_in_byte_order_and_refuses_links() {
        let (_guard, dir) = scratch();
        for name in ["b/x", "a.b", "a/c", "B"] {
            let path = dir.join(name);
            super::create_dir_all(path.parent().unwrap()).unwrap();
            write_atomic(&path, b"").unwrap();
        }
        assert_eq!(list_files(&dir).unwrap(), ["B", "a.b", "a/c", "b/x"]);
        std::os::unix::fs::symlink("B", dir.join("link")).unwrap();
        assert_eq!(list_files(&dir).unwrap_err().kind(), FailureKind::Input);
    }
}
