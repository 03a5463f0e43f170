//! What the page must not let anybody believe: everything that nobody has shown.

use super::{image::Image, subject::Subject};
use crate::bundle::SlotState;

/// One sentence for each thing that is not proven.
pub(super) fn sentences(subject: &Subject<'_>, images: &[&Image]) -> Vec<String> {
    let (head, index) = (subject.head, subject.head.index());
    let count =
        |of: fn(&SlotState) -> bool| head.signatures().iter().filter(|state| of(state)).count();
    let mut sentences = Vec::new();
    if !head.is_verified() {
        sentences.push(
            "This bundle is unverified: neither a key nor a bundle digest was given when this \
             page was made. Everything here is only what the file claims."
                .to_owned(),
        );
    } else if count(|state| matches!(state, SlotState::Verified { .. })) == 0 {
        sentences.push(
            "No signature was checked: the bundle was authenticated by the given digest."
                .to_owned(),
        );
    }
    let unknown = count(|state| matches!(state, SlotState::Unknown { .. }));
    if head.is_verified() && unknown > 0 {
        sentences.push(format!(
            "Signatures by keys that were not given are not checked: {unknown}."
        ));
    }
    let revoked = count(|state| matches!(state, SlotState::Revoked { .. }));
    if revoked > 0 {
        sentences.push(format!(
            "Signatures by revoked keys do not count: {revoked}."
        ));
    }
    sentences.push(
        "Layers of images were not read for this page; what it shows was compared with the index \
         of the bundle. Only rune-bundle verify reads a bundle to its last byte."
            .to_owned(),
    );
    if subject.view.is_none() {
        sentences.push(
            "What the delta was created for is not signed. What it needs from elsewhere is hashed \
             against the index of the bundle when the bundle is created."
                .to_owned(),
        );
    }
    if !index.completeness.checked {
        sentences.push(
            "Whether the charts need an image that is not inside was not checked when the bundle \
             was built."
                .to_owned(),
        );
    }
    let has_found_licenses = |image: &&Image| !image.found_licenses.is_empty();
    sentences.push(
        if images.iter().any(has_found_licenses) {
            "Licences are those that the bundle states for whole images and that SBOMs state for \
             packages; what is in the images was not examined."
        } else {
            "Licences are those that the bundle states for whole images; what is in the images \
             was not examined."
        }
        .to_owned(),
    );
    let named = |of: &dyn Fn(&Image) -> bool| {
        images
            .iter()
            .filter(|image| of(image))
            .map(|image| image.name.as_str())
            .collect::<Vec<_>>()
    };
    let unlicensed = named(&|image| image.license.is_none());
    if !unlicensed.is_empty() {
        sentences.push(format!(
            "No licence is stated for {}.",
            unlicensed.join(", ")
        ));
    }
    let not_reviewed = index.not_reviewed();
    if !not_reviewed.is_empty() {
        let names = not_reviewed.join(", ");
        sentences.push(format!(
            "The licences of these images were not reviewed, and the policy allowed that: {names}."
        ));
    }
    let unlisted =
        named(&|image| image.listed_platforms.is_empty() && !image.unlisted_platforms.is_empty());
    if !unlisted.is_empty() {
        sentences.push(format!(
            "Which packages are inside is not known for {}: the bundle has no list of them.",
            unlisted.join(", ")
        ));
    }
    for image in images
        .iter()
        .filter(|image| !image.listed_platforms.is_empty() && !image.unlisted_platforms.is_empty())
    {
        sentences.push(format!(
            "{} has no list of packages for {}.",
            image.name,
            image.unlisted_platforms.join(", ")
        ));
    }
    for image in images
        .iter()
        .filter(|image| !image.platforms_left_out.is_empty())
    {
        sentences.push(format!(
            "{} cannot run on {}: left out of the bundle.",
            image.name,
            image.platforms_left_out.join(", ")
        ));
    }
    for image in images {
        let lacking = image.sboms.iter().filter(|sboms| sboms.found.is_empty());
        let lacking: Vec<&str> = lacking.map(|sboms| sboms.platform.as_str()).collect();
        if !lacking.is_empty() {
            sentences.push(format!(
                "There is no SBOM of {} for {}.",
                image.name,
                lacking.join(", ")
            ));
        }
    }
    if images.iter().any(|image| !image.referrers.is_empty()) {
        sentences.push(
            "Signatures, attestations and SBOMs of images are listed as they are in the bundle; \
             none of them was verified for this page. rune-bundle verify --policy does that for \
             signatures."
                .to_owned(),
        );
    }
    let incomplete = named(&|image| {
        image
            .referrers
            .iter()
            .any(|referrer| referrer.omitted.is_some())
    });
    if !incomplete.is_empty() {
        sentences.push(format!(
            "Not everything that is about these images is in the bundle: {}.",
            incomplete.join(", ")
        ));
    }
    sentences
}
