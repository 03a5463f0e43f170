//! The words of RUNE that the port knows: what a status or kind may be when it is written.
//!
//! Readers get the words as they stand in the database, because other versions of RUNE may know
//! more of them.

use std::fmt;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStatus {
    /// Accepted, not begun.
    Queued,
    /// Begun.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Ended by a person.
    Cancelled,
}

impl JobStatus {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word; `success` is how early versions of RUNE spelt `succeeded`.
    pub fn parse(word: &str) -> Option<Self> {
        if word == "success" {
            return Some(Self::Succeeded);
        }
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Whether nothing comes after it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether a job may go from here to there: never backwards, and from an end to nothing but
    /// itself.
    pub(crate) fn may_become(self, next: Self) -> bool {
        self == next || (!self.is_terminal() && next > self)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// The kinds of evidence that RUNE keeps.
pub const ARTIFACT_KINDS: [&str; 8] = [
    "slsa_provenance",
    "sbom",
    "tla_report",
    "sigstore_bundle",
    "rekor_entry",
    "tpm_attestation",
    "log",
    "screenshot",
];

pub(super) const FINOPS_KINDS: [&str; 2] = ["benchmark", "agentic-agent"];

/// What all nodes of a chain together amount to, by RUNE's rules.
pub fn overall_status(statuses: &[&str]) -> &'static str {
    let any = |word| statuses.contains(&word);
    if statuses.is_empty() {
        "pending"
    } else if any("failed") {
        "failed"
    } else if any("running") {
        "running"
    } else if any("pending") {
        "pending"
    } else if statuses.iter().all(|status| *status == "skipped") {
        "skipped"
    } else {
        "success"
    }
}

#[cfg(test)]
mod tests {
    use super::{JobStatus, overall_status};

    #[test]
    fn a_job_never_goes_back() {
        use JobStatus::{Cancelled, Failed, Queued, Running, Succeeded};
        for (from, to) in [
            (Queued, Running),
            (Queued, Cancelled),
            (Queued, Failed),
            (Running, Succeeded),
            (Failed, Failed),
        ] {
            assert!(from.may_become(to), "{from} {to}");
        }
        for (from, to) in [
            (Running, Queued),
            (Succeeded, Running),
            (Succeeded, Failed),
            (Cancelled, Succeeded),
            (Failed, Queued),
        ] {
            assert!(!from.may_become(to), "{from} {to}");
        }
    }

    #[test]
    fn the_whole_is_what_its_nodes_say() {
        for (nodes, expected) in [
            (&[][..], "pending"),
            (&["success", "failed", "running"], "failed"),
            (&["success", "running", "pending"], "running"),
            (&["success", "pending"], "pending"),
            (&["skipped", "skipped"], "skipped"),
            (&["skipped", "success"], "success"),
            (&["odd"], "success"),
        ] {
            assert_eq!(overall_status(nodes), expected, "{nodes:?}");
        }
    }
}
