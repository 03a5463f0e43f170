//! Whether a lock agrees with itself.
//!
//! Says nothing about whether it fits a manifest or a registry; a lock that passes can be laid out
//! as an archive.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::{Lock, LockedChartSource, LockedContent, LockedReferrer};
use crate::{evidence::CosignTag, policy::SubjectKind};
use rune_core::digest::Digest;

/// The largest size that every JSON reader keeps exactly; the bundle's index is JSON.
const MAX_SIZE: u64 = (1 << 53) - 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("{0} is there twice")]
    Duplicate(String),
    #[error("{digest} has {one} bytes in one place and {other} in another")]
    Sizes {
        digest: Digest,
        one: u64,
        other: u64,
    },
    #[error("{digest} is said to have {size} bytes")]
    Size { digest: Digest, size: u64 },
    #[error("{of}: whether {manifest} is included does not follow from `platforms`")]
    Carried { of: String, manifest: Digest },
    #[error("{of}: {referrer} is included, and what it is about is not")]
    Referrer { of: String, referrer: Digest },
    #[error("{of}: the SBOM {sbom} is about nothing that is included")]
    Sbom { of: String, sbom: Digest },
    #[error("{of}: `{tag}` is not a tag for what is about {subject}")]
    ReferrerTag {
        of: String,
        subject: Digest,
        tag: String,
    },
    #[error("program `{0}` needs either `path` or `url`")]
    Program(String),
    #[error("{0} is not an index, but its only manifest is not its root")]
    Root(String),
    #[error("{0} is an artifact, but not all of it is included")]
    Artifact(String),
}

impl Lock {
    /// Finds the first thing that cannot be true.
    pub(super) fn check(&self) -> Result<(), Contradiction> {
        let mut sizes: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut names = BTreeSet::new();
        if let Some(binary) = self
            .binaries
            .iter()
            .find(|binary| binary.path.is_some() == binary.url.is_some())
        {
            return Err(Contradiction::Program(binary.name.clone()));
        }
        let charts = self.charts.iter().filter_map(|chart| match &chart.source {
            LockedChartSource::Registry { digest, size, .. }
            | LockedChartSource::Repository { digest, size, .. }
            | LockedChartSource::Archive { digest, size, .. } => Some((*digest, *size)),
            LockedChartSource::Directory { .. } => None,
        });
        let files = self.files.iter().map(|file| (file.digest, file.size));
        let binaries = self
            .binaries
            .iter()
            .map(|binary| (binary.digest, binary.size));
        let sboms = self.sboms().map(|sbom| (sbom.digest, sbom.size));
        if let Some((digest, size)) = charts
            .chain(files)
            .chain(binaries)
            .chain(sboms)
            .find(|(_, size)| *size > MAX_SIZE)
        {
            return Err(Contradiction::Size { digest, size });
        }
        for (kind, image) in self.images_and_artifacts() {
            let of = kind.label(&image.name);
            if !names.insert(of.clone()) {
                return Err(Contradiction::Duplicate(of));
            }
            let is_artifact = kind == SubjectKind::Artifact;
            let pulled = match &image.content {
                LockedContent::Registry(pulled) => pulled,
                LockedContent::Build(_) if is_artifact => return Err(Contradiction::Artifact(of)),
                LockedContent::Build(_) => continue,
            };
            for blob in pulled.blobs() {
                if blob.size > MAX_SIZE {
                    return Err(Contradiction::Size {
                        digest: blob.digest,
                        size: blob.size,
                    });
                }
                match sizes.entry(blob.digest) {
                    Entry::Occupied(known) if *known.get() != blob.size => {
                        return Err(Contradiction::Sizes {
                            digest: blob.digest,
                            one: *known.get(),
                            other: blob.size,
                        });
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(place) => _ = place.insert(blob.size),
                }
            }
            if is_artifact && !pulled.is_whole_artifact() {
                return Err(Contradiction::Artifact(of));
            }
            if !is_artifact
                && !pulled.is_index()
                && !matches!(pulled.manifests.as_slice(), [only] if only.manifest == pulled.root)
            {
                return Err(Contradiction::Root(of));
            }
            if let Some(referrer) = pulled.first_stray_referrer() {
                return Err(Contradiction::Referrer { of, referrer });
            }
            if let Some(sbom) = pulled.first_stray_sbom() {
                return Err(Contradiction::Sbom { of, sbom });
            }
            let is_misplaced = |referrer: &&LockedReferrer| {
                let tag = referrer.tag.as_ref();
                tag.is_some_and(|tag| !CosignTag::is_for(tag, referrer.subject))
            };
            if let Some(referrer) = pulled.referrers.iter().find(is_misplaced) {
                return Err(Contradiction::ReferrerTag {
                    of,
                    subject: referrer.subject,
                    tag: referrer.tag.clone().unwrap_or_default(),
                });
            }
            let wrong = pulled.first_wrongly_carried(&self.platforms);
            if let Some(manifest) = wrong {
                return Err(Contradiction::Carried { of, manifest });
            }
        }
        Ok(())
    }
}
