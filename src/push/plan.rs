//! What goes where, found out without the network.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{BundleArtifacts, PushError, PushSettings};
use crate::{
    bundle::{OpenBundle, Publication, PublicationKind},
    oci::{Descriptor, Manifest, ManifestKind},
    registry::RepositoryName,
};
use rune_core::digest::Digest;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexChoice {
    /// The one that was locked; where a registry does not take it without all its manifests, the
    /// reduced one.
    Auto,
    /// The one that was locked, of images that lack nothing.
    Full,
    /// The one that was locked, in any case.
    Sparse,
    Reduced,
}

pub(super) struct Plan {
    pub(super) items: Vec<Item>,
    pub(super) left_off: Vec<String>,
}

pub(super) struct Item {
    pub(super) publication: Publication,
    pub(super) name: RepositoryName,
    /// Everything below the root, children before parents.
    pub(super) manifests: Vec<Document>,
    /// Whether an index among these lacks manifests: a registry may refuse it, and then takes no
    /// root above it either.
    pub(super) has_gaps: bool,
    pub(super) root: Root,
}

pub(super) struct Root {
    pub(super) first: Document,
    pub(super) is_sparse: bool,
    /// What is taken when the registry does not want that.
    pub(super) otherwise: Option<Document>,
}

#[derive(Clone)]
pub(super) struct Document {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
    /// The blobs that it refers to, each once.
    pub(super) blobs: Vec<Descriptor>,
    /// The manifests that it refers to and the bundle has.
    pub(super) children: Vec<Digest>,
    /// What it is about, and its entry in the list of referrers of that.
    pub(super) referrer: Option<(Digest, Descriptor)>,
    lacks_children: bool,
}

impl Plan {
    pub(super) fn new(
        bundle: &Arc<OpenBundle>,
        settings: &PushSettings,
    ) -> Result<Self, PushError> {
        let (destination, choice) = (&settings.destination, settings.index);
        let mut items = Vec::new();
        let mut incomplete = Vec::new();
        let (published, left_off): (Vec<_>, Vec<_>) = bundle
            .publications()
            .iter()
            .partition(|publication| settings.image_signatures.admits(publication));
        let files = bundle
            .files()
            .filter(|_| settings.artifacts == BundleArtifacts::Everything);
        for publication in published.into_iter().chain(files).filter(|publication| {
            settings.artifacts > BundleArtifacts::Nothing || !is_of_bundle(&publication.kind)
        }) {
            let mut manifests = Vec::new();
            let target = collect(bundle, &publication.target, &mut manifests)?;
            let has_gaps = manifests.iter().any(|document| document.lacks_children);
            let reduced = match &publication.kind {
                PublicationKind::Image {
                    reduced_index: Some(reduced),
                    reference,
                } => {
                    incomplete.push(reference.to_string());
                    Some(Document::read(bundle, reduced)?)
                }
                _ => None,
            };
            let root = match (reduced, choice) {
                (Some(reduced), IndexChoice::Reduced) => Root {
                    first: reduced,
                    is_sparse: false,
                    otherwise: None,
                },
                (reduced, _) => {
                    let otherwise = reduced.filter(|_| choice == IndexChoice::Auto);
                    Root {
                        is_sparse: has_gaps || target.lacks_children,
                        first: target,
                        otherwise,
                    }
                }
            };
            items.push(Item {
                publication: publication.clone(),
                name: destination.name(&publication.repository),
                manifests,
                has_gaps,
                root,
            });
        }
        if choice == IndexChoice::Full && !incomplete.is_empty() {
            return Err(PushError::Incomplete(incomplete));
        }
        check_collisions(&items)?;
        let left_off = left_off.into_iter().filter_map(|publication| {
            let subject = publication.kind.signed_subject()?;
            Some(format!(
                "{}@{subject}",
                destination.name(&publication.repository)
            ))
        });
        Ok(Self {
            items,
            left_off: left_off.collect(),
        })
    }
}

const fn is_of_bundle(kind: &PublicationKind) -> bool {
    matches!(
        kind,
        PublicationKind::Index
            | PublicationKind::Signature { .. }
            | PublicationKind::Provenance { .. }
            | PublicationKind::Files { .. }
    )
}

