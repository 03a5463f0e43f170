//! Whether the namespace lets the pods in: the API server itself says so, without making one.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::{Check, Verdict};
use crate::install::{Cluster, Object};
use rune_core::failure::FailureKind;

const VIOLATION: &str = "violates PodSecurity";

pub(super) async fn check(cluster: &Cluster, objects: &[Object]) -> Vec<Check> {
    let (mut violations, mut tried) = (BTreeSet::new(), 0_usize);
    for object in objects {
        let Some(pod) = object
            .pod_template()
            .and_then(|template| trial(object.name(), template))
        else {
            continue;
        };
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match cluster.api::<Pod>().create(&parameters, &pod).await {
            Ok(_) => tried += 1,
            Err(kube::Error::Api(status)) => {
                if let Some((_, said)) = status.message.split_once(VIOLATION) {
                    violations.insert(format!("{object}: {}", said.trim_start_matches([' ', ':'])));
                }
                // Quotas, and rights to make pods by hand, are others' business.
            }
            Err(_) => {}
        }
    }
    let needed = "a Pod Security level that lets the pods in";
    if !violations.is_empty() {
        let violations: Vec<String> = violations.into_iter().collect();
        return vec![Check::new(
            "pod security",
            FailureKind::Access,
            needed,
            violations.join("; "),
            Verdict::Missing,
        )];
    }
    let (available, verdict) = if tried > 0 {
        ("one that does", Verdict::Satisfied)
    } else {
        ("none that says so", Verdict::Unknown)
    };
    vec![Check::new(
        "pod security",
        FailureKind::Access,
        needed,
        available,
        verdict,
    )]
}

/// The pod as it would be made, with the account of the namespace: its own may not exist yet.
fn trial(name: &str, template: &Value) -> Option<Pod> {
    let mut spec = template.get("spec")?.as_object()?.clone();
    spec.remove("serviceAccountName");
    spec.remove("serviceAccount");
    spec.remove("priorityClassName");
    // A Deployment's default; a pod on its own would be refused for lack of one in a job.
    spec.entry("restartPolicy")
        .or_insert_with(|| "Always".into());
    let metadata =
        json!({"generateName": format!("{name}-"), "labels": template.pointer("/metadata/labels")});
    serde_json::from_value(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}),
    )
    .ok()
}
