//! The writing engine: the tar of a plan, written once, by position, from many sources at the same time.
//!
//! Every entry's place is known before the first byte arrives. A content is hashed while it is written and never
//! read back. The file grows as `<destination>.partial` and gets its name when every digest was right.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc::Sender},
};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinSet, spawn_blocking},
};

use super::{
    closure::is_manifest,
    journal::{self, Journal, Progressed},
};
use crate::{
    archive::{Layout, Placed},
    failure::{Failure, FailureKind},
    fsx::{self, PartialFile, PathError},
    oci::{Descriptor, Digest, Sha256},
    progress::Progress,
    registry::{Client, RegistryError, RepositoryName},
};

/// After how many bytes of one content a high-water mark is recorded.
const MARK_BYTES: u64 = 64 << 20;

/// How many pieces may wait between the network and the disk, per download.
const PIECES_WAITING: usize = 4;

/// How much is read at once when a part that is already there is hashed again.
const CHUNK_BYTES: usize = 1 << 20;

/// Everything that determines the bytes of a bundle.
#[derive(Debug)]
pub struct Plan {
    /// Identifies the plan: the bundle digest.
    pub(super) digest: Digest,
    /// Where everything stands.
    pub(super) layout: Layout,
    /// The content of each entry of the layout, in its order.
    pub(super) contents: Vec<Content>,
}

/// Where the content of an entry comes from.
#[derive(Debug, Clone)]
pub enum Content {
    /// From memory.
    Bytes(Arc<[u8]>),
    /// From a file, which must have this digest.
    File {
        /// The file.
        path: Utf8PathBuf,
        /// The digest it had when the plan was made.
        digest: Digest,
    },
    /// From a registry.
    Blob {
        /// The repository.
        name: RepositoryName,
        /// What to fetch; a manifest is known by its media type.
        descriptor: Descriptor,
    },
}

/// What a build did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transferred {
    /// How many contents came from a registry in this run.
    pub fetched_blobs: u64,
    /// How many bytes came from a registry in this run.
    pub fetched_bytes: u64,
    /// How many contents an earlier, interrupted run had finished.
    pub kept_blobs: u64,
}

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
pub enum MaterialiseError {
    /// A file operation failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A registry did not give what it should.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What arrived is not what was locked.
    #[error("`{source_name}`: expected {expected}, found {actual}")]
    Digest {
        /// The repository or file.
        source_name: String,
        /// The digest of the plan.
        expected: Digest,
        /// The digest of what arrived.
        actual: Digest,
    },
    /// A download ended in a panic; a bug.
    #[error("a download ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
    /// There is too little room.
    #[error("`{directory}` has {available_bytes} bytes free, the bundle needs {needed_bytes}")]
    Space {
        /// The directory of the destination.
        directory: Utf8PathBuf,
        /// How many bytes are needed.
        needed_bytes: u64,
        /// How many bytes are free.
        available_bytes: u64,
    },
    /// The process may not write files of this size.
    #[error("this process may write files of at most {limit_bytes} bytes, the bundle has {needed_bytes}")]
    FileSizeLimit {
        /// How large the bundle is.
        needed_bytes: u64,
        /// The limit of the process.
        limit_bytes: u64,
    },
    /// The destination exists.
    #[error("`{0}` exists already")]
    Exists(Utf8PathBuf),
}

impl Failure for MaterialiseError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Path(error) => error.kind(),
            Self::Registry(error) => error.kind(),
            Self::Digest { .. } => FailureKind::Content,
            Self::Task(_) => FailureKind::Internal,
            Self::Space { .. } | Self::FileSizeLimit { .. } => FailureKind::Space,
            Self::Exists(_) => FailureKind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.help(),
            Self::Registry(error) => error.help(),
            Self::Digest { .. } => {
                Some("what arrived differs from what was locked; check the registry or mirror, or lock again".to_owned())
            }
            Self::Task(_) => None,
            Self::Space { .. } => Some("make room, or choose a file on another disk with --output".to_owned()),
            Self::FileSizeLimit { .. } => Some("raise the limit, for example with `ulimit -f unlimited`".to_owned()),
            Self::Exists(path) => Some(format!("choose another name with --output, or remove `{path}` yourself")),
        }
    }
}

impl Plan {
    /// The contents that come from registries: position, place, repository, descriptor.
    fn blobs(&self) -> impl Iterator<Item = (usize, &Placed, &RepositoryName, &Descriptor)> {
        self.layout.entries().iter().zip(&self.contents).enumerate().filter_map(|(position, (placed, content))| match content {
            Content::Blob { name, descriptor } => Some((position, placed, name, descriptor)),
            _ => None,
        })
    }

    /// The size of the bundle in bytes.
    pub const fn total_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }

    /// How many entries the archive has.
    pub fn entries(&self) -> usize {
        self.contents.len()
    }

    /// The bundle digest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes, in how many contents, come from registries.
    pub fn remote(&self) -> (u64, u64) {
        self.blobs().fold((0, 0), |(count, bytes), (.., descriptor)| (count + 1, bytes + descriptor.size))
    }
}

