//! The lock's entry of an image: every descriptor that a build has to lay out, with its size.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::{LockedReferrer, LockedSbom, Platforms, platform_text};
use crate::{
    evidence::FoundLicense,
    oci::{Descriptor, Platform, Reference, media_type},
    registry::RepositoryName,
};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedImage {
    pub(crate) name: String,
    pub(crate) reference: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    /// Whether it is included although no chart refers to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) extra: bool,
    /// Other tags that the charts have for its digest, and that the registry had for it, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_tags: Vec<String>,
    pub(crate) content: LockedContent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "there are few of them")]
pub(crate) enum LockedContent {
    Registry(PulledImage),
    Build(BuiltImage),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PulledImage {
    /// What the reference resolves to: an image index, or a single image manifest.
    pub(crate) root: Blob,
    /// The image manifests, in the order of the image index; exactly the root for a single image,
    /// none of an artifact.
    pub(crate) manifests: Vec<LockedManifest>,
    /// The attestation manifests of the image index, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attestations: Vec<LockedAttestation>,
    /// The indexes within the image index; what they list is among the other lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) indexes: Vec<LockedIndex>,
    /// Everything else that the image index lists, such as artifacts beside the images; exactly the
    /// root for a single artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) artifacts: Vec<LockedArtifact>,
    /// Digests of entries that cannot be verified here, because they are of an algorithm other than
    /// SHA-256. They are never included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unsupported: Vec<String>,
    /// Artifacts about what is included of it, such as signatures, sorted by subject and digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) referrers: Vec<LockedReferrer>,
    /// SBOMs that `lock` had generated, in the order of the manifests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sboms: Vec<LockedSbom>,
    /// The licences that the SBOMs of what is included state, sorted; absent when nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) found_licenses: Option<Vec<FoundLicense>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedIndex {
    /// Whether the bundle includes it: when it includes anything below it, or everything.
    pub(crate) carried: bool,
    pub(crate) manifest: Blob,
}

/// A manifest in an index that is neither an image nor an attestation, or that nobody read because
/// it is not included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedArtifact {
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "platform_text::option"
    )]
    pub(crate) platform: Option<Platform>,
    /// What kind of artifact it is, as the image index says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) carried: bool,
    pub(crate) manifest: Blob,
    /// Its configuration and layers, when it is included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) blobs: Vec<Blob>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedManifest {
    /// What it is for; absent when neither index nor configuration say so.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "platform_text::option"
    )]
    pub(crate) platform: Option<Platform>,
    /// Whether the bundle includes it; the manifest's `platforms` decide.
    pub(crate) carried: bool,
    pub(crate) manifest: Blob,
    /// Its configuration; not read unless it is included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Blob>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<Blob>,
}

/// An attestation manifest: what somebody says about one image manifest of the same index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedAttestation {
    pub(crate) attests: Digest,
    /// Whether the bundle includes it; so it does when it includes the manifest.
    pub(crate) carried: bool,
    /// The in-toto predicate types of its layers, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) predicates: Vec<String>,
    pub(crate) manifest: Blob,
    /// Its configuration; not read unless it is included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Blob>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) layers: Vec<Blob>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BuiltImage {
    /// The programs, sorted by platform. The first one of a platform is what a container runs.
    pub(crate) binaries: Vec<BuiltBinary>,
}

/// A program of one platform in an image that is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BuiltBinary {
    #[serde(with = "platform_text")]
    pub(crate) platform: Platform,
    pub(crate) path: Utf8PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl BuiltBinary {
    /// Its name in an image of several programs: that of the file.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().unwrap_or_default()
    }
}

impl BuiltImage {
    pub(crate) fn beside(&self) -> impl Iterator<Item = &BuiltBinary> {
        let pairs = self.binaries.iter().zip(self.binaries.iter().skip(1));
        pairs
            .filter(|(before, binary)| before.platform == binary.platform)
            .map(|(_, binary)| binary)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Blob {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// One manifest of an image with everything that belongs to it, whatever its role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ManifestContent<'a> {
    pub(crate) carried: bool,
    pub(crate) manifest: &'a Blob,
    pub(crate) config: Option<&'a Blob>,
    pub(crate) layers: &'a [Blob],
}

impl<'a> ManifestContent<'a> {
    fn blobs(self) -> impl Iterator<Item = &'a Blob> {
        std::iter::once(self.manifest)
            .chain(self.config)
            .chain(self.layers)
    }
}

/// Which of several images are included. What says nothing about its platform is included always:
/// nobody could tell that it is not needed.
pub(super) fn carried(platforms: &Platforms, images: &[Option<&Platform>]) -> Vec<bool> {
    let known: Vec<&Platform> = images
        .iter()
        .flatten()
        .copied()
        .filter(|platform| !platform.is_unknown())
        .collect();
    let is_carried = |platform: Option<&Platform>| {
        platform.is_none_or(|platform| platform.is_unknown() || platforms.choose(platform, &known))
    };
    images.iter().copied().map(is_carried).collect()
}

impl PulledImage {
    pub(crate) fn is_index(&self) -> bool {
        matches!(
            self.root.media_type.as_str(),
            media_type::INDEX | media_type::DOCKER_LIST
        )
    }

