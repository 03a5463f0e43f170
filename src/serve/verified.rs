//! Which blobs were read to their end and were right, for as long as the file stays as it was.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::catalog::Origin;
use crate::bundle::{BundleFile, OpenBundle, StreamError};
use rune_core::{digest::Digest, fsx::Stamp};

#[derive(Debug, Default)]
pub(super) struct Verified {
    known: Mutex<HashMap<Digest, Arc<[Stamp]>>>,
    /// The same for everything, when the whole file was verified before it was served.
    whole: Option<Arc<[Stamp]>>,
    /// Who reads a content to check it; others wait for the outcome.
    checking: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the file changed while the content was checked")]
    Changed,
}

impl Verified {
    pub(super) fn of(bundle: &OpenBundle) -> Self {
        Self {
            whole: bundle.verified(),
            ..Self::default()
        }
    }

    /// What the file looked like when the content was right, if it looks like that now.
    pub(super) fn stamp(&self, digest: Digest, file: &BundleFile) -> Option<Arc<[Stamp]>> {
        if let Some(whole) = self.whole.as_ref().filter(|whole| file.has_stamp(whole)) {
            return Some(Arc::clone(whole));
        }
        let known = locked(&self.known).get(&digest).cloned()?;
        if file.has_stamp(&known) {
            return Some(known);
        }
        locked(&self.known).remove(&digest);
        None
    }

    /// Notes that a content was right. `before` is what the file looked like before the first byte
    /// of it was read.
    pub(super) fn note(&self, digest: Digest, before: Option<Arc<[Stamp]>>, file: &BundleFile) {
        if let Some(stamp) = before.filter(|before| file.has_stamp(before)) {
            locked(&self.known).insert(digest, stamp);
        }
    }
}

/// Reads a content to its end unless that was done before, and says what the file looks like.
pub(super) async fn check(
    origin: &Arc<Origin>,
    digest: Digest,
) -> Result<Arc<[Stamp]>, CheckError> {
    let known = || origin.verified.stamp(digest, origin.bundle.file());
    if let Some(stamp) = known() {
        return Ok(stamp);
    }
    let turn = Arc::clone(locked(&origin.verified.checking).entry(digest).or_default());
    let _turn = turn.lock().await;
    if let Some(stamp) = known() {
        return Ok(stamp);
    }
    let reading = Arc::clone(origin);
    let outcome = tokio::task::spawn_blocking(move || read_to_end(&reading, digest)).await;
    locked(&origin.verified.checking).remove(&digest);
    outcome.map_err(StreamError::Stopped)??;
    known().ok_or(CheckError::Changed)
}

fn read_to_end(origin: &Origin, digest: Digest) -> Result<(), StreamError> {
    let before = origin.bundle.file().stamp();
    let mut piece = Vec::new();
    if let Some(mut reader) = origin.bundle.read(digest) {
        while reader.next_piece(&origin.bundle, &mut piece)? {}
    }
    origin.verified.note(digest, before, origin.bundle.file());
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
