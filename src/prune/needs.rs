//! What bundles need of a registry, by repository.

use std::collections::{BTreeMap, BTreeSet};

use super::{TargetKind, published::PublishedBundle};
use crate::{
    bundle::{Publication, PublicationKind, Role},
    push::Destination,
    registry::RepositoryName,
};
use rune_core::digest::Digest;

#[derive(Debug, Default)]
pub(super) struct Needs(BTreeMap<RepositoryName, Shelf>);

#[derive(Debug, Default, Clone)]
pub(super) struct Shelf {
    pub(super) manifests: BTreeMap<Digest, Item>,
    pub(super) tags: BTreeMap<String, BTreeSet<Digest>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// What refers to others goes before what others refer to.
    pub(super) rank: u8,
    pub(super) kind: TargetKind,
}

impl Needs {
    pub(super) fn of<'a>(
        destination: &Destination,
        bundles: impl IntoIterator<Item = &'a PublishedBundle>,
    ) -> Self {
        let mut needs = Self::default();
        for bundle in bundles {
            for publication in &bundle.publications {
                needs.add(destination, publication);
            }
            let index = bundle.head.index();
            let images = index.images.iter().map(|image| (TargetKind::Image, image));
            let artifacts = index.artifacts.iter();
            let artifacts = artifacts.map(|artifact| (TargetKind::Artifact, artifact));
            for (kind, image) in images.chain(artifacts) {
                let name = destination.name(image.reference.repository());
                let shelf = needs.0.entry(name).or_default();
                for manifest in image.manifests.iter().filter(|manifest| manifest.carried) {
                    let rank = if manifest.role == Role::Index { 1 } else { 2 };
                    shelf.add(manifest.digest, rank, kind);
                }
            }
        }
        needs
    }

    fn add(&mut self, destination: &Destination, publication: &Publication) {
        let name = destination.name(&publication.repository);
        let shelf = self.0.entry(name).or_default();
        let (rank, kind) = match &publication.kind {
            PublicationKind::Image { .. } => (0, TargetKind::Image),
            PublicationKind::Artifact { .. } => (0, TargetKind::Artifact),
            PublicationKind::Chart => (0, TargetKind::Chart),
            PublicationKind::Index => (0, TargetKind::Index),
            PublicationKind::Referrer { .. } | PublicationKind::ImageSignature { .. } => {
                (3, TargetKind::Referrer)
            }
            PublicationKind::Signature { .. } => (3, TargetKind::Signature),
            PublicationKind::Provenance { .. } => (3, TargetKind::Provenance),
            PublicationKind::Files { .. } => (3, TargetKind::Files),
        };
        let reduced = match &publication.kind {
            PublicationKind::Image { reduced_index, .. } => reduced_index.as_ref(),
            _ => None,
        };
        for target in [Some(&publication.target), reduced].into_iter().flatten() {
            shelf.add(target.digest, rank, kind);
            if let Some(tag) = &publication.tag {
                let meanings = shelf.tags.entry(tag.clone()).or_default();
                meanings.insert(target.digest);
            }
        }
    }

    pub(super) fn repositories(&self) -> impl Iterator<Item = (&RepositoryName, &Shelf)> {
        self.0.iter()
    }

    pub(super) fn shelf(&self, name: &RepositoryName) -> Shelf {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

impl Shelf {
    fn add(&mut self, digest: Digest, rank: u8, kind: TargetKind) {
        let item = Item { rank, kind };
        let known = self.manifests.entry(digest).or_insert(item);
        *known = item.min(*known);
    }
}
