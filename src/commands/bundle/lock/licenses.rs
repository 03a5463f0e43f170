//! The licences that SBOMs state, read once and kept in the lock, for a policy that has a rule about
//! packages.

use camino::Utf8Path;

use super::sboms::GeneratedSboms;
use crate::{
    evidence::{FoundLicense, FoundLicenses, SbomSource},
    manifest::{Blob, Lock, LockedContent, LockedImage, PulledImage},
    policy::Policy,
    registry::{Client, RepositoryName},
    syft::MAX_SBOM_BYTES,
};
use rune_core::{command::CommandError, digest::Digest, progress::Progress};

/// Reads the SBOMs of each image of which the policy wants to know, and of which the lock does not
/// say it yet.
pub(super) async fn read(
    lock: &mut Lock,
    policy: &Policy,
    path: &Utf8Path,
    generated: &GeneratedSboms,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(), CommandError> {
    for image in &mut lock.images {
        let LockedContent::Registry(pulled) = &image.content else {
            continue;
        };
        let is_wanted = policy.checks_packages(&image.reference.name());
        if !is_wanted || pulled.found_licenses.is_some() {
            continue;
        }
        progress.note(&image.reference.to_string());
        let found = of_image(image, pulled, path, generated, client).await?;
        if let LockedContent::Registry(pulled) = &mut image.content {
            pulled.found_licenses = found;
        }
    }
    lock.set_format();
    Ok(())
}

/// Nothing when there is a platform of which no SBOM could be read.
async fn of_image(
    image: &LockedImage,
    pulled: &PulledImage,
    path: &Utf8Path,
    generated: &GeneratedSboms,
    client: &Client,
) -> Result<Option<Vec<FoundLicense>>, CommandError> {
    let mut found = FoundLicenses::default();
    let beside = RepositoryName::from(&image.reference);
    for entry in pulled.manifests.iter().filter(|entry| entry.carried) {
        let mut has_read = false;
        for sbom in pulled.sboms_of(entry) {
            if sbom.source == SbomSource::Generated {
                for locked in pulled.sboms.iter().filter(|one| one.digest == sbom.digest) {
                    has_read |= found.read(&generated.read(locked, path)?);
                }
                continue;
            }
            let (repository, blobs) = blobs_of(pulled, sbom.digest);
            for blob in blobs {
                let repository = repository.unwrap_or(&beside);
                let descriptor = blob.descriptor();
                let bytes = client
                    .blob_bytes(repository, &descriptor, MAX_SBOM_BYTES)
                    .await?;
                has_read |= found.read(&bytes);
            }
        }
        if !has_read {
            return Ok(None);
        }
    }
    Ok(Some(found.into_sorted()))
}

/// Where the layers of an attestation or artifact are.
fn blobs_of(pulled: &PulledImage, manifest: Digest) -> (Option<&RepositoryName>, &[Blob]) {
    let mut attestations = pulled.attestations.iter();
    if let Some(found) = attestations.find(|one| one.manifest.digest == manifest) {
        return (None, &found.layers);
    }
    let mut referrers = pulled.carried_referrers();
    referrers
        .find(|one| one.manifest.digest == manifest)
        .map_or((None, &[]), |one| (one.repository.as_ref(), &one.blobs))
}
