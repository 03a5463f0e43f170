//! A content of the bundle, as what the registry client uploads.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::{
    bundle::{ContentError, ContentReader, OpenBundle},
    oci::Digest,
    registry::{Damaged, Pieces},
};

/// A place in a content of the bundle.
#[derive(Clone)]
pub(super) struct BundlePieces {
    bundle: Arc<OpenBundle>,
    reader: ContentReader,
    has_more: bool,
    problem: Arc<Mutex<Option<ContentError>>>,
}

impl BundlePieces {
    /// The beginning of a content, if the bundle has it.
    pub(super) fn open(bundle: &Arc<OpenBundle>, digest: Digest) -> Option<Self> {
        let reader = bundle.read(digest)?;
        Some(Self { bundle: Arc::clone(bundle), reader, has_more: true, problem: Arc::default() })
    }

    /// Where it will be said what is wrong with the content.
    pub(super) fn problem(&self) -> Arc<Mutex<Option<ContentError>>> {
        Arc::clone(&self.problem)
    }
}

impl Pieces for BundlePieces {
    fn next_piece(&mut self) -> Result<Option<Bytes>, Damaged> {
        if !self.has_more {
            return Ok(None);
        }
        let mut piece = Vec::new();
        match self.reader.next_piece(&self.bundle, &mut piece) {
            Ok(has_more) => {
                self.has_more = has_more;
                Ok(Some(piece.into()))
            }
            Err(error) => {
                *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(Damaged)
            }
        }
    }
}
