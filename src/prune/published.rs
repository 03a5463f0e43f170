//! The bundle indexes that are in a registry.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    PruneError,
    snapshot::{EvidenceTag, Snapshot},
};
use crate::{
    bundle::{
        Attached, AuthenticatedHead, INDEX_ARTIFACT, MAX_INDEX_BYTES, Publication, PublicationKind,
        Trust, UnverifiedHead, is_signature_over,
    },
    oci::{Descriptor, Manifest, ManifestKind},
    push::Destination,
    registry::{Client, RepositoryName},
    sign::{SLOT_BYTES, Slot},
};
use rune_core::digest::Digest;

pub(super) struct PublishedBundle {
    pub(super) head: AuthenticatedHead,
    /// `bundles/<name>`.
    pub(super) repository: RepositoryName,
    pub(super) publications: Vec<Publication>,
    /// Whether a run before this one deleted the bundle index and not yet its signatures.
    pub(super) is_remainder: bool,
}

impl PublishedBundle {
    pub(super) fn artifact(&self) -> Option<&Publication> {
        artifact_of(&self.publications)
    }
}

fn artifact_of(publications: &[Publication]) -> Option<&Publication> {
    publications
        .iter()
        .find(|publication| matches!(publication.kind, PublicationKind::Index))
}

pub(super) async fn read_all(
    client: &Client,
    destination: &Destination,
    trust: &Trust,
) -> Result<Vec<PublishedBundle>, PruneError> {
    let place = destination.repository("bundles/x");
    let beginning = place.strip_suffix('x').unwrap_or(&place);
    let mut bundles = Vec::new();
    for repository in client.repositories(destination.registry()).await? {
        let name = repository.strip_prefix(beginning);
        if name.is_some_and(|name| !name.is_empty() && !name.contains('/')) {
            let name = RepositoryName::new(destination.registry(), &repository);
            Reader {
                client,
                destination,
                trust,
                name: &name,
            }
            .read(&mut bundles)
            .await?;
        }
    }
    if bundles.is_empty() {
        return Err(PruneError::NoIndexes(format!(
            "{}/{beginning}",
            destination.registry()
        )));
    }
    Ok(bundles)
}

struct Reader<'a> {
    client: &'a Client,
    destination: &'a Destination,
    trust: &'a Trust,
    name: &'a RepositoryName,
}

