//! The body of a response: whole or a part of a content, from the bundle straight to the socket.
//!
//! A content that was never read to its end is hashed while it is sent, and its last piece is not given away before the digest is
//! right. One that is known to be right is read without hashing. Either is read in place when the system has it in memory, else on
//! threads that may wait for the disk. At most two pieces exist at a time, and the next one is asked for when the client took the
//! last.

use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    log::Account,
    stock::Origin,
    verified::{CheckError, check},
};
use crate::{
    bundle::{ContentError, ContentReader, OpenBundle},
    fsx::Stamp,
    oci::Digest,
};

/// How much is read at once of a content that is known to be right, in bytes. Small enough to stay in the processor's cache on
/// its way to the socket.
const PIECE_BYTES: u64 = 128 << 10;

/// What is sent.
#[derive(Debug)]
pub(super) enum Content {
    /// Bytes in memory.
    Memory(Bytes),
    /// Hashed on the way.
    Checked(Box<Checked>),
    /// Known to be right.
    Known(Known),
    /// Nothing, in place of so many bytes: the client wants to know about a content, not to have it.
    Absent(u64),
}

/// The body of a response; keeps the account of what was sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    content: Content,
    left: u64,
    account: Account,
}

/// Why a response ends before its end. The connection is reset then.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut off")]
pub(super) struct CutOff;

/// Why a piece cannot be sent.
#[derive(Debug, thiserror::Error)]
enum PieceError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    #[error("the file changed while it was sent")]
    Changed,
    #[error("the program ends")]
    Stopped,
}

/// A content that is hashed while it is sent.
#[derive(Debug)]
pub(super) struct Checked {
    origin: Arc<Origin>,
    digest: Digest,
    /// What the file looked like before anything was read.
    before: Option<Stamp>,
    ready: Option<Bytes>,
    /// Where to read on.
    reader: Option<ContentReader>,
    next: Option<JoinHandle<Result<Piece, ContentError>>>,
    buffers: Buffers,
}

/// A piece that was read, and the reader that goes on from there unless it was the last.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    rest: Option<ContentReader>,
}

/// A content that is known to be right, or a part of it.
#[derive(Debug)]
pub(super) struct Known {
    origin: Arc<Origin>,
    digest: Digest,
    range: Range<u64>,
    /// What the file looks like for as long as it is known.
    stamp: Stamp,
    waiting: Option<JoinHandle<io::Result<Vec<u8>>>>,
    buffers: Buffers,
}

/// Buffers of one response, to be used again.
#[derive(Debug, Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that goes back when the socket has taken what is in it.
struct Lent {
    bytes: Vec<u8>,
    home: Buffers,
}

/// A document of an open bundle, without a copy of it.
struct Document {
    bundle: Arc<OpenBundle>,
    digest: Digest,
}

impl Content {
    /// The whole of a content. Reads its first piece, so that one that is damaged there is refused before the response has begun.
    pub(super) async fn whole(origin: &Arc<Origin>, digest: Digest) -> Result<Self, CheckError> {
        if let Some(document) = Document::find(origin, digest) {
            return Ok(Self::Memory(document));
        }
        if let Some(stamp) = origin.verified.stamp(digest, origin.bundle.file()) {
            let size = origin.bundle.size(digest).unwrap_or_default();
            return Ok(Self::Known(Known::new(origin, digest, 0..size, stamp)));
        }
        let Some(reader) = origin.bundle.read(digest) else { return Ok(Self::Memory(Bytes::new())) };
        let before = Stamp::of(origin.bundle.file());
        let (origin, buffers) = (Arc::clone(origin), Buffers::default());
        let mut checked = Checked { origin, digest, before, ready: None, reader: None, next: None, buffers };
        let first = checked.read_later(reader, Vec::new()).await.map_err(|_| CheckError::Stopped)??;
        checked.ready = Some(checked.take_in(first));
        Ok(Self::Checked(Box::new(checked)))
    }

    /// A part of a content, which is read to its end first unless that was done before.
    pub(super) async fn part(origin: &Arc<Origin>, digest: Digest, range: Range<u64>) -> Result<Self, CheckError> {
        if let Some(document) = Document::find(origin, digest) {
            let place = |offset| usize::try_from(offset).unwrap_or(usize::MAX).min(document.len());
            return Ok(Self::Memory(document.slice(place(range.start)..place(range.end))));
        }
        let stamp = check(origin, digest).await?;
        Ok(Self::Known(Known::new(origin, digest, range, stamp)))
    }

    /// How many bytes will be sent.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Checked(checked) => checked.origin.bundle.size(checked.digest).unwrap_or_default(),
            Self::Known(known) => known.range.end.saturating_sub(known.range.start),
            Self::Absent(size) => *size,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, PieceError>> {
        match self {
            Self::Memory(bytes) => Poll::Ready(Ok(std::mem::take(bytes))),
            Self::Checked(checked) => checked.poll(context),
            Self::Known(known) => known.poll(context),
            Self::Absent(_) => Poll::Ready(Ok(Bytes::new())),
        }
    }

