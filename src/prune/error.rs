//! How pruning fails.

use crate::{
    bundle::{AuthenticationError, IndexError},
    registry::RegistryError,
};
use rune_core::failure::Failure;

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum PruneError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("nothing was deleted: `{reference}` is not a bundle index: {reason}")]
    #[failure(Input: "find out who wrote `{reference}`; once it is elsewhere, run the same command \
        again")]
    NotAnIndex {
        reference: String,
        reason: &'static str,
    },
    #[error("nothing was deleted: the bundle index `{reference}` does not count")]
    #[failure(inner: "pass the key of whoever signed it with --key or --trust; if nobody did, \
        delete `{reference}`")]
    Unverified {
        reference: String,
        source: Box<AuthenticationError>,
    },
    #[error("nothing was deleted: no bundle index is at `{0}`")]
    #[failure(NotFound: "write the registry as `push` had it, with its prefix, and --flatten if \
        `push` had it")]
    NoIndexes(String),
    #[error("nothing was deleted: {place} uses {bundle}, whose index is not in the registry")]
    #[failure(NotFound: "push this version of {name} again with its index")]
    MissingIndex {
        place: String,
        bundle: String,
        name: String,
    },
    /// What is published of a bundle has no canonical form; does not happen.
    #[error(transparent)]
    Index(#[from] IndexError),
}
