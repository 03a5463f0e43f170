//! The archive of a plan as a stream, for whoever reads all of it and writes nothing.

use std::io::{self, Read};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    MaterialiseError, Plan,
    plan::Content,
    receive::{PIECES_WAITING, receive},
};
use crate::{archive::Layout, registry::Client};

pub(in crate::bundle) struct ArchiveStream {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl ArchiveStream {
    pub(in crate::bundle) fn new() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, pieces) = mpsc::channel(PIECES_WAITING);
        let piece = Bytes::new();
        (sender, Self { pieces, piece })
    }
}

impl Read for ArchiveStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = (&*self.piece).read(buffer)?;
        drop(self.piece.split_to(count));
        Ok(count)
    }
}

impl Plan {
    /// Sends the archive without its first `skipped` entries. Ends early, and without an error, when
    /// nobody reads any more.
    pub(in crate::bundle) async fn send(
        &self,
        client: &Client,
        skipped: usize,
        sender: mpsc::Sender<Bytes>,
    ) -> Result<(), MaterialiseError> {
        let entries = self.layout.entries().iter().zip(&self.contents);
        for (placed, content) in entries.skip(skipped) {
            let _ = sender.send(placed.header().into()).await;
            match content {
                Content::Bytes(bytes) => {
                    let _ = sender.send(Bytes::copy_from_slice(bytes)).await;
                }
                content => {
                    if let Some(fetch) = content.fetch() {
                        receive(Some(client), &fetch, 0, &sender).await?;
                    }
                }
            }
            let _ = sender.send(Bytes::from_static(placed.padding())).await;
            if sender.is_closed() {
                return Ok(());
            }
        }
        let _ = sender.send(Bytes::from_static(Layout::TRAILER)).await;
        Ok(())
    }
}
