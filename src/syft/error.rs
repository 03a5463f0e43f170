//! Why there is no SBOM by syft.

use std::io;

use camino::Utf8PathBuf;

use super::document::DocumentError;
use crate::registry::RegistryError;
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
    text::size,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum SyftError {
    #[error("cannot start `{program}`")]
    Start {
        program: Utf8PathBuf,
        source: io::Error,
    },
    #[error("`{0}` is not syft: it does not say so when asked for its version")]
    Unknown(Utf8PathBuf),
    #[error("`syft` was not found in PATH")]
    NotFound,
    #[error(
        "there is not enough space in `{directory}` for syft to unpack `{image}`: {} needed, {} available",
        size(*.needed_bytes),
        size(*.available_bytes)
    )]
    Space {
        image: String,
        directory: Utf8PathBuf,
        needed_bytes: u64,
        available_bytes: u64,
    },
    #[error("syft cannot generate the SBOM of `{image}@{manifest}`: {what}")]
    Failed {
        image: String,
        manifest: Digest,
        what: String,
    },
    #[error("the SBOM that syft generated of `{image}@{manifest}` cannot be used")]
    Document {
        image: String,
        manifest: Digest,
        source: DocumentError,
    },
    #[error("cannot listen on a loopback address for syft")]
    Listen(#[source] io::Error),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Failure for SyftError {
    fn inner(&self) -> Option<&dyn Failure> {
        match self {
            Self::Registry(error) => Some(error),
            Self::Path(error) => Some(error),
            _ => None,
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                FailureKind::Access
            }
            Self::Start { .. } | Self::Unknown(_) | Self::NotFound => FailureKind::NotFound,
            Self::Space { .. } => FailureKind::Space,
            Self::Failed { .. } | Self::Document { .. } => FailureKind::Input,
            Self::Listen(_) => FailureKind::Network,
            Self::Registry(error) => error.kind(),
            Self::Path(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Start { .. } | Self::Unknown(_) | Self::NotFound => {
                Some("set --syft=FILE to syft 1.x".to_owned())
            }
            Self::Space { .. } => Some("set TMPDIR to a directory with more space".to_owned()),
            Self::Failed { .. } | Self::Document { .. } => Some(
                "set --syft=FILE to another version of syft, or lock without --syft".to_owned(),
            ),
            Self::Listen(_) => None,
            Self::Registry(error) => error.help(),
            Self::Path(error) => error.help(),
        }
    }
}
