//! Why images cannot be scanned.

use std::io;

use camino::Utf8PathBuf;

use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
    text::size,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("`grype` was not found in PATH")]
    NotFound,
    #[error("cannot start `{program}`")]
    Start {
        program: Utf8PathBuf,
        source: io::Error,
    },
    #[error("`{0}` is not grype: it does not say so when asked for its version")]
    Unknown(Utf8PathBuf),
    #[error("no directory for the database of grype is known: HOME is not set")]
    NoHome,
    #[error("grype has no valid vulnerability database in `{0}`")]
    NoDatabase(Utf8PathBuf),
    #[error(
        "`{directory}` does not have enough space for grype to unpack {image}: {} needed, {} \
         available",
        size(*.needed_bytes),
        size(*.available_bytes)
    )]
    Space {
        image: String,
        directory: Utf8PathBuf,
        needed_bytes: u64,
        available_bytes: u64,
    },
    #[error("grype cannot scan {image}: {what}")]
    Failed { image: String, what: String },
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Failure for ScanError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                FailureKind::Access
            }
            Self::NotFound
            | Self::Start { .. }
            | Self::Unknown(_)
            | Self::NoHome
            | Self::NoDatabase(_) => FailureKind::NotFound,
            Self::Space { .. } => FailureKind::Space,
            Self::Failed { what, .. } if what.contains("no space left on device") => {
                FailureKind::Space
            }
            Self::Failed { .. } => FailureKind::Input,
            Self::Path(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match (self, self.kind()) {
            (Self::Path(error), _) => return error.help(),
            (Self::NoDatabase(_), _) => {
                "import one with `grype db import FILE`, or set GRYPE_DB_CACHE_DIR to the \
                 directory that has one"
            }
            (Self::NoHome, _) => "set HOME or GRYPE_DB_CACHE_DIR",
            (_, FailureKind::Space) => "set TMPDIR to a directory with more space",
            (Self::Failed { .. }, _) => {
                "set --scanner to another version of grype; a report has a result for every image"
            }
            _ => "set --scanner to grype",
        };
        Some(help.to_owned())
    }
}