    /// What is sent, for the log.
    fn name(&self) -> String {
        let (origin, digest) = match self {
            Self::Memory(_) | Self::Absent(_) => return "the response".to_owned(),
            Self::Checked(checked) => (&checked.origin, checked.digest),
            Self::Known(known) => (&known.origin, known.digest),
        };
        format!("{digest} of {}", origin.name)
    }
}

impl Checked {
    /// Reads the next piece, away from the threads that talk to clients.
    fn read_later(&self, mut reader: ContentReader, mut bytes: Vec<u8>) -> JoinHandle<Result<Piece, ContentError>> {
        let origin = Arc::clone(&self.origin);
        spawn_blocking(move || {
            let has_more = reader.next_piece(&origin.bundle, &mut bytes)?;
            Ok(Piece { bytes, rest: has_more.then_some(reader) })
        })
    }

    /// Takes note of a piece; behind the last one, everything was right.
    fn take_in(&mut self, piece: Piece) -> Bytes {
        if piece.rest.is_none() {
            self.origin.verified.note(self.digest, self.before, self.origin.bundle.file());
        }
        self.reader = piece.rest;
        self.buffers.lend(piece.bytes)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, PieceError>> {
        if let Some(piece) = self.ready.take() {
            return Poll::Ready(Ok(piece));
        }
        if let Some(mut reader) = self.reader.take() {
            let mut bytes = self.buffers.take();
            match reader.next_cached_piece(&self.origin.bundle, &mut bytes)? {
                Some(has_more) => return Poll::Ready(Ok(self.take_in(Piece { bytes, rest: has_more.then_some(reader) }))),
                None => self.next = Some(self.read_later(reader, bytes)),
            }
        }
        let Some(next) = &mut self.next else { return Poll::Ready(Err(PieceError::Stopped)) };
        let piece = ready!(Pin::new(next).poll(context)).map_err(|_| PieceError::Stopped)??;
        self.next = None;
        let piece = self.take_in(piece);
        // Who had to wait once reads ahead while that is sent.
        if let Some(reader) = self.reader.take() {
            self.next = Some(self.read_later(reader, self.buffers.take()));
        }
        Poll::Ready(Ok(piece))
    }
}

impl Known {
    fn new(origin: &Arc<Origin>, digest: Digest, range: Range<u64>, stamp: Stamp) -> Self {
        Self { origin: Arc::clone(origin), digest, range, stamp, waiting: None, buffers: Buffers::default() }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, PieceError>> {
        let piece = match self.waiting.as_mut() {
            Some(waiting) => {
                let bytes = ready!(Pin::new(waiting).poll(context)).map_err(|_| PieceError::Stopped)??;
                self.waiting = None;
                self.buffers.lend(bytes)
            }
            None => match self.read_at_once() {
                Ok(piece) => piece,
                Err(buffer) => {
                    self.waiting = Some(self.read_later(buffer));
                    return self.poll(context);
                }
            },
        };
        // Whoever wrote to the file did so after this was read, or is noticed here.
        if Stamp::of(self.origin.bundle.file()) != Some(self.stamp) {
            return Poll::Ready(Err(PieceError::Changed));
        }
        self.range.start = self.range.start.saturating_add(piece.len() as u64);
        Poll::Ready(Ok(piece))
    }

    /// Reads what can be had without waiting for the disk; gives the buffer back when that is nothing.
    fn read_at_once(&self) -> Result<Bytes, Vec<u8>> {
        let mut buffer = self.buffers.take();
        let length = PIECE_BYTES.min(self.range.end.saturating_sub(self.range.start));
        buffer.resize(usize::try_from(length).unwrap_or(0), 0);
        match self.origin.bundle.read_cached_part(self.digest, self.range.start, &mut buffer) {
            Ok(count) if count > 0 => Ok(self.buffers.lend(buffer).slice(..count)),
            _ => Err(buffer),
        }
    }

    fn read_later(&self, mut buffer: Vec<u8>) -> JoinHandle<io::Result<Vec<u8>>> {
        let (origin, digest, offset) = (Arc::clone(&self.origin), self.digest, self.range.start);
        spawn_blocking(move || origin.bundle.read_part(digest, offset, &mut buffer).map(|()| buffer))
    }
}

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { bytes, home: self.clone() })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.bytes));
    }
}

impl Document {
    fn find(origin: &Origin, digest: Digest) -> Option<Bytes> {
        origin.bundle.document(digest)?;
        Some(Bytes::from_owner(Self { bundle: Arc::clone(&origin.bundle), digest }))
    }
}

impl AsRef<[u8]> for Document {
    fn as_ref(&self) -> &[u8] {
        self.bundle.document(self.digest).unwrap_or_default()
    }
}

impl Outgoing {
    pub(super) fn new(content: Content, account: Account) -> Self {
        Self { left: content.size(), content, account }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        match ready!(this.content.poll(context)) {
            Ok(piece) => {
                this.left = this.left.saturating_sub(piece.len() as u64);
                this.account.sent(piece.len());
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Err(error) => {
                this.account.cut_off(&this.content.name(), &error);
                this.left = 0;
                Poll::Ready(Some(Err(CutOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
