//! Why there is no configuration.

use camino::Utf8PathBuf;

use rune_core::{failure::Failure, fsx::PathError};

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum MirrorError {
    #[error("the bundle has no images")]
    #[failure(NotFound)]
    NoImages,
    #[error("Docker cannot be sent to a prefix of a registry, here `{0}`")]
    #[failure(Usage: "push the images without a prefix for nodes with Docker")]
    DockerPrefix(String),
    #[error("Docker can be sent elsewhere for docker.io only; the images are of {}", .0.join(", "))]
    #[failure(NotFound: "give the charts the name of the registry instead")]
    DockerSources(Vec<String>),
    #[error("other content is in the way: {}", list(.0))]
    #[failure(Conflict: "nothing was written; compare with what the same command prints without \
        --output, and merge by hand")]
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
