//! How pruning fails.

use crate::{
    bundle::{AuthenticationError, IndexError},
    registry::RegistryError,
};
use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error)]
pub(crate) enum PruneError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Where `push` leaves indexes is something else.
    #[error("nothing was deleted: `{reference}` is not a bundle index: {reason}")]
    NotAnIndex {
        reference: String,
        reason: &'static str,
    },
    #[error("nothing was deleted: the bundle index `{reference}` does not count")]
    Unverified {
        reference: String,
        source: Box<AuthenticationError>,
    },
    #[error("nothing was deleted: no bundle index is at `{0}`")]
    NoIndexes(String),
    #[error("nothing was deleted: {place} uses {bundle}, whose index is not in the registry")]
    MissingIndex {
        place: String,
        /// Name, version and digest.
        bundle: String,
        name: String,
    },
    /// What is published of a bundle has no canonical form; does not happen.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Failure for PruneError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::NotAnIndex { .. } => FailureKind::Input,
            Self::Unverified { source, .. } => source.kind(),
            Self::NoIndexes(_) | Self::MissingIndex { .. } => FailureKind::NotFound,
            Self::Index(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.help(),
            Self::NotAnIndex { reference, .. } => Some(format!(
                "find out who wrote `{reference}`; once it is elsewhere, run the same command again"
            )),
            Self::Unverified { reference, .. } => Some(format!(
                "pass the key of whoever signed it with --key or --trust; if nobody did, delete \
                 `{reference}`"
            )),
            Self::NoIndexes(_) => Some(
                "write the registry as `push` had it, with its prefix, and --flatten if `push` \
                 had it"
                    .to_owned(),
            ),
            Self::MissingIndex { name, .. } => {
                Some(format!("push this version of {name} again with its index"))
            }
            Self::Index(error) => error.help(),
        }
    }
}
