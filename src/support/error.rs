//! Why there are no diagnostics.

use crate::install::{ClusterError, InstallRecordError};
use rune_core::failure::Failure;

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Internal)]
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
