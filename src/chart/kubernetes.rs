//! Which Kubernetes a chart is rendered for when no cluster is asked.
//!
//! Helm takes the version from the cluster, or else from the library it was built with; a Helm that `go install` built believes
//! in one of years ago. So the version is always said: the newest known here that the chart's `kubeVersion` allows.

/// The newest minor version of Kubernetes 1 that charts are rendered for.
const NEWEST_MINOR: u64 = 36;

/// The oldest one that is tried.
const OLDEST_MINOR: u64 = 16;

/// The version to render a chart for. When nothing fits, or the constraint is not understood, the newest: Helm then says itself
/// what is wrong.
pub(super) fn kubernetes_version(constraint: Option<&str>) -> String {
    let alternatives: Vec<_> = constraint.unwrap_or_default().split("||").filter_map(requirement).collect();
    let fits = |minor: &u64| {
        let version = semver::Version::new(1, *minor, 0);
        alternatives.iter().any(|requirement| requirement.matches(&version))
    };
    let minor = (OLDEST_MINOR..=NEWEST_MINOR).rev().find(fits).unwrap_or(NEWEST_MINOR);
    format!("1.{minor}.0")
}

/// Whether a chart's `kubeVersion` allows a version; nothing when the constraint is not understood.
pub fn fits_kubernetes(constraint: &str, version: &semver::Version) -> Option<bool> {
    let alternatives: Vec<_> = constraint.split("||").map(requirement).collect::<Option<_>>()?;
    // What a distribution adds, `-eks-1` or `+k3s1`, is no pre-release of the version.
    let version = semver::Version::new(version.major, version.minor, version.patch);
    Some(alternatives.iter().any(|requirement| requirement.matches(&version)))
}

/// One alternative. Helm separates what must hold together by commas or spaces, and a space may stand behind an operator.
fn requirement(text: &str) -> Option<semver::VersionReq> {
    let mut parts: Vec<String> = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        match parts.last_mut().filter(|last| last.ends_with(['<', '>', '=', '~', '^'])) {
            Some(operator) => operator.push_str(word),
            None => parts.push(word.to_owned()),
        }
    }
    let parts: Vec<String> = parts.into_iter().map(|part| part.replacen("v1", "1", 1)).collect();
    semver::VersionReq::parse(&parts.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::{fits_kubernetes, kubernetes_version};

    #[test]
    fn a_version_fits_or_does_not_whatever_a_distribution_adds() {
        for (constraint, version, expected) in [
            (">=1.29.0-0", "1.33.1+k3s1", Some(true)),
            (">=1.29.0-0", "1.29.0-eks-1", Some(true)),
            (">=1.29.0-0", "1.28.9", Some(false)),
            ("~1.27.0 || ~v1.24.0", "1.24.3", Some(true)),
            ("whatever", "1.24.3", None),
        ] {
            assert_eq!(fits_kubernetes(constraint, &version.parse().unwrap()), expected, "{constraint} {version}");
        }
    }

    #[test]
    fn the_newest_version_is_taken_that_the_chart_allows() {
        for (constraint, expected) in [
            (None, "1.36.0"),
            (Some(">=1.29.0-0"), "1.36.0"),
            (Some(">= 1.19.0 < 1.30.0-0"), "1.29.0"),
            (Some(">=1.22.0-0, <=1.28.0"), "1.28.0"),
            (Some("~1.27.0 || ~v1.24.0"), "1.27.0"),
            (Some("1.25.x"), "1.25.0"),
            (Some(">= 2.0.0"), "1.36.0"),
            (Some("whatever"), "1.36.0"),
        ] {
            assert_eq!(kubernetes_version(constraint), expected, "{constraint:?}");
        }
    }
}
