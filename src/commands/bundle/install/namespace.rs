//! How the namespaces of a bundle are created.

use crate::{
    bundle::BundleIndex,
    install::NamespaceSettings,
    manifest::{Direction, PodSecurity},
};

pub(super) fn settings(index: &BundleIndex, name: &str) -> NamespaceSettings {
    let Some(record) = index.namespace(name) else {
        return NamespaceSettings::default();
    };
    let level = |level: PodSecurity| match level {
        PodSecurity::Privileged => "privileged",
        PodSecurity::Baseline => "baseline",
        PodSecurity::Restricted => "restricted",
    };
    let denied = |direction: &Direction| match direction {
        Direction::Ingress => "Ingress".to_owned(),
        Direction::Egress => "Egress".to_owned(),
    };
    NamespaceSettings {
        pod_security: record.pod_security.map(|wanted| level(wanted).to_owned()),
        quota: record.quota.clone(),
        default_deny: record.default_deny.iter().map(denied).collect(),
        description: record.to_string(),
    }
}
