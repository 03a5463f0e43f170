//! What SQLite said when something failed.

use camino::Utf8PathBuf;
use rusqlite::ErrorCode;

use crate::failure::{Failure, FailureKind};

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
    pub(crate) fn on(path: impl Into<Utf8PathBuf>) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.into();
        move |source| Self { path, source }
    }
}

impl Failure for SqliteError {
    fn kind(&self) -> FailureKind {
        match self.source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => FailureKind::Input,
            // Whether the file is there is known before SQLite is asked.
            Some(
                ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied,
            ) => FailureKind::Access,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => FailureKind::Conflict,
            Some(ErrorCode::DiskFull | ErrorCode::TooBig) => FailureKind::Space,
            _ => FailureKind::Internal,
        }
    }

    fn may_pass(&self) -> bool {
        self.kind() == FailureKind::Conflict
    }

    fn help(&self) -> Option<String> {
        let path = &self.path;
        Some(match self.source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => format!("check the path; `{path}` is no SQLite database, or it is encrypted"),
            Some(ErrorCode::DatabaseCorrupt) => format!("restore a backup; what can be saved, `sqlite3 {path} .recover` shows"),
            _ => match self.kind() {
                FailureKind::Access => {
                    format!("check who owns `{path}` and its directory; SQLite needs to make files beside it, even to read after a crash")
                }
                FailureKind::Conflict => "another program holds the database; stop it, or run the same command again".to_owned(),
                FailureKind::Space => "make room and run the same command again".to_owned(),
                _ => return None,
            },
        })
    }
}
