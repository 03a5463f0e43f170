//! Why there are no diagnostics.

use crate::install::{ClusterError, InstallRecordError};
use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error)]
pub(crate) enum SupportError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Record(#[from] InstallRecordError),
    #[error("the archive cannot be written: {0}")]
    Archive(std::io::Error),
    #[error("a rule of redaction is invalid: {0}")]
    Redaction(#[from] regex::Error),
}

impl Failure for SupportError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Cluster(error) => error.kind(),
            Self::Record(error) => error.kind(),
            Self::Archive(_) | Self::Redaction(_) => FailureKind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Cluster(error) => error.help(),
            Self::Record(error) => error.help(),
            Self::Archive(_) | Self::Redaction(_) => None,
        }
    }
}
