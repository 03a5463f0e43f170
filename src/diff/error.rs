//! Why two bundles cannot be compared.

use crate::{bundle::ContentError, chart::ChartError};
use rune_core::failure::Failure;

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum DiffError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Chart(#[from] ChartError),
}
