//! What the policy has to judge of a manifest, with what its lock knows.

use super::{BundleManifest, Chart, Evidence, ImageSource, Lock, LockedContent, PulledImage};
use crate::policy::{ImageContent, ImageSubject, SignedImage, Subject};

/// Every image and every chart from elsewhere of a manifest as the policy sees it. Without a lock,
/// pins and attestations are not judged; with one, an image that it does not have counts as
/// unpinned. Signatures are judged when they were fetched.
pub fn subjects(
    manifest: &BundleManifest,
    lock: Option<&Lock>,
    evidence: Option<&Evidence>,
) -> Vec<Subject> {
    let subject = |image: &super::Image| {
        let content = match (&image.source, lock) {
            (ImageSource::Build(_), _) => ImageContent::Built,
            (ImageSource::Registry(_), None) => ImageContent::Unresolved,
            (ImageSource::Registry(_), Some(lock)) => {
                match lock.image(&image.name).map(|locked| &locked.content) {
                    Some(LockedContent::Registry(pulled)) => ImageContent::Pinned {
                        attested: attested(pulled),
                        signed: evidence.map_or_else(
                            || SignedImage {
                                digest: pulled.root.digest,
                                signatures: None,
                            },
                            |evidence| evidence.of(pulled),
                        ),
                    },
                    _ => ImageContent::Unpinned,
                }
            }
        };
        let (name, reference, license) = (
            image.name.clone(),
            image.reference().clone(),
            image.effective_license().map(str::to_owned),
        );
        Subject::Image(ImageSubject {
            name,
            reference,
            license,
            tag_pin: None,
            content,
        })
    };
    let charts = manifest.charts.iter().filter_map(Chart::remote);
    let charts = charts.map(|chart| Subject::Chart {
        name: chart.name().to_owned(),
        place: chart.place(),
    });
    manifest.images.iter().map(subject).chain(charts).collect()
}

/// Each carried platform with the predicate types of what is attested about it.
fn attested(image: &PulledImage) -> Vec<(String, Vec<String>)> {
    let carried = image.manifests.iter().filter(|entry| entry.carried);
    let described = carried.map(|entry| {
        let platform = entry
            .platform
            .as_ref()
            .map_or_else(|| entry.manifest.digest.to_string(), ToString::to_string);
        let about = image
            .attestations
            .iter()
            .filter(|attestation| attestation.attests == entry.manifest.digest);
        (
            platform,
            about
                .flat_map(|attestation| attestation.predicates.iter().cloned())
                .collect(),
        )
    });
    described.collect()
}
