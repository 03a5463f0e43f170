//! What changed among the packages of an image, where it is known: when both bundles include an
//! SBOM.
//!
//! An SBOM is what `BuildKit` puts into an attestation manifest, a layer with an in-toto statement
//! whose predicate is an SPDX document, or what was generated when the image was locked, a
//! `CycloneDX` document. Sources: `BuildKit`, `docs/attestations/sbom.md`; SPDX 2.3,
//! `packages[].name` and `packages[].versionInfo`; `CycloneDX` 1.6, `components`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{DiffError, Difference};
use crate::{
    bundle::{BundleView, ContentError, ImageRecord, ManifestRecord, Role},
    oci::{Descriptor, PREDICATE_TYPE},
};

const SPDX: &str = "https://spdx.dev/Document";
/// The package that stands for the image as a whole.
const ROOT: &str = "SPDXRef-DocumentRoot";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackagesDiff {
    pub(crate) platforms: Vec<String>,
    pub(crate) known: bool,
    pub(crate) why: Option<String>,
    /// The packages with their versions; several versions of one package are separated by commas.
    pub(crate) differences: Vec<Difference>,
}

type Packages = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize)]
struct Statement {
    predicate: Option<Document>,
}

#[derive(Deserialize)]
struct Document {
    packages: Option<Vec<Package>>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(rename = "SPDXID", default)]
    id: String,
    name: String,
    #[serde(rename = "versionInfo", default)]
    version: Option<String>,
}

#[derive(Deserialize)]
struct Generated {
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    r#type: String,
    name: String,
    version: Option<String>,
}

/// What changed, for each platform that both include and whose manifest is not the same.
pub(super) fn between(
    old: &BundleView,
    left: &ImageRecord,
    new: &BundleView,
    right: &ImageRecord,
) -> Result<Vec<PackagesDiff>, DiffError> {
    let mut found: Vec<PackagesDiff> = Vec::new();
    for manifest in right.carried_runnable() {
        let platform = manifest.platform_name();
        let before = left
            .carried_runnable()
            .find(|before| before.platform_name() == platform);
        let Some(before) = before.filter(|before| before.digest != manifest.digest) else {
            continue;
        };
        let (known, why, differences) = match (
            packages(old, left, before)?,
            packages(new, right, manifest)?,
        ) {
            (Some(old), Some(new)) => (true, None, differences(&old, &new)),
            (None, None) => (
                false,
                Some("neither bundle includes an SBOM".to_owned()),
                Vec::new(),
            ),
            (None, _) => (
                false,
                Some("the old bundle has no list of packages".to_owned()),
                Vec::new(),
            ),
            (_, None) => (
                false,
                Some("the new bundle has no list of packages".to_owned()),
                Vec::new(),
            ),
        };
        let same = |other: &&mut PackagesDiff| {
            other.known == known && other.why == why && other.differences == differences
        };
        match found.iter_mut().find(same) {
            Some(other) => other.platforms.push(platform),
            None => found.push(PackagesDiff {
                platforms: vec![platform],
                known,
                why,
                differences,
            }),
        }
    }
    Ok(found)
}

/// Whether a bundle includes a list of packages for a manifest of an image.
pub(crate) fn has_package_list(
    view: &BundleView,
    image: &ImageRecord,
    manifest: &ManifestRecord,
) -> Result<bool, ContentError> {
    Ok(packages(view, image, manifest)?.is_some())
}

fn packages(
    view: &BundleView,
    image: &ImageRecord,
    manifest: &ManifestRecord,
) -> Result<Option<Packages>, ContentError> {
    let about = |other: &&ManifestRecord| {
        other.role == Role::Attestation && other.carried && other.platform == manifest.platform
    };
    let attestations = image.manifests.iter().filter(about);
    let layers = attestations
        .filter_map(|attestation| view.parts(attestation.digest))
        .flat_map(|(_, layers)| layers);
    let is_spdx = |layer: &Descriptor| {
        layer
            .annotations
            .get(PREDICATE_TYPE)
            .is_some_and(|kind| kind == SPDX)
    };
    let mut found: Option<Packages> = None;
    for layer in layers.filter(is_spdx) {
        let Some(bytes) = view.content(layer.digest)? else {
            continue;
        };
        // What is not a list of packages says nothing about them.
        let statement = serde_json::from_slice::<Statement>(&bytes).ok();
        let Some(list) = statement.and_then(|statement| statement.predicate?.packages) else {
            continue;
        };
        let packages = found.get_or_insert_default();
        for package in list
            .into_iter()
            .filter(|package| !package.id.starts_with(ROOT))
        {
            packages
                .entry(package.name)
                .or_default()
                .extend(package.version);
        }
    }
    let generated = image.sboms.iter();
    for sbom in generated.filter(|sbom| sbom.manifest == manifest.digest) {
        let bytes = view.content(sbom.digest)?.unwrap_or_default();
        let Ok(Generated { components }) = serde_json::from_slice(&bytes) else {
            continue;
        };
        let packages = found.get_or_insert_default();
        // syft lists the files of packages, and the distribution, as components too.
        let is_package = |component: &Component| {
            !["file", "operating-system"].contains(&component.r#type.as_str())
        };
        for component in components.into_iter().filter(is_package) {
            packages
                .entry(component.name)
                .or_default()
                .extend(component.version);
        }
    }
    Ok(found)
}

fn differences(old: &Packages, new: &Packages) -> Vec<Difference> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let versions = |packages: &Packages, name: &String| {
        let versions: Vec<&str> = packages.get(name)?.iter().map(String::as_str).collect();
        Some(if versions.is_empty() {
            "no version".to_owned()
        } else {
            versions.join(", ")
        })
    };
    names
        .into_iter()
        .filter_map(|name| {
            Difference::between(name.clone(), versions(old, name), versions(new, name))
        })
        .collect()
}
