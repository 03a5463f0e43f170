//! The body of a response: whole or a part of a content, from the bundle straight to the socket.
//!
//! A content that was never read to its end is hashed while it is sent, and its last piece is not
//! given away before the digest is right. One that is known to be right is read without hashing: in
//! place when the system has it in memory, else on threads that may wait for the disk. The next
//! piece is asked for when the client took the last.

use std::{
    future::poll_fn,
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    catalog::Origin,
    log::Account,
    verified::{CheckError, check},
};
use crate::bundle::{Buffers, ContentStream, OpenBundle, StreamError};
use rune_core::{digest::Digest, fsx::Stamp};

/// How much is read at once of a content that is known to be right, in bytes. Small enough to stay
/// in the processor's cache on its way to the socket.
const PIECE_BYTES: u64 = 128 << 10;

#[derive(Debug)]
pub(super) enum Content {
    Memory(Bytes),
    Checked(Box<Checked>),
    Known(Known),
    /// Nothing, in place of so many bytes: the client wants to know about a content, not to have
    /// it.
    Absent(u64),
}

/// The body of a response; keeps the account of what was sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    content: Content,
    left: u64,
    account: Account,
}

#[derive(Debug, thiserror::Error)]
#[error("the response was cut off")]
pub(super) struct CutOff;

#[derive(Debug, thiserror::Error)]
enum PieceError {
    #[error(transparent)]
    Content(#[from] StreamError),
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
    before: Option<Arc<[Stamp]>>,
    /// The first piece, until it is sent.
    first: Option<Bytes>,
    stream: ContentStream,
}

/// A content that is known to be right, or a part of it.
#[derive(Debug)]
pub(super) struct Known {
    origin: Arc<Origin>,
    digest: Digest,
    range: Range<u64>,
    /// What the file looks like for as long as it is known.
    stamp: Arc<[Stamp]>,
    waiting: Option<JoinHandle<io::Result<Vec<u8>>>>,
    buffers: Buffers,
}

/// A document of an open bundle, without a copy of it.
struct Document {
    bundle: Arc<OpenBundle>,
    digest: Digest,
}

impl Content {
    /// The whole of a content. Reads its first piece, so that one that is damaged there is refused
    /// before the response has begun.
    pub(super) async fn whole(origin: &Arc<Origin>, digest: Digest) -> Result<Self, CheckError> {
        if let Some(document) = Document::find(origin, digest) {
            return Ok(Self::Memory(document));
        }
        if let Some(stamp) = origin.verified.stamp(digest, origin.bundle.file()) {
            let size = origin.bundle.size(digest).unwrap_or_default();
            return Ok(Self::Known(Known::new(origin, digest, 0..size, stamp)));
        }
        let Some(stream) = ContentStream::open(&origin.bundle, digest) else {
            return Ok(Self::Memory(Bytes::new()));
        };
        let before = origin.bundle.file().stamp();
        let mut checked = Checked {
            origin: Arc::clone(origin),
            digest,
            before,
            first: None,
            stream,
        };
        checked.first = poll_fn(|context| checked.poll_stream(context)).await?;
        Ok(Self::Checked(Box::new(checked)))
    }

    /// A part of a content, which is read to its end first unless that was done before.
    pub(super) async fn part(
        origin: &Arc<Origin>,
        digest: Digest,
        range: Range<u64>,
    ) -> Result<Self, CheckError> {
        if let Some(document) = Document::find(origin, digest) {
            let place = |offset| {
                usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(document.len())
            };
            return Ok(Self::Memory(
                document.slice(place(range.start)..place(range.end)),
            ));
        }
        let stamp = check(origin, digest).await?;
        Ok(Self::Known(Known::new(origin, digest, range, stamp)))
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Checked(checked) => checked
                .origin
                .bundle
                .size(checked.digest)
                .unwrap_or_default(),
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
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, PieceError>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Ok(first)),
            // Nobody asks behind the last piece.
            None => self
                .poll_stream(context)
                .map(|piece| piece?.ok_or(PieceError::Stopped)),
        }
    }

    /// The next piece; behind the last one, everything was right.
    fn poll_stream(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamError>> {
        let piece = ready!(self.stream.poll_piece(context))?;
        if self.stream.is_at_end() {
            self.origin
                .verified
                .note(self.digest, self.before.take(), self.origin.bundle.file());
        }
        Poll::Ready(Ok(piece))
    }
}

impl Known {
    fn new(origin: &Arc<Origin>, digest: Digest, range: Range<u64>, stamp: Arc<[Stamp]>) -> Self {
        Self {
            origin: Arc::clone(origin),
            digest,
            range,
            stamp,
            waiting: None,
            buffers: Buffers::default(),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, PieceError>> {
        let piece = match self.waiting.as_mut() {
            Some(waiting) => {
                let bytes =
                    ready!(Pin::new(waiting).poll(context)).map_err(|_| PieceError::Stopped)??;
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
        if !self.origin.bundle.file().has_stamp(&self.stamp) {
            return Poll::Ready(Err(PieceError::Changed));
        }
        self.range.start = self.range.start.saturating_add(piece.len() as u64);
        Poll::Ready(Ok(piece))
    }

    /// Reads what can be had without waiting for the disk; gives the buffer back when that is
    /// nothing.
    fn read_at_once(&self) -> Result<Bytes, Vec<u8>> {
        let mut buffer = self.buffers.take();
        let length = PIECE_BYTES.min(self.range.end.saturating_sub(self.range.start));
        buffer.resize(usize::try_from(length).unwrap_or(0), 0);
        match self
            .origin
            .bundle
            .read_cached_part(self.digest, self.range.start, &mut buffer)
        {
            Ok(count) if count > 0 => Ok(self.buffers.lend(buffer).slice(..count)),
            _ => Err(buffer),
        }
    }

    fn read_later(&self, mut buffer: Vec<u8>) -> JoinHandle<io::Result<Vec<u8>>> {
        let (origin, digest, offset) = (Arc::clone(&self.origin), self.digest, self.range.start);
        spawn_blocking(move || {
            origin
                .bundle
                .read_part(digest, offset, &mut buffer)
                .map(|()| buffer)
        })
    }
}

impl Document {
    fn find(origin: &Origin, digest: Digest) -> Option<Bytes> {
        origin.bundle.document(digest)?;
        Some(Bytes::from_owner(Self {
            bundle: Arc::clone(&origin.bundle),
            digest,
        }))
    }
}

impl AsRef<[u8]> for Document {
    fn as_ref(&self) -> &[u8] {
        self.bundle.document(self.digest).unwrap_or_default()
    }
}

impl Outgoing {
    pub(super) fn new(content: Content, account: Account) -> Self {
        Self {
            left: content.size(),
            content,
            account,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
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