impl Item {
    /// Whether a registry may refuse it and get everything else.
    pub(super) const fn may_be_refused(&self) -> bool {
        is_of_bundle(&self.publication.kind)
            || matches!(
                self.publication.kind,
                PublicationKind::Referrer { .. } | PublicationKind::ImageSignature { .. }
            )
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        self.manifests.iter().chain([&self.root.first])
    }

    /// The reference at the destination, without a digest unless there is no tag.
    pub(super) fn reference(&self) -> String {
        match &self.publication.tag {
            Some(tag) => format!("{}:{tag}", self.name),
            None => format!("{}@{}", self.name, self.root.first.descriptor.digest),
        }
    }

    /// The digests that its tag may have.
    pub(super) fn is_own(&self, digest: Digest) -> bool {
        let otherwise = self
            .root
            .otherwise
            .as_ref()
            .map(|document| document.descriptor.digest);
        digest == self.root.first.descriptor.digest || Some(digest) == otherwise
    }
}

impl Document {
    fn read(bundle: &OpenBundle, descriptor: &Descriptor) -> Result<Self, PushError> {
        let bytes = bundle
            .document(descriptor.digest)
            .unwrap_or_default()
            .to_vec();
        let manifest = Manifest::parse(bytes, Some(&descriptor.media_type))?;
        let (mut blobs, mut children, mut lacks_children): (Vec<Descriptor>, _, _) =
            (Vec::new(), Vec::new(), false);
        match manifest.kind() {
            ManifestKind::Index {
                manifests,
                unsupported,
            } => {
                let (carried, absent): (Vec<_>, Vec<_>) = manifests
                    .iter()
                    .partition(|child| bundle.document(child.digest).is_some());
                children = carried.into_iter().map(|child| child.digest).collect();
                lacks_children = !absent.is_empty() || !unsupported.is_empty();
            }
            ManifestKind::Image { .. } => {
                for blob in manifest.children() {
                    if blobs.iter().all(|known| known.digest != blob.digest) {
                        blobs.push(blob.clone());
                    }
                }
            }
        }
        let (descriptor, referrer) = (descriptor.clone(), manifest.as_referrer());
        Ok(Self {
            descriptor,
            bytes: manifest.into_bytes().into(),
            blobs,
            children,
            referrer,
            lacks_children,
        })
    }

    /// Whether something below it is not in the bundle.
    pub(super) const fn is_whole(&self) -> bool {
        !self.lacks_children
    }
}

/// Reads a document and everything below it; gives the document, and adds what is below, children
/// before parents.
fn collect(
    bundle: &OpenBundle,
    descriptor: &Descriptor,
    below: &mut Vec<Document>,
) -> Result<Document, PushError> {
    let document = Document::read(bundle, descriptor)?;
    if !document.children.is_empty() {
        let parent = Manifest::parse(document.bytes.to_vec(), Some(&descriptor.media_type))?;
        for child in parent
            .children()
            .filter(|child| document.children.contains(&child.digest))
        {
            if below
                .iter()
                .all(|known| known.descriptor.digest != child.digest)
            {
                let child = collect(bundle, child, below)?;
                below.push(child);
            }
        }
    }
    Ok(document)
}

/// Two repositories of the bundle must not become one, nor two things one tag.
fn check_collisions(items: &[Item]) -> Result<(), PushError> {
    let mut repositories: BTreeMap<&RepositoryName, &str> = BTreeMap::new();
    let mut tags: BTreeMap<String, &Item> = BTreeMap::new();
    for item in items {
        let own = item.publication.repository.as_str();
        let known = *repositories.entry(&item.name).or_insert(own);
        if known != own {
            return Err(PushError::Collision {
                first: known.to_owned(),
                second: own.to_owned(),
                name: item.name.to_string(),
            });
        }
        let reference = item.reference();
        let other = tags.entry(reference.clone()).or_insert(item);
        if other.publication.target.digest != item.publication.target.digest {
            let digest = |item: &Item| item.publication.target.digest.to_string();
            return Err(PushError::Collision {
                first: digest(other),
                second: digest(item),
                name: reference,
            });
        }
    }
    Ok(())
}
