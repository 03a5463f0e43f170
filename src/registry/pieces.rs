//! What is uploaded: read in pieces, by a thread of its own, while it is sent.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::net::RequestBody;

/// How many pieces are read ahead.
const READ_AHEAD: usize = 2;

/// The content is not what it should be. What is wrong with it is kept by whoever gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

/// A place in a content. A clone is another place, at the same byte.
pub trait Pieces: Clone + Send + Sync + 'static {
    /// The next piece, or `None` after the last. May block. The last piece is only given away when the whole is right.
    ///
    /// # Errors
    /// When the content is not what it should be.
    fn next_piece(&mut self) -> Result<Option<Bytes>, Damaged>;
}

/// Is told of each piece that is sent: where in the content it ends, and how many bytes it has.
pub type Meter = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// A place in a content, to the byte.
#[derive(Debug, Clone)]
pub(super) struct Cursor<P> {
    pieces: P,
    rest: Bytes,
    position: u64,
}

impl<P: Pieces> Cursor<P> {
    pub(super) const fn new(pieces: P) -> Self {
        Self { pieces, rest: Bytes::new(), position: 0 }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes, at most so many.
    fn next(&mut self, max: u64) -> Result<Option<Bytes>, Damaged> {
        while self.rest.is_empty() {
            match self.pieces.next_piece()? {
                Some(piece) => self.rest = piece,
                None => return Ok(None),
            }
        }
        let length = usize::try_from(max).unwrap_or(usize::MAX).min(self.rest.len());
        let taken = self.rest.split_to(length);
        self.position = self.position.saturating_add(taken.len() as u64);
        Ok(Some(taken))
    }

    fn skip_to(&mut self, position: u64) -> Result<(), Damaged> {
        while self.position < position && self.next(position.saturating_sub(self.position))?.is_some() {}
        Ok(())
    }
}

/// A part of a content that is sent as one body.
#[derive(Clone)]
pub(super) struct Part<P> {
    /// Where reading begins: at the part or before it.
    pub(super) cursor: Cursor<P>,
    pub(super) from: u64,
    pub(super) bytes: u64,
    pub(super) meter: Meter,
    pub(super) outcome: Arc<Outcome<P>>,
}

/// What became of the reading.
#[derive(Debug)]
pub(super) struct Outcome<P> {
    is_damaged: AtomicBool,
    /// The place behind the part.
    end: Mutex<Option<Cursor<P>>>,
}

impl<P> Default for Outcome<P> {
    fn default() -> Self {
        Self { is_damaged: AtomicBool::new(false), end: Mutex::new(None) }
    }
}

impl<P> Outcome<P> {
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    pub(super) fn take_end(&self) -> Option<Cursor<P>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<P: Pieces> Part<P> {
    /// Begins to read it.
    pub(super) fn body(&self) -> RequestBody {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        let part = self.clone();
        // It ends when everything is read, or nobody takes it any more.
        tokio::task::spawn_blocking(move || part.read(&sender));
        let stream = stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|piece| (piece, receiver)) });
        RequestBody::Stream { bytes: self.bytes, stream: stream.boxed() }
    }

    fn read(mut self, sender: &mpsc::Sender<io::Result<Bytes>>) {
        if self.send(sender).is_err() {
            self.outcome.is_damaged.store(true, Ordering::Relaxed);
            let _ = sender.blocking_send(Err(io::Error::other("the content is damaged")));
            return;
        }
        *self.outcome.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.cursor);
    }

    fn send(&mut self, sender: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), Damaged> {
        let end = self.from.saturating_add(self.bytes);
        self.cursor.skip_to(self.from)?;
        while let Some(piece) = self.cursor.next(end.saturating_sub(self.cursor.position))? {
            let length = piece.len() as u64;
            if sender.blocking_send(Ok(piece)).is_err() {
                return Ok(());
            }
            (self.meter)(self.cursor.position, length);
            if self.cursor.position >= end {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Cursor, Damaged, Pieces};

    #[derive(Clone)]
    struct Words(Vec<&'static str>);

    impl Pieces for Words {
        fn next_piece(&mut self) -> Result<Option<Bytes>, Damaged> {
            if self.0.is_empty() {
                return Ok(None);
            }
            let word = self.0.remove(0);
            if word == "bad" { Err(Damaged) } else { Ok(Some(Bytes::from_static(word.as_bytes()))) }
        }
    }

    #[test]
    fn a_cursor_gives_every_byte_once_whatever_the_pieces() {
        let mut cursor = Cursor::new(Words(vec!["abc", "", "defg", "h"]));
        cursor.skip_to(2).unwrap();
        let kept = cursor.clone();
        assert_eq!(cursor.next(10).unwrap().unwrap(), "c");
        assert_eq!(cursor.next(3).unwrap().unwrap(), "def");
        assert_eq!(cursor.position(), 6);
        let mut again = kept;
        again.skip_to(7).unwrap();
        assert_eq!((again.next(10).unwrap().unwrap(), again.next(10).unwrap()), (Bytes::from_static(b"h"), None));
    }

    #[test]
    fn damage_is_found_on_the_way_to_a_place_behind_it() {
        let mut cursor = Cursor::new(Words(vec!["abc", "bad", "def"]));
        assert!(cursor.skip_to(3).is_ok());
        assert_eq!(cursor.skip_to(4), Err(Damaged));
    }
}
