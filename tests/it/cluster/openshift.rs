//! The mirror sets for OpenShift, accepted by a real API server with definitions of these kinds.

use rune_testkit::cluster::Cluster;
use serde_json::{Value, json};

use crate::{
    bundle::small_bundle::ends_with,
    registry::load_support::{built, mirror},
};

const REPOSITORY: &str =
    r"^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$";

/// A kind of `config.openshift.io/v1`: what the API of OpenShift demands of it.
fn definition(kind: &str, field: &str) -> Value {
    let (singular, text) = (kind.to_lowercase(), json!({"type": "string"}));
    let location = json!({"type": "string", "pattern": REPOSITORY});
    let policy = json!({"type": "string", "enum": ["NeverContactSource", "AllowContactingSource"]});
    let mirrors = json!({"type": "array", "items": location, "x-kubernetes-list-type": "set"});
    let rule = json!({
        "type": "object", "required": ["source"],
        "properties": {"source": location, "mirrors": mirrors, "mirrorSourcePolicy": policy},
    });
    let spec = json!({"type": "object", "properties": {field: {"type": "array", "items": rule}}});
    let schema = json!({
        "type": "object", "required": ["spec"],
        "properties": {"apiVersion": text, "kind": text, "metadata": {"type": "object"}, "spec": spec},
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{singular}s.config.openshift.io"),
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
        },
        "spec": {
            "group": "config.openshift.io", "scope": "Cluster",
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": format!("{singular}s"), "singular": singular},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

#[test]
fn the_mirror_sets_of_openshift_are_taken_by_the_api_server_with_every_field() {
    let Some(cluster) = Cluster::up() else { return };
    let kinds = [
        ("ImageDigestMirrorSet", "imageDigestMirrors"),
        ("ImageTagMirrorSet", "imageTagMirrors"),
    ];
    cluster.apply(&kinds.map(|(kind, field)| definition(kind, field)));
    for (kind, _) in kinds {
        let name = format!("crd/{}s.config.openshift.io", kind.to_lowercase());
        cluster.kubectl(&[
            "wait",
            &name,
            "--for=condition=Established",
            "--timeout=30s",
        ]);
    }
    let project = built("[linux/amd64]");
    let out = project.path("sets").to_str().unwrap().to_owned();
    let given = ["registry.example:5000/far/side", "--out", &out];
    ends_with(&mirror(&project, "openshift", &given), 0);
    let file = format!("{out}/mirror-sets.yaml");
    // Unknown fields are errors, not warnings.
    cluster.kubectl(&["apply", "--validate=strict", "--filename", &file]);
    let rules: Vec<Value> = ["docker.io/library/postgres", "ghcr.io/lpasquali/rune"]
        .iter()
        .map(|source| {
            let (_, repository) = source.split_once('/').unwrap();
            let mirror = format!("registry.example:5000/far/side/{repository}");
            json!({"source": source, "mirrors": [mirror], "mirrorSourcePolicy": "NeverContactSource"})
        })
        .collect();
    for (kind, field) in kinds {
        let object = format!("{kind}.config.openshift.io/rune");
        let stored = cluster.kubectl(&["get", &object, "--output=json"]);
        let stored: Value = serde_json::from_str(&stored).unwrap();
        let found = stored["spec"][field].as_array().unwrap();
        for rule in &rules {
            assert!(found.contains(rule), "{kind}: {found:#?}");
        }
    }
    cluster.kubectl(&["delete", "--filename", &file]);
}
