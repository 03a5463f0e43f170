//! What a lock pins and the registry does not have any more.

use crate::registry::RegistryError;
use rune_core::failure::Failure;

/// A tag was moved, and the registry has deleted what it named before; or somebody has deleted it.
#[derive(Debug, thiserror::Error, Failure)]
#[error("the registry no longer has what the lock pins for `{name}`")]
#[failure(inner: "have it pushed again, or run `rune-bundle lock --update {name}` to pin what the \
    registry has now; some registries also say this to those who may not read it")]
pub struct LockedImageGone {
    name: String,
    source: RegistryError,
}

impl LockedImageGone {
    /// Takes an error for this one if it says that a digest of the image or artifact is
    /// missing; else gives it back.
    pub(crate) fn from_missing(name: &str, error: RegistryError) -> Result<Self, RegistryError> {
        if error.is_missing_digest() {
            Ok(Self {
                name: name.to_owned(),
                source: error,
            })
        } else {
            Err(error)
        }
    }
}
