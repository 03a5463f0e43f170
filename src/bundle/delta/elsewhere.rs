//! Entries that no file here has: each is fetched from a registry when it is read.

use std::collections::BTreeMap;

use super::{Base, base::Place};
use crate::{
    bundle::closure::is_manifest,
    oci::{Descriptor, Manifest},
    registry::{Client, RegistryError, RepositoryName},
};
use rune_core::{
    command::{CommandError, block_on},
    digest::Digest,
};

/// Where a registry has entries, and the way there.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    client: Client,
    places: BTreeMap<(Digest, u64), (RepositoryName, Descriptor)>,
}

impl Elsewhere {
    pub(crate) fn of(client: &Client, base: Base) -> Self {
        let places = base.into_places().into_iter();
        let in_registry = places.filter_map(|(content, place)| match place {
            Place::Registry {
                name, descriptor, ..
            } => Some((content, (name, *descriptor))),
            Place::File(_) => None,
        });
        Self {
            client: client.clone(),
            places: in_registry.collect(),
        }
    }

    /// Reads a content whole, and waits for it; nothing when it is not there.
    pub(in crate::bundle) fn read(
        &self,
        digest: Digest,
        size: u64,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        let Some((name, descriptor)) = self.places.get(&(digest, size)) else {
            return Ok(None);
        };
        let client = &self.client;
        block_on::<_, RegistryError>(async {
            if is_manifest(&descriptor.media_type) {
                let read = client.manifest(name, digest, Some(&descriptor.media_type));
                return read.await.map(Manifest::into_bytes).map(Some);
            }
            client.blob_bytes(name, descriptor, size).await.map(Some)
        })
    }
}
