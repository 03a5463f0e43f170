//! One content, from wherever it is, in pieces.

use bytes::Bytes;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    MaterialiseError,
    plan::{Fetch, FetchSource},
};
use crate::{
    bundle::closure::is_manifest,
    registry::{Client, WebSource},
};

/// How many pieces may wait between the network and whoever takes them, per content.
pub(super) const PIECES_WAITING: usize = 4;

/// Sends a content from its byte `present_bytes` on, and says how many bytes came. Ends early, and without
/// an error, when nobody takes the pieces any more.
pub(super) async fn receive(
    client: Option<&Client>,
    fetch: &Fetch,
    present_bytes: u64,
    sender: &mpsc::Sender<Bytes>,
) -> Result<u64, MaterialiseError> {
    let received = receive_from(client, fetch, present_bytes, sender).await;
    received.map_err(|error| match (&fetch.source, error) {
        (FetchSource::Registry { image, .. }, MaterialiseError::Registry(error)) => {
            MaterialiseError::of_image(image, error)
        }
        (_, error) => error,
    })
}

async fn receive_from(
    client: Option<&Client>,
    fetch: &Fetch,
    present_bytes: u64,
    sender: &mpsc::Sender<Bytes>,
) -> Result<u64, MaterialiseError> {
    let client = || client.ok_or(MaterialiseError::NoClient);
    if present_bytes == fetch.size {
        return Ok(0);
    }
    let mut stream = match &fetch.source {
        FetchSource::Registry {
            name, descriptor, ..
        } if is_manifest(&descriptor.media_type) => {
            let manifest = client()?
                .manifest(name, descriptor.digest, Some(&descriptor.media_type))
                .await?;
            let bytes = Bytes::from(manifest.into_bytes());
            let count = bytes.len() as u64;
            let _ = sender.send(bytes).await;
            return Ok(count);
        }
        FetchSource::Registry {
            name, descriptor, ..
        } => client()?.blob(name, descriptor, present_bytes).await?,
        FetchSource::File { part, .. } => {
            let (part, sender, size) = (part.clone(), sender.clone(), fetch.size);
            let reading = spawn_blocking(move || part.send(present_bytes..size, &sender));
            return Ok(reading.await??);
        }
        FetchSource::Web(url) => {
            let source = WebSource::named((**url).clone());
            client()?
                .web_stream(&source, &format!("`{url}`"), fetch.size, present_bytes)
                .await?
        }
    };
    let mut fetched_bytes = 0;
    while let Some(piece) = stream.next().await? {
        fetched_bytes += piece.len() as u64;
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    Ok(fetched_bytes)
}
