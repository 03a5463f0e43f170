//! Giving what was written its final name, which must be free. Everything that either program
//! writes gets its name here.
//!
//! `renameat2(RENAME_NOREPLACE)` does it in one step where the file system has it. NFS, 9p, CIFS,
//! vboxsf and most file systems by FUSE do not; there a file gets its name by a hard link. Where
//! there are no hard links either (FAT, exFAT, vboxsf), the name is reserved with an empty file,
//! which nobody else can have created, and the rename replaces that one.
//!
//! A process that is killed between these two steps leaves the empty file, with the finished
//! `.partial` beside it. By that `.partial` the empty file is told from one of somebody else's: it
//! counts as free, and the next run removes it.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::MetadataExt as _,
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    Action, PathError, exclusive,
    lacking::{self, is_lacking, is_lacking_links},
    whole,
};

pub fn partial_path(destination: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{destination}.partial"))
}

/// Checks that nothing exists under a name that a file is to get.
pub fn check_free(path: &Utf8Path) -> Result<(), PathError> {
    check_no_directory(path)?;
    if is_taken(path) {
        Err(taken(path))
    } else {
        Ok(())
    }
}

/// Checks that a path where a file is to be written is not that of a directory.
pub fn check_no_directory(path: &Utf8Path) -> Result<(), PathError> {
    let reason = if whole::is_dir(path) {
        "it is a directory"
    } else if path.as_str().ends_with('/') {
        "it is the name of a directory"
    } else {
        return Ok(());
    };
    Err(PathError::of(Action::Write, path)(io::Error::new(
        io::ErrorKind::IsADirectory,
        reason,
    )))
}

pub fn is_taken(path: &Utf8Path) -> bool {
    whole::exists(path) && !is_placeholder(path)
}

/// Whether a name is only reserved, by a run that was killed or is about to give it to its file.
pub fn is_placeholder(path: &Utf8Path) -> bool {
    let is_file = |path: &Utf8Path, is_fine: fn(&Metadata) -> bool| {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && is_fine(&metadata))
    };
    is_file(path, |metadata| metadata.len() == 0) && is_file(&partial_path(path), |_| true)
}

/// Refuses to read a name that is only reserved.
pub(super) fn check_finished(path: &Utf8Path) -> Result<(), PathError> {
    if !is_placeholder(path) {
        return Ok(());
    }
    let reason = "it is empty: the program that was writing it was killed, or has not finished; \
                  run that program again";
    Err(PathError::of(Action::Read, path)(io::Error::new(
        io::ErrorKind::InvalidData,
        reason,
    )))
}

/// Removes what a killed run reserved a name with. Only for whoever holds the lock on the
/// `.partial` that this run left.
pub(super) fn remove_placeholder(path: &Utf8Path) -> Result<(), PathError> {
    if is_placeholder(path) {
        whole::remove_file(path)
    } else {
        Ok(())
    }
}

/// Why something could not be created: a name with a colon is not found on exFAT, although its
/// directory is there.
pub(super) fn not_created(path: &Utf8Path, error: io::Error) -> PathError {
    let is_about_name = error.kind() == io::ErrorKind::InvalidInput
        || (error.kind() == io::ErrorKind::NotFound && whole::is_dir(whole::parent(path)));
    let reason = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "its file system does not take such a name",
        )
    };
    PathError::of(Action::Write, path)(if is_about_name { reason() } else { error })
}

/// Gives the finished file of a run that was killed its name, which that run had reserved.
pub fn complete(destination: &Utf8Path) -> Result<(), PathError> {
    let from = partial_path(destination);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&from)
        .map_err(PathError::of(Action::Write, &from))?;
    exclusive::lock(&file, &from)?;
    let directory = lacking::open_directory(whole::parent(destination))?;
    fs::rename(&from, destination).map_err(PathError::of(Action::Rename, destination))?;
    lacking::sync_directory(&directory, whole::parent(destination))
}

/// Gives a file, open as `file`, its final name, durably. After a failure it has its first name.
pub(super) fn file(file: &File, from: &Utf8Path, to: &Utf8Path) -> Result<(), PathError> {
    let ours = file
        .metadata()
        .map_err(PathError::of(Action::Inspect, from))?;
    check_same(&ours, from)?;
    let directory = lacking::open_directory(whole::parent(to))?;
    let outcome = match rename_new(from, to) {
        Err(error) if is_lacking(&error) => link(&ours, from, to),
        outcome => outcome,
    };
    outcome.map_err(|error| failed(to, error))?;
    make_durable(&directory, from, to)
}

/// The same for a directory, whose metadata are `ours`.
pub(super) fn directory(ours: &Metadata, from: &Utf8Path, to: &Utf8Path) -> Result<(), PathError> {
    check_same(ours, from)?;
    let around = lacking::open_directory(whole::parent(to))?;
    let outcome = match rename_new(from, to) {
        Err(_) if whole::exists(to) => Err(io::ErrorKind::AlreadyExists.into()),
        // At most an empty directory can be replaced by this one.
        Err(error) if is_lacking(&error) => rename(ours, from, to),
        outcome => outcome,
    };
    outcome.map_err(|error| failed(to, error))?;
    make_durable(&around, from, to)
}

/// What is said to have failed must not be there.
fn make_durable(directory: &File, from: &Utf8Path, to: &Utf8Path) -> Result<(), PathError> {
    lacking::sync_directory(directory, whole::parent(to)).inspect_err(|_| {
        let _ = fs::rename(to, from);
    })
}

