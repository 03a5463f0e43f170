//! Evaluating what a bundle would include.

use semver::Version;

use super::{
    Decision, Evaluation, LicenseExpression, Policy, Rule, SignedImage, Verdict,
    glob::component_matches, license_names,
};
use crate::{
    evidence::{FoundLicense, FoundSbom},
    oci::Reference,
};

/// What was checked of an image whose licence nobody stated.
pub(super) const UNSTATED: &str = "no licence is stated";

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are few of them")]
pub enum Subject {
    Image(ImageSubject),
    Chart {
        name: String,
        /// Where it comes from, `host/path`, its name included.
        place: String,
    },
    /// A chart that a chart of the bundle gets from somewhere else.
    ChartDependency {
        chart: String,
        name: String,
        /// Where it comes from, `host/path`.
        repository: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    Image,
    /// An artifact that no platform runs: what is attested about platforms is not asked of it.
    Artifact,
}

#[derive(Debug, Clone)]
pub struct ImageSubject {
    pub kind: SubjectKind,
    pub name: String,
    pub reference: Reference,
    pub license: Option<String>,
    /// Why the charts of a bundle may name it by its tag alone, as the bundle says; nothing when
    /// they do not.
    pub tag_pin: Option<String>,
    pub content: ImageContent,
}

#[derive(Debug, Clone)]
pub enum ImageContent {
    /// It is about to be locked: pins and attestations are not checked.
    Unresolved,
    Unpinned,
    Pinned {
        /// Every platform that is included, with the predicate types of what is attested about it.
        attested: Vec<(String, Vec<String>)>,
        /// Every platform that is included, with its SBOMs.
        sboms: Vec<(String, Vec<FoundSbom>)>,
        /// The licences that these state; nothing when nobody has read them.
        found_licenses: Option<Vec<FoundLicense>>,
        signed: SignedImage,
    },
    /// It is built of pinned files: nothing is attested about it, and nobody but the
    /// builder signs it.
    Built {
        platforms: Vec<String>,
        signed: SignedImage,
    },
}

/// Evaluates all subjects by all rules. `version` is the bundle's; waivers end with it.
pub fn evaluate(policy: &Policy, version: &Version, subjects: &[Subject]) -> Evaluation {
    let evaluator = Evaluator { policy, version };
    let decisions = subjects.iter().flat_map(|subject| match subject {
        Subject::Image(image) => evaluator.image(image),
        Subject::Chart { name, place } => vec![evaluator.source(&format!("chart `{name}`"), place)],
        Subject::ChartDependency {
            chart,
            name,
            repository,
        } => {
            let subject = format!("dependency `{name}` of chart `{chart}`");
            vec![evaluator.source(&subject, &format!("{repository}/{name}"))]
        }
    });
    Evaluation {
        decisions: decisions.collect(),
    }
}

/// Evaluates only the tag of a reference; the reader of manifests asks, because it knows the place
/// in the file.
pub(crate) fn evaluate_tag(
    policy: &Policy,
    version: &Version,
    subject: &str,
    reference: &Reference,
) -> Option<Decision> {
    Evaluator { policy, version }.tag(subject, reference)
}

impl SubjectKind {
    /// What messages call an image or artifact of this name.
    pub(crate) fn label(self, name: &str) -> String {
        match self {
            Self::Image => format!("image `{name}`"),
            Self::Artifact => format!("artifact `{name}`"),
        }
    }
}

pub(super) struct Evaluator<'a> {
    pub(super) policy: &'a Policy,
    version: &'a Version,
}

/// What a licence is to the policy, best first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LicenseStanding {
    Allowed(String),
    Unlisted(String),
    Denied { license: String, reason: String },
}

