//! Why two bundles cannot be compared.

use crate::{bundle::ContentError, chart::ChartError};
use rune_core::failure::Failure;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DiffError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Chart(#[from] ChartError),
}

impl Failure for DiffError {
    fn inner(&self) -> Option<&dyn Failure> {
        Some(match self {
            Self::Content(error) => error,
            Self::Chart(error) => error,
        })
    }
}
