//! Why two bundles cannot be compared.

use crate::{bundle::ContentError, chart::ChartError};
use rune_core::failure::{Failure, FailureKind};

/// Why two bundles cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A content is not what the index of its bundle says.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A packed chart cannot be read.
    #[error(transparent)]
    Chart(#[from] ChartError),
}

impl Failure for DiffError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Content(error) => error.kind(),
            Self::Chart(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Content(error) => error.help(),
            Self::Chart(error) => error.help(),
        }
    }
}
