//! Storage classes and room, as far as the cluster says.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Node, PersistentVolumeClaim, ResourceQuota},
        storage::v1::{CSIStorageCapacity, StorageClass},
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Api, api::ListParams};
use serde_json::Value;

use super::{Check, Requirements, Verdict};
use crate::install::{Cluster, Object};
use rune_core::failure::FailureKind;

/// The annotation of the class that claims without one get.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

struct Claim<'a> {
    name: &'a str,
    class: Option<&'a str>,
    bytes: Option<f64>,
    size: &'a str,
}

/// Looks for the storage class of every volume that is not there yet, and for its room where the
/// driver says how much there is.
pub(super) async fn storage(cluster: &Cluster, demands: Requirements<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let classes = Api::<StorageClass>::all(cluster.client())
        .list(&ListParams::default())
        .await
        .map(|list| list.items);
    let capacities = Api::<CSIStorageCapacity>::all(cluster.client())
        .list(&ListParams::default())
        .await
        .map(|list| list.items);
    for claim in demands.objects.iter().filter_map(claim) {
        let is_there = demands.namespace_exists
            && matches!(
                cluster
                    .api::<PersistentVolumeClaim>()
                    .get_opt(claim.name)
                    .await,
                Ok(Some(_))
            );
        // "" means no class, on purpose: somebody provides the volume by hand.
        if is_there || claim.class == Some("") {
            continue;
        }
        let needed = match claim.class {
            Some(class) => format!(
                "the storage class {class} for {} ({})",
                claim.name, claim.size
            ),
            None => format!(
                "a default storage class for {} ({})",
                claim.name, claim.size
            ),
        };
        let check = |available: String, verdict| {
            Check::new(
                "storage",
                FailureKind::NotFound,
                needed.clone(),
                available,
                verdict,
            )
        };
        let Ok(classes) = &classes else {
            checks.push(check("no right to look".to_owned(), Verdict::Unknown));
            continue;
        };
        let is_default = |class: &&StorageClass| {
            class
                .metadata
                .annotations
                .as_ref()
                .is_some_and(|annotations| {
                    annotations
                        .get(DEFAULT_CLASS)
                        .is_some_and(|value| value == "true")
                })
        };
        let found = match claim.class {
            Some(name) => classes
                .iter()
                .find(|class| class.metadata.name.as_deref() == Some(name)),
            None => classes.iter().find(is_default),
        };
        let Some(found) = found.and_then(|class| class.metadata.name.as_deref()) else {
            let names: Vec<&str> = classes
                .iter()
                .filter_map(|class| class.metadata.name.as_deref())
                .collect();
            let available = if names.is_empty() {
                "no class at all".to_owned()
            } else {
                format!("the classes {}", names.join(", "))
            };
            checks.push(check(available, Verdict::Missing));
            continue;
        };
        checks.push(check(format!("the class {found}"), Verdict::Satisfied));
        let room = capacities
            .as_ref()
            .ok()
            .into_iter()
            .flatten()
            .filter(|capacity| capacity.storage_class_name == found);
        let room = room
            .filter_map(|capacity| capacity.capacity.as_ref().and_then(amount))
            .reduce(f64::max);
        if let Some((room, bytes)) = room.zip(claim.bytes) {
            let needed = format!("{} for {} in class {found}", claim.size, claim.name);
            let available = format!("{} where there is most", shown(room));
            checks.push(Check::new(
                "space",
                FailureKind::Space,
                needed,
                available,
                Verdict::of(room >= bytes),
            ));
        }
    }
    checks
}

fn claim(object: &Object) -> Option<Claim<'_>> {
    if object.kind() != "PersistentVolumeClaim" {
        return None;
    }
    let text = |pointer: &str| object.value().pointer(pointer).and_then(Value::as_str);
    let size = text("/spec/resources/requests/storage").unwrap_or("?");
    Some(Claim {
        name: object.name(),
        class: text("/spec/storageClassName"),
        bytes: parse(size),
        size,
    })
}

