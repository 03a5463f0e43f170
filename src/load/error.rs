//! Why images were not loaded.

use std::io;

use camino::Utf8PathBuf;

use super::NotRunnable;
use crate::{
    archive::{EntryNameError, LayoutError},
    bundle::ContentError,
    canonical_json::CanonicalJsonError,
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
    #[error("there is no containerd at {}", .0.join(" or "))]
    NoContainerd(Vec<String>),
    #[error("there is more than one containerd: {}", .0.join(", "))]
    SeveralContainerds(Vec<String>),
    #[error("cannot reach containerd at `{address}`")]
    Socket {
        address: Utf8PathBuf,
        source: io::Error,
    },
    #[error("cannot start `{program}`")]
    Start {
        program: Utf8PathBuf,
        source: io::Error,
    },
    #[error("{doing} failed: `{program}` {ended}{}", shown(.said))]
    Client {
        doing: &'static str,
        program: Utf8PathBuf,
        ended: String,
        said: String,
    },
    #[error("containerd imported the images, but `{name}` is not {expected} there")]
    NotThere { name: String, expected: Digest },
}

fn shown(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

impl Failure for LoadError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NothingForPlatform { .. }
            | Self::NotRunnable(_)
            | Self::NoDirectory(_)
            | Self::NoContainerd(_) => FailureKind::NotFound,
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
            Self::SeveralContainerds(_) => FailureKind::Usage,
            Self::Socket { source, .. } | Self::Start { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => FailureKind::NotFound,
                io::ErrorKind::PermissionDenied => FailureKind::Access,
                _ => FailureKind::Network,
            },
            Self::Client { said, .. } => kind_of(said),
            Self::NotThere { .. } => FailureKind::Network,
        }
    }

    fn help(&self) -> Option<String> {
        match (self, self.kind()) {
            (Self::NothingForPlatform { .. }, _) => {
                Some("name the platform of the nodes with --platform".to_owned())
            }
            (Self::NotRunnable(_), _) => Some(
                "have the publisher list the image before everything else for its platform and in \
                 no nested index, then lock, build and load again"
                    .to_owned(),
            ),
            (Self::Content(error), _) => error.help(),
            (Self::Path(error), _) => error.help(),
            (Self::NoDirectory(path), _) => Some(format!(
                "make it with `mkdir -p {path}`; k3s and RKE2 make it when they start for the \
                 first time"
            )),
            (Self::OtherFile(path), _) => Some(format!(
                "`{path}` is left as it was; move it away if it is not needed any more"
            )),
            (Self::SeveralContainerds(_), _) => {
                Some("set --address to the one that the kubelet uses".to_owned())
            }
            (Self::NoContainerd(_), _) => Some(
                "run this on a node, set --address to the socket of containerd, or give \
                 --images-dir"
                    .to_owned(),
            ),
            (Self::Socket { .. }, FailureKind::NotFound) => {
                Some("start containerd, or set --address to its socket".to_owned())
            }
            (
                Self::Socket { .. } | Self::Client { .. } | Self::Start { .. },
                FailureKind::Access,
            ) => Some("run this as root".to_owned()),
            (Self::Start { .. }, _) => {
                Some("name containerd's client with --ctr: ctr, or k3s on nodes of k3s".to_owned())
            }
            (Self::Space { .. } | Self::Client { .. }, FailureKind::Space) => {
                Some("make room and run the same command again".to_owned())
            }
            (Self::Client { .. }, FailureKind::Conflict) => {
                Some("wait until the other import has ended and run this again".to_owned())
            }
            (Self::Socket { .. } | Self::Client { .. } | Self::NotThere { .. }, _) => Some(
                "see what the log of containerd says, then run the same command again".to_owned(),
            ),
            _ => None,
        }
    }
}

/// What kind of failure the last words of `ctr` mean; it has one exit code for all of them.
fn kind_of(said: &str) -> FailureKind {
    let says = |phrases: &[&str]| phrases.iter().any(|word| said.contains(word));
    if says(&["no space left on device", "disk quota exceeded"]) {
        FailureKind::Space
    } else if says(&["permission denied", "operation not permitted"]) {
        FailureKind::Access
    } else if says(&["locked for"]) {
        FailureKind::Conflict
    } else {
        FailureKind::Network
    }
}

#[cfg(test)]
mod tests {
    use super::kind_of;
    use rune_core::failure::FailureKind;

    #[test]
    fn the_words_of_ctr_decide_the_exit_code() {
        for (said, kind) in [
            (
                "ctr: failed to ingest \"blobs/sha256/ab\": write /var/lib/x: no space left on \
                 device: unknown",
                FailureKind::Space,
            ),
            (
                "ctr: failed to dial \"/run/x.sock\": connect: permission denied",
                FailureKind::Access,
            ),
            (
                "ctr: failed to ingest \"x\": ref tar-x locked for 1s (since now): unavailable",
                FailureKind::Conflict,
            ),
            (
                "ctr: error reading from server: EOF: unavailable",
                FailureKind::Network,
            ),
        ] {
            assert_eq!(kind_of(said), kind, "{said}");
        }
    }
}
