//! Verifying a bundle from its head to its last byte.

use std::thread;

use super::{
    AuthenticatedHead, BundleSource, ContentError, MaterialiseError, Plan,
    archive::{Documents, Sink, read_contents},
    closure::{self, ClosureError},
    materialise::ArchiveStream,
};
use crate::registry::Client;
use rune_core::{
    command::{CommandError, block_on},
    failure::Failure,
    progress::Progress,
};

#[derive(Debug, thiserror::Error, Failure)]
pub enum VerifyError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Closure(#[from] ClosureError),
}

/// Checks every byte behind the head: headers, data, padding, the end, and that every blob it
/// refers to is there. Gives the two OCI indexes and every manifest. A file is read to its end, and
/// all differences are in the error.
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

/// The same of a bundle that is elsewhere: its archive passes by, and nothing of it is written.
pub(crate) fn verify_plan(
    plan: &Plan,
    client: &Client,
    head: &AuthenticatedHead,
    progress: &dyn Progress,
) -> Result<(), CommandError> {
    let skipped = plan.entries().saturating_sub(head.index().entries.len());
    let (sender, stream) = ArchiveStream::new();
    thread::scope(|scope| {
        let sending =
            scope.spawn(|| block_on::<_, MaterialiseError>(plan.send(client, skipped, sender)));
        let source = BundleSource::Stream(Box::new(stream));
        let verified = verify(source, head, 1, progress);
        // Only the sender knows why a stream ended too early.
        match sending.join() {
            Ok(sent) => sent?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        verified?;
        Ok(())
    })
}