/// Compares what the pods ask for with the largest node: a pod that fits on none waits for ever.
pub(super) async fn nodes(cluster: &Cluster, objects: &[Object]) -> Vec<Check> {
    let Ok(nodes) = Api::<Node>::all(cluster.client())
        .list(&ListParams::default())
        .await
    else {
        return Vec::new();
    };
    let is_open = |node: &&Node| {
        !node
            .spec
            .as_ref()
            .and_then(|spec| spec.unschedulable)
            .unwrap_or(false)
    };
    let mut checks = Vec::new();
    for resource in ["cpu", "memory"] {
        let allocatable = |node: &Node| {
            node.status
                .as_ref()?
                .allocatable
                .as_ref()?
                .get(resource)
                .and_then(amount)
        };
        let Some(most) = nodes
            .items
            .iter()
            .filter(is_open)
            .filter_map(allocatable)
            .reduce(f64::max)
        else {
            continue;
        };
        let largest = objects
            .iter()
            .filter_map(|object| Some((object, requests(object, resource)?)));
        let Some((object, needed)) = largest.max_by(|one, other| one.1.total_cmp(&other.1)) else {
            continue;
        };
        let show = |value: f64| {
            if resource == "cpu" {
                format!("{value}")
            } else {
                shown(value)
            }
        };
        let available = format!("at most {} on one node", show(most));
        let needed_text = format!("{} of {resource} for {object}", show(needed));
        checks.push(Check::new(
            "nodes",
            FailureKind::Space,
            needed_text,
            available,
            Verdict::of(most >= needed),
        ));
    }
    checks
}

/// What a pod of the object asks for in all.
fn requests(object: &Object, resource: &str) -> Option<f64> {
    let containers = object
        .pod_template()?
        .pointer("/spec/containers")?
        .as_array()?;
    let asked = |container: &Value| match container.pointer("/resources/requests")?.get(resource)? {
        Value::String(text) => parse(text),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    Some(containers.iter().filter_map(asked).sum())
}

/// Compares what the volumes ask for with the quota of the namespace.
pub(super) async fn quota(cluster: &Cluster, objects: &[Object]) -> Vec<Check> {
    let Ok(quotas) = cluster
        .api::<ResourceQuota>()
        .list(&ListParams::default())
        .await
    else {
        return Vec::new();
    };
    let mut missing = Vec::new();
    for claim in objects.iter().filter_map(claim) {
        if !matches!(
            cluster
                .api::<PersistentVolumeClaim>()
                .get_opt(claim.name)
                .await,
            Ok(Some(_))
        ) {
            missing.extend(claim.bytes);
        }
    }
    let needed: f64 = missing.iter().sum();
    if missing.is_empty() {
        return Vec::new();
    }
    let left = quotas.items.iter().filter_map(|quota| {
        let status = quota.status.as_ref()?;
        let of = |amounts: &Option<BTreeMap<String, Quantity>>| {
            amounts.as_ref()?.get("requests.storage").and_then(amount)
        };
        Some((
            quota.metadata.name.clone().unwrap_or_default(),
            of(&status.hard)? - of(&status.used).unwrap_or(0.0),
        ))
    });
    let check = |(name, left): (String, f64)| {
        let available = format!("{} left in the quota {name}", shown(left));
        Check::new(
            "quota",
            FailureKind::Space,
            format!("{} of storage", shown(needed)),
            available,
            Verdict::of(left >= needed),
        )
    };
    left.map(check).collect()
}

fn amount(quantity: &Quantity) -> Option<f64> {
    parse(&quantity.0)
}

/// A quantity as Kubernetes writes it.
///
/// Source: the grammar of `resource.Quantity` in the Kubernetes API reference.
fn parse(text: &str) -> Option<f64> {
    let end = text
        .find(|character: char| !(character.is_ascii_digit() || ".+-".contains(character)))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

fn shown(bytes: f64) -> String {
    const UNITS: [(&str, f64); 3] = [
        ("GiB", 1_073_741_824.0),
        ("MiB", 1_048_576.0),
        ("KiB", 1024.0),
    ];
    let unit = UNITS.iter().find(|(_, size)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes:.0} bytes"),
        |(name, size)| format!("{:.1} {name}", bytes / size),
    )
}

#[cfg(test)]
mod tests {
    use super::{parse, shown};

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("250m", Some(0.25)),
            ("1.5Gi", Some(1_610_612_736.0)),
            ("10G", Some(1e10)),
            ("1e3", Some(1000.0)),
            ("12E2", Some(1200.0)),
            ("2E", Some(2e18)),
            ("x", None),
            ("1Q", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(shown(1_610_612_736.0), "1.5 GiB");
    }
}
