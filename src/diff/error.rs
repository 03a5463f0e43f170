//! Why two bundles cannot be compared.

use crate::{bundle::ContentError, chart::ChartError};
use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    #[error(transparent)]
    Content(#[from] ContentError),
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
