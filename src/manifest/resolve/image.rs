//! What a registry has under a reference, to the last descriptor.

use serde::Deserialize;
use tokio::task::JoinSet;

use super::error::ResolveError;
use crate::{
    manifest::{Blob, LockedAttestation, LockedManifest, Platforms, PulledImage, is_carried},
    oci::{Descriptor, Digest, Manifest, ManifestKind, Platform, Reference, media_type},
    registry::{Client, RepositoryName},
};

/// The configurations of container images; anything else is some other kind of artifact.
const IMAGE_CONFIGS: [&str; 2] = [media_type::CONFIG, "application/vnd.docker.container.image.v1+json"];

/// Image configurations have a few kilobytes.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// Resolves a reference, and fetches every manifest below it.
pub(super) async fn resolve(client: &Client, reference: &Reference, platforms: &Platforms) -> Result<PulledImage, ResolveError> {
    let root = client.resolve(reference).await?;
    let name = RepositoryName::from(reference);
    let pulled = match root.kind() {
        ManifestKind::Index { manifests } => {
            let children = fetch_children(client, &name, manifests).await?;
            index(&root, manifests, &children, platforms)?
        }
        ManifestKind::Image { config, .. } => {
            let platform = config_platform(client, &name, config).await?;
            let entry = image_entry(&root, Some(platform), platforms)?;
            PulledImage { root: Blob::from(&root.descriptor()), manifests: vec![entry], attestations: Vec::new() }
        }
    };
    check_choice(&pulled, platforms)?;
    Ok(pulled)
}

/// Fetches each manifest that an index lists, in the order of the index. The client checks the digests.
async fn fetch_children(client: &Client, name: &RepositoryName, entries: &[Descriptor]) -> Result<Vec<Manifest>, ResolveError> {
    let mut running = JoinSet::new();
    for (position, entry) in entries.iter().enumerate() {
        if [media_type::INDEX, media_type::DOCKER_LIST].contains(&entry.media_type.as_str()) {
            return Err(ResolveError::NestedIndex(entry.digest));
        }
        let (client, name, entry) = (client.clone(), name.clone(), entry.clone());
        running.spawn(async move { (position, client.manifest(&name, entry.digest, Some(&entry.media_type)).await) });
    }
    let mut fetched = Vec::new();
    while let Some(finished) = running.join_next().await {
        let (position, manifest) = finished.map_err(ResolveError::Task)?;
        fetched.push((position, manifest?));
    }
    fetched.sort_by_key(|(position, _)| *position);
    let manifests = fetched.into_iter().map(|(_, manifest)| manifest).collect::<Vec<_>>();
    for (entry, manifest) in entries.iter().zip(&manifests) {
        let actual = manifest.bytes().len() as u64;
        if actual != entry.size {
            return Err(ResolveError::ManifestSize { manifest: entry.digest, expected: entry.size, actual });
        }
    }
    Ok(manifests)
}

/// Sorts the entries of an index into images and attestations.
fn index(root: &Manifest, entries: &[Descriptor], children: &[Manifest], platforms: &Platforms) -> Result<PulledImage, ResolveError> {
    let mut pulled = PulledImage { root: Blob::from(&root.descriptor()), manifests: Vec::new(), attestations: Vec::new() };
    let mut attested = Vec::new();
    for (entry, child) in entries.iter().zip(children) {
        match entry.attested_digest().filter(|_| entry.is_attestation()) {
            Some(subject) => attested.push((subject, child)),
            None => pulled.manifests.push(image_entry(child, written_platform(entry)?, platforms)?),
        }
    }
    if pulled.manifests.is_empty() {
        return Err(ResolveError::EmptyIndex);
    }
    for (subject, child) in attested {
        let carried = pulled.carries_attestation_of(subject, platforms);
        pulled.attestations.push(attestation_entry(child, subject, carried)?);
    }
    Ok(pulled)
}

