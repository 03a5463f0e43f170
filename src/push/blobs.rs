//! Blobs: each into every repository that needs it, and over the network once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Blobs, PushError, Shared, parallel::in_parallel, plan::Plan, source::BundlePieces};
use crate::{
    oci::Descriptor,
    registry::{Delivery, Meter, RepositoryName},
};
use rune_core::digest::Digest;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlobOutcome {
    There,
    /// It was mounted from another repository, or would be.
    Mounted,
    Uploaded,
    /// It is neither here nor in the repository.
    Lacking,
}

struct Errand {
    blob: Descriptor,
    repositories: Vec<RepositoryName>,
}

/// Brings every blob of the plan where it belongs. Says what became of each, and how many bytes
/// were sent, or would be.
pub(super) async fn push(shared: &Shared, plan: &Plan) -> Result<(Blobs, u64), PushError> {
    let errands = errands(plan);
    let sent = Arc::new(AtomicU64::new(0));
    let doing = if shared.is_dry_run {
        "asking for blobs"
    } else {
        "pushing"
    };
    shared
        .progress
        .begin(doing, errands.iter().map(|errand| errand.blob.size).sum());
    let done = in_parallel(shared.jobs, errands, |errand| {
        let (shared, sent) = (shared.clone(), Arc::clone(&sent));
        async move { errand.run(&shared, &sent).await }
    })
    .await;
    shared.progress.end();
    let outcomes: Blobs = done?.into_iter().flatten().collect();
    let lacking = outcomes.iter();
    let lacking = lacking.filter(|(_, outcome)| **outcome == BlobOutcome::Lacking);
    let lacking: Vec<_> = lacking.map(|(key, _)| key.clone()).collect();
    if lacking.is_empty() {
        Ok((outcomes, sent.load(Ordering::Relaxed)))
    } else {
        Err(PushError::NotMounted(lacking))
    }
}

/// The largest first, so that none of them is what everything waits for in the end.
fn errands(plan: &Plan) -> Vec<Errand> {
    let mut errands: BTreeMap<Digest, Errand> = BTreeMap::new();
    for item in &plan.items {
        for blob in item.documents().flat_map(|document| &document.blobs) {
            let new = || Errand {
                blob: blob.clone(),
                repositories: Vec::new(),
            };
            let errand = errands.entry(blob.digest).or_insert_with(new);
            if !errand.repositories.contains(&item.name) {
                errand.repositories.push(item.name.clone());
            }
        }
    }
    let mut errands: Vec<_> = errands.into_values().collect();
    errands.sort_by_key(|errand| std::cmp::Reverse(errand.blob.size));
    errands
}

impl Errand {
    async fn run(
        self,
        shared: &Shared,
        sent: &Arc<AtomicU64>,
    ) -> Result<Vec<((RepositoryName, Digest), BlobOutcome)>, PushError> {
        let digest = self.blob.digest;
        let mut outcomes = Vec::new();
        let mut missing = Vec::new();
        for name in &self.repositories {
            if shared.writer(name).has_blob(digest).await? {
                outcomes.push(((name.clone(), digest), BlobOutcome::There));
            } else {
                missing.push(name);
            }
        }
        // Of the repositories that have it, the first: to mount from.
        let mut filled = outcomes.first().map(|((name, _), _)| name.clone());
        // Over the network it goes once, whatever the registry makes of mounting.
        let mut is_counted = missing.is_empty();
        if is_counted {
            shared.progress.advance(self.blob.size);
        }
        for name in missing {
            let from = filled.as_ref().map(|name| name.repository().to_owned());
            let outcome = if shared.is_dry_run {
                if from.is_some() {
                    BlobOutcome::Mounted
                } else {
                    sent.fetch_add(self.blob.size, Ordering::Relaxed);
                    BlobOutcome::Uploaded
                }
            } else {
                self.deliver(shared, name, from, sent, !is_counted).await?
            };
            // What is sent is counted while it is.
            let is_sent = outcome == BlobOutcome::Uploaded && !shared.is_dry_run;
            if !is_counted && !is_sent && outcome != BlobOutcome::Lacking {
                shared.progress.advance(self.blob.size);
            }
            is_counted = true;
            filled.get_or_insert_with(|| name.clone());
            outcomes.push(((name.clone(), digest), outcome));
        }
        Ok(outcomes)
    }

    async fn deliver(
        &self,
        shared: &Shared,
        name: &RepositoryName,
        from: Option<String>,
        sent: &Arc<AtomicU64>,
        counts: bool,
    ) -> Result<BlobOutcome, PushError> {
        let Some(pieces) = BundlePieces::open(&shared.bundle, self.blob.digest) else {
            return self.mount(shared, name, from).await;
        };
        let problem = pieces.problem();
        shared.progress.note(&name.to_string());
        let meter = Self::meter(shared, sent, counts);
        let delivered = shared
            .writer(name)
            .put_blob(&self.blob, from, pieces, shared.chunk_bytes, meter)
            .await;
        match delivered {
            Ok(Delivery::Mounted) => Ok(BlobOutcome::Mounted),
            Ok(Delivery::Uploaded) => Ok(BlobOutcome::Uploaded),
            Err(error) => {
                let problem = problem
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(problem) = problem.filter(|_| error.is_about_source()) {
                    return Err(problem.into());
                }
                if error.is_refusal() {
                    let (bundle, digest) = (Arc::clone(&shared.bundle), self.blob.digest);
                    let hashed = tokio::task::spawn_blocking(move || bundle.rehash(digest));
                    hashed.await.map_err(PushError::Task)??;
                }
                Err(error.into())
            }
        }
    }

    /// What this bundle does not have: it comes from another repository, or not at all.
    async fn mount(
        &self,
        shared: &Shared,
        name: &RepositoryName,
        from: Option<String>,
    ) -> Result<BlobOutcome, PushError> {
        let Some(from) = from else {
            return Ok(BlobOutcome::Lacking);
        };
        let writer = shared.writer(name);
        Ok(if writer.mount_blob(self.blob.digest, &from).await? {
            BlobOutcome::Mounted
        } else {
            BlobOutcome::Lacking
        })
    }

    /// Counts what is sent. Progress is what is sent for the first time.
    fn meter(shared: &Shared, sent: &Arc<AtomicU64>, counts: bool) -> Meter {
        let (progress, sent) = (Arc::clone(&shared.progress), Arc::clone(sent));
        let furthest = AtomicU64::new(0);
        Arc::new(move |position, bytes| {
            sent.fetch_add(bytes, Ordering::Relaxed);
            let before = furthest.fetch_max(position, Ordering::Relaxed);
            if counts {
                progress.advance(position.saturating_sub(before));
            }
        })
    }
}
