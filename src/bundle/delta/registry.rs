//! A registry as a base: which entries of a bundle it has, where `push` writes them.
//!
//! Found by walking from what the bundle publishes: a manifest that the delta has is read there,
//! any other is fetched. That a blob is there is only what the registry says; it is hashed when it
//! is fetched, as everything is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Base, BaseRecord, Delta, DeltaContents, DeltaError, Missing,
    base::{Place, Places},
};
use crate::{
    bundle::{
        AuthenticatedHead, BundleIndex, Documents, OpenBundle, archive::documents_of,
        closure::is_manifest, index::MAX_INDEX_BYTES, publication::PublicationKind,
        publication::published,
    },
    oci::{Descriptor, Manifest, ManifestKind},
    registry::{Client, RepositoryName},
};
use rune_core::digest::Digest;

/// What a bundle publishes, as far as delta and registry have the manifests.
#[derive(Default)]
struct Walked {
    documents: BTreeMap<Digest, Vec<u8>>,
    /// The manifests that the registry has and the delta lacks.
    fetched: Vec<(RepositoryName, Descriptor)>,
    /// Each blob, with the repositories that need it.
    blobs: BTreeMap<Digest, (Descriptor, BTreeSet<RepositoryName>)>,
}

/// A registry, and what repositories of bundles are called there.
pub(crate) struct RegistryBase<'a> {
    pub(crate) client: &'a Client,
    /// As people name it.
    pub(crate) name: String,
    pub(crate) repository: &'a (dyn Fn(&str) -> RepositoryName + Sync),
}

