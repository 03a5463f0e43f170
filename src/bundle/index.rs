//! `bundle.json`: the bundle index that determines every later byte of the bundle.
//!
//! Canonical JSON, signed, at the head of the tar. Its SHA-256 is the *bundle digest*. Unknown
//! fields are refused: a reader that does not understand a part of a signed statement must not act
//! on the rest. `docs/bundle-format.md` documents the format and its compatibility rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AdvisoryRecord, Completeness, ImageSignatures, NamespaceRecord, ReferrerRecord, ReleaseRecord,
    SbomRecord,
};
use crate::{
    archive::{Entry, EntryName, EntryNameError, Layout, LayoutError, Mode},
    canonical_json::{self, CanonicalJsonError},
    evidence::FoundLicense,
    oci::{Descriptor, Platform, Reference},
    policy::SubjectKind,
    sign::{SLOT_BYTES, SLOTS},
};
use rune_core::{digest::Digest, failure::Failure};

pub(crate) const FORMAT: u64 = 1;

/// The ability to act on exceptions from the check of the charts, such as images that are named by
/// their tag.
const CHART_EXCEPTIONS: &str = "chart-exceptions";

/// The ability to find images where a policy says that objects name them.
const IMAGE_PLACES: &str = "image-places";

/// The ability to install a chart with a profile of its own only.
const PROFILE_CHARTS: &str = "profile-charts";

/// The ability to say where charts and files come from.
const ORIGINS: &str = "origins";

/// The ability to keep what is about an image together with it.
const REFERRERS: &str = "referrers";
/// The ability to install several releases together.
const RELEASES: &str = "releases";

/// The ability to publish signatures by whoever built the bundle, or to leave them out.
const IMAGE_SIGNATURES: &str = "image-signatures";

const ADVISORIES: &str = "advisories";
/// The ability to publish artifacts that are not run.
const ARTIFACTS: &str = "artifacts";

const NAMESPACES: &str = "namespaces";

/// The ability to show SBOMs that are entries of their own, and what SBOMs state.
const SBOMS: &str = "sboms";

/// The largest index that is read, in bytes.
pub(crate) const MAX_INDEX_BYTES: u64 = 16 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleIndex {
    pub(crate) format: u64,
    pub requires: Vec<String>,
    pub name: String,
    pub version: semver::Version,
    pub(crate) tool: String,
    /// The digest of the bundle that this one succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predecessor: Option<Digest>,
    /// Every entry after the bundle index and the slots, in the order of the archive.
    pub entries: Vec<EntryRecord>,
    pub images: Vec<ImageRecord>,
    /// Other artifacts of registries; all of each is included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) artifacts: Vec<ImageRecord>,
    pub charts: Vec<ChartRecord>,
    /// The ways in which the charts are meant to be installed.
    pub profiles: Vec<ProfileRecord>,
    /// What is installed together, in this order; empty when one chart is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) releases: Vec<ReleaseRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) namespaces: Vec<NamespaceRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Migrations>,
    pub(crate) binaries: Vec<BinaryRecord>,
    /// Where charts, programs and files come from that are not of the project, by entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) origins: BTreeMap<EntryName, String>,
    pub(crate) policy: PolicyRecord,
    /// Whether the charts were rendered to prove that no image is missing.
    pub completeness: Completeness,
    /// Signatures of images and charts by whoever built the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_signatures: Option<ImageSignatures>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) advisories: Vec<AdvisoryRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryRecord {
    pub path: EntryName,
    pub size: u64,
    /// The SHA-256 of its content, 64 hex digits.
    #[serde(with = "hex_digest")]
    pub sha256: Digest,
    #[serde(with = "octal_mode")]
    pub mode: Mode,
}

