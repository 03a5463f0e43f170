//! Why there is no configuration.

use camino::Utf8PathBuf;

use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    #[error("the bundle has no images")]
    NoImages,
    #[error("Docker cannot be sent to a prefix of a registry, here `{0}`")]
    DockerPrefix(String),
    #[error("Docker can be sent elsewhere for docker.io only; the images are of {}", .0.join(", "))]
    DockerSources(Vec<String>),
    #[error("other content is in the way: {}", list(.0))]
    Others(Vec<Utf8PathBuf>),
    #[error(transparent)]
    Path(#[from] PathError),
}

fn list(paths: &[Utf8PathBuf]) -> String {
    paths
        .iter()
        .map(|path| format!("`{path}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Failure for MirrorError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::NoImages | Self::DockerSources(_) => FailureKind::NotFound,
            Self::DockerPrefix(_) => FailureKind::Usage,
            Self::Others(_) => FailureKind::Conflict,
            Self::Path(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoImages => None,
            Self::DockerPrefix(_) => {
                Some("push the images without a prefix for nodes with Docker".to_owned())
            }
            Self::DockerSources(_) => {
                Some("give the charts the name of the registry instead".to_owned())
            }
            Self::Others(_) => Some(
                "nothing was written; compare with what the same command prints without --output, \
                 and merge by hand"
                    .to_owned(),
            ),
            Self::Path(error) => error.help(),
        }
    }
}
