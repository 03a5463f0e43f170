//! A content that lies in a file, as a source of the writing engine.

use std::ops::Range;

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc;

use super::CHUNK_BYTES;
use crate::bundle::BundleFile;
use rune_core::{
    digest::{Digest, Sha256},
    fsx::{self, Action, PathError},
};

#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    path: Utf8PathBuf,
    /// Without one, the path is opened when it is read: there may be more files than a process may
    /// have open.
    file: Option<BundleFile>,
    offset: u64,
}

impl FilePart {
    pub(in crate::bundle) fn new(path: &Utf8Path, file: &BundleFile, offset: u64) -> Self {
        Self {
            path: path.to_owned(),
            file: Some(file.clone()),
            offset,
        }
    }

    /// All of a file.
    pub(in crate::bundle) const fn of_file(path: Utf8PathBuf) -> Self {
        Self {
            path,
            file: None,
            offset: 0,
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
        self.read(range, |chunk| sender.blocking_send(chunk.into()).is_ok())
    }

    /// The digest of a content of this size, as it lies there.
    pub(in crate::bundle) fn digest(&self, size: u64) -> Result<Digest, PathError> {
        let mut hasher = Sha256::new();
        self.read(0..size, |chunk| {
            hasher.update(&chunk);
            true
        })?;
        Ok(hasher.finish())
    }

    fn read(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<u64, PathError> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => BundleFile::whole(fsx::open(&self.path)?, self.path.clone()),
        };
        let mut offset = range.start;
        while offset < range.end {
            let left = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let mut chunk = vec![0; left.min(CHUNK_BYTES)];
            let count = file
                .read_at(&mut chunk, self.offset.saturating_add(offset))
                .map_err(PathError::of(Action::Read, &self.path))?;
            chunk.truncate(count);
            offset += count as u64;
            if count == 0 || !take(chunk) {
                break;
            }
        }
        Ok(offset - range.start)
    }
}