/// One image or artifact: what it is called, what its reference resolved to, and what of it is
/// included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageRecord {
    pub name: String,
    pub reference: Reference,
    pub target: Descriptor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) license: Option<String>,
    /// The manifests that `target` leads to, itself included when it is not an index.
    pub manifests: Vec<ManifestRecord>,
    /// The image index of the included manifests alone, when others were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduced_index: Option<Descriptor>,
    /// Artifacts about what is included of it, such as signatures, sorted by subject and digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<ReferrerRecord>,
    /// SBOMs that were generated when it was locked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sboms: Vec<SbomRecord>,
    /// The licences that its SBOMs state, sorted; absent when nobody read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) found_licenses: Option<Vec<FoundLicense>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestRecord {
    pub digest: Digest,
    pub role: Role,
    /// The platform it runs on; for an attestation, the platform it speaks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whether it, with everything it refers to, is in the bundle.
    pub carried: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Image,
    /// A statement about an image, such as an SBOM or provenance.
    Attestation,
    Index,
    /// Something else that stands beside the images.
    Artifact,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChartRecord {
    pub name: String,
    pub version: String,
    pub path: EntryName,
    /// The manifest of the same chart as an OCI artifact.
    pub artifact: Descriptor,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRecord {
    pub name: String,
    /// Names of the charts that it installs; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<String>,
    /// The entries with its values, in the order in which Helm is to take them.
    pub values: Vec<EntryName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Migrations {
    pub(crate) schema_version: u32,
    pub files: Vec<MigrationRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationRecord {
    pub(crate) version: u32,
    pub path: EntryName,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BinaryRecord {
    pub(crate) name: String,
    pub(crate) platform: Platform,
    pub(crate) path: EntryName,
}

/// What the policy decided when the bundle was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRecord {
    /// The SHA-256 of the policy file, 64 hex digits.
    #[serde(with = "hex_digest")]
    pub sha256: Digest,
    /// The violations that a waiver allowed, each as one sentence.
    pub waived: Vec<String>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub enum IndexError {
    #[error("`bundle.json` is not an index of this format")]
    Form(#[source] CanonicalJsonError),
    #[error("the bundle has format {0}, this program reads format {FORMAT}")]
    #[failure(help: "use the version of rune-bundle that came with the bundle, or a newer one")]
    Format(u64),
    #[error("the bundle requires `{0}`, which this program does not know")]
    #[failure(help: "use the version of rune-bundle that came with the bundle, or a newer one")]
    Requires(String),
    #[error("the entries of the bundle index cannot form an archive")]
    Layout(#[from] LayoutError),
    /// A name of the fixed part is malformed; does not happen.
    #[error("the fixed part of the archive is malformed")]
    Name(#[from] EntryNameError),
}

/// Only the two fields that decide whether the rest can be understood.
#[derive(Deserialize)]
struct Preamble {
    format: u64,
    requires: Vec<String>,
}

impl ProfileRecord {
    pub(crate) fn is_for(&self, chart: &str) -> bool {
        self.charts.is_empty() || self.charts.iter().any(|name| name == chart)
    }
}

impl ImageRecord {
    /// The manifests that run, included or left out; all but the attestations.
    pub(crate) fn runnable(&self) -> impl Iterator<Item = &ManifestRecord> {
        self.manifests
            .iter()
            .filter(|manifest| manifest.role == Role::Image)
    }

    pub(crate) fn carried_runnable(&self) -> impl Iterator<Item = &ManifestRecord> {
        self.runnable().filter(|manifest| manifest.carried)
    }
}

impl ManifestRecord {
    /// The platform, as people call it. Not escaped.
    pub(crate) fn platform_name(&self) -> String {
        self.platform.as_ref().map_or_else(
            || "any platform".to_owned(),
            |platform| {
                platform.os_version.as_ref().map_or_else(
                    || platform.to_string(),
                    |version| format!("{platform} {version}"),
                )
            },
        )
    }
}

impl BundleIndex {
    pub(super) fn required_abilities(&self) -> Vec<String> {
        let has_profile_charts = self
            .profiles
            .iter()
            .any(|profile| !profile.charts.is_empty());
        let has_referrers = self
            .images_and_artifacts()
            .any(|image| !image.referrers.is_empty());
        let abilities = [
            (CHART_EXCEPTIONS, self.completeness.has_exceptions()),
            (IMAGE_PLACES, self.completeness.has_places()),
            (PROFILE_CHARTS, has_profile_charts),
            (ORIGINS, !self.origins.is_empty()),
            (REFERRERS, has_referrers),
            (RELEASES, !self.releases.is_empty()),
            (NAMESPACES, !self.namespaces.is_empty()),
            (IMAGE_SIGNATURES, self.image_signatures.is_some()),
            (ADVISORIES, !self.advisories.is_empty()),
            (ARTIFACTS, !self.artifacts.is_empty()),
            (
                SBOMS,
                self.images
                    .iter()
                    .any(|image| !image.sboms.is_empty() || image.found_licenses.is_some()),
            ),
        ];
        let needed = abilities.into_iter().filter(|(_, is_needed)| *is_needed);
        needed.map(|(word, _)| word.to_owned()).collect()
    }

    pub(crate) fn images_and_artifacts(&self) -> impl Iterator<Item = &ImageRecord> {
        self.images.iter().chain(&self.artifacts)
    }

    /// The names of the images and artifacts whose licence nobody stated, and that no waiver lets
    /// through either.
    pub(crate) fn not_reviewed(&self) -> Vec<&str> {
        let is_waived = |kind: SubjectKind, image: &ImageRecord| {
            let beginning = format!("{}: rule `licenses`:", kind.label(&image.name));
            self.policy
                .waived
                .iter()
                .any(|waived| waived.starts_with(&beginning))
        };
        let images = self.images.iter().map(|image| (SubjectKind::Image, image));
        let artifacts = self.artifacts.iter();
        let unstated = images
            .chain(artifacts.map(|artifact| (SubjectKind::Artifact, artifact)))
            .filter(|(kind, image)| image.license.is_none() && !is_waived(*kind, image));
        unstated.map(|(_, image)| image.name.as_str()).collect()
    }

    /// Reads an index from bytes that must be its canonical form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexError> {
        let preamble: Preamble = serde_json::from_slice(bytes)
            .map_err(|error| IndexError::Form(CanonicalJsonError::Syntax(error)))?;
        if preamble.format != FORMAT {
            return Err(IndexError::Format(preamble.format));
        }
        let known = [
            CHART_EXCEPTIONS,
            IMAGE_PLACES,
            PROFILE_CHARTS,
            ORIGINS,
            REFERRERS,
            RELEASES,
            IMAGE_SIGNATURES,
            ADVISORIES,
            ARTIFACTS,
            NAMESPACES,
            SBOMS,
        ];
        if let Some(word) = preamble
            .requires
            .into_iter()
            .find(|word| !known.contains(&word.as_str()))
        {
            return Err(IndexError::Requires(word));
        }
        canonical_json::from_bytes(bytes).map_err(IndexError::Form)
    }

    /// The canonical bytes; their SHA-256 is the bundle digest.
    pub fn to_bytes(&self) -> Result<Vec<u8>, IndexError> {
        canonical_json::to_bytes(self).map_err(IndexError::Form)
    }

    /// The layout of the archive whose index has `index_bytes` bytes: index, slots, entries.
    pub fn layout(&self, index_bytes: u64) -> Result<Layout, IndexError> {
        let fixed = head_entries(index_bytes)?;
        let entries = self.entries.iter().map(|entry| Entry {
            name: entry.path.clone(),
            size: entry.size,
            mode: entry.mode,
        });
        Ok(Layout::new(fixed.into_iter().chain(entries))?)
    }
}

/// The entries that every bundle begins with: the bundle index and the signature slots.
pub(super) fn head_entries(index_bytes: u64) -> Result<Vec<Entry>, EntryNameError> {
    let entry = |name: String, size| {
        EntryName::new(name).map(|name| Entry {
            name,
            size,
            mode: Mode::Regular,
        })
    };
    let index = entry(INDEX_NAME.to_owned(), index_bytes);
    let slots = (0..SLOTS).map(|slot| {
        entry(
            format!("signatures/{slot}.sigstore.json"),
            SLOT_BYTES as u64,
        )
    });
    std::iter::once(index).chain(slots).collect()
}

pub(super) const INDEX_NAME: &str = "bundle.json";

pub(super) fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

mod hex_digest {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use rune_core::digest::Digest;

    pub(super) fn serialize<S: Serializer>(
        digest: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        Digest::from_hex(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

mod octal_mode {
    #![expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::archive::Mode;

    pub(super) fn serialize<S: Serializer>(mode: &Mode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match mode {
            Mode::Regular => "0644",
            Mode::Executable => "0755",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Mode, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "0644" => Ok(Mode::Regular),
            "0755" => Ok(Mode::Executable),
            other => Err(D::Error::custom(format!("`{other}` is not 0644 or 0755"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BundleIndex, Completeness, IndexError, PolicyRecord};
    use crate::policy::{Apart, FieldForm, ImageField, ImagePlaces};
    use rune_core::digest::Digest;

    fn empty() -> BundleIndex {
        BundleIndex {
            format: 1,
            requires: Vec::new(),
            name: "x".into(),
            version: semver::Version::new(1, 2, 3),
            tool: "rune-bundle 0.1.0".into(),
            predecessor: None,
            entries: Vec::new(),
            images: Vec::new(),
            artifacts: Vec::new(),
            charts: Vec::new(),
            profiles: Vec::new(),
            releases: Vec::new(),
            namespaces: Vec::new(),
            migrations: None,
            binaries: Vec::new(),
            origins: BTreeMap::new(),
            policy: PolicyRecord {
                sha256: Digest::of(b""),
                waived: Vec::new(),
            },
            completeness: Completeness::default(),
            image_signatures: None,
            advisories: Vec::new(),
        }
    }

    fn changed(from: &str, to: &str) -> Result<BundleIndex, IndexError> {
        let text = String::from_utf8(empty().to_bytes().unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        BundleIndex::from_bytes(text.replace(from, to).as_bytes())
    }

    #[test]
    fn reads_back_what_it_wrote() {
        assert_eq!(
            BundleIndex::from_bytes(&empty().to_bytes().unwrap()).unwrap(),
            empty()
        );
    }

    #[test]
    fn refuses_a_format_or_a_requirement_it_does_not_know() {
        assert!(matches!(
            changed("\"format\":1", "\"format\":2,\"novelty\":true"),
            Err(IndexError::Format(2))
        ));
        assert!(
            matches!(changed("\"requires\":[]", "\"requires\":[\"zstd\"]"), Err(IndexError::Requires(word)) if word == "zstd")
        );
    }

    #[test]
    fn the_places_that_a_policy_declares_are_kept_and_required() {
        let part = |text: &str| Some(text.to_owned());
        let apart = Apart {
            registry: part("host"),
            repository: "path".to_owned(),
            tag: part("tag"),
            ..Apart::default()
        };
        let field = |form| ImageField {
            kind: "App".to_owned(),
            path: "spec.image".to_owned(),
            form,
        };
        let forms = [
            FieldForm::References,
            FieldForm::Apart(apart),
            FieldForm::Template("a/b:{}".to_owned()),
        ];
        let places = ImagePlaces {
            options: vec!["--x".to_owned()],
            fields: forms.map(field).into(),
            ..ImagePlaces::default()
        };
        let completeness = Completeness::default().with_places(&places);
        let index = BundleIndex {
            completeness,
            ..empty()
        };
        let requires = index.required_abilities();
        assert_eq!(requires, ["image-places"]);
        let index = BundleIndex { requires, ..index };
        let read = BundleIndex::from_bytes(&index.to_bytes().unwrap()).unwrap();
        assert_eq!((&read, read.completeness.image_places()), (&index, places));
    }

    #[test]
    fn refuses_fields_it_does_not_know() {
        assert!(matches!(
            changed("\"images\":[]", "\"images\":[],\"imagez\":[]"),
            Err(IndexError::Form(_))
        ));
    }
}
