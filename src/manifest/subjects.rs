//! What the policy has to evaluate of a manifest, with what its lock knows.

use super::{
    BundleManifest, Chart, Evidence, ImageSource, Lock, LockedContent, LockedImage, LockedManifest,
    PulledImage,
};
use crate::{
    evidence::FoundSbom,
    oci::Platform,
    policy::{ImageContent, ImageSubject, SignedImage, Subject, SubjectKind},
};
use rune_core::digest::Digest;

/// Every image, every artifact and every chart from elsewhere of a manifest as the policy sees it.
/// Without a lock, pins and attestations are not checked; with one, an image that it does not have
/// counts as unpinned. Signatures are checked when they were fetched.
pub(crate) fn subjects(
    manifest: &BundleManifest,
    lock: Option<&Lock>,
    evidence: Option<&Evidence>,
) -> Vec<Subject> {
    let content = |locked: Option<&LockedImage>| match locked.map(|locked| &locked.content) {
        Some(LockedContent::Registry(pulled)) => ImageContent::Pinned {
            attested: attested(pulled),
            sboms: sboms(pulled),
            found_licenses: pulled.found_licenses.clone(),
            signed: evidence.map_or_else(
                || SignedImage {
                    digest: Some(pulled.root.digest),
                    ..SignedImage::default()
                },
                |evidence| evidence.of(pulled),
            ),
        },
        _ => ImageContent::Unpinned,
    };
    let image = |image: &super::Image| {
        let content = match (&image.source, lock) {
            (ImageSource::Build(build), _) => ImageContent::Built {
                platforms: build.binaries.keys().map(Platform::to_string).collect(),
                signed: evidence.map_or_else(|| Evidence::default().of_built(), Evidence::of_built),
            },
            (ImageSource::Registry(_), None) => ImageContent::Unresolved,
            (ImageSource::Registry(_), Some(lock)) => content(lock.image(&image.name)),
        };
        let (name, reference, license) = (
            image.name.clone(),
            image.reference().clone(),
            image.effective_license().map(str::to_owned),
        );
        Subject::Image(ImageSubject {
            kind: SubjectKind::Image,
            name,
            reference,
            license,
            tag_pin: None,
            content,
        })
    };
    let artifact = |artifact: &super::Artifact| {
        Subject::Image(ImageSubject {
            kind: SubjectKind::Artifact,
            name: artifact.name.clone(),
            reference: artifact.reference.clone(),
            license: artifact.license.clone(),
            tag_pin: None,
            content: lock.map_or(ImageContent::Unresolved, |lock| {
                content(lock.artifact(&artifact.name))
            }),
        })
    };
    let charts = manifest.charts.iter().filter_map(Chart::remote);
    let charts = charts.map(|chart| Subject::Chart {
        name: chart.name().to_owned(),
        place: chart.place(),
    });
    let images = manifest.images.iter().map(image);
    let artifacts = manifest.artifacts.iter().map(artifact);
    images.chain(artifacts).chain(charts).collect()
}

/// Each included platform with the predicate types of what is attested about it.
fn attested(image: &PulledImage) -> Vec<(String, Vec<String>)> {
    let carried = image.manifests.iter().filter(|entry| entry.carried);
    let described = carried.map(|entry| {
        let about = image
            .attestations
            .iter()
            .filter(|attestation| attestation.attests == entry.manifest.digest);
        (
            platform(entry),
            about
                .flat_map(|attestation| attestation.predicates.iter().cloned())
                .collect(),
        )
    });
    described.collect()
}

impl PulledImage {
    pub(super) fn carried_platforms(&self) -> Vec<(String, Digest)> {
        let carried = self.manifests.iter().filter(|entry| entry.carried);
        carried
            .map(|entry| (platform(entry), entry.manifest.digest))
            .collect()
    }
}

fn platform(entry: &LockedManifest) -> String {
    entry
        .platform
        .as_ref()
        .map_or_else(|| entry.manifest.digest.to_string(), ToString::to_string)
}

fn sboms(image: &PulledImage) -> Vec<(String, Vec<FoundSbom>)> {
    let carried = image.manifests.iter().filter(|entry| entry.carried);
    carried
        .map(|entry| (platform(entry), image.sboms_of(entry)))
        .collect()
}