/// Checks, before anything is fetched, that the destination can receive the bundle.
///
/// # Errors
/// When it exists, cannot be written, or there is too little room.
pub fn check_destination(plan: &Plan, destination: &Utf8Path) -> Result<(), MaterialiseError> {
    if fsx::exists(destination) && !is_finished(plan, destination)? {
        return Err(MaterialiseError::Exists(destination.to_owned()));
    }
    let needed_bytes = plan.total_bytes();
    if let Some(limit_bytes) = fsx::file_size_limit().filter(|limit| *limit < needed_bytes) {
        return Err(MaterialiseError::FileSizeLimit { needed_bytes, limit_bytes });
    }
    let directory = fsx::parent(destination);
    fsx::check_writable(directory)?;
    let available_bytes = fsx::available_space(directory)?.saturating_add(PartialFile::reserved_bytes(destination));
    if needed_bytes > available_bytes {
        return Err(MaterialiseError::Space { directory: directory.to_owned(), needed_bytes, available_bytes });
    }
    Ok(())
}

/// Whether an earlier run of the same plan was killed after it gave the bundle its name, and before it could
/// remove its journal.
fn is_finished(plan: &Plan, destination: &Utf8Path) -> Result<bool, PathError> {
    if !fsx::exists(&journal::path_of(destination)) || fsx::file_size(destination)? != plan.total_bytes() {
        return Ok(false);
    }
    let recorded = Journal::read(destination, plan.digest)?;
    Ok(plan.blobs().all(|(position, ..)| recorded.get(&position) == Some(&Progressed::Done)))
}

/// Writes the bundle of a plan, with `downloads` downloads at once. A run that was interrupted is continued: run
/// it again with the same plan.
///
/// # Errors
/// When a source does not deliver the right bytes, or the disk refuses. What was finished is kept for the next
/// run; nothing stands under the final name.
pub async fn materialise(
    plan: &Plan,
    client: &Client,
    destination: &Utf8Path,
    downloads: usize,
    progress: &Arc<dyn Progress>,
) -> Result<Transferred, MaterialiseError> {
    check_destination(plan, destination)?;
    if fsx::exists(destination) {
        fsx::remove_file(&journal::path_of(destination))?;
        return Ok(Transferred { kept_blobs: plan.remote().0, ..Transferred::default() });
    }
    let partial = PartialFile::open(destination)?;
    let is_usable = partial.size()? == plan.total_bytes();
    let (journal, recorded) = Journal::open(destination, plan.digest, is_usable)?;
    if recorded.is_empty() {
        // Whatever another plan left must not shine through the padding.
        partial.allocate(0)?;
    }
    partial.allocate(plan.total_bytes())?;
    write_frame(plan, &partial)?;

    let syncing = journal.record(partial.clone());
    let download = Download { client: client.clone(), partial: partial.clone(), records: syncing.sender(), progress: Arc::clone(progress) };
    progress.begin("fetching", plan.remote().1);
    let transferred = fetch_all(plan, download, &recorded, downloads).await;
    let journal = syncing.finish()?;
    let transferred = transferred?;
    progress.end();
    partial.finish()?;
    journal.remove()?;
    Ok(transferred)
}

/// Writes every header, and the contents that do not come from a registry. Padding is what the file is made of.
fn write_frame(plan: &Plan, partial: &PartialFile) -> Result<(), MaterialiseError> {
    for (placed, content) in plan.layout.entries().iter().zip(&plan.contents) {
        partial.write_at(&placed.header(), placed.header_offset())?;
        match content {
            Content::Bytes(bytes) => partial.write_at(bytes, placed.content_offset())?,
            Content::File { path, digest } => copy_file(partial, placed, path, *digest)?,
            Content::Blob { .. } => {}
        }
    }
    Ok(())
}

fn copy_file(partial: &PartialFile, placed: &Placed, path: &Utf8Path, expected: Digest) -> Result<(), MaterialiseError> {
    let mut hasher = Sha256::new();
    let mut offset = placed.content_offset();
    fsx::for_each_chunk(path, placed.size(), CHUNK_BYTES, |chunk| {
        hasher.update(chunk);
        partial.write_at(chunk, offset)?;
        offset = offset.saturating_add(chunk.len() as u64);
        Ok(())
    })?;
    let actual = hasher.finish();
    if actual == expected { Ok(()) } else { Err(MaterialiseError::Digest { source_name: path.to_string(), expected, actual }) }
}

/// Fetches every blob that is not recorded as done, the largest first, `at_once` at the same time.
async fn fetch_all(
    plan: &Plan,
    download: Download,
    recorded: &BTreeMap<usize, Progressed>,
    at_once: usize,
) -> Result<Transferred, MaterialiseError> {
    let mut transferred = Transferred::default();
    let mut jobs = Vec::new();
    for (position, placed, name, descriptor) in plan.blobs() {
        let present_bytes = match recorded.get(&position) {
            Some(Progressed::Done) => {
                transferred.kept_blobs += 1;
                download.progress.advance(descriptor.size);
                continue;
            }
            Some(Progressed::Bytes(bytes)) => (*bytes).min(descriptor.size),
            None => 0,
        };
        jobs.push(Job { position, offset: placed.content_offset(), name: name.clone(), descriptor: descriptor.clone(), present_bytes });
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.descriptor.size));
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
struct Download {
    client: Client,
    partial: PartialFile,
    records: Sender<(usize, Progressed)>,
    progress: Arc<dyn Progress>,
}

