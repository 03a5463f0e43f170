//! Why a chart is not to be had from where it should be.

use crate::{
    chart::ChartError,
    registry::{RegistryError, WebUrlError},
};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    yaml::{YamlError, suggestion},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error(transparent)]
    Server(#[from] RegistryError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error("`{reference}` is not a Helm chart: {found}")]
    NotAChart {
        /// The reference, `oci://…`.
        reference: String,
        found: String,
    },
    #[error("the index of the repository `{repository}` is invalid")]
    Index {
        repository: String,
        source: YamlError,
    },
    #[error("the index of the repository `{0}` is not UTF-8 text")]
    IndexText(String),
    #[error("the repository `{repository}` has no chart `{name}`")]
    NoChart {
        repository: String,
        name: String,
        known: Vec<String>,
    },
    #[error("the repository `{repository}` has no version {version} of the chart `{name}`")]
    NoVersion {
        repository: String,
        name: String,
        version: String,
        newest: Vec<String>,
    },
    #[error("the index of the repository `{repository}` has no URL for `{name}` {version}")]
    NoUrl {
        repository: String,
        name: String,
        version: String,
    },
    /// An address in the repository index is not allowed. Does not show it: it may hold a password.
    #[error(
        "the index of the repository `{repository}` has an invalid URL for `{name}`: {problem}"
    )]
    Url {
        repository: String,
        name: String,
        problem: WebUrlError,
    },
    #[error("`{url}` has the digest {actual}, the index of its repository says {expected}")]
    IndexDigest {
        url: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("{place} is the chart {found}, not {asked}")]
    OtherChart {
        place: String,
        asked: String,
        found: String,
    },
    #[error("`{0}` is not the place of a chart")]
    Place(String),
}

impl RemoteError {
    /// Whether what was asked for does not exist, or not any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.kind() == FailureKind::NotFound
    }
}

impl Failure for RemoteError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Server(error) => error.kind(),
            // What a server sends is not what a person wrote.
            Self::Chart(error) if error.kind() == FailureKind::Input => FailureKind::Content,
            Self::Chart(error) => error.kind(),
            Self::NoChart { .. } | Self::NoVersion { .. } => FailureKind::NotFound,
            Self::Place(_) => FailureKind::Usage,
            Self::NotAChart { .. } => FailureKind::Input,
            Self::Index { .. }
            | Self::IndexText(_)
            | Self::NoUrl { .. }
            | Self::Url { .. }
            | Self::IndexDigest { .. }
            | Self::OtherChart { .. } => FailureKind::Content,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Server(error) => return error.help(),
            Self::Chart(error) => return error.help(),
            Self::NotAChart { .. } => {
                "name what `helm push` wrote; images belong under `images`".to_owned()
            }
            Self::Index { .. } | Self::IndexText(_) => {
                "check that the address is a Helm repository: it has an index.yaml".to_owned()
            }
            Self::NoChart { name, known, .. } if !known.is_empty() => suggestion(name, known),
            Self::NoChart { .. } => "check the name and the address of the repository".to_owned(),
            Self::NoVersion { newest, .. } if newest.is_empty() => {
                "every version was removed".to_owned()
            }
            Self::NoVersion { newest, .. } => {
                format!("the newest versions there are {}", newest.join(", "))
            }
            Self::NoUrl { .. } | Self::Url { .. } | Self::IndexDigest { .. } => {
                "tell the operators of the repository; or fetch the chart otherwise and give its \
                 .tgz as `path`"
                    .to_owned()
            }
            Self::OtherChart { .. } => {
                "correct name and version, or tell the operators of the server".to_owned()
            }
            Self::Place(_) => "write oci://host/path/chart:VERSION, or the URL of a packed chart, \
                               https://host/path/chart-VERSION.tgz"
                .to_owned(),
        })
    }
}