    /// Whether every manifest of the image index is included.
    pub(crate) fn is_complete(&self) -> bool {
        self.unsupported.is_empty() && self.contents().all(|content| content.carried)
    }

    pub(crate) fn artifact_type(&self) -> Option<&str> {
        match self.artifacts.as_slice() {
            [only] if only.manifest == self.root => only.artifact_type.as_deref(),
            _ => None,
        }
    }

    /// Whether nothing of it runs, and nothing is left out.
    pub(super) fn is_whole_artifact(&self) -> bool {
        let is_rooted = self.is_index()
            || matches!(self.artifacts.as_slice(), [only] if only.manifest == self.root);
        is_rooted && self.manifests.is_empty() && self.attestations.is_empty() && self.is_complete()
    }

    /// Image manifests, attestation manifests, artifacts, and the indexes between them and the
    /// root.
    pub(crate) fn contents(&self) -> impl Iterator<Item = ManifestContent<'_>> {
        let images = self.manifests.iter().map(|entry| ManifestContent {
            carried: entry.carried,
            manifest: &entry.manifest,
            config: entry.config.as_ref(),
            layers: &entry.layers,
        });
        let attestations = self.attestations.iter().map(|entry| ManifestContent {
            carried: entry.carried,
            manifest: &entry.manifest,
            config: entry.config.as_ref(),
            layers: &entry.layers,
        });
        let artifacts = self.artifacts.iter().map(|entry| ManifestContent {
            carried: entry.carried,
            manifest: &entry.manifest,
            config: None,
            layers: &entry.blobs,
        });
        let indexes = self.indexes.iter().map(|entry| ManifestContent {
            carried: entry.carried,
            manifest: &entry.manifest,
            config: None,
            layers: &[],
        });
        images.chain(attestations).chain(artifacts).chain(indexes)
    }

    /// Every blob that the bundle includes: the root, then each included manifest, its
    /// configuration and layers, then the same of its referrers. A blob that several manifests
    /// share comes several times.
    pub(crate) fn carried_blobs(&self) -> impl Iterator<Item = &Blob> {
        self.placed_blobs().map(|(_, blob)| blob)
    }

    /// The same with where the registry has each, when that is not the repository of the image.
    pub(crate) fn placed_blobs(&self) -> impl Iterator<Item = (Option<&RepositoryName>, &Blob)> {
        let carried = self.contents().filter(|content| content.carried);
        let beside = std::iter::once(&self.root).chain(carried.flat_map(ManifestContent::blobs));
        let referrers = self.carried_referrers().flat_map(|referrer| {
            let repository = referrer.repository.as_ref();
            referrer.blobs().map(move |blob| (repository, blob))
        });
        beside.map(|blob| (None, blob)).chain(referrers)
    }

    /// Decides anew what of the images and of what is attested about them is included.
    pub(super) fn choose(&mut self, platforms: &Platforms) {
        let carried = carried(platforms, &self.platforms());
        for (entry, carried) in self.manifests.iter_mut().zip(carried) {
            entry.carried = carried;
        }
        let mut attestations = std::mem::take(&mut self.attestations);
        for entry in &mut attestations {
            entry.carried = self.carries_attestation_of(entry.attests, platforms);
        }
        self.attestations = attestations;
    }

    fn platforms(&self) -> Vec<Option<&Platform>> {
        self.manifests
            .iter()
            .map(|entry| entry.platform.as_ref())
            .collect()
    }

    /// The first manifest whose `carried` does not follow from the chosen platforms.
    pub(super) fn first_wrongly_carried(&self, platforms: &Platforms) -> Option<Digest> {
        let expected = carried(platforms, &self.platforms());
        let wrong = self
            .manifests
            .iter()
            .zip(expected)
            .find(|(entry, carried)| entry.carried != *carried);
        wrong.map(|(entry, _)| entry.manifest.digest).or_else(|| {
            let is_wrong = |entry: &&LockedAttestation| {
                entry.carried != self.carries_attestation_of(entry.attests, platforms)
            };
            self.attestations
                .iter()
                .find(is_wrong)
                .map(|entry| entry.manifest.digest)
        })
    }

    /// Whether what is attested about an image manifest is included: with the manifest, and in any
    /// case when everything is.
    pub(super) fn carries_attestation_of(&self, manifest: Digest, platforms: &Platforms) -> bool {
        *platforms == Platforms::All || self.carries(manifest)
    }

    pub(crate) fn carries(&self, manifest: Digest) -> bool {
        self.manifests
            .iter()
            .any(|entry| entry.carried && entry.manifest.digest == manifest)
    }

    /// Every blob of the image, included or not, in the order of [`Self::carried_blobs`].
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.root)
            .chain(self.contents().flat_map(ManifestContent::blobs))
            .chain(self.referrers.iter().flat_map(LockedReferrer::blobs))
    }
}

impl Blob {
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest,
            size: self.size,
            platform: None,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }
}

impl From<&Descriptor> for Blob {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest,
            size: descriptor.size,
        }
    }
}
