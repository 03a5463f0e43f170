//! The signatures by whoever built the bundle: each is about something inside, and says so itself.

use std::collections::BTreeSet;

use super::{BundleIndex, Gap, Walk, roots_of_kind};
use crate::{bundle::compose::IMAGE_SIGNATURE, oci::Manifest};
use rune_core::digest::Digest;

impl Walk<'_> {
    pub(super) fn check_image_signatures(&mut self, root: &Manifest, index: &BundleIndex) {
        let mut stated = BTreeSet::new();
        for record in index.image_signatures() {
            let (referrer, subject) = (record.target.digest, record.subject);
            stated.insert(referrer);
            if !is_inside(index, subject) {
                self.gaps.push(Gap::Subject { referrer, subject });
            }
            match self.subject_of(&record.target) {
                Some(stated) if stated == subject => {}
                Some(stated) => self.gaps.push(Gap::OtherSubject {
                    referrer,
                    subject,
                    stated,
                }),
                None => self.gaps.push(Gap::NoSubject(referrer)),
            }
        }
        if roots_of_kind(root, IMAGE_SIGNATURE) != stated {
            self.gaps.push(Gap::ImageSignatures);
        }
    }
}

fn is_inside(index: &BundleIndex, subject: Digest) -> bool {
    index
        .images_and_artifacts()
        .any(|image| image.has_signable(subject))
        || index
            .charts
            .iter()
            .any(|chart| chart.artifact.digest == subject)
}
