//! The body of a request, and how long it may make no progress.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::time::Instant;

pub(crate) enum RequestBody {
    Whole(Bytes),
    /// Bytes that come while they are sent. An error ends the connection, so that nobody takes what
    /// was sent for the whole.
    Stream {
        bytes: u64,
        stream: BoxStream<'static, io::Result<Bytes>>,
    },
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(formatter, "{} bytes", bytes.len()),
            Self::Stream { bytes, .. } => write!(formatter, "a stream of {bytes} bytes"),
        }
    }
}

/// Watches whether a body that is being sent gets on, and after its end how long the answer takes.
#[derive(Clone)]
pub(super) struct Watch {
    idle: Duration,
    commit: Duration,
    /// Until when there must be a sign of life.
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl Watch {
    pub(super) fn new(idle: Duration, commit: Duration) -> Self {
        let watch = Self {
            idle,
            commit,
            deadline: Arc::default(),
        };
        watch.extend(idle);
        watch
    }

    fn extend(&self, patience: Duration) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) =
            Instant::now().checked_add(patience);
    }

    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same pieces, `bytes` bytes in all; each that is taken counts as a sign of life.
    pub(super) fn over(
        &self,
        pieces: BoxStream<'static, io::Result<Bytes>>,
        bytes: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::unfold(
            (pieces, self.clone(), bytes),
            |(mut pieces, watch, left)| async move {
                watch.extend(watch.idle);
                // As long as pieces are there and the socket takes them, hyper sends and does not
                // look for an answer. A server that says why it takes no more, and hangs up, would
                // be known by a broken pipe.
                tokio::task::yield_now().await;
                let piece = pieces.next().await?;
                let left =
                    left.saturating_sub(piece.as_ref().map_or(0, |piece| piece.len() as u64));
                // Whoever knows how many bytes there are does not ask for another piece after the
                // last.
                watch.extend(if left == 0 { watch.commit } else { watch.idle });
                Some((piece, (pieces, watch, left)))
            },
        )
    }

    pub(super) async fn silence(&self) {
        while let Some(deadline) = self.deadline() {
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
        std::future::pending::<()>().await;
    }
}
