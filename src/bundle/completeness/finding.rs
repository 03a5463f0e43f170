//! What does not fit between charts and lock, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::policy::Declaration;
use rune_core::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompletenessFinding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chart: Option<String>,
    /// The template that made the object, as Helm says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// `Kind/name` of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// What settles it in the policy: entries of its lists.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "entries")]
    pub(crate) policy: Vec<Declaration>,
    /// The profiles in which it was found; empty for the chart's own values.
    pub(crate) profiles: Vec<String>,
}

/// Each as `list: entry`.
fn entries<S: serde::Serializer>(
    declarations: &[Declaration],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        declarations
            .iter()
            .map(|declaration| format!("{}: [{declaration}]", declaration.list())),
    )
}

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Policy, details: .findings)]
pub(crate) struct Incomplete {
    pub(super) findings: Vec<CompletenessFinding>,
}

impl CompletenessFinding {
    pub(super) fn of_chart(chart: &str, message: String) -> Self {
        Self {
            chart: Some(chart.to_owned()),
            file: None,
            object: None,
            container: None,
            path: None,
            image: None,
            message,
            hint: None,
            policy: Vec::new(),
            profiles: Vec::new(),
        }
    }
}

impl Incomplete {
    pub(crate) fn findings(&self) -> &[CompletenessFinding] {
        &self.findings
    }
}

impl fmt::Display for CompletenessFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            chart,
            file,
            object,
            container,
            path,
            message,
            profiles,
            ..
        } = self;
        if let Some(chart) = chart {
            match profiles.as_slice() {
                [] => write!(formatter, "chart {chart} with its own values: ")?,
                [profile] => write!(formatter, "chart {chart}, profile {profile}: ")?,
                profiles => write!(
                    formatter,
                    "chart {chart}, profiles {}: ",
                    profiles.join(", ")
                )?,
            }
        }
        if let Some(file) = file {
            write!(formatter, "{file}: ")?;
        }
        if let Some(object) = object {
            write!(formatter, "{object}, ")?;
        }
        if let Some(container) = container {
            write!(formatter, "container {container}, ")?;
        }
        if let Some(path) = path {
            write!(formatter, "{path}: ")?;
        }
        formatter.write_str(message)
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings.len() {
            1 => write!(formatter, "charts and lock do not fit together")?,
            count => write!(
                formatter,
                "charts and lock do not fit together in {count} places"
            )?,
        }
        for finding in &self.findings {
            write!(formatter, "\n  {finding}")?;
            if let Some(hint) = &finding.hint {
                write!(formatter, "\n    hint: {hint}")?;
            }
        }
        let lines = Declaration::lines(self.findings.iter().flat_map(|finding| &finding.policy));
        if !lines.is_empty() {
            write!(
                formatter,
                "\n  lines for the policy, which declare these places and accept these tags:"
            )?;
            for line in lines.lines() {
                write!(formatter, "\n    {line}")?;
            }
        }
        Ok(())
    }
}
