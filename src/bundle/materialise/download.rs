//! Fetching entries into their places: several at once, hashed while they are written, continued
//! where an earlier run stopped.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc::Sender},
};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinSet, spawn_blocking},
};

use super::{
    CHUNK_BYTES, MaterialiseError, Plan, Transferred,
    plan::Fetch,
    receive::{PIECES_WAITING, receive},
};
use crate::{
    archive::Placed,
    bundle::{
        journal::Progressed,
        volume::{ContentHasher, Output},
    },
    registry::Client,
};
use rune_core::{digest::Digest, fsx::PathError, progress::Progress};

/// After how many bytes of one content a high-water mark is recorded.
const MARK_BYTES: u64 = 64 << 20;

/// Fetches every content that is not recorded as done, the largest first, `at_once` at the same
/// time.
pub(super) async fn fetch_all(
    plan: &Plan,
    download: Download,
    recorded: &BTreeMap<usize, Progressed>,
    at_once: usize,
) -> Result<Transferred, MaterialiseError> {
    let mut transferred = Transferred::default();
    let mut jobs = Vec::new();
    for (position, placed, fetch) in plan.fetches() {
        let present_bytes = match recorded.get(&position) {
            Some(Progressed::Done) => {
                transferred.kept_blobs += 1;
                download.progress.advance(fetch.size);
                continue;
            }
            Some(Progressed::Bytes(bytes)) => (*bytes).min(fetch.size),
            None => 0,
        };
        jobs.push(Job {
            position,
            placed: placed.clone(),
            fetch,
            present_bytes,
        });
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.fetch.size));
    let slots = Arc::new(Semaphore::new(at_once.max(1)));
    let mut tasks = JoinSet::new();
    for job in jobs {
        let (download, slots) = (download.clone(), Arc::clone(&slots));
        tasks.spawn(async move {
            let _slot = slots.acquire_owned().await;
            download.fetch(job).await
        });
    }
    drop(download);
    // The first error drops the set, which stops the other downloads where they are.
    while let Some(fetched_bytes) = tasks.join_next().await {
        transferred.fetched_bytes += fetched_bytes??;
        transferred.fetched_blobs += 1;
    }
    Ok(transferred)
}

/// What all downloads of a run share.
#[derive(Clone)]
pub(super) struct Download {
    pub(super) client: Option<Client>,
    pub(super) output: Output,
    pub(super) records: Sender<(usize, Progressed)>,
    pub(super) progress: Arc<dyn Progress>,
}

#[derive(Debug)]
struct Job {
    position: usize,
    placed: Placed,
    fetch: Fetch,
    /// How many bytes of it an earlier run has written.
    present_bytes: u64,
}

impl Download {
    async fn fetch(&self, job: Job) -> Result<u64, MaterialiseError> {
        self.progress.note(&job.fetch.to_string());
        let (mut actual, mut fetched_bytes) = self.fetch_from(&job, job.present_bytes).await?;
        if actual != job.fetch.digest && job.present_bytes > 0 {
            // What the earlier run left was not what it should have been; without it, once more.
            let (again, bytes) = self.fetch_from(&job, 0).await?;
            actual = again;
            fetched_bytes += bytes;
        }
        if actual != job.fetch.digest {
            return Err(job.fetch.differs(actual));
        }
        // The recorder is gone only when it failed, and then its own error is what is reported.
        let _ = self.records.send((job.position, Progressed::Done));
        Ok(fetched_bytes)
    }

    /// Gives the digest of the whole content, and how many bytes came.
    async fn fetch_from(
        &self,
        job: &Job,
        present_bytes: u64,
    ) -> Result<(Digest, u64), MaterialiseError> {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let writer = Writer {
            output: self.output.clone(),
            placed: job.placed.clone(),
            records: self.records.clone(),
            progress: Arc::clone(&self.progress),
            position: job.position,
        };
        let writing = spawn_blocking(move || writer.run(present_bytes, receiver));
        let received = receive(self.client.as_ref(), &job.fetch, present_bytes, &sender).await;
        drop(sender);
        // The writer's error comes first: when it ends early, receiving ends too, and only it knows
        // why.
        let digest = writing.await??;
        Ok((digest, received?))
    }
}

/// Hashes and writes what a download receives, on a thread that may block.
struct Writer {
    output: Output,
    placed: Placed,
    records: Sender<(usize, Progressed)>,
    progress: Arc<dyn Progress>,
    position: usize,
}

impl Writer {
    fn run(
        self,
        present_bytes: u64,
        mut pieces: mpsc::Receiver<Bytes>,
    ) -> Result<Digest, MaterialiseError> {
        let mut hasher = self.hash_present(present_bytes)?;
        let (mut written_bytes, mut marked_bytes) = (present_bytes, present_bytes);
        while let Some(piece) = pieces.blocking_recv() {
            hasher.update(&piece);
            self.output.write_at(
                &piece,
                self.placed.content_offset().saturating_add(written_bytes),
            )?;
            written_bytes = written_bytes.saturating_add(piece.len() as u64);
            self.progress.advance(piece.len() as u64);
            if written_bytes.saturating_sub(marked_bytes) >= MARK_BYTES {
                let _ = self
                    .records
                    .send((self.position, Progressed::Bytes(written_bytes)));
                marked_bytes = written_bytes;
            }
        }
        Ok(hasher.finish())
    }

    /// Hashes what an earlier run has written.
    fn hash_present(&self, present_bytes: u64) -> Result<ContentHasher, PathError> {
        let mut hasher = self.output.hasher(&self.placed);
        let mut buffer = vec![0; if present_bytes == 0 { 0 } else { CHUNK_BYTES }];
        let mut hashed_bytes = 0;
        while hashed_bytes < present_bytes {
            let length = usize::try_from(present_bytes - hashed_bytes)
                .unwrap_or(usize::MAX)
                .min(CHUNK_BYTES);
            let chunk = buffer.get_mut(..length).unwrap_or_default();
            self.output.read_at(
                chunk,
                self.placed.content_offset().saturating_add(hashed_bytes),
            )?;
            hasher.update(chunk);
            hashed_bytes += length as u64;
            self.progress.advance(length as u64);
        }
        Ok(hasher)
    }
}
