//! Why a bundle was not cut into volumes, or not put together from them.

use camino::Utf8PathBuf;

use super::{VolumeError, error::volumes};
use crate::{
    archive::EntryName,
    bundle::{ClosureError, ContentError, MaterialiseError, OpenError, PartsError},
};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError},
};

#[derive(Debug, thiserror::Error, Failure)]
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
    #[failure(Content: "somebody has changed one of these volumes and its record; copy them again \
        from their source and join them again")]
    Shared(Vec<WrongEntry>),
    #[error("volumes of another set are being joined into `{0}`")]
    #[failure(Conflict: format!("finish that one, choose another name with --output, or delete `{}`",
        fsx::partial_path(.0)))]
    OtherSet(Utf8PathBuf),
}

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
