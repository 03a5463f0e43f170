//! Evaluating what a bundle includes by the policy of whoever receives it.

use std::collections::BTreeSet;

use super::{
    BundleIndex, Documents, ImageRecord,
    index::blob_path,
    sboms::{self, attestations},
};
use crate::{
    evidence::signatures_of,
    oci::Manifest,
    policy::{
        self, Evaluation, ImageContent, ImageSubject, Policy, SignedImage, Subject, SubjectKind,
    },
};
use rune_core::digest::Digest;

/// Evaluates every image of a verified bundle, and where its charts come from. What is attested
/// about an image is read from the attestation manifests inside.
pub(crate) fn evaluate(index: &BundleIndex, documents: &Documents, policy: &Policy) -> Evaluation {
    let subject = |kind: SubjectKind, image: &ImageRecord| {
        let content = ImageContent::Pinned {
            attested: attested(image, documents),
            sboms: sboms::of_image(image, documents)
                .into_iter()
                .map(|found| (found.platform, found.sboms))
                .collect(),
            found_licenses: image.found_licenses.clone(),
            signed: signed(index, image, documents),
        };
        Subject::Image(ImageSubject {
            kind,
            name: image.name.clone(),
            reference: image.reference.clone(),
            license: image.license.clone(),
            tag_pin: index
                .completeness
                .tag_pin(&image.name)
                .map(|pin| pin.reason.clone()),
            content,
        })
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
        Some(Subject::Chart {
            name: chart.name.clone(),
            place,
        })
    });
    let images = index.images.iter();
    let images = images.map(|image| subject(SubjectKind::Image, image));
    let artifacts = index.artifacts.iter();
    let artifacts = artifacts.map(|artifact| subject(SubjectKind::Artifact, artifact));
    policy::evaluate(
        policy,
        &index.version,
        &images.chain(artifacts).chain(charts).collect::<Vec<_>>(),
    )
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
        builder: None,
        locked_at: None,
        signatures: Some(
            manifests
                .flat_map(|manifest| signatures_of(&manifest, content))
                .collect(),
        ),
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
