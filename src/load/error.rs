//! Why images were not loaded.

use camino::Utf8PathBuf;

use super::NotRunnable;
use crate::{
    archive::{EntryNameError, LayoutError},
    bundle::{ContentError, DeltaError},
    canonical_json::CanonicalJsonError,
    containerd::ContainerdError,
    oci::{ManifestError, Platform},
};
use rune_core::{digest::Digest, failure::Failure, fsx::PathError};

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum LoadError {
    #[error("the bundle has no image for {platform}, only for {}", offered.join(", "))]
    #[failure(NotFound: "name the platform of the nodes with --platform")]
    NothingForPlatform {
        platform: Platform,
        offered: Vec<String>,
    },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    #[failure(NotFound: "have the publisher list the image before everything else for its platform \
        and in no nested index, then lock, build and load again")]
    NotRunnable(Vec<NotRunnable>),
    #[error("a manifest of the bundle cannot be read")]
    #[failure(inner)]
    Manifest(#[from] ManifestError),
    #[error("the bundle lacks {0}")]
    #[failure(Content)]
    Missing(Digest),
    #[error("the list of images cannot be written")]
    #[failure(inner)]
    Index(#[source] CanonicalJsonError),
    #[error("the images cannot form an archive")]
    #[failure(inner)]
    Layout(#[from] LayoutError),
    #[error("the images cannot form an archive")]
    #[failure(inner)]
    Name(#[from] EntryNameError),
    #[error("`{0}` is not a file name")]
    #[failure(Input)]
    FileName(String),
    #[error("nothing was loaded: a content is damaged")]
    #[failure(inner)]
    Content(#[from] ContentError),
    #[error("there is no directory `{0}`")]
    #[failure(NotFound: "make it with `mkdir -p {0}`; k3s and RKE2 make it when they start for the \
        first time")]
    NoDirectory(Utf8PathBuf),
    #[error("`{0}` already exists and is not what would be written")]
    #[failure(Conflict: "`{0}` is left as it was; move it away if it is not needed any more")]
    OtherFile(Utf8PathBuf),
    #[error("the images need {needed_bytes} bytes in `{directory}`, {available_bytes} are free")]
    #[failure(Space: "make room and run the same command again")]
    Space {
        directory: Utf8PathBuf,
        needed_bytes: u64,
        available_bytes: u64,
    },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    #[failure(inner: match .0 {
        ContainerdError::NoContainerd(_) => {
            .0.help().map(|help| format!("{help}, or give --images-dir"))
        }
        error => error.help(),
    })]
    Containerd(#[from] ContainerdError),
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error("containerd imported the images, but `{name}` is not {expected} there")]
    #[failure(Network: "see what the log of containerd says, then run the same command again")]
    NotThere { name: String, expected: Digest },
}
