//! What a file system cannot do, told from what went wrong.
//!
//! NFS, 9p, CIFS, vboxsf and file systems by FUSE lack calls that local disks have, and each says
//! so with an error of its own. Nothing is lost by going on without these calls; every other error
//! counts.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
};

use camino::Utf8Path;
use rustix::{
    fs::{FallocateFlags, fallocate, syncfs},
    io::Errno,
};

use super::{Action, PathError};

/// `ENOTSUPP` of the Linux kernel, which NFS lets through; it has no name in user space.
const KERNEL_ENOTSUPP: i32 = 524;

/// Whether the file system, or the sandbox around this process, does not have the call.
pub(super) fn is_lacking(error: &io::Error) -> bool {
    const LACKING: [Errno; 5] = [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::NOTTY,
        Errno::PERM,
    ];
    is_one_of(error, &LACKING) || error.raw_os_error() == Some(KERNEL_ENOTSUPP)
}

/// The same for a hard link: the file has as many names as it can, or two mounts of one disk meet
/// here.
pub(super) fn is_lacking_links(error: &io::Error) -> bool {
    is_lacking(error) || is_one_of(error, &[Errno::MLINK, Errno::XDEV, Errno::ACCESS])
}

fn is_one_of(error: &io::Error, errors: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|error| errors.contains(&error))
}

/// Gives an outcome on, except that a file system without the call is not an error.
fn tolerant(outcome: io::Result<()>, also: &[Errno]) -> io::Result<()> {
    match outcome {
        Err(error) if is_lacking(&error) || is_one_of(&error, also) => Ok(()),
        outcome => outcome,
    }
}

pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    tolerant(
        file.set_permissions(fs::Permissions::from_mode(mode)),
        &[Errno::ACCESS],
    )
}

/// Checks that only its owner can use a file whose mode was set to that: FAT, exFAT and NTFS show
/// the mode of the mount instead.
pub(super) fn check_private(file: &File, path: &Utf8Path) -> Result<(), PathError> {
    let mode = file
        .metadata()
        .map_err(PathError::of(Action::Inspect, path))?
        .permissions()
        .mode()
        & 0o7777;
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    let reason = format!(
        "its file system does not keep mode 0600 but shows {mode:04o}, so other users could read \
         the file"
    );
    Err(PathError::of(Action::Write, path)(io::Error::new(
        io::ErrorKind::Unsupported,
        reason,
    )))
}

/// The outcome of taking a lock: without locks (`ENOLCK` of NFS without its lock service) there is
/// nothing to take. NFS also refuses an exclusive lock on a file that is open for reading only
/// (`EBADF`).
pub(super) fn locked(outcome: io::Result<()>) -> io::Result<()> {
    tolerant(outcome, &[Errno::NOLCK, Errno::BADF])
}

pub(super) fn sync_file(file: &File, path: &Utf8Path) -> Result<(), PathError> {
    tolerant(file.sync_all(), &[Errno::BADF]).map_err(PathError::of(Action::Sync, path))
}

/// Makes the content of a file durable (`fdatasync`).
pub(super) fn sync_data(file: &File, path: &Utf8Path) -> Result<(), PathError> {
    tolerant(file.sync_data(), &[Errno::BADF]).map_err(PathError::of(Action::Sync, path))
}

/// Opens a directory to sync it later. Who may write to one may not always read it, so this comes
/// before the change.
pub(super) fn open_directory(path: &Utf8Path) -> Result<File, PathError> {
    File::open(path).map_err(PathError::of(Action::Read, path))
}

pub(super) fn sync_directory(directory: &File, path: &Utf8Path) -> Result<(), PathError> {
    tolerant(directory.sync_all(), &[Errno::BADF, Errno::ISDIR])
        .map_err(PathError::of(Action::Sync, path))
}

/// Makes all that was written to the file system of an open file durable.
pub(super) fn sync_file_system(
    file: impl rustix::fd::AsFd,
    path: &Utf8Path,
) -> Result<(), PathError> {
    match syncfs(file).map_err(io::Error::from) {
        Err(error) if is_lacking(&error) || is_one_of(&error, &[Errno::BADF]) => rustix::fs::sync(),
        synced => synced.map_err(PathError::of(Action::Sync, path))?,
    }
    Ok(())
}

/// Reserves space on the disk. Where that cannot be done, the file is sparse.
pub(super) fn reserve(file: &File, size: u64) -> io::Result<()> {
    tolerant(
        fallocate(file, FallocateFlags::empty(), 0, size).map_err(io::Error::from),
        &[],
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::{is_lacking, is_lacking_links, locked};

    #[test]
    fn a_missing_call_is_told_from_a_full_or_broken_disk() {
        for error in [
            Errno::INVAL,
            Errno::NOSYS,
            Errno::OPNOTSUPP,
            Errno::NOTTY,
            Errno::PERM,
        ] {
            assert!(is_lacking(&error.into()), "{error}");
        }
        assert!(is_lacking(&io::Error::from_raw_os_error(524)));
        for error in [
            Errno::IO,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::ROFS,
            Errno::EXIST,
            Errno::NOENT,
            Errno::STALE,
        ] {
            assert!(
                !is_lacking(&error.into())
                    && !is_lacking_links(&error.into())
                    && locked(Err(error.into())).is_err(),
                "{error}"
            );
        }
    }
}
