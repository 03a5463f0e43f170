//! What SQLite said when something failed.

use camino::Utf8PathBuf;
use rusqlite::{ErrorCode, ffi};

use rune_core::failure::{Failure, FailureKind};

/// A failure of SQLite on one file.
#[derive(Debug, thiserror::Error)]
#[error("SQLite cannot work on `{path}`")]
pub struct SqliteError {
    /// The file.
    pub path: Utf8PathBuf,
    /// What SQLite said.
    pub source: rusqlite::Error,
}

impl SqliteError {
    /// Makes a closure for `map_err`.
    pub fn on(path: impl Into<Utf8PathBuf>) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.into();
        move |source| Self {
            path,
            source: without_rows(source),
        }
    }
}

/// A trigger of a site may raise any text, with values of the row too. It is not repeated.
fn without_rows(error: rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(failure, Some(_))
            if failure.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER =>
        {
            rusqlite::Error::SqliteFailure(
                failure,
                Some("a trigger of this site refuses the statement".to_owned()),
            )
        }
        error => error,
    }
}

impl SqliteError {
    fn is_of_trigger(&self) -> bool {
        self.source
            .sqlite_error()
            .is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER)
    }

    /// What an error of input or output is about: SQLite says at what it happened, and not the
    /// reason that the system gave.
    fn io_kind(&self) -> FailureKind {
        match self.source.sqlite_error().map(|error| error.extended_code) {
            Some(ffi::SQLITE_IOERR_ACCESS | ffi::SQLITE_IOERR_AUTH) => FailureKind::Access,
            Some(
                ffi::SQLITE_IOERR_LOCK | ffi::SQLITE_IOERR_SHMLOCK | ffi::SQLITE_IOERR_BLOCKED,
            ) => FailureKind::Conflict,
            Some(
                ffi::SQLITE_IOERR_READ
                | ffi::SQLITE_IOERR_SHORT_READ
                | ffi::SQLITE_IOERR_DATA
                | ffi::SQLITE_IOERR_CORRUPTFS,
            ) => FailureKind::Input,
            // It could not write: no space, a quota, or a limit of the file size.
            _ => FailureKind::Space,
        }
    }
}

impl SqliteError {
    /// An error without a kind of its own: of the statement, or of what the file's tables and
    /// triggers make of it.
    fn statement_kind(&self) -> FailureKind {
        use rusqlite::Error as Of;
        if matches!(
            self.source,
            Of::InvalidColumnType(..)
                | Of::FromSqlConversionFailure(..)
                | Of::IntegralValueOutOfRange(..)
        ) {
            // SQLite takes any type anywhere.
            return FailureKind::Input;
        }
        let text = self.source.to_string();
        match self.source.sqlite_error().map(|error| error.extended_code) {
            Some(ffi::SQLITE_ERROR) if text.contains("unsupported file format") => {
                FailureKind::Input
            }
            // Nobody but us writes a statement. What it names, the file has or has not.
            Some(ffi::SQLITE_ERROR) if !text.contains("syntax error") => FailureKind::Drift,
            _ => FailureKind::Internal,
        }
    }
}

impl Failure for SqliteError {
    fn kind(&self) -> FailureKind {
        match self.source.sqlite_error_code() {
            Some(
                ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::TypeMismatch,
            ) => FailureKind::Input,
            // Whether the file is there is known before SQLite is asked.
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::AuthorizationForStatementDenied,
            ) => FailureKind::Access,
            Some(ErrorCode::ConstraintViolation) if self.is_of_trigger() => FailureKind::Access,
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::ConstraintViolation
                | ErrorCode::SchemaChanged,
            ) => FailureKind::Conflict,
            Some(
                ErrorCode::DiskFull
                | ErrorCode::TooBig
                | ErrorCode::OutOfMemory
                | ErrorCode::NoLargeFileSupport,
            ) => FailureKind::Space,
            Some(ErrorCode::SystemIoFailure) => self.io_kind(),
            _ => self.statement_kind(),
        }
    }

    fn may_pass(&self) -> bool {
        self.kind() == FailureKind::Conflict
            && self.source.sqlite_error_code() != Some(ErrorCode::ConstraintViolation)
    }

    fn help(&self) -> Option<String> {
        let path = &self.path;
        Some(match self.source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                format!("check the path; `{path}` is not a SQLite database, or it is encrypted")
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                format!("restore a backup; `sqlite3 {path} .recover` extracts what can be saved")
            }
            Some(ErrorCode::ConstraintViolation) if self.is_of_trigger() => {
                "ask whoever maintains the trigger; `rune-db status` names those on RUNE's tables"
                    .to_owned()
            }
            Some(ErrorCode::ConstraintViolation) => {
                "a constraint or unique index that RUNE does not have refuses a row; drop it, or \
                 change the rows"
                    .to_owned()
            }
            Some(ErrorCode::TypeMismatch) => {
                "the tables are not as RUNE creates them; `rune-db status` shows what differs"
                    .to_owned()
            }
            _ => match self.kind() {
                FailureKind::Drift => {
                    "the tables or triggers are not as RUNE creates them; `rune-db status` and \
                     `rune-db verify` show what differs"
                        .to_owned()
                }
                FailureKind::Input if self.source.sqlite_error_code().is_none() => {
                    "a cell has a type that RUNE never stores there; `rune-db verify` names most \
                     of them"
                        .to_owned()
                }
                FailureKind::Input
                    if self.source.sqlite_error_code() == Some(ErrorCode::Unknown) =>
                {
                    format!(
                        "`{path}` is of another version of SQLite, or damaged; restore a backup"
                    )
                }
                FailureKind::Access => {
                    format!(
                        "check who owns `{path}` and its directory; SQLite creates files beside \
                         it, even to read after a crash"
                    )
                }
                FailureKind::Conflict => {
                    "another program holds the database; stop it, or run the same command again"
                        .to_owned()
                }
                FailureKind::Space => {
                    format!(
                        "make room beside `{path}`; check quotas and the limit of the file size \
                         (`ulimit -f`); run the same command again"
                    )
                }
                FailureKind::Input => {
                    "check the disk; `dmesg` names what it could not read".to_owned()
                }
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure as _, FailureKind, SqliteError, ffi};

    #[test]
    fn errors_of_the_disk_are_no_bugs() {
        let cases = [
            (ffi::SQLITE_IOERR_SHMSIZE, FailureKind::Space),
            (ffi::SQLITE_IOERR_WRITE, FailureKind::Space),
            (ffi::SQLITE_IOERR_FSYNC, FailureKind::Space),
            (ffi::SQLITE_IOERR_READ, FailureKind::Input),
            (ffi::SQLITE_IOERR_ACCESS, FailureKind::Access),
            (ffi::SQLITE_IOERR_SHMLOCK, FailureKind::Conflict),
        ];
        for (code, kind) in cases {
            let error = SqliteError::on("jobs.db")(rusqlite::Error::SqliteFailure(
                ffi::Error::new(code),
                None,
            ));
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.help().is_some(), "{code}");
        }
    }
}
