//! Verifying a bundle from its head to its last byte.

use super::{
    AuthenticatedHead, BundleSource, ContentError,
    archive::{Documents, Sink, read_contents},
    closure::{self, ClosureError},
};
use rune_core::{failure::Failure, progress::Progress};

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Closure(#[from] ClosureError),
}

impl Failure for VerifyError {
    fn inner(&self) -> Option<&dyn Failure> {
        Some(match self {
            Self::Content(error) => error,
            Self::Closure(error) => error,
        })
    }
}

/// Checks every byte behind the head: headers, data, padding, the end, and that every blob it
/// refers to is there. Gives the documents among the entries: the two OCI indexes and every
/// manifest. Fails when anything differs; a file is read to its end, and all differences are in the
/// error.
pub fn verify(
    source: BundleSource,
    head: &AuthenticatedHead,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Documents, VerifyError> {
    let documents = read_contents(source, head, threads, progress, None, &|_| {
        Ok(Box::new(std::io::sink()) as Sink<'_>)
    })?;
    closure::check(head.index(), &documents)?;
    Ok(documents)
}
