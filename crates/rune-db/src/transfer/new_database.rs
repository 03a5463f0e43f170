//! A new database file: filled and proved under a temporary name, then given its own, and read once
//! by that name.
//!
//! What lies beside a name belongs to the database that is opened by it. So the name must have
//! nothing beside it before and after the file gets it, and nobody can open the file in between.

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{Connection, OpenFlags};

use super::error::TransferError;
use rune_core::fsx::{self, FileIdentity, FileMode, TemporaryFile};
use rune_storage::{
    SqliteError, SqliteFile, SqliteFileError, check_nothing_beside, connect, new_name,
    retry_while_busy,
};

/// A file that is not under its name yet. Dropping it removes it.
#[derive(Debug)]
pub(super) struct NewDatabase {
    file: TemporaryFile,
    destination: Utf8PathBuf,
}

impl NewDatabase {
    /// Begins an empty file beside its name.
    pub(super) fn beside(name: &Utf8Path, mode: FileMode) -> Result<Self, TransferError> {
        let destination = new_name(name)?;
        Ok(Self {
            file: TemporaryFile::beside(&destination, mode)?,
            destination,
        })
    }

    /// The same for a copy of a file, which must not lie where the new one is going to be written.
    pub(super) fn copy_of(
        source: &SqliteFile,
        name: &Utf8Path,
        mode: FileMode,
    ) -> Result<Self, TransferError> {
        let temporary = fsx::partial_path(&new_name(name)?);
        if fsx::identity(&temporary).is_ok_and(|identity| identity == source.identity()) {
            return Err(SqliteFileError::Same {
                path: source.path().to_owned(),
                destination: temporary,
            }
            .into());
        }
        Self::beside(name, mode)
    }

    pub(super) const fn file(&self) -> &TemporaryFile {
        &self.file
    }

    pub(super) fn path(&self) -> &Utf8Path {
        self.file.path()
    }

    pub(super) fn connect(&self) -> Result<Connection, TransferError> {
        connect_new(self.path())
    }

    /// Gives the file its name. When it is not what is found under that name afterwards, the name
    /// is dropped again.
    pub(super) fn publish(mut self) -> Result<(), TransferError> {
        // Whoever opens the file by its name waits for this lock, so that what lies beside it until
        // then is not theirs.
        let lock = self.connect()?;
        lock.execute_batch("BEGIN EXCLUSIVE")
            .map_err(SqliteError::on(self.path()))?;
        check_nothing_beside(&self.destination)?;
        let identity = self.file.identity()?;
        self.file.publish()?;
        confirm(&self.destination, identity, lock).inspect_err(|_| {
            let _ = fsx::remove_if_same(&self.destination, identity);
        })
    }
}

pub(super) fn connect_new(path: &Utf8Path) -> Result<Connection, TransferError> {
    Ok(connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(SqliteError::on(path))?)
}

/// Checks what is under a name that was just given to a file, and lets others open it.
fn confirm(
    destination: &Utf8Path,
    expected: FileIdentity,
    lock: Connection,
) -> Result<(), TransferError> {
    check_nothing_beside(destination)?;
    let found = SqliteFile::existing(destination)?;
    if found.identity() != expected {
        return Err(SqliteFileError::Replaced(destination.to_owned()).into());
    }
    let schema = |connection: &Connection| {
        connection.query_row("SELECT group_concat(sql) FROM sqlite_schema", [], |row| {
            row.get(0)
        })
    };
    let written: Option<String> = schema(&lock).map_err(found.failed())?;
    drop(lock);
    let connection = found
        .connect(OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(found.failed())?;
    let read: Option<String> =
        retry_while_busy(&connection, || schema(&connection)).map_err(found.failed())?;
    if read == written {
        Ok(())
    } else {
        Err(SqliteFileError::Replaced(destination.to_owned()).into())
    }
}

#[cfg(test)]
mod tests {
    use camino::{Utf8Path, Utf8PathBuf};

    use super::{NewDatabase, confirm};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        fsx::{self, FileMode},
    };

    fn filled(name: &Utf8Path) -> NewDatabase {
        let new = NewDatabase::beside(name, FileMode::PRIVATE).unwrap();
        new.connect()
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
        new
    }

    #[test]
    fn a_side_file_that_appears_before_the_name_is_given_stops_it() {
        let directory = tempfile::tempdir().unwrap();
        let name = Utf8Path::from_path(directory.path()).unwrap().join("a.db");
        for suffix in ["-wal", "-shm", "-journal"] {
            let new = filled(&name);
            let beside = Utf8PathBuf::from(format!("{name}{suffix}"));
            fsx::write_new(&beside, b"", 0o600).unwrap();
            assert_eq!(
                new.publish().unwrap_err().kind(),
                FailureKind::Conflict,
                "{suffix}"
            );
            assert!(!name.exists());
            fsx::remove_file(&beside).unwrap();
        }
        filled(&name).publish().unwrap();
        assert!(name.exists());
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn what_is_under_the_name_afterwards_must_be_the_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let name = Utf8Path::from_path(directory.path()).unwrap().join("a.db");
        let mut new = filled(&name);
        let (lock, identity) = (new.connect().unwrap(), new.file().identity().unwrap());
        new.file.publish().unwrap();
        let journal = Utf8PathBuf::from(format!("{name}-journal"));
        fsx::write_new(&journal, b"", 0o600).unwrap();
        assert_eq!(
            confirm(&name, identity, lock).unwrap_err().kind(),
            FailureKind::Conflict
        );
        fsx::remove_file(&journal).unwrap();
        let other = Utf8Path::from_path(directory.path()).unwrap().join("b.db");
        rustix::fs::rename(name.as_std_path(), other.as_std_path()).unwrap();
        fsx::write_new(&name, b"another", 0o600).unwrap();
        let lock = super::connect_new(&other).unwrap();
        assert_eq!(
            confirm(&name, identity, lock).unwrap_err().kind(),
            FailureKind::Conflict
        );
        fsx::remove_if_same(&name, identity).unwrap();
        assert!(name.exists(), "another file is not removed");
    }
}
