//! A registry as a base: which entries of a bundle it has, where `push` writes them.
//!
//! Found by walking from what the bundle publishes: a manifest that the delta has is read there,
//! any other is fetched. That a blob is there is only what the registry says; it is hashed when it
//! is fetched, as everything is, and where nobody fetches it, small ones are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Base, BaseRecord, Delta, DeltaContents, DeltaError, Elsewhere, Missing, Tally,
    base::{Place, Places},
};
use crate::{
    archive::EntryName,
    bundle::{
        AuthenticatedHead, BundleIndex, Documents, EntryRecord, OpenBundle, archive::documents_of,
        closure::is_manifest, files_artifact::LAYER_TYPE, index::MAX_INDEX_BYTES,
        publication::PublicationKind, publication::published,
    },
    oci::{Descriptor, Manifest, ManifestKind},
    registry::{Client, RegistryError, RepositoryName},
};
use rune_core::{
    digest::Digest,
    failure::{Failure as _, FailureKind},
};

/// Up to this size a blob is read to see whether it is there, in bytes.
const SMALL_BYTES: u64 = 64 << 10;

/// How it is known that a small blob is there. What the registry says is only a hint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Small {
    /// It is fetched later and hashed then.
    Asked,
    /// Nobody fetches it afterwards.
    Read,
}

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
    pub(crate) repository: Box<dyn Fn(&str) -> RepositoryName + Sync + 'a>,
}

impl RegistryBase<'_> {
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

    pub(crate) async fn base(
        &self,
        index: &BundleIndex,
        delta: Option<&DeltaContents<'_>>,
    ) -> Result<Base, DeltaError> {
        let walked = self.walk(index, delta).await?;
        self.found(&walked, delta, Small::Asked).await
    }

    async fn found(
        &self,
        walked: &Walked,
        delta: Option<&DeltaContents<'_>>,
        small: Small,
    ) -> Result<Base, DeltaError> {
        let mut places = Places::new();
        for (name, document) in &walked.fetched {
            self.add(&mut places, name, document.clone());
        }
        for (digest, (blob, names)) in &walked.blobs {
            if delta.is_some_and(|delta| delta.places.contains_key(digest)) {
                continue;
            }
            for name in names {
                if self.has(name, blob, small).await? {
                    self.add(&mut places, name, blob.clone());
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

    async fn has(
        &self,
        name: &RepositoryName,
        blob: &Descriptor,
        small: Small,
    ) -> Result<bool, RegistryError> {
        let says_so = self.client.writer(name).has_blob(blob.digest).await?;
        if !says_so || small == Small::Asked || blob.size > SMALL_BYTES {
            return Ok(says_so);
        }
        let read = self.client.blob_if_there(name, blob.digest, blob.size);
        match read.await {
            Ok(bytes) => Ok(bytes.is_some()),
            // Other bytes than their digest says: it does not have them.
            Err(error) if error.kind() == FailureKind::Content => Ok(false),
            Err(error) => Err(error),
        }
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

    /// Opens the bundle of a delta for using it there, when the registry has what the delta lacks,
    /// and says how much that is. With `reads_releases`, charts and their values are among that.
    pub(crate) async fn open(
        &self,
        head: AuthenticatedHead,
        delta: &Delta,
        reads_releases: bool,
    ) -> Result<(Arc<OpenBundle>, Tally), DeltaError> {
        let index = head.index();
        let contents = delta.contents(index)?;
        let walked = self.walk(index, Some(&contents)).await?;
        let mut base = self.found(&walked, Some(&contents), Small::Read).await?;
        let mut documents = Documents::new();
        let wanted = documents_of(index);
        let (mut missing, mut present) = (Vec::new(), Tally::default());
        let mut counted = BTreeSet::new();
        for entry in &index.entries {
            let is_document = wanted.contains(&entry.path);
            let is_read = reads_releases && is_of_release(index, &entry.path);
            let is_needed = is_document || is_read || walked.blobs.contains_key(&entry.sha256);
            if is_document {
                let here = || contents.bytes_of(entry.sha256, entry.size);
                let bytes = walked.documents.get(&entry.sha256).cloned().or_else(here);
                documents.extend(bytes.map(|bytes| (entry.path.clone(), bytes)));
            }
            if !is_needed || contents.has(entry) {
                continue;
            }
            let is_there = if is_document {
                documents.contains_key(&entry.path)
            } else {
                base.has(entry) || (is_read && self.find_file(&mut base, index, entry).await?)
            };
            if !is_there {
                missing.push(Missing {
                    path: entry.path.clone(),
                    size: entry.size,
                });
            } else if counted.insert(entry.sha256) {
                present.add(entry);
            }
        }
        if !missing.is_empty() {
            return Err(DeltaError::NotAtDestination {
                missing,
                destination: self.name.clone(),
            });
        }
        let (file, places) = (contents.file.clone(), contents.places.clone());
        let elsewhere = Some(Elsewhere::of(self.client, base));
        let bundle = OpenBundle::of_parts(file, head, documents, places, elsewhere)?;
        Ok((bundle, present))
    }

    /// Searches for an entry outside of images and charts where `publish` stored those of
    /// earlier bundles, and adds it to what is there.
    async fn find_file(
        &self,
        base: &mut Base,
        index: &BundleIndex,
        entry: &EntryRecord,
    ) -> Result<bool, DeltaError> {
        let name = (self.repository)(&format!("bundles/{}", index.name));
        let is_there = self.client.writer(&name).has_blob(entry.sha256).await?;
        if is_there {
            let descriptor = Descriptor {
                media_type: LAYER_TYPE.to_owned(),
                digest: entry.sha256,
                size: entry.size,
                platform: None,
                artifact_type: None,
                annotations: BTreeMap::new(),
            };
            self.add(base.places_mut(), &name, descriptor);
        }
        Ok(is_there)
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

/// Whether `install` reads it: a chart, or values of a profile.
fn is_of_release(index: &BundleIndex, path: &EntryName) -> bool {
    let is_chart = index.charts.iter().any(|chart| chart.path == *path);
    let mut values = index.profiles.iter().flat_map(|profile| &profile.values);
    is_chart || values.any(|values| values == path)
}
