//! The writing engine: the tar of a plan, written once, by position, from many sources at the same
//! time.
//!
//! Every entry's place is known before the first byte arrives. A content is hashed while it is
//! written and never read back. The file grows as `<destination>.partial` and gets its name when
//! every digest was right.

mod download;
mod error;
mod file_part;
mod plan;
mod receive;
mod stream;

use std::sync::Arc;

use camino::Utf8Path;

use self::download::{Download, fetch_all};
use super::{
    Destination,
    journal::{self, Journal, Progressed},
    volume::Output,
};
use crate::{archive::Placed, registry::Client};
use rune_core::{
    digest::Digest,
    fsx::{self, PartialFile, PathError},
    progress::Progress,
};

pub(crate) use error::MaterialiseError;
pub(in crate::bundle) use file_part::FilePart;
pub(crate) use plan::Content;
pub use plan::Plan;
pub(in crate::bundle) use stream::ArchiveStream;

/// How much is read at once of what is on the disk already.
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transferred {
    pub(crate) fetched_blobs: u64,
    pub(crate) fetched_bytes: u64,
    /// How many entries an earlier, interrupted run had finished.
    pub(crate) kept_blobs: u64,
}

/// The part of [`check_destination`] that needs no plan, before anything slow is done.
pub(crate) fn check_name(destination: &Utf8Path) -> Result<(), MaterialiseError> {
    fsx::check_no_directory(destination)?;
    if fsx::is_taken(destination) && !fsx::exists(&journal::path_of(destination)) {
        return Err(MaterialiseError::Exists(destination.to_owned()));
    }
    Ok(fsx::check_writable(fsx::parent(destination))?)
}

pub(crate) fn check_destination(
    plan: &Plan,
    destination: &Destination,
) -> Result<(), MaterialiseError> {
    if !is_finished(plan, destination)? {
        check_free(destination)?;
    }
    check_room(destination, plan.total_bytes())
}

pub(super) fn check_free(destination: &Destination) -> Result<(), MaterialiseError> {
    for path in destination.paths() {
        fsx::check_no_directory(path)?;
        if fsx::is_taken(path) {
            return Err(MaterialiseError::Exists(path.clone()));
        }
    }
    Ok(())
}

pub(super) fn check_room(
    destination: &Destination,
    bundle_bytes: u64,
) -> Result<(), MaterialiseError> {
    let sizes = destination.sizes(bundle_bytes);
    let largest_bytes = sizes.iter().copied().max().unwrap_or_default();
    if let Some(limit_bytes) = fsx::file_size_limit().filter(|limit| *limit < largest_bytes) {
        return Err(MaterialiseError::FileSizeLimit {
            needed_bytes: largest_bytes,
            limit_bytes,
        });
    }
    let directory = fsx::parent(destination.name());
    fsx::check_writable(directory)?;
    let reserved = destination.paths().iter().map(|path| {
        if fsx::is_taken(path) {
            fsx::file_size(path).unwrap_or_default()
        } else {
            PartialFile::reserved_bytes(path)
        }
    });
    let needed_bytes = sizes.iter().sum();
    let available_bytes = fsx::available_space(directory)?.saturating_add(reserved.sum());
    if needed_bytes > available_bytes {
        return Err(MaterialiseError::Space {
            directory: directory.to_owned(),
            needed_bytes,
            available_bytes,
        });
    }
    Ok(())
}

/// Whether an earlier run of the same plan was killed after it gave the bundle, or some of its
/// volumes, a name, and before it could remove its journal.
fn is_finished(plan: &Plan, destination: &Destination) -> Result<bool, PathError> {
    let mut is_any_named = false;
    for (path, size) in destination
        .paths()
        .iter()
        .zip(destination.sizes(plan.total_bytes()))
        .filter(|(path, _)| fsx::is_taken(path))
    {
        fsx::check_no_directory(path)?;
        if fsx::file_size(path)? != size {
            return Ok(false);
        }
        is_any_named = true;
    }
    if !is_any_named || !fsx::exists(&journal::path_of(destination.name())) {
        return Ok(false);
    }
    let recorded = Journal::read(destination.name(), destination.id(plan.digest))?;
    Ok(plan
        .fetches()
        .all(|(position, ..)| recorded.get(&position) == Some(&Progressed::Done)))
}

