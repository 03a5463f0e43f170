//! What the cluster must have before anything is changed: everything is asked, and all that is
//! missing is said at once.

mod access;
mod pods;
mod references;
mod space;

use std::fmt;

use serde::Serialize;

pub(crate) use access::check_access;

use super::{Cluster, Object};
use crate::chart::fits_kubernetes;
use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Requirements<'a> {
    pub(crate) objects: &'a [Object],
    pub(crate) kube_version: Option<&'a str>,
    pub(crate) namespace_exists: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    /// What it is about: `kubernetes`, `rights`, `storage`, ….
    pub(crate) about: &'static str,
    pub(crate) needed: String,
    pub(crate) available: String,
    pub(crate) verdict: Verdict,
    #[serde(skip)]
    kind: FailureKind,
    /// What provides what is missing, such as a command.
    #[serde(skip)]
    remedies: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verdict {
    Satisfied,
    Missing,
    /// It cannot be known from here.
    Unknown,
}

#[derive(Debug, thiserror::Error)]
#[error("the cluster lacks {}:{}", count(.0.len()),
    .0.iter().map(|check| format!("\n  {check}")).collect::<String>())]
pub(crate) struct Problems(Vec<Check>);

fn count(problems: usize) -> String {
    if problems == 1 {
        "something".to_owned()
    } else {
        format!("{problems} things")
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: needed is {}; there is {}",
            self.about, self.needed, self.available
        )
    }
}

impl Failure for Problems {
    fn kind(&self) -> FailureKind {
        // Whoever may not look cannot know the rest.
        let is_about_rights = self.0.iter().any(|check| check.kind == FailureKind::Access);
        if is_about_rights {
            FailureKind::Access
        } else {
            self.0
                .first()
                .map_or(FailureKind::Internal, |check| check.kind)
        }
    }

    fn help(&self) -> Option<String> {
        let mut remedies: Vec<String> = Vec::new();
        for remedy in self.0.iter().flat_map(|check| &check.remedies) {
            if !remedies.contains(remedy) {
                remedies.push(remedy.clone());
            }
        }
        let rest = "and run the same command again";
        Some(if remedies.is_empty() {
            format!("nothing was changed; provide what is missing {rest}")
        } else {
            let remedies = remedies.join(", ");
            format!("nothing was changed; provide what is missing ({remedies}) {rest}")
        })
    }

    fn details(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.0).ok()
    }
}

impl Problems {
    pub(crate) fn among(checks: &[Check]) -> Result<(), Self> {
        let missing: Vec<Check> = checks
            .iter()
            .filter(|check| check.verdict == Verdict::Missing)
            .cloned()
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Self(missing))
        }
    }
}

impl Check {
    /// One thing that was checked; `kind` decides the exit code when it is missing.
    pub(crate) fn new(
        about: &'static str,
        kind: FailureKind,
        needed: impl Into<String>,
        available: impl Into<String>,
        verdict: Verdict,
    ) -> Self {
        Self {
            about,
            needed: needed.into(),
            available: available.into(),
            verdict,
            kind,
            remedies: Vec::new(),
        }
    }

    /// The same with what provides what is missing, in order.
    #[must_use]
    pub(crate) fn with_remedies(self, remedies: impl IntoIterator<Item = String>) -> Self {
        Self {
            remedies: remedies.into_iter().collect(),
            ..self
        }
    }
}

impl Verdict {
    const fn of(is_enough: bool) -> Self {
        if is_enough {
            Self::Satisfied
        } else {
            Self::Missing
        }
    }
}

pub(crate) async fn check_cluster(cluster: &Cluster, demands: Requirements<'_>) -> Vec<Check> {
    let mut checks: Vec<Check> = kubernetes(cluster, demands.kube_version)
        .into_iter()
        .collect();
    if demands.namespace_exists {
        checks.extend(pods::check(cluster, demands.objects).await);
        checks.extend(space::quota(cluster, demands.objects).await);
    }
    checks.extend(references::secrets(cluster, demands).await);
    checks.extend(space::storage(cluster, demands).await);
    checks.extend(space::nodes(cluster, demands.objects).await);
    checks
}

fn kubernetes(cluster: &Cluster, needed: Option<&str>) -> Option<Check> {
    let (needed, version) = (needed?, cluster.version());
    let verdict = fits_kubernetes(needed, version).map_or(Verdict::Unknown, Verdict::of);
    Some(Check::new(
        "kubernetes",
        FailureKind::Policy,
        needed,
        version.to_string(),
        verdict,
    ))
}
