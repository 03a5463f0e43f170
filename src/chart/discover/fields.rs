//! Custom resources that name images in fields of their own.

use super::{Node, entries, items, join};
use crate::policy::ImagePlaces;

/// Kind and group, and where its images stand. From the definitions of `CloudNativePG` 1.30, the Prometheus operator 0.80,
/// the Postgres operator of Zalando 1.14, the OpenTelemetry operator 0.120 and Tekton 1.0.
const KNOWN: [(&str, &str, &str); 16] = [
    ("Cluster", "postgresql.cnpg.io", "spec.imageName"),
    ("Cluster", "postgresql.cnpg.io", "spec.postgresql.extensions[].image.reference"),
    ("ImageCatalog", "postgresql.cnpg.io", "spec.images[].image"),
    ("ImageCatalog", "postgresql.cnpg.io", "spec.images[].extensions[].image.reference"),
    ("ClusterImageCatalog", "postgresql.cnpg.io", "spec.images[].image"),
    ("ClusterImageCatalog", "postgresql.cnpg.io", "spec.images[].extensions[].image.reference"),
    ("Prometheus", "monitoring.coreos.com", "spec.image"),
    ("Prometheus", "monitoring.coreos.com", "spec.thanos.image"),
    ("PrometheusAgent", "monitoring.coreos.com", "spec.image"),
    ("Alertmanager", "monitoring.coreos.com", "spec.image"),
    ("ThanosRuler", "monitoring.coreos.com", "spec.image"),
    ("postgresql", "acid.zalan.do", "spec.dockerImage"),
    ("OpenTelemetryCollector", "opentelemetry.io", "spec.image"),
    ("Task", "tekton.dev", "spec.steps[].image"),
    ("Task", "tekton.dev", "spec.sidecars[].image"),
    ("Task", "tekton.dev", "spec.stepTemplate.image"),
];

/// The paths of a kind, from the table and from the policy.
pub(super) fn paths_of<'p>(kind: &str, group: &str, places: &'p ImagePlaces) -> impl Iterator<Item = &'p str> {
    let known = KNOWN.iter().filter(move |(name, of, _)| *name == kind && *of == group).map(|(_, _, path)| *path);
    let full = format!("{kind}.{group}");
    let declared = places.fields.iter().filter(move |field| field.kind == kind || field.kind == full).map(|field| field.path.as_str());
    known.collect::<Vec<_>>().into_iter().chain(declared.collect::<Vec<_>>())
}

/// Hands on every value that a path leads to, with its full path.
pub(super) fn resolve(node: &Node, path: &str, each: &mut impl FnMut(String, &Node)) {
    step(node, path, "", each);
}

fn step(node: &Node, path: &str, so_far: &str, each: &mut impl FnMut(String, &Node)) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let (key, is_list) = first.strip_suffix("[]").map_or((first, false), |key| (key, true));
    let mut onward = |node: &Node, at: String| match rest {
        Some(rest) => step(node, rest, &at, &mut *each),
        None => each(at, node),
    };
    for (_, value) in entries(node).filter(|(name, _)| *name == key) {
        let at = join(so_far, key);
        if is_list {
            items(value).for_each(|(number, item)| onward(item, format!("{at}[{number}]")));
        } else {
            onward(value, at);
        }
    }
}