impl Evaluator<'_> {
    fn image(&self, image: &ImageSubject) -> Vec<Decision> {
        let subject = image.kind.label(&image.name);
        let source = image.reference.name();
        let mut decisions = vec![
            self.license(&subject, &source, image.license.as_deref()),
            self.source(&subject, &source),
        ];
        decisions.extend(self.tag(&subject, &image.reference));
        decisions.extend(self.pin(&subject, &source, image));
        let license = image.license.as_deref();
        let (attested, sboms): (Vec<_>, Vec<_>);
        let (attested, sboms, signed) = match &image.content {
            ImageContent::Unresolved | ImageContent::Unpinned => return decisions,
            ImageContent::Pinned {
                attested,
                sboms,
                found_licenses,
                signed,
            } => {
                let found = found_licenses.as_deref();
                decisions.extend(self.packages(&subject, &source, license, found));
                (attested, sboms, signed)
            }
            ImageContent::Built { platforms, signed } => {
                decisions.extend(self.packages(&subject, &source, license, None));
                let nothing = |platform: &String| (platform.clone(), Vec::new());
                attested = platforms.iter().map(nothing).collect();
                sboms = platforms
                    .iter()
                    .map(|platform| (platform.clone(), Vec::new()))
                    .collect();
                (&attested, &sboms, signed)
            }
        };
        let has_platforms = image.kind == SubjectKind::Image;
        if has_platforms {
            decisions.extend(self.unsigned_attestations(&subject, &source, attested));
        }
        decisions.extend(self.signed_attestations(&subject, &source, signed));
        decisions.extend(self.signatures(&subject, &source, signed));
        if has_platforms {
            decisions.extend(self.sboms(&subject, &source, sboms));
        }
        decisions
    }

    fn license(&self, subject: &str, source: &str, stated: Option<&str>) -> Decision {
        let rule = Rule::Licenses;
        let Some(stated) = stated else {
            let matched = UNSTATED.to_owned();
            if self.policy.allows_unstated_licenses {
                let reason = "`licenses.unstated` allows it; not reviewed".to_owned();
                return allow(subject, source, rule, matched, reason);
            }
            return self.deny(
                subject,
                source,
                rule,
                matched,
                "an unstated licence cannot be allowed",
            );
        };
        let Ok(expression) = LicenseExpression::parse(stated) else {
            return self.deny(
                subject,
                source,
                rule,
                format!("licence `{stated}`"),
                "it is not an SPDX licence expression",
            );
        };
        match expression.evaluate(&|id, exception| self.license_standing(id, exception)) {
            Some(LicenseStanding::Allowed(id)) => allow(
                subject,
                source,
                rule,
                format!("licence `{stated}`"),
                format!("`{id}` is allowed"),
            ),
            Some(LicenseStanding::Denied { license, reason }) => self.deny(
                subject,
                source,
                rule,
                format!("licence `{license}`"),
                &reason,
            ),
            Some(LicenseStanding::Unlisted(id)) => self.deny(
                subject,
                source,
                rule,
                format!("licence `{id}`"),
                &license_names::meant(&id).map_or_else(
                    || "the policy does not allow it".to_owned(),
                    |ids| {
                        format!("the policy does not allow it; as an SPDX identifier it is {ids}")
                    },
                ),
            ),
            None => self.deny(
                subject,
                source,
                rule,
                format!("licence `{stated}`"),
                "it names no licence",
            ),
        }
    }

    pub(super) fn license_standing(&self, id: &str, exception: Option<&str>) -> LicenseStanding {
        let full = exception.map_or_else(
            || id.to_owned(),
            |exception| format!("{id} WITH {exception}"),
        );
        // An exception only adds permissions, so what is allowed without it is allowed with it.
        let is_allowed =
            self.policy.allowed_licenses.iter().any(|allowed| {
                allowed.eq_ignore_ascii_case(&full) || allowed.eq_ignore_ascii_case(id)
            });
        let denial = || {
            let id = id.to_ascii_lowercase();
            self.policy
                .denied_licenses
                .iter()
                .find(|denied| component_matches(&denied.license.to_ascii_lowercase(), &id))
        };
        match (is_allowed, denial()) {
            // Only a pair that is allowed as such stands against a denial of its licence.
            (true, Some(_)) if exception.is_some() && self.allows_exactly(&full) => {
                LicenseStanding::Allowed(full)
            }
            (_, Some(denied)) => LicenseStanding::Denied {
                license: full,
                reason: denied.reason.clone(),
            },
            (true, None) => LicenseStanding::Allowed(full),
            (false, None) => LicenseStanding::Unlisted(full),
        }
    }

    fn allows_exactly(&self, license: &str) -> bool {
        self.policy
            .allowed_licenses
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(license))
    }

    fn source(&self, subject: &str, source: &str) -> Decision {
        let rule = Rule::Sources;
        if let Some(denied) = self
            .policy
            .denied_sources
            .iter()
            .find(|denied| denied.pattern.matches(source))
        {
            return self.deny(
                subject,
                source,
                rule,
                format!("source `{source}` matches `{}`", denied.pattern),
                &denied.reason,
            );
        }
        match self
            .policy
            .allowed_sources
            .iter()
            .find(|allowed| allowed.matches(source))
        {
            Some(allowed) => allow(
                subject,
                source,
                rule,
                format!("source `{source}` matches `{allowed}`"),
                "it is allowed".to_owned(),
            ),
            None => self.deny(
                subject,
                source,
                rule,
                format!("source `{source}`"),
                "the policy allows no such source",
            ),
        }
    }

    fn tag(&self, subject: &str, reference: &Reference) -> Option<Decision> {
        let (rule, source) = (Rule::Tags, reference.name());
        let tag = reference.tag()?;
        Some(match self.policy.denies_tag(tag) {
            Some(pattern) => {
                let matched = if pattern == tag {
                    format!("tag `{tag}`")
                } else {
                    format!("tag `{tag}` matches `{pattern}`")
                };
                self.deny(
                    subject,
                    &source,
                    rule,
                    matched,
                    "such a tag is moved by design, so it names no version",
                )
            }
            None => allow(
                subject,
                &source,
                rule,
                format!("tag `{tag}`"),
                "it names a version; the lock pins it".to_owned(),
            ),
        })
    }

    fn pin(&self, subject: &str, source: &str, image: &ImageSubject) -> Option<Decision> {
        let rule = Rule::Pins;
        let matched = format!("reference `{}`", image.reference);
        if let Some(reason) = &image.tag_pin {
            return Some(self.tag_pin(subject, source, &image.reference, reason));
        }
        Some(match &image.content {
            ImageContent::Unresolved => return None,
            ImageContent::Unpinned => self.deny(
                subject,
                source,
                rule,
                matched,
                "the lock holds no digest for it",
            ),
            ImageContent::Pinned { .. } => allow(
                subject,
                source,
                rule,
                matched,
                "the lock holds its digest".to_owned(),
            ),
            ImageContent::Built { .. } => allow(
                subject,
                source,
                rule,
                matched,
                "it is made of files whose digests the lock holds".to_owned(),
            ),
        })
    }

    /// A tag in place of a digest is allowed by name only, whatever the bundle gives as its reason.
    fn tag_pin(&self, subject: &str, source: &str, image: &Reference, stated: &str) -> Decision {
        let matched = format!("the charts name `{image}` by its tag alone ({stated})");
        match self.policy.tag_pin(image) {
            Some(pin) => allow(
                subject,
                source,
                Rule::Pins,
                matched,
                format!("`pins` allows it: {}", pin.reason),
            ),
            None => self.deny(
                subject,
                source,
                Rule::Pins,
                matched,
                "`pins` does not allow it",
            ),
        }
    }

    /// Denies, unless a waiver holds.
    pub(super) fn deny(
        &self,
        subject: &str,
        source: &str,
        rule: Rule,
        matched: String,
        reason: &str,
    ) -> Decision {
        let (verdict, reason) = match self.policy.waiver(rule, source) {
            Some(waiver) if *self.version < waiver.until => (
                Verdict::Waived,
                format!(
                    "waived until {}: {} (otherwise: {reason})",
                    waiver.until, waiver.reason
                ),
            ),
            Some(waiver) => (
                Verdict::Denied,
                format!("{reason} (its waiver ended with {})", waiver.until),
            ),
            None => (Verdict::Denied, reason.to_owned()),
        };
        Decision {
            subject: subject.to_owned(),
            source: source.to_owned(),
            rule,
            verdict,
            matched,
            reason,
            is_signed: false,
        }
    }
}

pub(super) fn allow(
    subject: &str,
    source: &str,
    rule: Rule,
    matched: String,
    reason: String,
) -> Decision {
    Decision {
        subject: subject.to_owned(),
        source: source.to_owned(),
        rule,
        verdict: Verdict::Allowed,
        matched,
        reason,
        is_signed: false,
    }
}
