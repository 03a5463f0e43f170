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

/// Sends a content from its byte `present_bytes` on, and counts what comes. Ends early, and without
/// an error, when nobody takes the pieces any more.
pub(super) async fn receive(
    client: Option<&Client>,
    fetch: &Fetch,
    present_bytes: u64,
    sender: &mpsc::Sender<Bytes>,
    fetched_bytes: &mut u64,
) -> Result<(), MaterialiseError> {
    let received = receive_from(client, fetch, present_bytes, sender, fetched_bytes).await;
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
    fetched_bytes: &mut u64,
) -> Result<(), MaterialiseError> {
    let client = || client.ok_or(MaterialiseError::NoClient);
    if present_bytes == fetch.size {
        return Ok(());
    }
    let mut stream = match &fetch.source {
        FetchSource::Registry {
            name, descriptor, ..
        } if is_manifest(&descriptor.media_type) => {
            let manifest = client()?
                .manifest(name, descriptor.digest, Some(&descriptor.media_type))
                .await?;
            *fetched_bytes += manifest.bytes().len() as u64;
            let _ = sender.send(Bytes::from(manifest.into_bytes())).await;
            return Ok(());
        }
        FetchSource::Registry {
            name, descriptor, ..
        } => client()?.blob(name, descriptor, present_bytes).await?,
        FetchSource::File { part, .. } => {
            let (part, sender, size) = (part.clone(), sender.clone(), fetch.size);
            let reading = spawn_blocking(move || part.send(present_bytes..size, &sender));
            *fetched_bytes += reading.await??;
            return Ok(());
        }
        FetchSource::Web(url) => {
            let source = WebSource::named((**url).clone());
            client()?
                .web_stream(&source, &format!("`{url}`"), fetch.size, present_bytes)
                .await?
        }
    };
    while let Some(piece) = stream.next().await? {
        *fetched_bytes += piece.len() as u64;
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    Ok(())
}