/// Writes the bundle of a plan, with `downloads` downloads at once. An interrupted run is continued
/// by one with the same plan: what was finished is kept, and nothing stands under the final name.
pub async fn materialise(
    plan: &Plan,
    client: Option<&Client>,
    destination: &Destination,
    downloads: usize,
    progress: &Arc<dyn Progress>,
) -> Result<Transferred, MaterialiseError> {
    check_destination(plan, destination)?;
    if is_finished(plan, destination)? {
        Output::finish_names(destination)?;
        fsx::remove_file(&journal::path_of(destination.name()))?;
        return Ok(Transferred {
            kept_blobs: plan.remote().0,
            ..Transferred::default()
        });
    }
    let output = Output::open(destination, plan.total_bytes())?;
    let is_usable = output.is_allocated()?;
    let id = destination.id(plan.digest);
    let (journal, mut recorded) = Journal::open(destination.name(), id, is_usable)?;
    if recorded.is_empty() {
        output.clear()?;
    }
    output.allocate()?;
    progress.begin("writing files", plan.local_bytes());
    let written = write_frame(plan, &output, &**progress);
    progress.end();
    written?;
    // Of what is in several volumes the digest of each piece is needed too.
    for (position, placed, fetch) in plan.fetches() {
        if destination.cuts(placed)
            && let Some(progressed @ Progressed::Done) = recorded.get_mut(&position)
        {
            *progressed = Progressed::Bytes(fetch.size);
        }
    }

    let syncing = journal.record(output.clone());
    let download = Download {
        client: client.cloned(),
        output: output.clone(),
        records: syncing.sender(),
        progress: Arc::clone(progress),
    };
    progress.begin(plan.activity(), plan.remote().1);
    let transferred = fetch_all(plan, download, &recorded, downloads).await;
    let journal = syncing.finish()?;
    progress.end();
    let transferred = transferred?;
    output.finish(plan.digest, &plan.layout)?;
    journal.remove()?;
    Ok(transferred)
}

/// Writes every header, and the entries that do not come from a registry. Padding is what the file
/// is made of.
fn write_frame(
    plan: &Plan,
    output: &Output,
    progress: &dyn Progress,
) -> Result<(), MaterialiseError> {
    for (placed, content) in plan.layout.entries().iter().zip(&plan.contents) {
        output.write_at(&placed.header(), placed.header_offset())?;
        match content {
            Content::Bytes(bytes) => {
                output.hasher(placed).update_pieces(bytes);
                output.write_at(bytes, placed.content_offset())?;
                progress.advance(bytes.len() as u64);
            }
            Content::File { path, digest } => {
                progress.note(placed.name().as_str());
                copy_file(output, placed, path, *digest, progress)?;
            }
            Content::Part { .. } | Content::Blob { .. } | Content::Web { .. } => {}
        }
    }
    Ok(())
}

fn copy_file(
    output: &Output,
    placed: &Placed,
    path: &Utf8Path,
    expected: Digest,
    progress: &dyn Progress,
) -> Result<(), MaterialiseError> {
    let mut hasher = output.hasher(placed);
    let mut offset = placed.content_offset();
    fsx::for_each_chunk(path, placed.size(), CHUNK_BYTES, |chunk| {
        hasher.update(chunk);
        output.write_at(chunk, offset)?;
        offset = offset.saturating_add(chunk.len() as u64);
        progress.advance(chunk.len() as u64);
        Ok(())
    })?;
    let actual = hasher.finish();
    if actual == expected {
        Ok(())
    } else {
        Err(MaterialiseError::Digest {
            source_name: path.to_string(),
            expected,
            actual,
        })
    }
}
