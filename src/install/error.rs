//! Why a release cannot be installed, before or without anything being changed.

use camino::Utf8PathBuf;

use super::{
    BackupError, ClusterError, Conflict, InstallRecordError, PinError, Problems, RolloutError,
};
use crate::chart::HelmError;
use rune_core::{
    failure::{Failure, FailureKind},
    fsx::PathError,
    yaml::YamlError,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    InstallRecord(#[from] InstallRecordError),
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error(transparent)]
    Problems(#[from] Problems),
    #[error(transparent)]
    Pins(#[from] PinError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Rollout(#[from] Box<RolloutError>),
    #[error(transparent)]
    Helm(#[from] HelmError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Rendered(#[from] YamlError),
    #[error("no Helm was found in PATH")]
    NoHelm,
    #[error("helm cannot {doing}: {said}")]
    HelmRefused {
        /// What it was asked for.
        doing: String,
        said: String,
    },
    #[error("cannot run `{program}`")]
    Run {
        program: Utf8PathBuf,
        source: std::io::Error,
    },
    #[error(
        "release {release} is in state {status} at revision {revision}: another operation is \
         running or was interrupted"
    )]
    Pending {
        release: String,
        status: String,
        revision: u64,
    },
    #[error("interrupted before anything was changed")]
    Interrupted,
}

impl Failure for InstallError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Cluster(error) => error.kind(),
            Self::InstallRecord(error) => error.kind(),
            Self::Conflict(error) => error.kind(),
            Self::Problems(error) => error.kind(),
            Self::Pins(error) => error.kind(),
            Self::Backup(error) => error.kind(),
            Self::Rollout(error) => error.kind(),
            Self::Helm(error) => error.kind(),
            Self::Path(error) => error.kind(),
            Self::Rendered(error) => error.kind(),
            Self::NoHelm => FailureKind::NotFound,
            Self::HelmRefused { .. } => FailureKind::Input,
            Self::Run { .. } => FailureKind::Internal,
            Self::Pending { .. } => FailureKind::Conflict,
            Self::Interrupted => FailureKind::Interrupted,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.help(),
            Self::InstallRecord(error) => error.help(),
            Self::Conflict(error) => error.help(),
            Self::Problems(error) => error.help(),
            Self::Pins(error) => error.help(),
            Self::Backup(error) => error.help(),
            Self::Rollout(error) => error.help(),
            Self::Path(error) => error.help(),
            Self::Helm(_) | Self::NoHelm => Some(
                "install Helm 3 or 4, or set --helm or RUNE_BUNDLE_HELM; a bundle may include one \
                 in `bin/`"
                    .to_owned(),
            ),
            Self::Pending { .. } => Some(
                "if no other operation is running, run the same command with --take-over"
                    .to_owned(),
            ),
            Self::HelmRefused { .. } => Some(
                "compare your values with those that `helm show values` prints for the chart"
                    .to_owned(),
            ),
            Self::Rendered(_) | Self::Run { .. } => None,
            Self::Interrupted => Some("run the same command again".to_owned()),
        }
    }

    fn details(&self) -> Option<serde_json::Value> {
        match self {
            Self::Problems(error) => error.details(),
            Self::Rollout(error) => error.details(),
            _ => None,
        }
    }
}
