//! An `io::Error` with the path and the action it belongs to.

use std::{fmt, io};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use crate::failure::{Failure, FailureKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Read,
    Write,
    Rename,
    Remove,
    Sync,
    /// Asking about it: size, kind, free space.
    Inspect,
    Lock,
    Trust,
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Sync => "make durable",
            Self::Inspect => "inspect",
            Self::Lock => "lock",
            Self::Trust => "trust",
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`")]
pub struct PathError {
    pub action: Action,
    pub path: Utf8PathBuf,
    pub source: io::Error,
}

impl PathError {
    pub fn of(action: Action, path: &Utf8Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self {
            action,
            path,
            source,
        }
    }

    /// Why an entry of a directory cannot be read: when its name is not UTF-8, which name.
    pub(super) fn of_entry(directory: &Utf8Path, error: io::Error) -> Self {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<camino::FromPathBufError>());
        let name = inner.and_then(|inner| inner.as_path().file_name());
        let source = name.map(|name| {
            let name = name.as_encoded_bytes().escape_ascii();
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the name `{name}` in it is not UTF-8; rename it"),
            )
        });
        Self::of(Action::Read, directory)(source.unwrap_or(error))
    }
}

impl PathError {
    /// What std has no stable kind for.
    fn kind_by_number(&self) -> Option<FailureKind> {
        Some(
            match Errno::from_raw_os_error(self.source.raw_os_error()?) {
                // Links that lead in a circle.
                Errno::LOOP => FailureKind::Input,
                Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOLCK => FailureKind::Space,
                Errno::BUSY | Errno::TXTBSY | Errno::DEADLK => FailureKind::Conflict,
                // A broken disk, a file system that is gone or cannot do it, a thing that is not a
                // file.
                _ if matches!(self.action, Action::Read | Action::Inspect) => FailureKind::Input,
                _ => FailureKind::Space,
            },
        )
    }
}

impl Failure for PathError {
    fn kind(&self) -> FailureKind {
        match self.source.kind() {
            io::ErrorKind::NotFound => FailureKind::NotFound,
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::Unsupported => FailureKind::Access,
            io::ErrorKind::AlreadyExists | io::ErrorKind::WouldBlock => FailureKind::Conflict,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => FailureKind::Space,
            io::ErrorKind::IsADirectory if self.action == Action::Write => FailureKind::Conflict,
            // A name that this file system does not take, such as one with a colon on FAT.
            io::ErrorKind::InvalidInput if self.action == Action::Write => FailureKind::Input,
            io::ErrorKind::InvalidData
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename => FailureKind::Input,
            _ => self.kind_by_number().unwrap_or(FailureKind::Internal),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match (self.kind(), self.source.kind()) {
            (_, io::ErrorKind::Unsupported) => {
                "choose a directory on another file system, such as your home directory".to_owned()
            }
            (_, io::ErrorKind::IsADirectory) => {
                format!(
                    "give a file name in it, such as `{}`",
                    self.path.join("FILE")
                )
            }
            (_, io::ErrorKind::InvalidInput) => {
                format!(
                    "choose another name for `{}`, without any of : * ? \" < > | \\",
                    self.path
                )
            }
            (FailureKind::NotFound, _) => "check the path".to_owned(),
            (FailureKind::Access, _) if self.action == Action::Trust => {
                format!(
                    "let it belong to root (`chown root {0}`), and let nobody else write it \
                     (`chmod go-w {0}`)",
                    self.path
                )
            }
            (FailureKind::Access, _) => format!(
                "check who owns `{}` and whether its file system is writable",
                self.path
            ),
            (FailureKind::Conflict, io::ErrorKind::AlreadyExists) => {
                format!(
                    "`{}` is left as it was; choose another name or remove it yourself",
                    self.path
                )
            }
            (FailureKind::Conflict, _) => "wait until that process has ended".to_owned(),
            (
                FailureKind::Space,
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge,
            ) => "make room and run the same command again".to_owned(),
            (FailureKind::Space, _) => {
                "check the limits of this process and the file system; `dmesg` may say more"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::{Action, FailureKind, PathError};
    use crate::failure::Failure as _;

    #[test]
    fn what_the_system_refuses_is_no_bug_of_this_program() {
        for (action, error, kind) in [
            (Action::Read, Errno::IO, FailureKind::Input),
            (Action::Read, Errno::NXIO, FailureKind::Input),
            (Action::Inspect, Errno::STALE, FailureKind::Input),
            (Action::Read, Errno::MFILE, FailureKind::Space),
            (Action::Write, Errno::IO, FailureKind::Space),
            (Action::Sync, Errno::IO, FailureKind::Space),
            (Action::Lock, Errno::NOLCK, FailureKind::Space),
            (Action::Write, Errno::TXTBSY, FailureKind::Conflict),
            (Action::Rename, Errno::EXIST, FailureKind::Conflict),
            (Action::Rename, Errno::INVAL, FailureKind::Space),
        ] {
            let error = PathError::of(action, "a".into())(io::Error::from(error));
            assert_eq!(error.kind(), kind, "{error:?}");
            assert!(
                kind == FailureKind::Input || error.help().is_some(),
                "{error:?}"
            );
        }
    }
}
