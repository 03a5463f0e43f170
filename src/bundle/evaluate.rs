//! Evaluating what a bundle includes by the policy of whoever receives it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    BundleIndex, ContentError, Documents, ImageRecord, OpenBundle,
    index::blob_path,
    sboms::{self, attestations},
};
use crate::{
    evidence::{ImageAttestation, attestations_of, is_attestation, may_attest, signatures_of},
    oci::Manifest,
    policy::{
        self, Evaluation, ImageContent, ImageSubject, Policy, SignedImage, Subject, SubjectKind,
    },
};
use rune_core::digest::Digest;

pub(crate) fn needs_attestations(index: &BundleIndex, policy: &Policy) -> bool {
    let demanded = |image: &ImageRecord| policy.demanded_attestations(&image.reference.name());
    let mut images = index.images_and_artifacts();
    images.any(|image| !demanded(image).is_empty())
}

/// Evaluates every image of a verified bundle, and where its charts come from. What is attested
/// about an image is read from the attestation manifests inside; `bundle` has the attestations that
/// are signed, which only a policy that needs them asks for.
pub(crate) fn evaluate(
    index: &BundleIndex,
    documents: &Documents,
    policy: &Policy,
    bundle: Option<&OpenBundle>,
) -> Result<Evaluation, ContentError> {
    let subject = |kind: SubjectKind, image: &ImageRecord| {
        let mut signed = signed(index, image, documents);
        let demanded = policy.demanded_attestations(&image.reference.name());
        if let (Some(bundle), false) = (bundle, demanded.is_empty()) {
            signed.attestations = signed_attestations(image, documents, &demanded, bundle)?;
        }
        let content = ImageContent::Pinned {
            attested: attested(image, documents),
            sboms: sboms::of_image(image, documents)
                .into_iter()
                .map(|found| (found.platform, found.sboms))
                .collect(),
            found_licenses: image.found_licenses.clone(),
            signed,
        };
        Ok(Subject::Image(ImageSubject {
            kind,
            name: image.name.clone(),
            reference: image.reference.clone(),
            license: image.license.clone(),
            tag_pin: index
                .completeness
                .tag_pin(&image.name)
                .map(|pin| pin.reason.clone()),
            content,
        }))
    };
    let charts = index.charts.iter().filter_map(|chart| {
        let origin = index.origins.get(&chart.path)?;
        let place = origin
            .split_once("://")
            .map_or(origin.as_str(), |(_, place)| place)
            .trim_end_matches('/');
        // In a registry the last part of the place is the name.
        let is_named = origin.starts_with("oci://");
        let place = if is_named {
            place.to_owned()
        } else {
            format!("{place}/{}", chart.name)
        };
        Some(Ok(Subject::Chart {
            name: chart.name.clone(),
            place,
        }))
    });
    let images = index.images.iter();
    let images = images.map(|image| subject(SubjectKind::Image, image));
    let artifacts = index.artifacts.iter();
    let artifacts = artifacts.map(|artifact| subject(SubjectKind::Artifact, artifact));
    let subjects = images.chain(artifacts).chain(charts);
    let subjects = subjects.collect::<Result<Vec<_>, ContentError>>()?;
    Ok(policy::evaluate(policy, &index.version, &subjects))
}

fn signed_attestations(
    image: &ImageRecord,
    documents: &Documents,
    predicate_types: &[&str],
    bundle: &OpenBundle,
) -> Result<Vec<ImageAttestation>, ContentError> {
    let mut found = Vec::new();
    for referrer in image.carried_referrers() {
        let target = &referrer.target;
        let bytes = documents.get(blob_path(target.digest).as_str());
        let bytes = bytes.filter(|_| may_attest(&referrer.predicates, predicate_types));
        let Some(manifest) =
            bytes.and_then(|bytes| Manifest::parse(bytes.clone(), Some(&target.media_type)).ok())
        else {
            continue;
        };
        let mut contents = BTreeMap::new();
        for layer in manifest.children() {
            if is_attestation(&layer.media_type, layer.size)
                && let Some(bytes) = bundle.whole(layer.digest)?
            {
                contents.insert(layer.digest, bytes);
            }
        }
        found.extend(attestations_of(&manifest, |layer| {
            contents.get(&layer).cloned()
        }));
    }
    Ok(found)
}

fn signed(index: &BundleIndex, image: &ImageRecord, documents: &Documents) -> SignedImage {
    let content = |digest: Digest| documents.get(blob_path(digest).as_str()).cloned();
    let found = image
        .carried_referrers()
        .map(|referrer| (referrer.subject, &referrer.target));
    let made = index
        .image_signatures()
        .map(|record| (record.subject, &record.target));
    let about_image = found
        .chain(made)
        .filter(|(subject, _)| *subject == image.target.digest);
    let manifests = about_image.filter_map(|(_, target)| {
        let bytes = content(target.digest)?;
        Manifest::parse(bytes, Some(&target.media_type)).ok()
    });
    SignedImage {
        digest: Some(image.target.digest),
        manifests: image
            .carried_runnable()
            .map(|manifest| (manifest.platform_name(), manifest.digest))
            .collect(),
        signatures: Some(
            manifests
                .flat_map(|manifest| signatures_of(&manifest, content))
                .collect(),
        ),
        ..SignedImage::default()
    }
}

/// Each included platform with the predicate types of what is attested about it.
fn attested(image: &ImageRecord, documents: &Documents) -> Vec<(String, Vec<String>)> {
    let described = image.carried_runnable().map(|manifest| {
        let platform = manifest
            .platform
            .as_ref()
            .map_or_else(|| manifest.digest.to_string(), ToString::to_string);
        let predicates: BTreeSet<String> = attestations(image, documents, manifest.digest)
            .iter()
            .flat_map(Manifest::predicate_types)
            .collect();
        (platform, predicates.into_iter().collect())
    });
    described.collect()
}
