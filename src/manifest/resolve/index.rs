//! What an index lists, with the indexes within it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use super::error::ResolveError;
use crate::{
    manifest::{Blob, LockedIndex, Platforms},
    oci::{Descriptor, Manifest, ManifestKind, media_type},
    registry::{Client, RepositoryName},
};
use rune_core::digest::Digest;

/// How deep indexes may lie within each other, and how many there may be: nobody needs more than
/// one or two.
const MAX_DEPTH: usize = 8;
const MAX_INDEXES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// An image, unless its configuration says otherwise.
    Image,
    Attestation(Digest),
    Artifact,
    /// A document of a type that this program does not know.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    pub(super) descriptor: Descriptor,
}

#[derive(Debug, Default)]
pub(super) struct Listing {
    /// In the order of the image index; those of an index within it stand where that one is.
    entries: Vec<Entry>,
    /// The indexes within it: each with what is below it, directly or not.
    indexes: Vec<(Descriptor, BTreeSet<Digest>)>,
    unsupported: Vec<String>,
}

impl Listing {
    /// Reads an index and those within it that may be for a chosen platform. Each digest is visited
    /// once.
    pub(super) async fn read(
        client: &Client,
        name: &RepositoryName,
        root: &Manifest,
        platforms: &Platforms,
    ) -> Result<Self, ResolveError> {
        let mut listing = Self::default();
        let mut seen = BTreeSet::from([root.digest()]);
        // The next entry last, with the positions of the indexes that it lies in.
        let mut waiting: Vec<(Descriptor, Vec<usize>)> = Vec::new();
        listing.add(root, &[], &mut waiting);
        while let Some((descriptor, above)) = waiting.pop() {
            for position in &above {
                listing
                    .indexes
                    .get_mut(*position)
                    .map(|(_, below)| below.insert(descriptor.digest));
            }
            let is_index = descriptor.is_index();
            if !is_index {
                listing.entries.push(Entry {
                    kind: kind(&descriptor),
                    descriptor,
                });
                continue;
            }
            if !seen.insert(descriptor.digest) {
                // All that lies below it was visited before whatever waited longer; what lies
                // around it here leads there too.
                let known = listing
                    .indexes
                    .iter()
                    .find(|(known, _)| known.digest == descriptor.digest);
                let below = known.map(|(_, below)| below.clone()).unwrap_or_default();
                for position in &above {
                    if let Some((_, around)) = listing.indexes.get_mut(*position) {
                        around.extend(below.iter().copied());
                    }
                }
                continue;
            }
            let may_be_wanted = match (platforms, &descriptor.platform) {
                (Platforms::Only(wanted), Some(own)) => wanted
                    .iter()
                    .any(|wanted| own.distance_from(wanted).is_some()),
                _ => true,
            };
            listing.indexes.push((descriptor.clone(), BTreeSet::new()));
            if !may_be_wanted {
                continue;
            }
            if above.len() >= MAX_DEPTH || listing.indexes.len() > MAX_INDEXES {
                return Err(ResolveError::TooManyIndexes {
                    depth: MAX_DEPTH,
                    count: MAX_INDEXES,
                });
            }
            let index = client
                .manifest(name, descriptor.digest, Some(&descriptor.media_type))
                .await?;
            check_size(&descriptor, &index)?;
            let inside = [above.as_slice(), &[listing.indexes.len().saturating_sub(1)]].concat();
            listing.add(&index, &inside, &mut waiting);
        }
        Ok(listing)
    }

    fn add(
        &mut self,
        index: &Manifest,
        above: &[usize],
        waiting: &mut Vec<(Descriptor, Vec<usize>)>,
    ) {
        if let ManifestKind::Index {
            manifests,
            unsupported,
        } = index.kind()
        {
            waiting.extend(
                manifests
                    .iter()
                    .rev()
                    .map(|entry| (entry.clone(), above.to_vec())),
            );
            self.unsupported.extend(unsupported.iter().cloned());
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn of(&self, kind: EntryKind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    pub(super) fn unsupported(&self) -> &[String] {
        &self.unsupported
    }

    pub(super) fn mark_artifacts(&mut self, digests: &[Digest]) {
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| digests.contains(&entry.descriptor.digest))
        {
            entry.kind = EntryKind::Artifact;
        }
    }

    /// The indexes within the image index: included with everything, or with what is below them.
    pub(super) fn indexes(
        &self,
        platforms: &Platforms,
        carried: &BTreeSet<Digest>,
    ) -> Vec<LockedIndex> {
        let locked = |(descriptor, below): &(Descriptor, BTreeSet<Digest>)| LockedIndex {
            carried: *platforms == Platforms::All || !below.is_disjoint(carried),
            manifest: Blob::from(descriptor),
        };
        self.indexes.iter().map(locked).collect()
    }

    /// Fetches the manifests of entries, each once. The client checks the digests.
    pub(super) async fn fetch(
        &self,
        client: &Client,
        name: &RepositoryName,
        entries: impl Iterator<Item = &Entry>,
    ) -> Result<BTreeMap<Digest, Manifest>, ResolveError> {
        let wanted: BTreeMap<Digest, &Descriptor> = entries
            .map(|entry| (entry.descriptor.digest, &entry.descriptor))
            .collect();
        let mut running = JoinSet::new();
        for descriptor in wanted.into_values() {
            let (client, name, descriptor) = (client.clone(), name.clone(), descriptor.clone());
            running.spawn(async move {
                let stated =
                    Some(descriptor.media_type.as_str()).filter(|stated| !stated.is_empty());
                let manifest = client.manifest(&name, descriptor.digest, stated).await;
                (descriptor, manifest)
            });
        }
        let mut fetched = BTreeMap::new();
        while let Some(finished) = running.join_next().await {
            let (descriptor, manifest) = finished.map_err(ResolveError::Task)?;
            let manifest = manifest?;
            check_size(&descriptor, &manifest)?;
            fetched.insert(descriptor.digest, manifest);
        }
        Ok(fetched)
    }
}

fn kind(descriptor: &Descriptor) -> EntryKind {
    match descriptor.media_type.as_str() {
        media_type::MANIFEST | media_type::DOCKER_MANIFEST | "" => {
            match descriptor
                .attested_digest()
                .filter(|_| descriptor.is_attestation())
            {
                Some(subject) => EntryKind::Attestation(subject),
                None if descriptor.artifact_type.is_some() => EntryKind::Artifact,
                None => EntryKind::Image,
            }
        }
        _ => EntryKind::Unknown,
    }
}

fn check_size(descriptor: &Descriptor, manifest: &Manifest) -> Result<(), ResolveError> {
    let (expected, actual) = (descriptor.size, manifest.bytes().len() as u64);
    if actual == expected {
        Ok(())
    } else {
        Err(ResolveError::ManifestSize {
            manifest: descriptor.digest,
            expected,
            actual,
        })
    }
}
