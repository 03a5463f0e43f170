//! What there is to serve: the repositories of one or several open bundles.
//!
//! A repository leads to what the names in it lead to and to nothing else: a blob of another
//! repository is not found in it, although it lies in the same file.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ServeError,
    route::{Repository, Target},
    verified::Verified,
};
use crate::{
    bundle::{ImageSignatureChoice, OpenBundle, Publication, PublicationKind},
    oci::{Descriptor, Manifest, ManifestKind, Reference},
};
use rune_core::digest::Digest;

/// One open bundle, and what is known of it by now.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) bundle: Arc<OpenBundle>,
    pub(super) verified: Verified,
}

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    repositories: BTreeMap<String, Contents>,
}

/// A name under which something is served, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    /// `repository:tag`, or `repository@digest` where there is no tag.
    pub(crate) name: String,
    /// The digest of the manifest or index.
    pub(crate) digest: Digest,
    /// The reference by which charts know it, when it is an image or artifact.
    pub(crate) source: Option<String>,
}

#[derive(Debug, Default)]
struct Contents {
    registries: BTreeSet<String>,
    tags: BTreeMap<String, Item<Digest>>,
    manifests: BTreeMap<Digest, Item<String>>,
    blobs: BTreeMap<Digest, Item<()>>,
    referrers: BTreeMap<Digest, BTreeMap<Digest, Descriptor>>,
}

#[derive(Debug)]
struct Item<T> {
    what: T,
    origin: Arc<Origin>,
    registries: BTreeSet<String>,
}

/// What was asked for and is there.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    pub(super) origin: Arc<Origin>,
    pub(super) digest: Digest,
    pub(super) media_type: String,
}

/// What was asked for and is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Repository,
    Content,
}

impl Catalog {
    /// Takes up the blobs of bundles, each with the name by which messages call it.
    pub(crate) fn new(
        bundles: impl IntoIterator<Item = (String, Arc<OpenBundle>)>,
        choice: ImageSignatureChoice,
    ) -> Result<Self, ServeError> {
        let mut catalog = Self::default();
        for (name, bundle) in bundles {
            let origin = Arc::new(Origin {
                name,
                verified: Verified::of(&bundle),
                bundle,
            });
            for publication in published(&origin.bundle, choice) {
                catalog
                    .repositories
                    .entry(publication.repository.clone())
                    .or_default()
                    .take_up(&origin, publication)?;
            }
        }
        Ok(catalog)
    }

    /// The names under which a bundle's blobs are served, in its order.
    pub(crate) fn names(
        bundle: &OpenBundle,
        choice: ImageSignatureChoice,
    ) -> impl Iterator<Item = Served> {
        published(bundle, choice).map(|publication| {
            let (repository, digest) = (&publication.repository, publication.target.digest);
            Served {
                name: publication.tag.as_ref().map_or_else(
                    || format!("{repository}@{digest}"),
                    |tag| format!("{repository}:{tag}"),
                ),
                digest,
                source: match &publication.kind {
                    PublicationKind::Image { reference, .. }
                    | PublicationKind::Artifact { reference } => Some(reference.to_string()),
                    PublicationKind::Chart
                    | PublicationKind::Referrer { .. }
                    | PublicationKind::ImageSignature { .. }
                    | PublicationKind::Index
                    | PublicationKind::Signature { .. }
                    | PublicationKind::Provenance { .. }
                    | PublicationKind::Files { .. } => None,
                },
            }
        })
    }

    /// The names of all repositories, in order.
    pub(super) fn repositories(&self) -> impl Iterator<Item = &str> {
        self.repositories.keys().map(String::as_str)
    }

    /// The tags of a repository, in order.
    pub(super) fn tags(
        &self,
        repository: &Repository,
    ) -> Result<impl Iterator<Item = &str>, Unknown> {
        let tags = &self.contents(repository)?.tags;
        Ok(tags
            .iter()
            .filter(move |(_, item)| is_from(&item.registries, repository))
            .map(|(tag, _)| tag.as_str()))
    }

    pub(super) fn manifest(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<Lookup, Unknown> {
        let contents = self.contents(repository)?;
        let digest = match target {
            Target::Digest(digest) => *digest,
            Target::Tag(tag) => found(contents.tags.get(tag), repository)?.what,
        };
        let item = found(contents.manifests.get(&digest), repository)?;
        Ok(Lookup {
            origin: Arc::clone(&item.origin),
            digest,
            media_type: item.what.clone(),
        })
    }

    pub(super) fn blob(&self, repository: &Repository, digest: Digest) -> Result<Lookup, Unknown> {
        let item = found(self.contents(repository)?.blobs.get(&digest), repository)?;
        Ok(Lookup {
            origin: Arc::clone(&item.origin),
            digest,
            media_type: "application/octet-stream".to_owned(),
        })
    }

    /// The manifests that are about another one, by digest.
    pub(super) fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
    ) -> Result<Vec<&Descriptor>, Unknown> {
        Ok(self
            .contents(repository)?
            .referrers
            .get(&subject)
            .into_iter()
            .flat_map(BTreeMap::values)
            .collect())
    }

