//! What a policy says about the licences that SBOMs state of the packages in an image.

use super::{
    Decision, Glob, LicenseExpression, Rule,
    evaluate::{Evaluator, LicenseStanding, allow},
    license_names,
};
use crate::evidence::FoundLicense;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageRule {
    pub(crate) pattern: Glob,
    pub(crate) licenses: PackageLicenses,
}

/// Which licences packages may have. What the policy denies they may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageLicenses {
    Declared,
    Allowed,
}

impl Evaluator<'_> {
    /// `found` is nothing when not every platform had an SBOM that could be read.
    pub(super) fn packages(
        &self,
        subject: &str,
        source: &str,
        declared: Option<&str>,
        found: Option<&[FoundLicense]>,
    ) -> Vec<Decision> {
        let declared = declared.and_then(|declared| LicenseExpression::parse(declared).ok());
        let declared = declared.map_or_else(Vec::new, |declared| declared.licenses());
        let rules = self.policy.packages.iter();
        let evaluated = rules
            .filter(|rule| rule.pattern.matches(source))
            .map(|rule| {
                let matched = format!("source `{source}` matches `{}`", rule.pattern);
                let Some(found) = found else {
                    let reason = "the licences of its packages are not known: an SBOM of each \
                                  platform that can be read is needed";
                    return self.deny(subject, source, Rule::Packages, matched, reason);
                };
                let refused: Vec<String> = found
                    .iter()
                    .filter_map(|found| {
                        let why = self.refusal(rule.licenses, &declared, &found.license)?;
                        let packages = found.packages_text();
                        Some(format!("`{}` of {packages}: {why}", found.license))
                    })
                    .collect();
                if refused.is_empty() {
                    let reason = "the licences of its packages are declared or allowed".to_owned();
                    return allow(subject, source, Rule::Packages, matched, reason);
                }
                self.deny(
                    subject,
                    source,
                    Rule::Packages,
                    matched,
                    &refused.join("; "),
                )
            });
        evaluated.collect()
    }

    fn refusal(
        &self,
        licenses: PackageLicenses,
        declared: &[String],
        found: &str,
    ) -> Option<String> {
        let quoted = format!("`{found}`");
        let meant = license_names::meant(found).filter(|meant| !meant.contains(&quoted));
        let meant = meant.map_or_else(String::new, |meant| format!("; it may be {meant}"));
        let Ok(expression) = LicenseExpression::parse(found) else {
            return Some(format!("it is not an SPDX licence expression{meant}"));
        };
        let standing = |id: &str, exception: Option<&str>| {
            let by_policy = self.license_standing(id, exception);
            let full = exception.map_or_else(
                || id.to_owned(),
                |exception| format!("{id} WITH {exception}"),
            );
            let is_declared = declared.iter().any(|declared| {
                declared.eq_ignore_ascii_case(&full) || declared.eq_ignore_ascii_case(id)
            });
            match by_policy {
                LicenseStanding::Denied { .. } => by_policy,
                _ if is_declared => LicenseStanding::Allowed(full),
                LicenseStanding::Allowed(_) if licenses == PackageLicenses::Declared => {
                    LicenseStanding::Unlisted(full)
                }
                _ => by_policy,
            }
        };
        match expression.evaluate(&standing)? {
            LicenseStanding::Allowed(_) => None,
            LicenseStanding::Denied { reason, .. } => Some(reason),
            LicenseStanding::Unlisted(_) => {
                let why = match licenses {
                    PackageLicenses::Declared => "the manifest does not declare it",
                    PackageLicenses::Allowed => {
                        "the manifest does not declare it, and the policy does not allow it"
                    }
                };
                Some(format!("{why}{meant}"))
            }
        }
    }
}
