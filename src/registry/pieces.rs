//! What is uploaded: read in pieces while it is sent.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::task::coop;

use crate::net::RequestBody;

/// The content is not what it should be. What is wrong with it is kept by whoever gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// A place in a content. A clone is another place, at the same byte.
pub(crate) trait Pieces: Clone + Send + Sync + 'static {
    /// The next piece, or `None` after the last, which is given away only when the whole is right.
    /// Does not wait for a disk.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Damaged>>;
}

/// Is told of each piece that is sent: where in the content it ends, and how many bytes it has.
pub(crate) type Meter = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// A place in a content, to the byte.
#[derive(Debug, Clone)]
pub(super) struct Cursor<P> {
    pieces: P,
    rest: Bytes,
    position: u64,
}

impl<P: Pieces> Cursor<P> {
    pub(super) const fn new(pieces: P) -> Self {
        Self {
            pieces,
            rest: Bytes::new(),
            position: 0,
        }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes, at most so many.
    async fn next(&mut self, max: u64) -> Result<Option<Bytes>, Damaged> {
        while self.rest.is_empty() {
            match poll_fn(|context| self.pieces.poll_piece(context)).await? {
                Some(piece) => self.rest = piece,
                None => return Ok(None),
            }
        }
        let length = usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(self.rest.len());
        let taken = self.rest.split_to(length);
        self.position = self.position.saturating_add(taken.len() as u64);
        Ok(Some(taken))
    }

    async fn skip_to(&mut self, position: u64) -> Result<(), Damaged> {
        while self.position < position
            && self
                .next(position.saturating_sub(self.position))
                .await?
                .is_some()
        {
            // Nothing is sent between two pieces that would let others have their turn.
            coop::consume_budget().await;
        }
        Ok(())
    }
}

#[derive(Clone)]
pub(super) struct Part<P> {
    /// Where reading begins: at the part or before it.
    pub(super) cursor: Cursor<P>,
    pub(super) from: u64,
    pub(super) bytes: u64,
    pub(super) meter: Meter,
    pub(super) outcome: Arc<Outcome<P>>,
}

#[derive(Debug)]
pub(super) struct Outcome<P> {
    is_damaged: AtomicBool,
    end: Mutex<Option<Cursor<P>>>,
}

impl<P> Default for Outcome<P> {
    fn default() -> Self {
        Self {
            is_damaged: AtomicBool::new(false),
            end: Mutex::new(None),
        }
    }
}

impl<P> Outcome<P> {
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    pub(super) fn take_end(&self) -> Option<Cursor<P>> {
        self.end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl<P: Pieces> Part<P> {
    pub(super) fn body(&self) -> RequestBody {
        let stream = stream::unfold(self.clone(), |mut part| async {
            let piece = part.next().await.transpose()?;
            if piece.is_err() {
                part.outcome.is_damaged.store(true, Ordering::Relaxed);
            }
            Some((
                piece.map_err(|Damaged| io::Error::other("the content is damaged")),
                part,
            ))
        });
        RequestBody::Stream {
            bytes: self.bytes,
            stream: stream.boxed(),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Damaged> {
        let end = self.from.saturating_add(self.bytes);
        self.cursor.skip_to(self.from).await?;
        let left = end.saturating_sub(self.cursor.position());
        let piece = if left == 0 {
            None
        } else {
            self.cursor.next(left).await?
        };
        if let Some(piece) = &piece {
            (self.meter)(self.cursor.position, piece.len() as u64);
        }
        if self.cursor.position() >= end {
            *self
                .outcome
                .end
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(self.cursor.clone());
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        task::{Context, Poll},
    };

    use bytes::Bytes;

    use super::{Cursor, Damaged, Pieces};

    #[derive(Clone)]
    struct Words(VecDeque<&'static str>);

    impl Pieces for Words {
        fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Damaged>> {
            Poll::Ready(match self.0.pop_front() {
                Some("bad") => Err(Damaged),
                word => Ok(word.map(|word| Bytes::from_static(word.as_bytes()))),
            })
        }
    }

    #[tokio::test]
    async fn a_cursor_gives_every_byte_once_whatever_the_pieces() {
        let mut cursor = Cursor::new(Words(["abc", "", "defg", "h"].into()));
        cursor.skip_to(2).await.unwrap();
        let kept = cursor.clone();
        assert_eq!(cursor.next(10).await.unwrap().unwrap(), "c");
        assert_eq!(cursor.next(3).await.unwrap().unwrap(), "def");
        assert_eq!(cursor.position(), 6);
        let mut again = kept;
        again.skip_to(7).await.unwrap();
        assert_eq!(
            (
                again.next(10).await.unwrap().unwrap(),
                again.next(10).await.unwrap()
            ),
            (Bytes::from_static(b"h"), None)
        );
    }

    #[tokio::test]
    async fn damage_is_found_on_the_way_to_a_place_behind_it() {
        let mut cursor = Cursor::new(Words(["abc", "bad", "def"].into()));
        assert!(cursor.skip_to(3).await.is_ok());
        assert_eq!(cursor.skip_to(4).await, Err(Damaged));
    }
}
