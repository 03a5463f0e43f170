//! A content that this machine has, in a file or in its containerd, as a source of the writing
//! engine.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::mpsc;

use super::CHUNK_BYTES;
use crate::{bundle::BundleFile, containerd::Containerd};
use rune_core::{
    digest::{Digest, Sha256},
    fsx::{self, Action, PathError},
};

#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    /// As people name it.
    path: Utf8PathBuf,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    Open {
        file: BundleFile,
        offset: u64,
    },
    /// The path is opened when it is read: there may be more files than a process may have open.
    Path,
    Containerd {
        containerd: Arc<Containerd>,
        digest: Digest,
    },
}

impl FilePart {
    pub(in crate::bundle) fn new(path: &Utf8Path, file: &BundleFile, offset: u64) -> Self {
        Self {
            path: path.to_owned(),
            origin: Origin::Open {
                file: file.clone(),
                offset,
            },
        }
    }

    pub(in crate::bundle) const fn of_file(path: Utf8PathBuf) -> Self {
        Self {
            path,
            origin: Origin::Path,
        }
    }

    pub(in crate::bundle) fn of_containerd(containerd: &Arc<Containerd>, digest: Digest) -> Self {
        Self {
            path: containerd.to_string().into(),
            origin: Origin::Containerd {
                containerd: Arc::clone(containerd),
                digest,
            },
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

    pub(in crate::bundle) fn digest(&self, size: u64) -> Result<Digest, PathError> {
        let mut hasher = Sha256::new();
        self.read(0..size, |chunk| {
            hasher.update(&chunk);
            true
        })?;
        Ok(hasher.finish())
    }

    pub(in crate::bundle) fn bytes(&self, size: u64) -> Result<Vec<u8>, PathError> {
        let mut bytes = Vec::new();
        self.read(0..size, |chunk| {
            bytes.extend(chunk);
            true
        })?;
        Ok(bytes)
    }

    fn read(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<u64, PathError> {
        let (file, begin) = match &self.origin {
            Origin::Open { file, offset } => (file.clone(), *offset),
            Origin::Path => {
                let file = fsx::open(&self.path)?;
                (BundleFile::whole(file, self.path.clone()), 0)
            }
            Origin::Containerd { containerd, digest } => {
                return self.read_containerd(containerd, *digest, range, take);
            }
        };
        let mut offset = range.start;
        while offset < range.end {
            let left = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let mut chunk = vec![0; left.min(CHUNK_BYTES)];
            let count = file
                .read_at(&mut chunk, begin.saturating_add(offset))
                .map_err(PathError::of(Action::Read, &self.path))?;
            chunk.truncate(count);
            offset += count as u64;
            if count == 0 || !take(chunk) {
                break;
            }
        }
        Ok(offset - range.start)
    }

    /// It gives a content from its beginning only.
    fn read_containerd(
        &self,
        containerd: &Containerd,
        digest: Digest,
        range: Range<u64>,
        mut take: impl FnMut(Vec<u8>) -> bool,
    ) -> Result<u64, PathError> {
        let (mut begin, mut taken) = (0_u64, 0_u64);
        let read = containerd.read(digest, |piece| {
            let end = begin.saturating_add(piece.len() as u64);
            let within = |position: u64| {
                let clamped = position.clamp(begin, end);
                usize::try_from(clamped - begin).unwrap_or(usize::MAX)
            };
            let wanted = piece.get(within(range.start)..within(range.end));
            let wanted = wanted.unwrap_or_default();
            begin = end;
            taken = taken.saturating_add(wanted.len() as u64);
            (wanted.is_empty() || take(wanted.to_vec())) && end < range.end
        });
        read.map_err(io::Error::other)
            .map_err(PathError::of(Action::Read, &self.path))?;
        Ok(taken)
    }
}