impl Reader<'_> {
    async fn read(&self, bundles: &mut Vec<PublishedBundle>) -> Result<(), PruneError> {
        let snapshot = Snapshot::take(&self.client.writer(self.name)).await?;
        let mut tags: BTreeMap<Digest, Vec<&String>> = BTreeMap::new();
        for (tag, digest) in snapshot.tags() {
            if EvidenceTag::parse(tag).is_none() {
                tags.entry(digest).or_default().push(tag);
            }
        }
        for (digest, tags) in &tags {
            let reference = format!(
                "{}:{}",
                self.name,
                tags.iter().copied().min().map_or("", |tag| tag)
            );
            let refused = |reason| PruneError::NotAnIndex {
                reference: reference.clone(),
                reason,
            };
            let manifest = snapshot
                .manifest(*digest)
                .ok_or_else(|| refused("it is not a manifest"))?;
            let layer = only_layer(&manifest)
                .filter(|layer| layer.media_type == INDEX_ARTIFACT)
                .ok_or_else(|| refused("it is of another type"))?;
            let bytes = self
                .client
                .blob_bytes(self.name, layer, MAX_INDEX_BYTES)
                .await?;
            let attached = self.attached(&snapshot, *digest).await?;
            let head = head_of(&attached, bytes)
                .authenticate(self.trust)
                .map_err(|source| PruneError::Unverified {
                    reference: reference.clone(),
                    source: Box::new(source),
                })?;
            let mut publications = head.publications()?;
            let is_own = artifact_of(&publications).is_some_and(|artifact| {
                artifact.target.digest == *digest
                    && self.destination.name(&artifact.repository) == *self.name
                    && artifact.tag.as_ref().is_some_and(|tag| tags.contains(&tag))
            });
            if !is_own {
                return Err(refused("`push` would have written it under another name"));
            }
            publications.extend(about_index(&attached, &head, &publications));
            bundles.push(PublishedBundle {
                head,
                repository: self.name.clone(),
                publications,
                is_remainder: false,
            });
        }
        let remainders = self.remainders(&snapshot).await?;
        bundles.extend(remainders);
        Ok(())
    }

    async fn attached(
        &self,
        snapshot: &Snapshot,
        artifact: Digest,
    ) -> Result<Vec<Attached>, PruneError> {
        let writer = self.client.writer(self.name);
        let listed = writer.referrers(artifact).await?.unwrap_or_default();
        let mut referrers: BTreeSet<Digest> =
            listed.manifests.iter().map(|entry| entry.digest).collect();
        referrers.extend(snapshot.listed_about(artifact));
        let mut attached = Vec::new();
        for referrer in referrers {
            let read = Attached::read(self.client, self.name, referrer, artifact);
            attached.extend(read.await?);
        }
        Ok(attached)
    }

    /// Bundles whose index a run before this one deleted and whose signatures it did not. The bytes
    /// of `bundle.json` are at the registry until it collects its garbage; without them nothing
    /// says what the signatures are, and they stay.
    async fn remainders(&self, snapshot: &Snapshot) -> Result<Vec<PublishedBundle>, PruneError> {
        let mut bundles = Vec::new();
        for artifact in snapshot.lists_about_nothing() {
            for referrer in snapshot.listed_about(artifact) {
                let read = Attached::read(self.client, self.name, referrer, artifact);
                let Some(Attached::Signature { content, .. }) = read.await? else {
                    continue;
                };
                let Ok(Slot::Signed(signed)) = Slot::parse(&padded(&content)) else {
                    continue;
                };
                let bytes = self
                    .client
                    .blob_if_there(self.name, signed.message(), MAX_INDEX_BYTES)
                    .await?;
                let Some(bytes) = bytes else {
                    continue;
                };
                let attached = self.attached(snapshot, artifact).await?;
                let Ok(head) = head_of(&attached, bytes).authenticate(self.trust) else {
                    continue;
                };
                let mut publications = head.publications()?;
                let is_it =
                    artifact_of(&publications).is_some_and(|index| index.target.digest == artifact);
                if is_it {
                    publications.extend(about_index(&attached, &head, &publications));
                    bundles.push(PublishedBundle {
                        head,
                        repository: self.name.clone(),
                        publications,
                        is_remainder: true,
                    });
                    break;
                }
            }
        }
        Ok(bundles)
    }
}

fn head_of(attached: &[Attached], bytes: Vec<u8>) -> UnverifiedHead {
    let index = Digest::of(&bytes);
    let mut signatures = BTreeMap::new();
    for attached in attached {
        if let Attached::Signature { slot, content } = attached
            && is_signature_over(content, index)
        {
            signatures.entry(*slot).or_insert_with(|| content.clone());
        }
    }
    UnverifiedHead::published(bytes, signatures)
}

/// The artifacts whose layers are all entries of the bundle, and its provenance.
fn about_index(
    attached: &[Attached],
    head: &AuthenticatedHead,
    publications: &[Publication],
) -> Vec<Publication> {
    let entries: BTreeSet<Digest> = head
        .index()
        .entries
        .iter()
        .map(|entry| entry.sha256)
        .collect();
    let Some(index) = artifact_of(publications) else {
        return Vec::new();
    };
    let subject = index.target.digest;
    let about = attached.iter().filter_map(|attached| match attached {
        Attached::Files(files)
            if files
                .layers
                .iter()
                .all(|layer| entries.contains(&layer.digest)) =>
        {
            Some((&files.target, PublicationKind::Files { subject }))
        }
        Attached::Provenance(target) => Some((target, PublicationKind::Provenance { subject })),
        Attached::Files(_) | Attached::Signature { .. } => None,
    });
    about
        .map(|(target, kind)| Publication {
            repository: index.repository.clone(),
            tag: None,
            target: target.clone(),
            kind,
        })
        .collect()
}

fn padded(signature: &[u8]) -> Vec<u8> {
    let mut slot = signature.to_vec();
    slot.resize(slot.len().max(SLOT_BYTES), b' ');
    slot
}

fn only_layer(manifest: &Manifest) -> Option<&Descriptor> {
    match manifest.kind() {
        ManifestKind::Image { layers, .. } => match layers.as_slice() {
            [layer] => Some(layer),
            _ => None,
        },
        ManifestKind::Index { .. } => None,
    }
}
