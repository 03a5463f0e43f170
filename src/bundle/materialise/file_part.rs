//! A content that lies in a file, as a source of the writing engine.

use std::ops::Range;

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc;

use super::CHUNK_BYTES;
use crate::bundle::BundleFile;
use rune_core::fsx::{Action, PathError};

/// Where in which file a content begins.
#[derive(Debug, Clone)]
pub struct FilePart {
    path: Utf8PathBuf,
    file: BundleFile,
    offset: u64,
}

impl FilePart {
    pub(in crate::bundle) fn new(path: &Utf8Path, file: &BundleFile, offset: u64) -> Self {
        Self {
            path: path.to_owned(),
            file: file.clone(),
            offset,
        }
    }

    pub(super) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Reads a range of the content and says how many bytes that were. A file that ends too early
    /// gives fewer; whoever hashes them sees it.
    pub(super) fn send(
        &self,
        range: Range<u64>,
        sender: &mpsc::Sender<Bytes>,
    ) -> Result<u64, PathError> {
        let mut offset = range.start;
        while offset < range.end {
            let left = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let mut chunk = vec![0; left.min(CHUNK_BYTES)];
            let count = self
                .file
                .read_at(&mut chunk, self.offset.saturating_add(offset))
                .map_err(PathError::of(Action::Read, &self.path))?;
            chunk.truncate(count);
            offset += count as u64;
            if count == 0 || sender.blocking_send(chunk.into()).is_err() {
                break;
            }
        }
        Ok(offset - range.start)
    }
}
