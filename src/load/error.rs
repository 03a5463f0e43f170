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
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the bundle has no image for {platform}, only for {}", offered.join(", "))]
    NothingForPlatform {
        platform: Platform,
        offered: Vec<String>,
    },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NotRunnable(Vec<NotRunnable>),
    #[error("a manifest of the bundle cannot be read")]
    Manifest(#[from] ManifestError),
    #[error("the bundle lacks {0}")]
    Missing(Digest),
    /// The list of images has no canonical form; does not happen.
    #[error("the list of images cannot be written")]
    Index(#[source] CanonicalJsonError),
    #[error("the images cannot form an archive")]
    Layout(#[from] LayoutError),
    #[error("the images cannot form an archive")]
    Name(#[from] EntryNameError),
    #[error("`{0}` is not a file name")]
    FileName(String),
    #[error("nothing was loaded: a content is damaged")]
    Content(#[from] ContentError),
    #[error("there is no directory `{0}`")]
    NoDirectory(Utf8PathBuf),
    #[error("`{0}` already exists and is not what would be written")]
    OtherFile(Utf8PathBuf),
    #[error("the images need {needed_bytes} bytes in `{directory}`, {available_bytes} are free")]
    Space {
        directory: Utf8PathBuf,
        needed_bytes: u64,
        /// How many bytes are free.
        available_bytes: u64,
    },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Containerd(#[from] ContainerdError),
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error("containerd imported the images, but `{name}` is not {expected} there")]
    NotThere { name: String, expected: Digest },
}

impl Failure for LoadError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NothingForPlatform { .. } | Self::NotRunnable(_) | Self::NoDirectory(_) => {
                FailureKind::NotFound
            }
            Self::Manifest(error) => error.kind(),
            Self::Missing(_) => FailureKind::Content,
            Self::Index(error) => error.kind(),
            Self::Layout(error) => error.kind(),
            Self::Name(error) => error.kind(),
            Self::FileName(_) => FailureKind::Input,
            Self::Content(error) => error.kind(),
            Self::OtherFile(_) => FailureKind::Conflict,
            Self::Space { .. } => FailureKind::Space,
            Self::Path(error) => error.kind(),
            Self::Containerd(error) => error.kind(),
            Self::Delta(error) => error.kind(),
            Self::NotThere { .. } => FailureKind::Network,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NothingForPlatform { .. } => {
                Some("name the platform of the nodes with --platform".to_owned())
            }
            Self::NotRunnable(_) => Some(
                "have the publisher list the image before everything else for its platform and in \
                 no nested index, then lock, build and load again"
                    .to_owned(),
            ),
            Self::Content(error) => error.help(),
            Self::Path(error) => error.help(),
            Self::Containerd(error @ ContainerdError::NoContainerd(_)) => error
                .help()
                .map(|help| format!("{help}, or give --images-dir")),
            Self::Containerd(error) => error.help(),
            Self::Delta(error) => error.help(),
            Self::NoDirectory(path) => Some(format!(
                "make it with `mkdir -p {path}`; k3s and RKE2 make it when they start for the \
                 first time"
            )),
            Self::OtherFile(path) => Some(format!(
                "`{path}` is left as it was; move it away if it is not needed any more"
            )),
            Self::Space { .. } => Some("make room and run the same command again".to_owned()),
            Self::NotThere { .. } => Some(
                "see what the log of containerd says, then run the same command again".to_owned(),
            ),
            _ => None,
        }
    }
}
