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

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Content: "tell the operators of the repository; or fetch the chart otherwise and give \
    its .tgz as `path`")]
pub(crate) enum RemoteError {
    #[error(transparent)]
    Server(#[from] RegistryError),
    #[error(transparent)]
    // What a server sends is not what a person wrote.
    #[failure(kind: match .0.kind() {
        FailureKind::Input => FailureKind::Content,
        kind => kind,
    }, help: .0.help())]
    Chart(#[from] ChartError),
    #[error("`{reference}` is not a Helm chart: {found}")]
    #[failure(Input: "name what `helm push` wrote; images belong under `images`")]
    NotAChart { reference: String, found: String },
    #[error("the index of the repository `{repository}` is invalid")]
    #[failure(help: "check that the address is a Helm repository: it has an index.yaml")]
    Index {
        repository: String,
        source: YamlError,
    },
    #[error("the index of the repository `{0}` is not UTF-8 text")]
    #[failure(help: "check that the address is a Helm repository: it has an index.yaml")]
    IndexText(String),
    #[error("the repository `{repository}` has no chart `{name}`")]
    #[failure(NotFound: if .known.is_empty() {
        "check the name and the address of the repository".to_owned()
    } else {
        suggestion(.name, .known)
    })]
    NoChart {
        repository: String,
        name: String,
        known: Vec<String>,
    },
    #[error("the repository `{repository}` has no version {version} of the chart `{name}`")]
    #[failure(NotFound: if .newest.is_empty() {
        "every version was removed".to_owned()
    } else {
        format!("the newest versions there are {}", .newest.join(", "))
    })]
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
    #[failure(help: "correct name and version, or tell the operators of the server")]
    OtherChart {
        place: String,
        asked: String,
        found: String,
    },
    #[error("`{0}` is not the place of a chart")]
    #[failure(Usage: "write oci://host/path/chart:VERSION, or the URL of a packed chart, \
        https://host/path/chart-VERSION.tgz")]
    Place(String),
}

impl RemoteError {
    /// Whether what was asked for does not exist, or not any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.kind() == FailureKind::NotFound
    }
}
