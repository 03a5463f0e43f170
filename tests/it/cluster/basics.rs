//! The cluster is a real one: what the other tests with it rely on.

use std::time::Duration;

use rune_testkit::cluster::{Cluster, ImageLayout, Namespace};
use serde_json::{Value, json};

use crate::cluster::support::{PATIENCE, wait_until};

/// A pod that `restricted` lets in, with one container that holds the claim `data` at `/data`.
fn pod_with_claim(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "holder"},
        "spec": {
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 70, "runAsGroup": 70, "fsGroup": 4711,
                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image, "command": ["sleep", "600"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    })
}

fn claim(size: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    })
}

fn capacity(namespace: &Namespace<'_>) -> Value {
    namespace.get("persistentvolumeclaim/data")["status"]["capacity"]["storage"].clone()
}

#[test]
fn a_restricted_namespace_refuses_a_pod_that_runs_as_root() {
    let Some(cluster) = Cluster::up() else { return };
    let namespace = cluster.namespace("root");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "main", "image": "postgres:17-alpine", "securityContext": {"runAsUser": 0}}]},
    });
    let refusal = namespace.try_apply(&[pod]).unwrap_err();
    assert!(
        refusal.contains("violates PodSecurity \"restricted"),
        "{refusal}"
    );
}

#[test]
fn a_claim_gets_a_volume_that_belongs_to_the_pods_group_grows_and_goes_with_it() {
    let Some(cluster) = Cluster::up() else { return };
    let digest = cluster.push(&ImageLayout::postgres(), "library/postgres:17-alpine");
    let namespace = cluster.namespace("volume");
    namespace.apply(&[claim("1Gi"), pod_with_claim(&format!("postgres@{digest}"))]);
    namespace.wait("pod/holder", "condition=Ready", PATIENCE);
    assert_eq!(
        namespace
            .exec("holder", "main", &["stat", "-c", "%g", "/data"])
            .unwrap(),
        "4711"
    );
    assert_eq!(capacity(&namespace), "1Gi");

    namespace.apply(&[claim("2Gi")]);
    wait_until("the claim has grown", || capacity(&namespace) == "2Gi");
    let volume = namespace.get("persistentvolumeclaim/data")["spec"]["volumeName"]
        .as_str()
        .unwrap()
        .to_owned();
    let smaller = namespace.try_apply(&[claim("1Gi")]).unwrap_err();
    assert!(
        smaller.contains("can not be less than status.capacity"),
        "{smaller}"
    );

    namespace.kubectl(&[
        "delete",
        "pod/holder",
        "persistentvolumeclaim/data",
        "--timeout=60s",
    ]);
    namespace.wait(&format!("persistentvolume/{volume}"), "delete", PATIENCE);
}

#[test]
fn a_registry_that_wants_a_password_gets_it_from_the_pull_secret() {
    let Some(cluster) = Cluster::up() else { return };
    cluster.push_private(&ImageLayout::postgres(), "team/postgres:17-alpine");
    let namespace = cluster.namespace("pull");
    let (host, (user, password)) = (cluster.private_host(), cluster.private_user());
    let image = format!("{host}/team/postgres:17-alpine");
    let pod = |name: &str, secrets: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never", "imagePullSecrets": secrets,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 70, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{"name": "main", "image": image, "imagePullPolicy": "Always", "command": ["true"],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
            },
        })
    };
    namespace.kubectl(&[
        "create",
        "secret",
        "docker-registry",
        "team",
        "--docker-server",
        host,
        "--docker-username",
        user,
        "--docker-password",
        password,
    ]);
    namespace.apply(&[
        pod("without", json!([])),
        pod("with", json!([{"name": "team"}])),
    ]);
    namespace.wait("pod/with", "jsonpath={.status.phase}=Succeeded", PATIENCE);
    let refused = "jsonpath={.status.containerStatuses[0].state.waiting.message}";
    namespace.wait("pod/without", refused, Duration::from_mins(1));
    let waiting =
        &namespace.get("pod/without")["status"]["containerStatuses"][0]["state"]["waiting"];
    assert!(waiting.to_string().contains("uthoriz"), "{waiting}");
}
