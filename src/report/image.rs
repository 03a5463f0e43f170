//! What the page says about one image or artifact.

use serde::Serialize;

use super::ReportError;
use crate::{
    bundle::{BundleView, ImageRecord, ManifestRecord},
    diff::has_package_list,
};
use rune_core::digest::Digest;

#[derive(Debug, Serialize)]
pub(super) struct Image {
    pub(super) name: String,
    reference: String,
    digest: Digest,
    artifact_type: Option<String>,
    pub(super) license: Option<String>,
    component: Option<String>,
    platforms: Vec<String>,
    pub(super) platforms_left_out: Vec<String>,
    /// Of everything that is included of it, each content once; not known of a delta.
    bytes: Option<u64>,
    /// On which of the included platforms there is a list of packages.
    pub(super) listed_platforms: Vec<String>,
    pub(super) unlisted_platforms: Vec<String>,
    pub(super) referrers: Vec<Referrer>,
    pub(super) sboms: Vec<Sboms>,
    /// What the SBOMs state, when it was read.
    pub(super) found_licenses: Vec<Licenses>,
}

#[derive(Debug, Serialize)]
pub(super) struct Licenses {
    license: String,
    packages: String,
    is_declared: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Sboms {
    pub(super) platform: String,
    pub(super) found: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Referrer {
    kind: String,
    digest: Digest,
    /// What it is about, unless that is the image itself.
    subject: Option<Digest>,
    /// Why it is not in the bundle.
    pub(super) omitted: Option<String>,
}

impl Image {
    pub(super) fn of(view: Option<&BundleView>, image: &ImageRecord) -> Result<Self, ReportError> {
        let (carried, left_out): (Vec<_>, Vec<_>) =
            image.runnable().partition(|manifest| manifest.carried);
        let names = |manifests: &[&ManifestRecord]| {
            manifests
                .iter()
                .map(|manifest| manifest.platform_name())
                .collect()
        };
        let (mut listed_platforms, mut unlisted_platforms) = (Vec::new(), Vec::new());
        if let Some(view) = view {
            for manifest in &carried {
                let list = if has_package_list(view, image, manifest)? {
                    &mut listed_platforms
                } else {
                    &mut unlisted_platforms
                };
                list.push(manifest.platform_name());
            }
        }
        Ok(Self {
            name: image.name.clone(),
            reference: image.reference.to_string(),
            digest: image.target.digest,
            artifact_type: image.target.artifact_type.clone(),
            license: image.license.clone(),
            component: image.component.clone(),
            platforms: names(&carried),
            platforms_left_out: names(&left_out),
            bytes: view.map(|view| view.carried_bytes(image)),
            listed_platforms,
            unlisted_platforms,
            sboms: view
                .map(|view| view.sboms(image))
                .into_iter()
                .flatten()
                .map(|platform| Sboms {
                    found: platform.sentences(),
                    platform: platform.platform,
                })
                .collect(),
            found_licenses: image
                .found_licenses
                .iter()
                .flatten()
                .map(|found| Licenses {
                    license: found.license.clone(),
                    packages: found.packages_text(),
                    is_declared: image.declares(&found.license),
                })
                .collect(),
            referrers: image
                .referrers
                .iter()
                .map(|referrer| Referrer {
                    kind: referrer.kind(),
                    digest: referrer.target.digest,
                    subject: Some(referrer.subject)
                        .filter(|subject| *subject != image.target.digest),
                    omitted: referrer.omitted.clone(),
                })
                .collect(),
        })
    }
}
