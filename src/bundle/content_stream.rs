//! One content of an open bundle, for whoever talks to a network and must not wait for a disk.
//!
//! What the system has in memory is read and hashed in place, so that it is still in the
//! processor's cache when it goes to the socket. What it has not is read on threads that may wait,
//! and who had to wait once reads the next piece while that one is sent: at most two pieces exist
//! at a time.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::{Buffers, ContentError, ContentReader, OpenBundle};
use rune_core::digest::Digest;

/// A place in a content, from its beginning to its end. A clone is another place, at the same byte.
#[derive(Debug)]
pub(crate) struct ContentStream {
    bundle: Arc<OpenBundle>,
    /// Behind the piece that was given away last; nothing behind the last piece.
    reader: Option<ContentReader>,
    ahead: Option<JoinHandle<Result<Piece, ContentError>>>,
    buffers: Buffers,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the content was not read to its end")]
    Stopped(#[source] JoinError),
}

/// A piece, and the reader behind it unless it was the last.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    rest: Option<ContentReader>,
}

impl ContentStream {
    pub(crate) fn open(bundle: &Arc<OpenBundle>, digest: Digest) -> Option<Self> {
        let reader = bundle.read(digest)?;
        Some(Self {
            bundle: Arc::clone(bundle),
            reader: Some(reader),
            ahead: None,
            buffers: Buffers::default(),
        })
    }

    /// Whether the last piece was given away: everything was right then.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.reader.is_none()
    }

    /// The next piece, or nothing behind the last one, which can be empty and is given away only
    /// when the whole content is right.
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamError>> {
        let Some(reader) = &mut self.reader else {
            return Poll::Ready(Ok(None));
        };
        let mut ahead = if let Some(ahead) = self.ahead.take() {
            ahead
        } else {
            let mut bytes = self.buffers.take();
            if let Some(has_more) = reader.next_cached_piece(&self.bundle, &mut bytes)? {
                if !has_more {
                    self.reader = None;
                }
                return Poll::Ready(Ok(Some(self.buffers.lend(bytes))));
            }
            read_later(&self.bundle, reader.clone(), bytes)
        };
        let Poll::Ready(outcome) = Pin::new(&mut ahead).poll(context) else {
            self.ahead = Some(ahead);
            return Poll::Pending;
        };
        let piece = outcome.map_err(StreamError::Stopped)??;
        self.reader = piece.rest;
        self.ahead = self
            .reader
            .clone()
            .map(|reader| read_later(&self.bundle, reader, self.buffers.take()));
        Poll::Ready(Ok(Some(self.buffers.lend(piece.bytes))))
    }
}

/// Reads the next piece where that may take its time.
fn read_later(
    bundle: &Arc<OpenBundle>,
    mut reader: ContentReader,
    mut bytes: Vec<u8>,
) -> JoinHandle<Result<Piece, ContentError>> {
    let bundle = Arc::clone(bundle);
    spawn_blocking(move || {
        let has_more = reader.next_piece(&bundle, &mut bytes)?;
        Ok(Piece {
            bytes,
            rest: has_more.then_some(reader),
        })
    })
}

impl Clone for ContentStream {
    fn clone(&self) -> Self {
        let (bundle, reader, buffers) = (
            Arc::clone(&self.bundle),
            self.reader.clone(),
            self.buffers.clone(),
        );
        Self {
            bundle,
            reader,
            ahead: None,
            buffers,
        }
    }
}