impl RegistryBase<'_> {
    /// The bundle index that was pushed there.
    pub(crate) async fn index(&self, bundle: &str, tag: &str) -> Result<BundleIndex, DeltaError> {
        let name = (self.repository)(&format!("bundles/{bundle}"));
        let not_there = || DeltaError::NotPushed(format!("{name}:{tag}"));
        let bytes = self.client.writer(&name).manifest(tag).await?;
        let manifest = Manifest::parse(bytes.ok_or_else(not_there)?, None);
        let manifest = manifest.map_err(|_| not_there())?;
        let ManifestKind::Image { layers, .. } = manifest.kind() else {
            return Err(not_there());
        };
        let layer = layers.first().ok_or_else(not_there)?;
        let read = self.client.blob_bytes(&name, layer, MAX_INDEX_BYTES);
        Ok(BundleIndex::from_bytes(&read.await?)?)
    }

    /// The entries of a bundle that it has and the delta lacks.
    pub(crate) async fn base(
        &self,
        index: &BundleIndex,
        delta: Option<&DeltaContents<'_>>,
    ) -> Result<Base, DeltaError> {
        let Walked { fetched, blobs, .. } = self.walk(index, delta).await?;
        let mut places = Places::new();
        for (name, document) in fetched {
            self.add(&mut places, &name, document);
        }
        for (digest, (blob, names)) in blobs {
            if delta.is_some_and(|delta| delta.places.contains_key(&digest)) {
                continue;
            }
            for name in names {
                if self.client.writer(&name).has_blob(digest).await? {
                    self.add(&mut places, &name, blob);
                    break;
                }
            }
        }
        let record = BaseRecord {
            name: self.name.clone(),
            bundle: None,
        };
        Ok(Base::new(self.name.clone(), record, places))
    }

    /// The entries of a bundle that it has, with those that are layers of artifacts in a
    /// repository.
    pub(in crate::bundle) async fn with_layers(
        &self,
        index: &BundleIndex,
        name: &RepositoryName,
        layers: &[Descriptor],
    ) -> Result<Base, DeltaError> {
        let mut base = self.base(index, None).await?;
        for layer in layers {
            self.add(base.places_mut(), name, layer.clone());
        }
        Ok(base)
    }

    /// Opens the bundle of a delta for pushing it there, when every repository has what the delta
    /// lacks.
    pub(crate) async fn open(
        &self,
        head: AuthenticatedHead,
        delta: &Delta,
    ) -> Result<Arc<OpenBundle>, DeltaError> {
        let contents = delta.contents(head.index())?;
        let walked = self.walk(head.index(), Some(&contents)).await?;
        let mut lacking: BTreeSet<Digest> = BTreeSet::new();
        for (digest, (_, names)) in &walked.blobs {
            if contents.places.contains_key(digest) {
                continue;
            }
            for name in names {
                if !self.client.writer(name).has_blob(*digest).await? {
                    lacking.insert(*digest);
                }
            }
        }
        let wanted = documents_of(head.index());
        let mut documents = Documents::new();
        for entry in head
            .index()
            .entries
            .iter()
            .filter(|entry| wanted.contains(&entry.path))
        {
            let here = || contents.bytes_of(entry.sha256, entry.size);
            match walked.documents.get(&entry.sha256).cloned().or_else(here) {
                Some(bytes) => drop(documents.insert(entry.path.clone(), bytes)),
                None => drop(lacking.insert(entry.sha256)),
            }
        }
        let entries = head.index().entries.iter();
        let missing: Vec<Missing> = entries
            .filter(|entry| lacking.contains(&entry.sha256))
            .map(|entry| Missing {
                path: entry.path.clone(),
                size: entry.size,
            })
            .collect();
        if !missing.is_empty() {
            return Err(DeltaError::NotAtDestination {
                missing,
                destination: self.name.clone(),
            });
        }
        let (file, places) = (contents.file.clone(), contents.places.clone());
        Ok(OpenBundle::of_parts(file, head, documents, places)?)
    }

    /// Follows what a bundle publishes down to its blobs, in the delta and in the registry.
    async fn walk(
        &self,
        index: &BundleIndex,
        delta: Option<&DeltaContents<'_>>,
    ) -> Result<Walked, DeltaError> {
        let entries: BTreeSet<(Digest, u64)> = index
            .entries
            .iter()
            .map(|entry| (entry.sha256, entry.size))
            .collect();
        let is_wanted = |child: &Descriptor| entries.contains(&(child.digest, child.size));
        let mut walked = Walked::default();
        let mut documents = self.roots(index);
        let mut seen = BTreeSet::new();
        while let Some((name, document)) = documents.pop() {
            if !is_wanted(&document) || !seen.insert((name.clone(), document.digest)) {
                continue;
            }
            let digest = document.digest;
            let included = delta.and_then(|delta| delta.bytes_of(digest, document.size));
            let bytes = if let Some(bytes) = included {
                bytes
            } else {
                let writer = self.client.writer(&name);
                let found = writer.manifest(&digest.to_string()).await?;
                let Some(bytes) = found.filter(|bytes| Digest::of(bytes) == digest) else {
                    continue;
                };
                walked.fetched.push((name.clone(), document));
                bytes
            };
            walked.documents.insert(digest, bytes.clone());
            let Ok(manifest) = Manifest::parse(bytes, None) else {
                continue;
            };
            for child in manifest.children().filter(|child| is_wanted(child)) {
                if is_manifest(&child.media_type) {
                    documents.push((name.clone(), child.clone()));
                } else {
                    let new = || (child.clone(), BTreeSet::new());
                    let (_, names) = walked.blobs.entry(child.digest).or_insert_with(new);
                    names.insert(name.clone());
                }
            }
        }
        Ok(walked)
    }

    fn roots(&self, index: &BundleIndex) -> Vec<(RepositoryName, Descriptor)> {
        let mut roots = Vec::new();
        for publication in published(index) {
            let name = (self.repository)(&publication.repository);
            if let PublicationKind::Image {
                reduced_index: Some(reduced),
                ..
            } = publication.kind
            {
                roots.push((name.clone(), reduced));
            }
            roots.push((name, publication.target));
        }
        roots
    }

    fn add(&self, places: &mut Places, name: &RepositoryName, descriptor: Descriptor) {
        places.insert(
            (descriptor.digest, descriptor.size),
            Place::Registry {
                registry: self.name.as_str().into(),
                name: name.clone(),
                descriptor: Box::new(descriptor),
            },
        );
    }
}