fn image_entry(manifest: &Manifest, platform: Option<Platform>, platforms: &Platforms) -> Result<LockedManifest, ResolveError> {
    let (config, layers) = parts(manifest)?;
    if !IMAGE_CONFIGS.contains(&config.media_type.as_str()) {
        return Err(ResolveError::NotAnImage { digest: manifest.digest(), config_type: config.media_type.clone() });
    }
    let carried = is_carried(platforms, platform.as_ref());
    if let Some(layer) = layers.iter().find(|layer| carried && is_foreign(&layer.media_type)) {
        let (layer, media_type) = (layer.digest, layer.media_type.clone());
        return Err(ResolveError::ForeignLayer { manifest: manifest.digest(), layer, media_type });
    }
    Ok(LockedManifest {
        platform,
        carried,
        manifest: Blob::from(&manifest.descriptor()),
        config: Blob::from(config),
        layers: layers.iter().map(Blob::from).collect(),
    })
}

fn attestation_entry(manifest: &Manifest, attests: Digest, carried: bool) -> Result<LockedAttestation, ResolveError> {
    let (config, layers) = parts(manifest)?;
    Ok(LockedAttestation {
        attests,
        carried,
        predicates: manifest.predicate_types(),
        manifest: Blob::from(&manifest.descriptor()),
        config: Blob::from(config),
        layers: layers.iter().map(Blob::from).collect(),
    })
}

fn parts(manifest: &Manifest) -> Result<(&Descriptor, &[Descriptor]), ResolveError> {
    match manifest.kind() {
        ManifestKind::Image { config, layers, .. } => Ok((config, layers)),
        ManifestKind::Index { .. } => Err(ResolveError::NestedIndex(manifest.digest())),
    }
}

fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".foreign.") || media_type.contains(".nondistributable.")
}

/// The platform of an index entry, without the operating system's version, which no choice depends on.
fn written_platform(entry: &Descriptor) -> Result<Option<Platform>, ResolveError> {
    let Some(platform) = &entry.platform else { return Ok(None) };
    let text = platform.to_string();
    match text.parse() {
        Ok(platform) => Ok(Some(platform)),
        Err(_) => Err(ResolveError::Platform { manifest: entry.digest, platform: text }),
    }
}

/// A single image says in its configuration what it is for.
async fn config_platform(client: &Client, name: &RepositoryName, config: &Descriptor) -> Result<Platform, ResolveError> {
    #[derive(Deserialize)]
    struct ImageConfig {
        os: String,
        architecture: String,
        variant: Option<String>,
    }

    if !IMAGE_CONFIGS.contains(&config.media_type.as_str()) {
        return Err(ResolveError::NotAnImage { digest: config.digest, config_type: config.media_type.clone() });
    }
    let bytes = client.blob_bytes(name, config, MAX_CONFIG_BYTES).await?;
    let ImageConfig { os, architecture, variant } =
        serde_json::from_slice(&bytes).map_err(|error| ResolveError::Config(config.digest, error))?;
    let written = Platform { os, architecture, variant: variant.filter(|variant| !variant.is_empty()), os_version: None };
    let text = written.to_string();
    text.parse().map_err(|_| ResolveError::Platform { manifest: config.digest, platform: text })
}

/// An image that serves none of the chosen platforms would be carried in vain.
fn check_choice(pulled: &PulledImage, platforms: &Platforms) -> Result<(), ResolveError> {
    let Platforms::Only(wanted) = platforms else { return Ok(()) };
    if pulled.manifests.iter().any(|entry| entry.carried) {
        return Ok(());
    }
    let list = |platforms: Vec<String>| platforms.join(", ");
    let available = pulled.manifests.iter().filter_map(|entry| entry.platform.as_ref()).map(Platform::to_string).collect();
    Err(ResolveError::NoChosenPlatform { wanted: list(wanted.iter().map(Platform::to_string).collect()), available: list(available) })
}
