//! A bundle that `publish` stored in a registry.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Base, DeltaError, INDEX_ARTIFACT, MAX_INDEX_BYTES, RegistryBase, UnverifiedHead,
    attached::{Attached, AttachedFiles, is_signature_over},
    delta::{Missing, missing_lines},
    index::BundleIndex,
};
use crate::{
    oci::{Descriptor, Manifest, ManifestKind, Reference},
    registry::{Client, ReferrerList, RegistryError, RepositoryName},
};
use rune_core::{digest::Digest, failure::Failure};

/// What is read first of a bundle in a registry, and where the rest is.
#[derive(Debug)]
pub(crate) struct StoredBundle {
    name: RepositoryName,
    head: UnverifiedHead,
    /// What neither an image nor a chart leads to.
    layers: Vec<Descriptor>,
    /// The slots that are blank and for which somebody signed since.
    later: Vec<usize>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(NotFound: "publish the bundle again: `rune-bundle publish BUNDLE REGISTRY`")]
pub(crate) enum StoredError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error("`{0}` was not found, or is not the index of a bundle")]
    #[failure(help: "write HOST[:PORT][/PREFIX]/bundles/NAME:VERSION, as `rune-bundle publish` \
        prints it")]
    NotABundle(String),
    #[error("`{0}` was pushed and not published: the registry has its images and charts alone")]
    NotPublished(String),
    #[error("the signature in slot {slot} of `{reference}` is not in the registry any more")]
    LostSignature { reference: String, slot: usize },
    #[error("`{reference}` has two different signatures for slot {slot}")]
    #[failure(Conflict: "fetch it without --with-later-signatures, or delete one of them at the \
        registry")]
    TwoSignatures { reference: String, slot: usize },
    #[error("the bundle of `{reference}` is called {name}, and would be published as {repository}")]
    #[failure(Input: "write HOST[:PORT][/PREFIX]/{repository}:VERSION")]
    OtherName {
        reference: String,
        name: String,
        repository: String,
    },
    #[error("the registry lacks {}", missing_lines(.0))]
    Missing(Vec<Missing>),
}

impl StoredBundle {
    /// Reads the head: the bundle index, and the slots as they were when the bundle was published,
    /// or with all signatures that came since. Nothing of it is trusted.
    pub(crate) async fn read(
        client: &Client,
        reference: &Reference,
        with_later: bool,
    ) -> Result<Self, StoredError> {
        let name = RepositoryName::new(reference.registry(), reference.repository());
        let digest = reference.digest().map(|digest| digest.to_string());
        let tag = digest.as_deref().or_else(|| reference.tag());
        let not_a_bundle = || StoredError::NotABundle(reference.to_string());
        let writer = client.writer(&name);
        let bytes = writer.manifest(tag.unwrap_or("latest")).await?;
        let manifest = Manifest::parse(bytes.ok_or_else(not_a_bundle)?, None);
        let manifest = manifest.map_err(|_| not_a_bundle())?;
        let ManifestKind::Image { layers, .. } = manifest.kind() else {
            return Err(not_a_bundle());
        };
        let layer = match layers.as_slice() {
            [layer] if layer.media_type == INDEX_ARTIFACT => layer,
            _ => return Err(not_a_bundle()),
        };
        let index_bytes = client.blob_bytes(&name, layer, MAX_INDEX_BYTES).await?;
        let artifact = manifest.digest();
        let mut attached = Vec::new();
        for referrer in referrers(client, &name, artifact).await? {
            attached.extend(Attached::read(client, &name, referrer, artifact).await?);
        }
        let (mut signatures, mut files) = (Vec::new(), Vec::new());
        for attached in attached {
            match attached {
                Attached::Signature { slot, content } => signatures.push((slot, content)),
                Attached::Provenance(_) => {}
                Attached::Files(found) => files.push(found),
            }
        }
        if files.is_empty() {
            return Err(StoredError::NotPublished(reference.to_string()));
        }
        let index = Digest::of(&index_bytes);
        let Signatures { slots, later } =
            Signatures::of(signatures, &files, index, with_later, reference)?;
        Ok(Self {
            name,
            head: UnverifiedHead::published(index_bytes, slots),
            layers: files.into_iter().flat_map(|files| files.layers).collect(),
            later,
        })
    }

    pub(crate) const fn head(&self) -> &UnverifiedHead {
        &self.head
    }

    /// The slots for which somebody signed after the bundle was published.
    pub(crate) fn later(&self) -> &[usize] {
        &self.later
    }

    pub(crate) async fn entries(
        &self,
        registry: &RegistryBase<'_>,
        index: &BundleIndex,
    ) -> Result<Base, StoredError> {
        Ok(registry
            .with_layers(index, &self.name, &self.layers)
            .await?)
    }
}

/// What is to be in the slots of a stored bundle.
struct Signatures {
    slots: BTreeMap<usize, Vec<u8>>,
    /// The slots of those that came later and are left out.
    later: Vec<usize>,
}

impl Signatures {
    /// Those that the bundle had when it was published, and with `with_later` those over its index
    /// that came since.
    fn of(
        signatures: Vec<(usize, Vec<u8>)>,
        files: &[Box<AttachedFiles>],
        index: Digest,
        with_later: bool,
        reference: &Reference,
    ) -> Result<Self, StoredError> {
        let published: BTreeSet<(usize, Digest)> = files
            .iter()
            .flat_map(|files| files.slots.iter().map(|(slot, digest)| (*slot, *digest)))
            .collect();
        let (mut slots, mut later) = (BTreeMap::new(), Vec::new());
        for (slot, content) in signatures {
            let is_published = published.contains(&(slot, Digest::of(&content)));
            if !is_published && !is_signature_over(&content, index) {
                continue;
            }
            if !is_published && !with_later {
                later.push(slot);
                continue;
            }
            if let Some(other) = slots.insert(slot, content.clone())
                && other != content
            {
                return Err(StoredError::TwoSignatures {
                    reference: reference.to_string(),
                    slot,
                });
            }
        }
        match published.iter().find(|(slot, _)| !slots.contains_key(slot)) {
            None => Ok(Self { slots, later }),
            Some((slot, _)) => Err(StoredError::LostSignature {
                reference: reference.to_string(),
                slot: *slot,
            }),
        }
    }
}

/// What the registry lists about a manifest, itself or under a tag.
async fn referrers(
    client: &Client,
    name: &RepositoryName,
    artifact: Digest,
) -> Result<BTreeSet<Digest>, RegistryError> {
    let listed = client.referrers(name, artifact).await?;
    let tagged = client
        .manifest_if_tagged(name, &ReferrerList::tag(artifact))
        .await?;
    let tagged = tagged.as_ref().and_then(ReferrerList::of);
    let lists = [listed, tagged].into_iter().flatten();
    Ok(lists
        .flat_map(|list| list.manifests)
        .map(|entry| entry.digest)
        .collect())
}