fn rename_new(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    Ok(renameat_with(
        CWD,
        from.as_std_path(),
        CWD,
        to.as_std_path(),
        RenameFlags::NOREPLACE,
    )?)
}

fn link(ours: &Metadata, from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // The server did it and its answer was lost: the client asked again.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_same(ours, to) => {}
        Err(error) if is_lacking_links(&error) => return reserve_and_rename(ours, from, to),
        // sshfs and its like take the second name for a second file, which whoever has the first
        // one open is not.
        Ok(()) if !is_same(ours, to) => {
            fs::remove_file(to)?;
            return reserve_and_rename(ours, from, to);
        }
        outcome => outcome?,
    }
    match fs::remove_file(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn reserve_and_rename(ours: &Metadata, from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    // It stays open until it was checked, or some file systems would give its number to another
    // file.
    let reserved = OpenOptions::new().write(true).create_new(true).open(to)?;
    let metadata = reserved.metadata()?;
    let is_ours = || {
        is_same(&metadata, to) && fs::symlink_metadata(to).is_ok_and(|metadata| metadata.len() == 0)
    };
    if !is_ours() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    drop(reserved);
    rename(ours, from, to).inspect_err(|_| {
        if is_ours() {
            let _ = fs::remove_file(to);
        }
    })
}

fn rename(ours: &Metadata, from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    match fs::rename(from, to) {
        // Asked for twice, as above.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_same(ours, to) => Ok(()),
        outcome => outcome,
    }
}

fn is_same(ours: &Metadata, path: &Utf8Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|current| (current.dev(), current.ino()) == (ours.dev(), ours.ino()))
}

/// Where there are no locks, another process may have put a file of its own under this name.
fn check_same(ours: &Metadata, from: &Utf8Path) -> Result<(), PathError> {
    if is_same(ours, from) {
        return Ok(());
    }
    Err(PathError::of(Action::Rename, from)(io::Error::new(
        io::ErrorKind::WouldBlock,
        "another process is writing it",
    )))
}

fn taken(path: &Utf8Path) -> PathError {
    PathError::of(Action::Write, path)(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "it already exists",
    ))
}

fn failed(to: &Utf8Path, error: io::Error) -> PathError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        taken(to)
    } else {
        PathError::of(Action::Rename, to)(error)
    }
}

#[cfg(test)]
mod tests {
    use camino::{Utf8Path, Utf8PathBuf};

    use super::{check_free, is_placeholder, link, reserve_and_rename};
    use crate::{
        failure::{Failure as _, FailureKind},
        fsx::{NewFile, identity},
    };

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        (directory, path)
    }

    fn write(path: &Utf8Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_link_or_a_reserved_name_never_replaces_a_file() {
        let (_guard, directory) = scratch();
        let (from, to) = (directory.join("from"), directory.join("to"));
        write(&from, "new");
        write(&to, "old");
        let metadata = std::fs::metadata(&from).unwrap();
        for outcome in [
            link(&metadata, &from, &to),
            reserve_and_rename(&metadata, &from, &to),
        ] {
            assert_eq!(
                outcome.unwrap_err().kind(),
                std::io::ErrorKind::AlreadyExists
            );
            assert_eq!(
                std::fs::read_to_string(&to).unwrap() + &std::fs::read_to_string(&from).unwrap(),
                "oldnew"
            );
        }
    }

    #[test]
    fn a_link_that_the_server_made_before_its_answer_was_lost_is_the_one_that_was_asked_for() {
        let (_guard, directory) = scratch();
        let (from, to) = (directory.join("from"), directory.join("to"));
        write(&from, "new");
        std::fs::hard_link(&from, &to).unwrap();
        link(&std::fs::metadata(&from).unwrap(), &from, &to).unwrap();
        assert!(!from.exists());
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "new");
    }

    #[test]
    fn a_name_that_a_killed_run_reserved_is_free_and_an_empty_file_of_others_is_not() {
        let (_guard, directory) = scratch();
        let path = directory.join("a");
        write(&path, "");
        assert_eq!(check_free(&path).unwrap_err().kind(), FailureKind::Conflict);
        assert_eq!(
            NewFile::create(&path, 0o644).unwrap_err().kind(),
            FailureKind::Conflict
        );
        write(&directory.join("a.partial"), "finished");
        assert!(is_placeholder(&path) && check_free(&path).is_ok());
        let mut file = NewFile::create(&path, 0o644).unwrap();
        file.write(b"again").unwrap();
        file.finish().unwrap();
        assert_eq!(
            (
                identity(&path).unwrap().size,
                directory.read_dir_utf8().unwrap().count()
            ),
            (5, 1)
        );
        write(&directory.join("a.partial"), "left");
        assert_eq!(
            check_free(&path).unwrap_err().kind(),
            FailureKind::Conflict,
            "a file with content is taken"
        );
    }

    #[test]
    fn a_directory_is_said_to_be_one_and_nobody_is_told_to_remove_it() {
        let (_guard, directory) = scratch();
        for path in [directory.clone(), directory.join("new/")] {
            let error = check_free(&path).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Conflict);
            assert!(
                error.source.to_string().contains("directory")
                    && !error.help().unwrap().contains("remove"),
                "{error:?}"
            );
        }
    }
}
