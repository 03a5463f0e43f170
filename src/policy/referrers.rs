//! What a policy says about artifacts about images: where else they are kept, what a new one means,
//! and of which images there must be an SBOM.

use super::{Decision, Glob, Rule, evaluate::Evaluator};
use crate::evidence::FoundSbom;

/// Where artifacts about images are looked for besides the image, and what new ones are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReferrerRules {
    pub(crate) repositories: Vec<EvidenceRepository>,
    /// Whether one that the lock does not have is drift.
    pub(crate) is_new_drift: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EvidenceRepository {
    pub(crate) pattern: Glob,
    pub(crate) registry: String,
    pub(crate) repository: String,
}

impl ReferrerRules {
    /// Where artifacts about images from a source are kept besides the image.
    pub(crate) fn places_of(&self, source: &str) -> impl Iterator<Item = &EvidenceRepository> {
        let rules = self.repositories.iter();
        rules.filter(move |rule| rule.pattern.matches(source))
    }
}

impl Evaluator<'_> {
    /// Every included platform must have an SBOM, whoever made it.
    pub(super) fn sboms(
        &self,
        subject: &str,
        source: &str,
        sboms: &[(String, Vec<FoundSbom>)],
    ) -> Vec<Decision> {
        let patterns = self.policy.sboms.iter();
        let evaluated = patterns
            .filter(|pattern| pattern.matches(source))
            .map(|pattern| {
                let matched = format!("source `{source}` matches `{pattern}`");
                let missing: Vec<&str> = sboms
                    .iter()
                    .filter(|(_, found)| found.is_empty())
                    .map(|(platform, _)| platform.as_str())
                    .collect();
                if missing.is_empty() {
                    let reason = "there is an SBOM of every included platform".to_owned();
                    super::evaluate::allow(subject, source, Rule::Sboms, matched, reason)
                } else {
                    let reason = format!("there is no SBOM of {}", missing.join(", "));
                    self.deny(subject, source, Rule::Sboms, matched, &reason)
                }
            });
        evaluated.collect()
    }
}
