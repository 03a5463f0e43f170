//! Why a bundle was not cut into volumes, or not put together from them.

use camino::Utf8PathBuf;

use super::{VolumeError, error::volumes};
use crate::{
    archive::EntryName,
    bundle::{ClosureError, ContentError, MaterialiseError, OpenError, PartsError},
};
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error(transparent)]
    Destination(#[from] MaterialiseError),
    #[error(transparent)]
    Parts(#[from] PartsError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Closure(#[from] ClosureError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the content does not match the signed index:{}", list(.0))]
    Shared(Vec<WrongEntry>),
    #[error("volumes of another set are being joined into `{0}`")]
    OtherSet(Utf8PathBuf),
}

/// An entry that several volumes have, each as its own record says, and that is not the signed one.
#[derive(Debug)]
pub(crate) struct WrongEntry {
    pub(super) path: EntryName,
    pub(super) volumes: Vec<u64>,
}

fn list(entries: &[WrongEntry]) -> String {
    entries
        .iter()
        .map(|entry| format!("\n  entry `{}`, in {}", entry.path, volumes(&entry.volumes)))
        .collect()
}

impl Failure for RewriteError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Destination(error) => error.kind(),
            Self::Parts(error) => error.kind(),
            Self::Volume(error) => error.kind(),
            Self::Path(error) => error.kind(),
            Self::Content(error) => error.kind(),
            Self::Closure(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Shared(_) => FailureKind::Content,
            Self::OtherSet(_) => FailureKind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Destination(error) => error.help(),
            Self::Parts(error) => error.help(),
            Self::Volume(error) => error.help(),
            Self::Path(error) => error.help(),
            Self::Content(error) => error.help(),
            Self::Closure(error) => error.help(),
            Self::Open(error) => error.help(),
            Self::Shared(_) => Some(
                "somebody has changed one of these volumes and its record; copy them again from \
                 their source and join them again"
                    .to_owned(),
            ),
            Self::OtherSet(path) => Some(format!(
                "finish that one, choose another name with --output, or delete `{}`",
                fsx::partial_path(path)
            )),
        }
    }
}
