//! What a scanner found in one image.

use serde::Serialize;

/// How bad a vulnerability is, from what nobody has rated to what is worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Unknown,
    Negligible,
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// `CVE-2026-1234`, or another name.
    pub(crate) id: String,
    pub(crate) package: String,
    pub(crate) version: String,
    /// Empty when no version is known that has it no more.
    pub(crate) fixed_in: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) critical: u64,
    pub(crate) high: u64,
    pub(crate) medium: u64,
    pub(crate) low: u64,
    pub(crate) negligible: u64,
    pub(crate) unknown: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// The operating system of the image, as the scanner recognised it: `alpine 3.22.1`.
    pub(crate) distribution: Option<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) not_affected: Vec<Finding>,
}

impl Severity {
    pub(crate) const ALL: [Self; 6] = [
        Self::Critical,
        Self::High,
        Self::Medium,
        Self::Low,
        Self::Negligible,
        Self::Unknown,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Negligible => "negligible",
            Self::Unknown => "unknown",
        }
    }

    /// Reads what a scanner says, in whatever case. What is not known is not left out.
    pub(super) fn read(text: &str) -> Self {
        let is_named = |severity: &&Self| severity.name().eq_ignore_ascii_case(text);
        let mut all = Self::ALL.iter();
        all.find(is_named).copied().unwrap_or(Self::Unknown)
    }
}

impl Counts {
    pub(crate) fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            let count = match finding.severity {
                Severity::Critical => &mut counts.critical,
                Severity::High => &mut counts.high,
                Severity::Medium => &mut counts.medium,
                Severity::Low => &mut counts.low,
                Severity::Negligible => &mut counts.negligible,
                Severity::Unknown => &mut counts.unknown,
            };
            *count = count.saturating_add(1);
        }
        counts
    }

    pub(crate) const fn get(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Negligible => self.negligible,
            Severity::Unknown => self.unknown,
        }
    }
}

impl Scanned {
    /// A package in several places is one finding.
    pub(super) fn new(
        distribution: Option<String>,
        findings: Vec<Finding>,
        not_affected: Vec<Finding>,
    ) -> Self {
        let sorted = |mut findings: Vec<Finding>| {
            findings.sort_by(|one, other| {
                let worst_first = other.severity.cmp(&one.severity);
                worst_first.then_with(|| one.cmp(other))
            });
            findings.dedup();
            findings
        };
        Self {
            distribution,
            findings: sorted(findings),
            not_affected: sorted(not_affected),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        let mut not_affected = self.not_affected;
        not_affected.extend(other.not_affected);
        let is_left = |finding: &Finding| !not_affected.contains(finding);
        let findings = self.findings.into_iter().filter(is_left).collect();
        Self::new(self.distribution, findings, not_affected)
    }
}
