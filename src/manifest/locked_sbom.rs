//! The lock's entry of an SBOM that `lock` had generated, and the file beside the lock that has it.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{Lock, LockedContent, LockedManifest, PulledImage, platform_text};
use crate::{
    evidence::{FoundSbom, SbomFormat},
    oci::Platform,
};
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedSbom {
    pub(crate) manifest: Digest,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "platform_text::option"
    )]
    pub(crate) platform: Option<Platform>,
    pub(crate) format: SbomFormat,
    pub(crate) tool: String,
    /// Digest of its bytes, which is the name of the file.
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

const RESTORE: &str = "restore the file, or run `rune-bundle lock --syft` to generate it again";

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum SbomFileError {
    #[error("an SBOM of the lock is missing")]
    #[failure(inner: RESTORE)]
    Missing(#[source] PathError),
    #[error("the SBOM `{path}` is not the one of the lock, it has the digest {actual}")]
    #[failure(Drift: RESTORE)]
    Changed { path: Utf8PathBuf, actual: Digest },
    #[error(transparent)]
    File(PathError),
}

fn directory(lock: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{lock}.d/sha256"))
}

pub(crate) fn sbom_path(lock: &Utf8Path, digest: Digest) -> Utf8PathBuf {
    directory(lock).join(digest.hex())
}

impl LockedSbom {
    /// Reads it from beside the lock, and compares its digest.
    pub(crate) fn read(&self, lock: &Utf8Path) -> Result<Vec<u8>, SbomFileError> {
        let path = sbom_path(lock, self.digest);
        let bytes = fsx::read(&path, self.size).map_err(|error| match error.kind() {
            FailureKind::NotFound => SbomFileError::Missing(error),
            _ => SbomFileError::File(error),
        })?;
        let actual = Digest::of(&bytes);
        if actual == self.digest {
            Ok(bytes)
        } else {
            Err(SbomFileError::Changed { path, actual })
        }
    }

    fn found(&self) -> FoundSbom {
        FoundSbom::generated(self.format, self.digest, &self.tool)
    }
}

impl PulledImage {
    /// The SBOMs of an included manifest: those that its publisher has, then those of the lock.
    pub(crate) fn sboms_of(&self, entry: &LockedManifest) -> Vec<FoundSbom> {
        let generated = self.sboms.iter();
        let generated = generated.filter(|sbom| sbom.manifest == entry.manifest.digest);
        let mut sboms = self.published_sboms(entry);
        sboms.extend(generated.map(LockedSbom::found));
        sboms
    }

    fn published_sboms(&self, entry: &LockedManifest) -> Vec<FoundSbom> {
        let is_alone = self.manifests.len() == 1;
        let digest = entry.manifest.digest;
        let attested = self
            .attestations
            .iter()
            .filter(|attestation| attestation.carried && attestation.attests == digest);
        let attested = attested.flat_map(|attestation| {
            FoundSbom::in_attestation(attestation.manifest.digest, &attestation.predicates)
        });
        // What is about an image index with one image is about that image.
        let is_about =
            |subject: Digest| subject == digest || (is_alone && subject == self.root.digest);
        let referrers = self.carried_referrers();
        let found = referrers.filter(|referrer| is_about(referrer.subject));
        let found = found.flat_map(|referrer| {
            FoundSbom::in_referrer(
                referrer.manifest.digest,
                referrer.artifact_type.as_deref(),
                &referrer.predicates,
                referrer.tag.as_deref(),
            )
        });
        attested.chain(found).collect()
    }

    /// The included manifests of which the publisher has no SBOM, each once.
    pub(crate) fn without_published_sbom(&self) -> Vec<&LockedManifest> {
        let mut seen = BTreeSet::new();
        let entries = self.manifests.iter();
        entries
            .filter(|entry| entry.carried && self.published_sboms(entry).is_empty())
            .filter(|entry| seen.insert(entry.manifest.digest))
            .collect()
    }

    pub(super) fn first_stray_sbom(&self) -> Option<Digest> {
        let is_stray = |sbom: &&LockedSbom| !self.carries(sbom.manifest);
        self.sboms.iter().find(is_stray).map(|sbom| sbom.digest)
    }
}

impl Lock {
    pub(crate) fn keep_licenses(&mut self, old: &Self) {
        for image in &mut self.images {
            let before = old.image(&image.name).map(|image| &image.content);
            if let (LockedContent::Registry(pulled), Some(LockedContent::Registry(before))) =
                (&mut image.content, before)
                && pulled.root == before.root
            {
                pulled.found_licenses.clone_from(&before.found_licenses);
            }
        }
        self.set_format();
    }

    pub(crate) fn keep_sboms(&mut self, old: &Self) {
        for image in &mut self.images {
            let before = old.image(&image.name).map(|image| &image.content);
            let (LockedContent::Registry(pulled), Some(LockedContent::Registry(before))) =
                (&mut image.content, before)
            else {
                continue;
            };
            let kept = before.sboms.iter();
            let kept = kept.filter(|sbom| pulled.carries(sbom.manifest));
            pulled.sboms = kept.cloned().collect();
        }
        self.set_format();
    }

    pub(crate) fn sboms(&self) -> impl Iterator<Item = &LockedSbom> {
        self.images.iter().flat_map(|image| match &image.content {
            LockedContent::Registry(pulled) => pulled.sboms.as_slice(),
            LockedContent::Build(_) => &[],
        })
    }

    pub(crate) fn remove_other_sboms(&self, lock: &Utf8Path) -> Result<(), PathError> {
        let directory = directory(lock);
        if !fsx::is_dir(&directory) {
            return Ok(());
        }
        let named: BTreeSet<String> = self.sboms().map(|sbom| sbom.digest.hex()).collect();
        for name in fsx::file_names(&directory)? {
            if Digest::from_hex(&name).is_ok() && !named.contains(&name) {
                fsx::remove_file(&directory.join(name))?;
            }
        }
        Ok(())
    }
}
