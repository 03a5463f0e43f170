//! What the bundle index says about releases.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A release that is installed with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRecord {
    pub(crate) name: String,
    pub(crate) chart: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The releases that must run before it; they come earlier in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) after: Vec<String>,
}

/// Everything but its name. Not escaped.
impl fmt::Display for ReleaseRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.chart)?;
        if let Some(profile) = &self.profile {
            write!(formatter, ", profile {profile}")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(formatter, ", namespace {namespace}")?;
        }
        if !self.after.is_empty() {
            write!(formatter, ", after {}", self.after.join(", "))?;
        }
        Ok(())
    }
}
