//! What a registry has under a reference, to the last descriptor of what is included.
//!
//! First the image index is read, with those within it, which says of what there is a choice. Then
//! it is decided what is included, and only that is fetched: an entry that nobody wants never stops
//! an image.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    error::ResolveError,
    index::{Entry, EntryKind, Listing},
    referrers,
};
use crate::{
    manifest::{
        Blob, LockedArtifact, LockedAttestation, LockedManifest, Platforms, PulledImage, carried,
    },
    oci::{Descriptor, Manifest, ManifestKind, Platform, Reference, media_type},
    registry::{Client, RepositoryName},
};
use rune_core::digest::Digest;

/// The configurations of container images; anything else is some other kind of artifact.
const IMAGE_CONFIGS: [&str; 2] = [
    media_type::CONFIG,
    "application/vnd.docker.container.image.v1+json",
];

const MAX_CONFIG_BYTES: u64 = 4 << 20;

pub(super) struct Resolved {
    pub(super) image: PulledImage,
    pub(super) signatures: BTreeMap<Digest, Vec<u8>>,
    pub(super) warnings: Vec<String>,
}

pub(super) async fn resolve(
    client: &Client,
    reference: &Reference,
    platforms: &Platforms,
    elsewhere: &[RepositoryName],
) -> Result<Resolved, ResolveError> {
    let root = resolve_root(client, reference).await?;
    let name = RepositoryName::from(reference);
    let image = match root.kind() {
        ManifestKind::Index { .. } => {
            let listing = Listing::read(client, &name, &root, platforms).await?;
            index(client, &name, &root, listing, platforms).await?
        }
        ManifestKind::Image { config, .. } => {
            let platform = config_platform(client, &name, config).await?;
            let is_carried = carried(platforms, &[platform.as_ref()]).first() == Some(&true);
            let manifest = if is_carried {
                image_entry(&root, platform)?
            } else {
                left_out(Blob::from(&root.descriptor()), platform)
            };
            PulledImage {
                manifests: vec![manifest],
                ..empty(&root)
            }
        }
    };
    check_choice(&image, platforms)?;
    let warnings = other_architectures(reference, &image, platforms);
    with_referrers(client, reference, elsewhere, image, warnings).await
}

pub(super) async fn resolve_root(
    client: &Client,
    reference: &Reference,
) -> Result<Manifest, ResolveError> {
    client.resolve(reference).await.map_err(|error| {
        let is_pinned_here = reference.digest().is_some() && error.is_missing_digest();
        if is_pinned_here {
            ResolveError::PinnedGone(error)
        } else {
            error.into()
        }
    })
}

pub(super) async fn with_referrers(
    client: &Client,
    reference: &Reference,
    elsewhere: &[RepositoryName],
    mut image: PulledImage,
    mut warnings: Vec<String>,
) -> Result<Resolved, ResolveError> {
    let name = RepositoryName::from(reference);
    let found = referrers::find(client, &name, elsewhere, &image).await?;
    image.referrers = found.list;
    warnings.extend(found.warnings);
    warnings.extend(image.referrers.iter().filter_map(|referrer| {
        let (reason, digest) = (referrer.omitted.as_ref()?, referrer.manifest.digest);
        let (kind, subject) = (referrer.kind(), referrer.subject);
        Some(format!(
            "warning: `{reference}` has {kind} {digest} about {subject}, which is not included: \
             {reason}"
        ))
    }));
    Ok(Resolved {
        image,
        signatures: found.manifests,
        warnings,
    })
}

pub(super) fn empty(root: &Manifest) -> PulledImage {
    PulledImage {
        root: Blob::from(&root.descriptor()),
        manifests: Vec::new(),
        attestations: Vec::new(),
        indexes: Vec::new(),
        artifacts: Vec::new(),
        unsupported: Vec::new(),
        referrers: Vec::new(),
        sboms: Vec::new(),
        found_licenses: None,
    }
}