    fn contents(&self, repository: &Repository) -> Result<&Contents, Unknown> {
        self.repositories
            .get(&repository.name)
            .filter(|contents| is_from(&contents.registries, repository))
            .ok_or(Unknown::Repository)
    }
}

fn published(
    bundle: &OpenBundle,
    choice: ImageSignatureChoice,
) -> impl Iterator<Item = &Publication> {
    let publications = bundle.publications().iter();
    publications.filter(move |publication| choice.admits(publication))
}

/// Whether something may be given to a client that takes this server for a mirror of some registry.
fn is_from(registries: &BTreeSet<String>, repository: &Repository) -> bool {
    repository
        .registry
        .as_ref()
        .is_none_or(|registry| registries.contains(registry))
}

fn found<'a, T>(
    item: Option<&'a Item<T>>,
    repository: &Repository,
) -> Result<&'a Item<T>, Unknown> {
    item.filter(|item| is_from(&item.registries, repository))
        .ok_or(Unknown::Content)
}

impl Contents {
    fn take_up(
        &mut self,
        origin: &Arc<Origin>,
        publication: &Publication,
    ) -> Result<(), ServeError> {
        let (registry, reduced) = match &publication.kind {
            PublicationKind::Image {
                reference,
                reduced_index,
            } => (Some(reference.registry()), reduced_index.as_ref()),
            PublicationKind::Artifact { reference } | PublicationKind::Referrer { reference } => {
                (Some(reference.registry()), None)
            }
            PublicationKind::ImageSignature { reference, .. } => {
                (reference.as_ref().map(Reference::registry), None)
            }
            PublicationKind::Chart
            | PublicationKind::Index
            | PublicationKind::Signature { .. }
            | PublicationKind::Provenance { .. }
            | PublicationKind::Files { .. } => (None, None),
        };
        let is_referrer = matches!(publication.kind, PublicationKind::Referrer { .. });
        self.registries.extend(registry.map(str::to_owned));
        let target = &publication.target;
        if let Some(tag) = &publication.tag {
            let item = entry(&mut self.tags, tag.clone(), target.digest, origin, registry);
            if is_referrer {
                // Signatures are added under the same tag: the bundle that is named last has it.
                (item.what, item.origin) = (target.digest, Arc::clone(origin));
            } else if item.what != target.digest {
                let (first, second) = (
                    (item.origin.name.clone(), item.what),
                    (origin.name.clone(), target.digest),
                );
                let name = format!("{}:{tag}", publication.repository);
                return Err(ServeError::Conflict {
                    name,
                    first: first.into(),
                    second: second.into(),
                });
            }
        }
        let mut waiting: Vec<Descriptor> =
            std::iter::once(target).chain(reduced).cloned().collect();
        let mut seen = BTreeSet::new();
        while let Some(descriptor) = waiting.pop() {
            if seen.insert(descriptor.digest) {
                self.take_up_manifest(origin, registry, &descriptor, &mut waiting)?;
            }
        }
        Ok(())
    }

    /// Takes up a manifest with its blobs and notes its children, except for those that the bundle
    /// does not include.
    fn take_up_manifest(
        &mut self,
        origin: &Arc<Origin>,
        registry: Option<&str>,
        descriptor: &Descriptor,
        children: &mut Vec<Descriptor>,
    ) -> Result<(), ServeError> {
        let digest = descriptor.digest;
        let Some(bytes) = origin.bundle.document(digest) else {
            return Ok(());
        };
        let malformed = |source| ServeError::Manifest {
            bundle: origin.name.clone(),
            digest,
            source,
        };
        let manifest =
            Manifest::parse(bytes.to_vec(), Some(&descriptor.media_type)).map_err(malformed)?;
        entry(
            &mut self.manifests,
            digest,
            manifest.media_type().to_owned(),
            origin,
            registry,
        );
        if let Some((subject, referrer)) = manifest.as_referrer() {
            self.referrers
                .entry(subject)
                .or_default()
                .insert(digest, referrer);
        }
        match manifest.kind() {
            ManifestKind::Index { manifests, .. } => children.extend(manifests.iter().cloned()),
            ManifestKind::Image { .. } => {
                for child in manifest
                    .children()
                    .filter(|child| origin.bundle.size(child.digest).is_some())
                {
                    entry(&mut self.blobs, child.digest, (), origin, registry);
                }
            }
        }
        Ok(())
    }
}

/// The item of that key, made if there was none, and from that registry too by now.
fn entry<'a, K: Ord, T>(
    items: &'a mut BTreeMap<K, Item<T>>,
    key: K,
    what: T,
    origin: &Arc<Origin>,
    registry: Option<&str>,
) -> &'a mut Item<T> {
    let item = items.entry(key).or_insert_with(|| Item {
        what,
        origin: Arc::clone(origin),
        registries: BTreeSet::new(),
    });
    item.registries.extend(registry.map(str::to_owned));
    item
}
