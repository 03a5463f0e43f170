//! What a registry has under the reference of an artifact: all of it is included, whatever it is.

use super::{
    error::ResolveError,
    image::{Resolved, check_layers, empty, resolve_root, with_referrers},
    index::{Entry, EntryKind, Listing},
};
use crate::{
    manifest::{Blob, LockedArtifact, Platforms, PulledImage},
    oci::{Descriptor, Manifest, ManifestKind, Reference},
    registry::{Client, RepositoryName},
};

/// How many manifests an artifact may consist of.
const MAX_MANIFESTS: usize = 1000;

pub(super) async fn resolve(
    client: &Client,
    reference: &Reference,
    elsewhere: &[RepositoryName],
) -> Result<Resolved, ResolveError> {
    let root = resolve_root(client, reference).await?;
    let name = RepositoryName::from(reference);
    let mut artifact = empty(&root);
    match root.kind() {
        ManifestKind::Image { .. } => {
            artifact.artifacts = vec![locked(&root, &root.descriptor())?];
        }
        ManifestKind::Index { .. } => {
            add_listed(client, &name, &root, &mut artifact).await?;
        }
    }
    with_referrers(client, reference, elsewhere, artifact, Vec::new()).await
}

async fn add_listed(
    client: &Client,
    name: &RepositoryName,
    root: &Manifest,
    artifact: &mut PulledImage,
) -> Result<(), ResolveError> {
    let listing = Listing::read(client, name, root, &Platforms::All).await?;
    if let Some(digest) = listing.unsupported().first() {
        return Err(ResolveError::UnsupportedDigest(digest.clone()));
    }
    if let Some(Entry { descriptor, .. }) = listing.of(EntryKind::Unknown).next() {
        return Err(ResolveError::UnknownManifest {
            digest: descriptor.digest,
            media_type: descriptor.media_type.clone(),
        });
    }
    if listing.entries().count() > MAX_MANIFESTS {
        return Err(ResolveError::TooManyManifests(MAX_MANIFESTS));
    }
    let fetched = listing.fetch(client, name, listing.entries()).await?;
    let entries = listing.entries().filter_map(|entry| {
        let manifest = fetched.get(&entry.descriptor.digest)?;
        Some(locked(manifest, &entry.descriptor))
    });
    artifact.artifacts = entries.collect::<Result<_, _>>()?;
    let digests = artifact
        .artifacts
        .iter()
        .map(|entry| entry.manifest.digest)
        .collect();
    artifact.indexes = listing.indexes(&Platforms::All, &digests);
    Ok(())
}

fn locked(manifest: &Manifest, descriptor: &Descriptor) -> Result<LockedArtifact, ResolveError> {
    check_layers(manifest)?;
    Ok(LockedArtifact {
        platform: descriptor.platform.clone(),
        artifact_type: manifest.artifact_type(),
        carried: true,
        manifest: Blob::from(&manifest.descriptor()),
        blobs: manifest.children().map(Blob::from).collect(),
    })
}
