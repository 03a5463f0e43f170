//! Two replicas of the API that start at once on an empty database, and programs of several ages on
//! one schema.

use std::path::PathBuf;

use rune_testkit::cluster::{Cluster, Helm, Namespace};
use serde_json::{Value, json};

use crate::charts::support::decoded;
use crate::cluster::support::{DATABASE, Images, PATIENCE, encoded, install, printable, query};
use rune_testkit::tool;

/// What each replica's rune-db said before the API started.
fn migrations(namespace: &Namespace<'_>) -> Vec<String> {
    let pods: Value = serde_json::from_str(&namespace.kubectl(&[
        "get",
        "pods",
        "--selector=app.kubernetes.io/component=api",
        "--output=json",
    ]))
    .unwrap();
    let pods = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    pods.map(|pod| namespace.logs(pod["metadata"]["name"].as_str().unwrap(), "db-migrate"))
        .collect()
}

/// Lets RUNE's own driver connect with the URL of the Secret, and gives the role that it is let in
/// as.
fn psycopg(cluster: &Cluster, namespace: &Namespace<'_>) -> String {
    const PROGRAM: &str = "import os, psycopg
with psycopg.connect(os.environ['URL'], hostaddr=os.environ['ADDRESS']) as connection:
    print(connection.execute('SELECT current_user').fetchone()[0])";
    let url = decoded(&namespace.get("secret/rune-postgres-app"), "RUNE_DB_URL");
    let address = namespace.get(&format!("pod/{DATABASE}"))["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned();
    let tools = std::env::var_os("RUNE_TOOLS").map_or_else(
        || PathBuf::from("/var/cache/rune-bundle/tools"),
        PathBuf::from,
    );
    let mut python = cluster.command("python3");
    let output = python
        .args(["-c", PROGRAM])
        .env("PYTHONPATH", tools.join("python"))
        .env("URL", url)
        .env("ADDRESS", address)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Does what a newer rune-db will do: its migrations are those of today and one more.
fn migrate_further(cluster: &Cluster, namespace: &Namespace<'_>) {
    let newer = "-- migrate:sqlite\nCREATE TABLE newer (a TEXT);\n\n-- migrate:postgres\nCREATE TABLE newer (a text);\n";
    let migrations = tool::migrations(&[("0007_newer.sql", newer)]);
    let password = encoded(&decoded(
        &namespace.get("secret/rune-postgres-app"),
        "password",
    ));
    let address = namespace.get(&format!("pod/{DATABASE}"))["status"]["podIP"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut migrate = cluster.command(rune_testkit::programs::rune_db());
    migrate
        .arg("migrate")
        .arg("--migrations")
        .arg(migrations.path());
    let migrate = migrate
        .env(
            "RUNE_DB_URL",
            format!("postgresql://rune:{password}@{address}:5432/rune"),
        )
        .output()
        .unwrap();
    assert!(
        migrate.status.success(),
        "{}",
        String::from_utf8_lossy(&migrate.stderr)
    );
}

#[test]
fn two_replicas_of_the_api_share_one_migration_whatever_the_password_and_bear_a_newer_schema() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = Images::push(&cluster).values();
    values["replicaCount"] = json!(2);
    values["postgres"]["auth"] = json!({"password": printable()});
    let namespace = cluster.namespace("replicas");
    install(&namespace, Helm::Four, &values);
    assert_eq!(
        namespace.get("deployment/rune-api")["status"]["readyReplicas"],
        2
    );
    assert_eq!(
        query(
            &namespace,
            "SELECT count(*), count(DISTINCT version) FROM schema_version"
        ),
        "6|6",
        "each migration ran once"
    );
    let said = migrations(&namespace);
    let count = |word: &str| said.iter().filter(|said| said.contains(word)).count();
    assert_eq!(
        (said.len(), count("applied 1 "), count("schema version 6")),
        (2, 1, 2),
        "one migrates, both know it: {said:?}"
    );
    assert_eq!(psycopg(&cluster, &namespace), "rune");

    migrate_further(&cluster, &namespace);
    namespace.kubectl(&["rollout", "restart", "deployment/rune-api"]);
    namespace.kubectl(&[
        "rollout",
        "status",
        "deployment/rune-api",
        &format!("--timeout={}s", PATIENCE.as_secs()),
    ]);
    let said = migrations(&namespace);
    assert!(
        said.iter()
            .any(|said| said
                .contains("schema version 7 is not known here; use the release of rune-db")),
        "{said:?}"
    );
}
