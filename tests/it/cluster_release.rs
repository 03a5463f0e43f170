//! The chart with the bundled PostgreSQL on a real node: it becomes ready, and its data outlive what may happen to it.

use rune_testkit::cluster::{Cluster, Helm, Namespace};
use serde_json::json;

use crate::cluster_support::{DATABASE, Images, PATIENCE, install, query, uninstall, wait_until};

const WORD: &str = "SELECT word FROM kept";

fn restart(namespace: &Namespace<'_>) {
    let before = namespace.get(&format!("pod/{DATABASE}"))["metadata"]["uid"].clone();
    namespace.kubectl(&["delete", "pod", DATABASE, "--timeout=60s"]);
    wait_until("another pod is there", || {
        namespace.try_kubectl(&["get", "pod", DATABASE, "--output=jsonpath={.metadata.uid}"]).is_ok_and(|uid| before != uid.as_str())
    });
    namespace.wait(&format!("pod/{DATABASE}"), "condition=Ready", PATIENCE);
}

fn becomes_ready_and_keeps_what_was_written(helm: Helm, purpose: &str) {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = Images::push(&cluster).values();
    let namespace = cluster.namespace(purpose);

    install(&namespace, helm, &values);
    assert_eq!(query(&namespace, "SELECT max(version) FROM schema_version"), "6", "rune-db has migrated");
    query(&namespace, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')");

    restart(&namespace);
    assert_eq!(query(&namespace, WORD), "still here", "after the pod was deleted");

    values["postgres"]["config"] = json!({"max_connections": 61});
    values["postgres"]["persistence"]["size"] = json!("2Gi");
    install(&namespace, helm, &values);
    assert_eq!(query(&namespace, "SHOW max_connections"), "61", "the upgrade reached the server");
    wait_until("the volume has grown", || namespace.get("pvc/rune-postgres-data")["status"]["capacity"]["storage"] == "2Gi");
    assert_eq!(query(&namespace, WORD), "still here", "after an upgrade");

    uninstall(&namespace, helm);
    install(&namespace, helm, &values);
    assert_eq!(query(&namespace, WORD), "still here", "after the release was removed and installed again");
}

#[test]
fn the_bundled_database_keeps_its_data_with_helm_3() {
    becomes_ready_and_keeps_what_was_written(Helm::Three, "helm3");
}

#[test]
fn the_bundled_database_keeps_its_data_with_helm_4() {
    becomes_ready_and_keeps_what_was_written(Helm::Four, "helm4");
}

#[test]
fn two_replicas_of_the_api_start_at_once_on_an_empty_database() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = Images::push(&cluster).values();
    values["replicaCount"] = json!(2);
    let namespace = cluster.namespace("replicas");
    install(&namespace, Helm::Four, &values);
    let deployment = namespace.get("deployment/rune-api");
    assert_eq!(deployment["status"]["readyReplicas"], 2);
    assert_eq!(query(&namespace, "SELECT count(*), count(DISTINCT version) FROM schema_version"), "6|6", "each migration ran once");
}
