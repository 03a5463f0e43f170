//! Why there is no SBOM by syft.

use std::io;

use camino::Utf8PathBuf;

use super::document::DocumentError;
use crate::{
    process::{MORE_SPACE, MissingSpace, kind_of_end, kind_of_start},
    registry::RegistryError,
};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::PathError,
};

const OTHER_VERSION: &str = "set --syft=FILE to another version of syft, or lock without --syft";

#[derive(Debug, thiserror::Error, Failure)]
#[failure(NotFound: "set --syft=FILE to syft 1.x")]
pub(crate) enum SyftError {
    #[error("cannot start `{program}`")]
    #[failure(kind: kind_of_start(.source))]
    Start {
        program: Utf8PathBuf,
        source: io::Error,
    },
    #[error("`{0}` is not syft: it does not say so when asked for its version")]
    Unknown(Utf8PathBuf),
    #[error("`syft` was not found in PATH")]
    NotFound,
    #[error(
        "there is not enough space in `{}` for syft to unpack `{image}`: {missing}",
        .missing.directory
    )]
    #[failure(Space: MORE_SPACE)]
    Space {
        image: String,
        missing: MissingSpace,
    },
    #[error("syft cannot generate the SBOM of `{image}@{manifest}`: {what}")]
    #[failure(kind: kind_of_end(.what), help: match kind_of_end(.what) {
        FailureKind::Space => MORE_SPACE,
        _ => OTHER_VERSION,
    })]
    Failed {
        image: String,
        manifest: Digest,
        what: String,
    },
    #[error("the SBOM that syft generated of `{image}@{manifest}` cannot be used")]
    #[failure(Input: OTHER_VERSION)]
    Document {
        image: String,
        manifest: Digest,
        source: DocumentError,
    },
    #[error("cannot listen on a loopback address for syft")]
    #[failure(Network, help: None)]
    Listen(#[source] io::Error),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Path(#[from] PathError),
}
