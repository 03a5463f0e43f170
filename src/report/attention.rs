//! What somebody who decides has to know first: what the policy let through, and what was not
//! checked.

use serde::Serialize;

use super::{delta::DeltaPart, image::Image};
use crate::bundle::BundleIndex;
use rune_core::command::counted;

#[derive(Debug, Serialize)]
pub(super) struct Point {
    text: String,
    section: &'static str,
}

/// A decision of the policy that a waiver turned round.
#[derive(Debug, Serialize)]
pub(super) struct Waiver {
    subject: String,
    rule: String,
    reason: String,
    until: String,
}

impl Waiver {
    /// Reads the sentence that the bundle has; one in another form is the subject.
    pub(super) fn of(sentence: &str) -> Self {
        Self::parts(sentence).unwrap_or_else(|| Self {
            subject: sentence.to_owned(),
            rule: String::new(),
            reason: String::new(),
            until: String::new(),
        })
    }

    fn parts(sentence: &str) -> Option<Self> {
        let (subject, rest) = sentence.split_once(": rule `")?;
        let (rule, rest) = rest.split_once("`: ")?;
        let (_, rest) = rest.split_once(": waived until ")?;
        let (until, reason) = rest.split_once(": ")?;
        Some(Self {
            subject: subject.replace('`', ""),
            rule: rule.to_owned(),
            reason: reason.to_owned(),
            until: until.to_owned(),
        })
    }
}

pub(super) fn points(
    index: &BundleIndex,
    images: &[&Image],
    delta: Option<&DeltaPart>,
) -> Vec<Point> {
    let mut points = Vec::new();
    let mut add = |text: String, section| points.push(Point { text, section });
    if let Some(delta) = delta.filter(|delta| !delta.entries.is_empty()) {
        let text = format!("A part of the bundle is elsewhere: {}", delta.needed);
        add(text, "delta");
    }
    let waived = index.policy.waived.len();
    if waived > 0 {
        let text = format!("{} of the policy", counted(waived, "waiver"));
        add(text, "policy");
    }
    if !index.completeness.checked {
        let text = "Whether the charts need an image that is not inside was not checked";
        add(text.to_owned(), "policy");
    }
    let exceptions = index.completeness.exceptions().len();
    if exceptions > 0 {
        let text = format!(
            "{} from the check of the charts",
            counted(exceptions, "exception")
        );
        add(text, "policy");
    }
    let mut images_with = |of: fn(&Image) -> bool, what: &str| {
        let count = images.iter().filter(|image| of(image)).count();
        if count > 0 {
            add(format!("{} {what}", counted(count, "image")), "images");
        }
    };
    images_with(|image| image.license.is_none(), "without a stated licence");
    images_with(
        |image| image.sboms.iter().any(|sboms| sboms.found.is_empty()),
        "without an SBOM of every platform",
    );
    images_with(
        |image| {
            image
                .referrers
                .iter()
                .any(|referrer| referrer.omitted.is_some())
        },
        "with signatures or other artifacts that are not included",
    );
    points
}

#[cfg(test)]
mod tests {
    use super::Waiver;

    #[test]
    fn a_waiver_is_taken_apart_and_another_sentence_stays_whole() {
        let waiver = Waiver::of(
            "image `shop`: rule `sources`: `x/shop` matches `**`: waived until 0.3.0: until it is \
             mirrored: soon (otherwise: denied)",
        );
        let parts = [&waiver.subject, &waiver.rule, &waiver.until, &waiver.reason];
        let reason = "until it is mirrored: soon (otherwise: denied)";
        assert_eq!(parts, ["image shop", "sources", "0.3.0", reason]);
        assert_eq!(Waiver::of("anything: else").subject, "anything: else");
    }
}
