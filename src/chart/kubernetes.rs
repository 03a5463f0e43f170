//! Which Kubernetes a chart is rendered for when no cluster is asked.
//!
//! Helm takes the version from the cluster, or else from the library it was built with; a Helm that
//! `go install` built believes in one of years ago. So the version is always said: the newest known
//! here that the chart's `kubeVersion` allows.

use std::collections::BTreeSet;

use super::VersionRange;

/// The newest minor version of Kubernetes 1 that charts are rendered for.
const NEWEST_MINOR: u64 = 36;

const OLDEST_MINOR: u64 = 16;

/// The largest patch level that is tried of every minor version.
const MAX_PATCH: u64 = 40;

/// The version to render a chart for. When nothing fits, or the constraint is not understood, the
/// newest: Helm then says itself what is wrong.
pub(super) fn kubernetes_version(constraint: &str) -> String {
    let newest = format!("1.{NEWEST_MINOR}.0");
    let Ok(range) = constraint.parse::<VersionRange>() else {
        return newest;
    };
    // Patch levels that exist, and those around what the constraint names.
    let named = range
        .named()
        .map(|version| version.numbers[2])
        .flat_map(|patch| [patch, patch.saturating_add(1)]);
    let patches: BTreeSet<u64> = (0..=MAX_PATCH).chain(named).collect();
    let fits = |text: &String| text.parse().is_ok_and(|version| range.contains(&version));
    let candidates = (OLDEST_MINOR..=NEWEST_MINOR).rev().flat_map(|minor| {
        patches
            .iter()
            .map(move |patch| format!("1.{minor}.{patch}"))
    });
    candidates.into_iter().find(fits).unwrap_or(newest)
}

/// Whether a chart's `kubeVersion` allows a version; nothing when the constraint is not understood.
pub(crate) fn fits_kubernetes(constraint: &str, version: &semver::Version) -> Option<bool> {
    let range: VersionRange = constraint.parse().ok()?;
    // What a distribution adds, `-eks-1` or `+k3s1`, is not a pre-release of the version.
    let version = format!("{}.{}.{}", version.major, version.minor, version.patch);
    version.parse().ok().map(|version| range.contains(&version))
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
            ("1.24.0 - 1.26", "1.25.3", Some(true)),
            ("whatever", "1.24.3", None),
        ] {
            assert_eq!(
                fits_kubernetes(constraint, &version.parse().unwrap()),
                expected,
                "{constraint} {version}"
            );
        }
    }

    #[test]
    fn the_newest_version_is_taken_that_the_chart_allows() {
        for (constraint, expected) in [
            ("", "1.36.0"),
            (">=1.29.0-0", "1.36.0"),
            (">= 1.19.0 < 1.30.0-0", "1.29.0"),
            (">=1.22.0-0, <=1.28.0", "1.28.0"),
            ("~1.27.0 || ~v1.24.0", "1.27.0"),
            ("1.25.x", "1.25.0"),
            ("1.20.0 - 1.29.0", "1.29.0"),
            ("~1.27.4", "1.27.4"),
            (">=1.27.4 <1.28.0-0", "1.27.4"),
            ("1.27.5", "1.27.5"),
            ("~>1.27.0", "1.27.0"),
            ("=<1.30", "1.30.0"),
            (">1.27.98 <1.28", "1.27.99"),
            ("!=1.36.0", "1.36.1"),
            (">= 2.0.0", "1.36.0"),
            ("whatever", "1.36.0"),
        ] {
            assert_eq!(kubernetes_version(constraint), expected, "{constraint:?}");
        }
    }
}
