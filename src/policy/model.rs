//! A policy as typed rules.

use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{
    AttestationDemand, AttestationRule, Glob, ImagePlaces, PackageRule, ReferrerRules,
    SignatureRule, TagPin, glob::component_matches,
};
use crate::oci::Reference;
use rune_core::{digest::Digest, yaml::Place};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The SHA-256 of the text it was read from.
    pub(crate) digest: Digest,
    /// Licences that are fine, as SPDX identifiers, with or without an exception.
    pub(crate) allowed_licenses: Vec<String>,
    /// Licences that are refused with a reason; others that are not allowed are refused without
    /// one.
    pub(crate) denied_licenses: Vec<DeniedLicense>,
    /// Whether an image may have no stated licence; such an image is reported as not reviewed.
    pub(crate) allows_unstated_licenses: bool,
    pub(crate) allowed_sources: Vec<Glob>,
    /// Where content may not come from, whatever is allowed.
    pub(crate) denied_sources: Vec<DeniedSource>,
    /// Tags that are moved often; `*` stands for any characters.
    pub(crate) denied_tags: Vec<String>,
    pub(crate) attestations: Vec<AttestationRule>,
    pub(crate) signatures: Vec<SignatureRule>,
    /// Sources of images of which there must be an SBOM of every included platform.
    pub(crate) sboms: Vec<Glob>,
    /// Which licences packages in images may have.
    pub(crate) packages: Vec<PackageRule>,
    pub(crate) referrers: ReferrerRules,
    /// Where rendered charts name images besides the usual places.
    pub(crate) image_places: ImagePlaces,
    /// Images that charts may name by their tag alone.
    pub(crate) tag_pins: Vec<TagPin>,
    pub(crate) waivers: Vec<Waiver>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeniedLicense {
    /// SPDX identifier; `*` stands for any characters.
    pub(crate) license: String,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeniedSource {
    pub(crate) pattern: Glob,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiver {
    pub(crate) rule: Rule,
    pub(crate) pattern: Glob,
    pub(crate) reason: String,
    /// The first bundle version for which it no longer holds.
    pub(crate) until: Version,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    Licenses,
    Sources,
    Tags,
    Pins,
    Attestations,
    Signatures,
    /// There must be a list of what is in it.
    Sboms,
    /// The licences of what is in it must be declared or allowed.
    Packages,
}

impl Policy {
    pub(crate) fn demands_signatures(&self, source: &str) -> bool {
        self.signatures
            .iter()
            .any(|rule| rule.pattern.matches(source))
    }

    pub(crate) fn demanded_attestations(&self, source: &str) -> Vec<&str> {
        let rules = self.attestations.iter();
        let demanded = rules.filter(|rule| rule.pattern.matches(source));
        let demanded = demanded.filter_map(|rule| match &rule.demand {
            AttestationDemand::Signed { predicate_type, .. } => Some(predicate_type.as_str()),
            AttestationDemand::Unsigned(_) => None,
        });
        demanded.collect()
    }

    /// Whether the licences of packages matter of images from a source.
    pub(crate) fn checks_packages(&self, source: &str) -> bool {
        self.packages
            .iter()
            .any(|rule| rule.pattern.matches(source))
    }

    pub(crate) fn denies_tag(&self, tag: &str) -> Option<&str> {
        let tag = tag.to_ascii_lowercase();
        self.denied_tags
            .iter()
            .find(|pattern| component_matches(&pattern.to_ascii_lowercase(), &tag))
            .map(String::as_str)
    }

    /// The waiver for a rule and source that ends last.
    pub(crate) fn waiver(&self, rule: Rule, source: &str) -> Option<&Waiver> {
        self.waivers
            .iter()
            .filter(|waiver| waiver.rule == rule && waiver.pattern.matches(source))
            .max_by(|one, other| one.until.cmp(&other.until))
    }

    /// What lets charts name an image by its tag alone.
    pub(crate) fn tag_pin(&self, image: &Reference) -> Option<&TagPin> {
        self.tag_pins.iter().find(|pin| pin.is_for(image))
    }
}

impl Rule {
    pub(crate) const ALL: [Self; 8] = [
        Self::Licenses,
        Self::Sources,
        Self::Tags,
        Self::Pins,
        Self::Attestations,
        Self::Signatures,
        Self::Sboms,
        Self::Packages,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Licenses => "licenses",
            Self::Sources => "sources",
            Self::Tags => "tags",
            Self::Pins => "pins",
            Self::Attestations => "attestations",
            Self::Signatures => "signatures",
            Self::Sboms => "sboms",
            Self::Packages => "packages",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
