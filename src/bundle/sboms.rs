//! Which SBOMs a bundle has of each platform of an image.

use serde::{Deserialize, Serialize};

use super::{Documents, ImageRecord, ManifestRecord, index::blob_path};
use crate::{
    archive::EntryName,
    evidence::{FoundSbom, SbomFormat},
    oci::{Descriptor, Manifest, ManifestKind},
    policy::LicenseExpression,
};
use rune_core::digest::Digest;

#[derive(Debug)]
pub struct SbomIngredient {
    pub(crate) manifest: Digest,
    pub(crate) format: SbomFormat,
    pub(crate) tool: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SbomRecord {
    pub(crate) manifest: Digest,
    pub(crate) format: SbomFormat,
    pub(crate) tool: String,
    pub(crate) path: EntryName,
    pub(crate) digest: Digest,
}

impl ImageRecord {
    /// Whether the manifest declares a licence for the image, as one of those that it has.
    pub(crate) fn declares(&self, license: &str) -> bool {
        let stated = self.license.as_deref();
        let stated = stated.and_then(|stated| LicenseExpression::parse(stated).ok());
        let stated = stated.map_or_else(Vec::new, |stated| stated.licenses());
        stated
            .iter()
            .any(|stated| stated.eq_ignore_ascii_case(license))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PlatformSboms {
    pub(crate) platform: String,
    pub(crate) manifest: Digest,
    pub(crate) sboms: Vec<FoundSbom>,
}

impl PlatformSboms {
    pub(crate) fn sentences(&self) -> Vec<String> {
        self.sboms.iter().map(FoundSbom::sentence).collect()
    }
}

/// The attestation manifests within an image index that are about one of its manifests.
pub(super) fn attestations(
    image: &ImageRecord,
    documents: &Documents,
    manifest: Digest,
) -> Vec<Manifest> {
    let document = |descriptor: &Descriptor| {
        let bytes = documents.get(blob_path(descriptor.digest).as_str())?;
        Manifest::parse(bytes.clone(), Some(&descriptor.media_type)).ok()
    };
    let index = document(&image.target);
    let children = match index.as_ref().map(Manifest::kind) {
        Some(ManifestKind::Index { manifests, .. }) => manifests.as_slice(),
        _ => &[],
    };
    let about = children
        .iter()
        .filter(|child| child.attested_digest() == Some(manifest));
    about.filter_map(document).collect()
}

pub(super) fn of_image(image: &ImageRecord, documents: &Documents) -> Vec<PlatformSboms> {
    let is_alone = image.runnable().count() == 1;
    let of_platform = |manifest: &ManifestRecord| {
        let attested = attestations(image, documents, manifest.digest);
        let mut sboms: Vec<FoundSbom> = attested
            .iter()
            .flat_map(|found| FoundSbom::in_attestation(found.digest(), &found.predicate_types()))
            .collect();
        // What is about an image index with one image is about that image.
        let is_about = |subject: Digest| {
            subject == manifest.digest || (is_alone && subject == image.target.digest)
        };
        let referrers = image.carried_referrers();
        for referrer in referrers.filter(|referrer| is_about(referrer.subject)) {
            sboms.extend(FoundSbom::in_referrer(
                referrer.target.digest,
                referrer.target.artifact_type.as_deref(),
                &referrer.predicates,
                referrer.tag.as_deref(),
            ));
        }
        let generated = image.sboms.iter();
        let generated = generated.filter(|sbom| sbom.manifest == manifest.digest);
        sboms.extend(
            generated.map(|sbom| FoundSbom::generated(sbom.format, sbom.digest, &sbom.tool)),
        );
        PlatformSboms {
            platform: manifest.platform_name(),
            manifest: manifest.digest,
            sboms,
        }
    };
    image.carried_runnable().map(of_platform).collect()
}
