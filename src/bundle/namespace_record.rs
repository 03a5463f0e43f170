//! What the bundle index says about namespaces.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::BundleIndex;
use crate::manifest::{Direction, Namespace, PodSecurity};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceRecord {
    /// Which one; without a name, every one that has no record of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The level of the Pod Security Standards that is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod_security: Option<PodSecurity>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) quota: BTreeMap<String, String>,
    /// In which directions nothing passes that no other policy allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) default_deny: Vec<Direction>,
}

/// Everything but its name.
impl fmt::Display for NamespaceRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.pod_security.map(|level| {
            let level = match level {
                PodSecurity::Privileged => "privileged",
                PodSecurity::Baseline => "baseline",
                PodSecurity::Restricted => "restricted",
            };
            format!("Pod Security level {level}")
        });
        let amounts = self.quota.iter();
        let amounts: Vec<String> = amounts
            .map(|(resource, amount)| format!("{resource} {amount}"))
            .collect();
        let quota = (!amounts.is_empty()).then(|| format!("quota {}", amounts.join(", ")));
        let denied = self.default_deny.iter().map(|direction| match direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        });
        let denied: Vec<&str> = denied.collect();
        let denied = (!denied.is_empty()).then(|| format!("default deny {}", denied.join(", ")));
        let settings: Vec<String> = [level, quota, denied].into_iter().flatten().collect();
        formatter.write_str(&settings.join("; "))
    }
}

impl From<&Namespace> for NamespaceRecord {
    fn from(namespace: &Namespace) -> Self {
        let Namespace {
            name,
            pod_security,
            quota,
            default_deny,
        } = namespace;
        Self {
            name: name.clone(),
            pod_security: *pod_security,
            quota: quota.clone(),
            default_deny: default_deny.clone(),
        }
    }
}

impl BundleIndex {
    pub(crate) fn namespace(&self, name: &str) -> Option<&NamespaceRecord> {
        let of = |wanted: Option<&str>| {
            let mut records = self.namespaces.iter();
            records.find(|record| record.name.as_deref() == wanted)
        };
        of(Some(name)).or_else(|| of(None))
    }
}