/// Fetches what is included of an index. What turns out to be no image is not a candidate any more,
/// and the choice is made again.
async fn index(
    client: &Client,
    name: &RepositoryName,
    root: &Manifest,
    mut listing: Listing,
    platforms: &Platforms,
) -> Result<PulledImage, ResolveError> {
    let mut no_image = None;
    let mut image = loop {
        let candidates: Vec<Option<&Platform>> = listing
            .of(EntryKind::Image)
            .map(|entry| entry.descriptor.platform.as_ref())
            .collect();
        let choice = carried(platforms, &candidates);
        let wanted = listing
            .of(EntryKind::Image)
            .zip(&choice)
            .filter(|(_, is_carried)| **is_carried)
            .map(|(entry, _)| entry);
        let fetched = listing.fetch(client, name, wanted).await?;
        let is_other = |entry: &&Entry| {
            fetched
                .get(&entry.descriptor.digest)
                .is_some_and(|manifest| !is_image(manifest))
        };
        let others: Vec<Digest> = listing
            .of(EntryKind::Image)
            .filter(is_other)
            .map(|entry| entry.descriptor.digest)
            .collect();
        if let Some(other) = others.first() {
            no_image = fetched
                .get(other)
                .and_then(|manifest| parts(manifest).ok())
                .map(|(config, _)| (*other, config.media_type.clone()));
            listing.mark_artifacts(&others);
            continue;
        }
        let mut image = empty(root);
        for (entry, is_carried) in listing.of(EntryKind::Image).zip(choice) {
            let platform = entry.descriptor.platform.clone();
            image.manifests.push(
                match fetched.get(&entry.descriptor.digest).filter(|_| is_carried) {
                    Some(manifest) => image_entry(manifest, platform)?,
                    None => left_out(Blob::from(&entry.descriptor), platform),
                },
            );
        }
        break image;
    };
    if image.manifests.is_empty() {
        return Err(match no_image {
            Some((digest, config_type)) => ResolveError::NotAnImage {
                digest,
                config_type,
            },
            None => ResolveError::EmptyIndex,
        });
    }
    add_attestations(client, name, &listing, platforms, &mut image).await?;
    add_artifacts(client, name, &listing, platforms, &mut image).await?;
    image.unsupported = listing.unsupported().to_vec();
    if *platforms == Platforms::All
        && let Some(digest) = image.unsupported.first()
    {
        return Err(ResolveError::UnsupportedDigest(digest.clone()));
    }
    let digests = image
        .contents()
        .filter(|content| content.carried)
        .map(|content| content.manifest.digest)
        .collect();
    image.indexes = listing.indexes(platforms, &digests);
    Ok(image)
}

async fn add_attestations(
    client: &Client,
    name: &RepositoryName,
    listing: &Listing,
    platforms: &Platforms,
    image: &mut PulledImage,
) -> Result<(), ResolveError> {
    let entries = || {
        listing.entries().filter_map(|entry| match entry.kind {
            EntryKind::Attestation(subject) => Some((entry, subject)),
            _ => None,
        })
    };
    let wanted = entries()
        .filter(|(_, subject)| image.carries_attestation_of(*subject, platforms))
        .map(|(entry, _)| entry);
    let fetched = listing.fetch(client, name, wanted).await?;
    for (entry, attests) in entries() {
        let carried = image.carries_attestation_of(attests, platforms);
        let manifest = fetched.get(&entry.descriptor.digest).filter(|_| carried);
        let (config, layers) = manifest.map(parts).transpose()?.unzip();
        image.attestations.push(LockedAttestation {
            attests,
            carried,
            predicates: manifest.map(Manifest::predicate_types).unwrap_or_default(),
            manifest: Blob::from(&entry.descriptor),
            config: config.map(Blob::from),
            layers: layers.unwrap_or_default().iter().map(Blob::from).collect(),
        });
    }
    Ok(())
}

/// An artifact travels with the images of its platform, or when everything does. What this program
/// cannot read it cannot transfer whole.
async fn add_artifacts(
    client: &Client,
    name: &RepositoryName,
    listing: &Listing,
    platforms: &Platforms,
    image: &mut PulledImage,
) -> Result<(), ResolveError> {
    let is_carried = |entry: &Entry| {
        let is_for_image = |platform: &Platform| {
            let mut carried = image.manifests.iter().filter(|manifest| manifest.carried);
            carried.any(|manifest| {
                manifest
                    .platform
                    .as_ref()
                    .is_some_and(|own| own.matches(platform))
            })
        };
        let is_for_somebody = entry.descriptor.platform.as_ref().is_none_or(is_for_image);
        entry.kind == EntryKind::Artifact && (*platforms == Platforms::All || is_for_somebody)
    };
    let entries = || {
        listing
            .entries()
            .filter(|entry| matches!(entry.kind, EntryKind::Artifact | EntryKind::Unknown))
    };
    let fetched = listing
        .fetch(client, name, entries().filter(|entry| is_carried(entry)))
        .await?;
    let mut artifacts = Vec::new();
    for entry in entries() {
        let carried = is_carried(entry);
        let manifest = fetched.get(&entry.descriptor.digest).filter(|_| carried);
        artifacts.push(LockedArtifact {
            platform: entry.descriptor.platform.clone(),
            artifact_type: entry.descriptor.artifact_type.clone(),
            carried,
            manifest: Blob::from(&entry.descriptor),
            blobs: manifest
                .into_iter()
                .flat_map(Manifest::children)
                .map(Blob::from)
                .collect(),
        });
    }
    image.artifacts = artifacts;
    Ok(())
}

