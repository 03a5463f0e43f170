//! The way of a release that begins small: SQLite on a volume, then its rows in the bundled
//! PostgreSQL, then a lost Secret. All pods run under ids that no image knows, as OpenShift would
//! give them.

use rune_testkit::cluster::{Cluster, Helm, Namespace};
use serde_json::{Value, json};

use crate::{
    charts::support::decoded,
    cluster::shell::Shell,
    cluster::support::{DATABASE, Images, PATIENCE, install, query},
};

const SETTING: &str = r#"{"defaults": {}}"#;

/// Runs rune-db on the volume of the API, which the API has open too.
fn write_a_setting(namespace: &Namespace<'_>) {
    let deployment = namespace.get("deployment/rune-api");
    let mut spec = deployment["spec"]["template"]["spec"].clone();
    let mut container = spec["initContainers"][0].clone();
    container["args"] = json!(["settings", "set", "rune_config", SETTING]);
    spec["restartPolicy"] = json!("Never");
    spec["initContainers"] = json!([]);
    spec["containers"] = json!([container]);
    namespace.apply(&[
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec}),
    ]);
    namespace.wait("pod/writer", "jsonpath={.status.phase}=Succeeded", PATIENCE);
    namespace.kubectl(&["delete", "pod", "writer"]);
}

fn ids(values: &mut Value) {
    let ids =
        json!({"runAsUser": 1_000_660_000, "runAsGroup": 1_000_660_000, "fsGroup": 1_000_660_000});
    values["podSecurity"] = ids.clone();
    values["postgres"]["podSecurity"] = ids;
}

#[test]
fn a_small_release_moves_its_rows_into_postgres_and_survives_the_loss_of_its_secret() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = Images::push(&cluster).values();
    ids(&mut values);
    let namespace = cluster.namespace("small");
    let mut small = values.clone();
    small["postgres"]["enabled"] = json!(false);
    install(&namespace, Helm::Four, &small);
    write_a_setting(&namespace);

    let mut moving = values.clone();
    moving["replicaCount"] = json!(0);
    moving["rune"]["database"]["transfer"] = json!({"enabled": true});
    install(&namespace, Helm::Four, &moving);
    let jobs = namespace.kubectl(&["get", "jobs", "--output=name"]);
    namespace.wait(jobs.trim(), "condition=Complete", PATIENCE);
    install(&namespace, Helm::Four, &values);
    let setting = "SELECT value_json FROM settings WHERE key = 'rune_config'";
    assert_eq!(query(&namespace, setting), SETTING);
    namespace.get("persistentvolumeclaim/rune-api-data");

    // The volume stays and the Secret is lost: a new password is made, set, and spoken of.
    let shell = Shell::with_the_chart(&cluster, Helm::Four, namespace.name());
    let password = || decoded(&namespace.get("secret/rune-postgres-app"), "password");
    let before = password();
    shell.follow(
        "docs/operations/rotation.md",
        "kubectl -n rune delete secret",
    );
    assert_ne!(password(), before);
    let said = namespace.logs(DATABASE, "bootstrap");
    assert!(
        said.contains("is not the one of the Secret; from now on it is"),
        "{said}"
    );
    assert_eq!(query(&namespace, setting), SETTING);
}