/// One blob to fetch.
#[derive(Debug)]
struct Job {
    position: usize,
    offset: u64,
    name: RepositoryName,
    descriptor: Descriptor,
    /// How many bytes of it an earlier run has written.
    present_bytes: u64,
}

impl Download {
    /// Fetches one blob into its place and says how many bytes came from the registry.
    async fn fetch(&self, job: Job) -> Result<u64, MaterialiseError> {
        self.progress.note(&format!("{} {}", job.name, job.descriptor.digest));
        let mut fetched_bytes = 0;
        let mut actual = self.fetch_from(&job, job.present_bytes, &mut fetched_bytes).await?;
        if actual != job.descriptor.digest && job.present_bytes > 0 {
            // What the earlier run left was not what it should have been; without it, once more.
            actual = self.fetch_from(&job, 0, &mut fetched_bytes).await?;
        }
        if actual != job.descriptor.digest {
            let source_name = job.name.to_string();
            return Err(MaterialiseError::Digest { source_name, expected: job.descriptor.digest, actual });
        }
        // The recorder is gone only when it failed, and then its own error is what is reported.
        let _ = self.records.send((job.position, Progressed::Done));
        Ok(fetched_bytes)
    }

    async fn fetch_from(&self, job: &Job, present_bytes: u64, fetched_bytes: &mut u64) -> Result<Digest, MaterialiseError> {
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let writer = Writer {
            partial: self.partial.clone(),
            records: self.records.clone(),
            progress: Arc::clone(&self.progress),
            position: job.position,
            offset: job.offset,
        };
        let writing = spawn_blocking(move || writer.run(present_bytes, receiver));
        let outcome = self.receive(job, present_bytes, &sender, fetched_bytes).await;
        drop(sender);
        // The writer's error comes first: when it ends early, receiving ends too, and only it knows why.
        let digest = writing.await??;
        outcome?;
        Ok(digest)
    }

    async fn receive(
        &self,
        job: &Job,
        present_bytes: u64,
        sender: &mpsc::Sender<Bytes>,
        fetched_bytes: &mut u64,
    ) -> Result<(), RegistryError> {
        if present_bytes == job.descriptor.size {
            return Ok(());
        }
        if is_manifest(&job.descriptor.media_type) {
            let manifest = self.client.manifest(&job.name, job.descriptor.digest, Some(&job.descriptor.media_type)).await?;
            *fetched_bytes += manifest.bytes().len() as u64;
            let _ = sender.send(Bytes::from(manifest.into_bytes())).await;
            return Ok(());
        }
        let mut stream = self.client.blob(&job.name, &job.descriptor, present_bytes).await?;
        while let Some(piece) = stream.next().await? {
            *fetched_bytes += piece.len() as u64;
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Hashes and writes what a download receives, on a thread that may block.
struct Writer {
    partial: PartialFile,
    records: Sender<(usize, Progressed)>,
    progress: Arc<dyn Progress>,
    position: usize,
    offset: u64,
}

impl Writer {
    fn run(self, present_bytes: u64, mut pieces: mpsc::Receiver<Bytes>) -> Result<Digest, MaterialiseError> {
        let mut hasher = self.hash_present(present_bytes)?;
        let (mut written_bytes, mut marked_bytes) = (present_bytes, present_bytes);
        while let Some(piece) = pieces.blocking_recv() {
            hasher.update(&piece);
            self.partial.write_at(&piece, self.offset.saturating_add(written_bytes))?;
            written_bytes = written_bytes.saturating_add(piece.len() as u64);
            self.progress.advance(piece.len() as u64);
            if written_bytes.saturating_sub(marked_bytes) >= MARK_BYTES {
                let _ = self.records.send((self.position, Progressed::Bytes(written_bytes)));
                marked_bytes = written_bytes;
            }
        }
        Ok(hasher.finish())
    }

    /// Hashes what an earlier run has written.
    fn hash_present(&self, present_bytes: u64) -> Result<Sha256, PathError> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; if present_bytes == 0 { 0 } else { CHUNK_BYTES }];
        let mut hashed_bytes = 0;
        while hashed_bytes < present_bytes {
            let length = usize::try_from(present_bytes - hashed_bytes).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            let chunk = buffer.get_mut(..length).unwrap_or_default();
            self.partial.read_at(chunk, self.offset.saturating_add(hashed_bytes))?;
            hasher.update(chunk);
            hashed_bytes += length as u64;
            self.progress.advance(length as u64);
        }
        Ok(hasher)
    }
}