fn is_image(manifest: &Manifest) -> bool {
    matches!(manifest.kind(), ManifestKind::Image { config, .. }
        if IMAGE_CONFIGS.contains(&config.media_type.as_str()))
}

fn left_out(manifest: Blob, platform: Option<Platform>) -> LockedManifest {
    LockedManifest {
        platform,
        carried: false,
        manifest,
        config: None,
        layers: Vec::new(),
    }
}

fn image_entry(
    manifest: &Manifest,
    platform: Option<Platform>,
) -> Result<LockedManifest, ResolveError> {
    let (config, layers) = parts(manifest)?;
    check_layers(manifest)?;
    Ok(LockedManifest {
        platform,
        carried: true,
        manifest: Blob::from(&manifest.descriptor()),
        config: Some(Blob::from(config)),
        layers: layers.iter().map(Blob::from).collect(),
    })
}

/// Every layer must be in the registry.
pub(super) fn check_layers(manifest: &Manifest) -> Result<(), ResolveError> {
    let (_, layers) = parts(manifest)?;
    match layers.iter().find(|layer| is_foreign(&layer.media_type)) {
        None => Ok(()),
        Some(layer) => Err(ResolveError::ForeignLayer {
            manifest: manifest.digest(),
            layer: layer.digest,
            media_type: layer.media_type.clone(),
        }),
    }
}

fn parts(manifest: &Manifest) -> Result<(&Descriptor, &[Descriptor]), ResolveError> {
    match manifest.kind() {
        ManifestKind::Image { config, layers, .. } => Ok((config, layers)),
        ManifestKind::Index { .. } => Err(ResolveError::UnexpectedIndex(manifest.digest())),
    }
}

fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".foreign.") || media_type.contains(".nondistributable.")
}

/// A single image says in its configuration what it is for, if it does.
async fn config_platform(
    client: &Client,
    name: &RepositoryName,
    config: &Descriptor,
) -> Result<Option<Platform>, ResolveError> {
    #[derive(Deserialize)]
    struct ImageConfig {
        os: Option<String>,
        architecture: Option<String>,
        variant: Option<String>,
    }

    if !IMAGE_CONFIGS.contains(&config.media_type.as_str()) {
        return Err(ResolveError::NotAnImage {
            digest: config.digest,
            config_type: config.media_type.clone(),
        });
    }
    let bytes = client.blob_bytes(name, config, MAX_CONFIG_BYTES).await?;
    let malformed = |error| ResolveError::Config(config.digest, error);
    let ImageConfig {
        os,
        architecture,
        variant,
    } = serde_json::from_slice(&bytes).map_err(malformed)?;
    let text = |text: Option<String>| text.unwrap_or_default();
    let written = serde_json::json!({"os": text(os), "architecture": text(architecture),
        "variant": text(variant)});
    Platform::from_document(written).map_err(malformed)
}

/// An image that serves none of the chosen platforms would be included for nothing.
fn check_choice(pulled: &PulledImage, platforms: &Platforms) -> Result<(), ResolveError> {
    let Platforms::Only(wanted) = platforms else {
        return Ok(());
    };
    if pulled.manifests.iter().any(|entry| entry.carried) {
        return Ok(());
    }
    let list = |platforms: Vec<String>| platforms.join(", ");
    let available = pulled
        .manifests
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .map(Platform::to_string)
        .collect();
    Err(ResolveError::NoChosenPlatform {
        wanted: list(wanted.iter().map(Platform::to_string).collect()),
        available: list(available),
    })
}

/// What is included for a chosen platform that the image does not have.
fn other_architectures(
    reference: &Reference,
    image: &PulledImage,
    platforms: &Platforms,
) -> Vec<String> {
    let Platforms::Only(wanted) = platforms else {
        return Vec::new();
    };
    let carried: Vec<&Platform> = image
        .manifests
        .iter()
        .filter(|entry| entry.carried)
        .filter_map(|entry| entry.platform.as_ref())
        .collect();
    let other = |wanted: &Platform| {
        let best = carried
            .iter()
            .filter_map(|own| Some((own.distance_from(wanted)?, own)))
            .min()?
            .1;
        (best.architecture != wanted.architecture).then(|| {
            format!(
                "warning: `{reference}` is not there for {wanted}; what is there for {best} is \
                 included, which runs only where the node runs that too"
            )
        })
    };
    wanted.iter().filter_map(other).collect()
}
