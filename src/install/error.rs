//! Why a release cannot be installed, before or without anything being changed.

use camino::Utf8PathBuf;

use super::{
    BackupError, ClusterError, Conflict, InstallRecordError, PinError, Problems, RolloutError,
};
use crate::chart::HelmError;
use rune_core::{failure::Failure, fsx::PathError, yaml::YamlError};

#[derive(Debug, thiserror::Error, Failure)]
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
    #[failure(inner: "install Helm 3 or 4, or set --helm or RUNE_BUNDLE_HELM; a bundle may include \
        one in `bin/`")]
    Helm(#[from] HelmError),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    #[failure(inner: None)]
    Rendered(#[from] YamlError),
    #[error("no Helm was found in PATH")]
    #[failure(NotFound: "install Helm 3 or 4, or set --helm or RUNE_BUNDLE_HELM; a bundle may \
        include one in `bin/`")]
    NoHelm,
    #[error("helm cannot {doing}: {said}")]
    #[failure(Input: "compare your values with those that `helm show values` prints for the chart")]
    HelmRefused { doing: String, said: String },
    #[error("cannot run `{program}`")]
    #[failure(Internal)]
    Run {
        program: Utf8PathBuf,
        source: std::io::Error,
    },
    #[error(
        "release {release} is in state {status} at revision {revision}: another operation is \
         running or was interrupted"
    )]
    #[failure(Conflict: "if no other operation is running, run the same command with --take-over")]
    Pending {
        release: String,
        status: String,
        revision: u64,
    },
    #[error("interrupted before anything was changed")]
    #[failure(Interrupted: "run the same command again")]
    Interrupted,
}
