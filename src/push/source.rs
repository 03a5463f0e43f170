//! A content of the bundle, as what the registry client uploads.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use crate::{
    bundle::{ContentStream, OpenBundle, StreamError},
    registry::{Damaged, Pieces},
};
use rune_core::digest::Digest;

#[derive(Clone)]
pub(super) struct BundlePieces {
    stream: ContentStream,
    problem: Arc<Mutex<Option<StreamError>>>,
}

impl BundlePieces {
    pub(super) fn open(bundle: &Arc<OpenBundle>, digest: Digest) -> Option<Self> {
        Some(Self {
            stream: ContentStream::open(bundle, digest)?,
            problem: Arc::default(),
        })
    }

    pub(super) fn problem(&self) -> Arc<Mutex<Option<StreamError>>> {
        Arc::clone(&self.problem)
    }
}

impl Pieces for BundlePieces {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Damaged>> {
        Poll::Ready(ready!(self.stream.poll_piece(context)).map_err(|error| {
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Damaged
        }))
    }
}
