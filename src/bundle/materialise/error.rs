//! Why a bundle was not written.

use camino::Utf8PathBuf;

use crate::{
    archive::EntryName, bundle::VolumeError, manifest::LockedImageGone, registry::RegistryError,
};
use rune_core::{digest::Digest, failure::Failure, fsx::PathError};

#[derive(Debug, thiserror::Error, Failure)]
pub enum MaterialiseError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Gone(Box<LockedImageGone>),
    #[error("`{source_name}`: expected {expected}, found {actual}")]
    #[failure(Content: "what arrived differs from what was locked; check the registry or mirror, \
        or lock again")]
    Digest {
        source_name: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("entry `{entry}` in `{file}`: expected {expected}, found {actual}")]
    #[failure(Content: "copy `{file}` again from its source, and run the same command again")]
    Damaged {
        entry: EntryName,
        file: Utf8PathBuf,
        expected: Digest,
        actual: Digest,
    },
    #[error("a content is to be fetched without a client")]
    #[failure(Internal)]
    NoClient,
    #[error("a download ended unexpectedly")]
    #[failure(Internal)]
    Task(#[from] tokio::task::JoinError),
    #[error("`{directory}` has {available_bytes} bytes free, the bundle needs {needed_bytes}")]
    #[failure(Space: "make room, or choose a file on another disk with --output")]
    Space {
        directory: Utf8PathBuf,
        needed_bytes: u64,
        available_bytes: u64,
    },
    #[error(
        "this process may write files of at most {limit_bytes} bytes, the bundle has {needed_bytes}"
    )]
    #[failure(Space: "raise the limit, for example with `ulimit -f unlimited`")]
    FileSizeLimit { needed_bytes: u64, limit_bytes: u64 },
    #[error("`{0}` already exists")]
    #[failure(Conflict: "choose another name with --output, or remove `{0}` yourself")]
    Exists(Utf8PathBuf),
}

impl MaterialiseError {
    /// What a registry did when it was asked for a part of a locked image.
    pub(super) fn of_image(image: &str, error: RegistryError) -> Self {
        LockedImageGone::from_missing(image, error)
            .map_or_else(Self::Registry, |gone| Self::Gone(Box::new(gone)))
    }
}
