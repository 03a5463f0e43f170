//! The chart's network policies, enforced: who reaches the database, and what it reaches.

use rune_testkit::cluster::{Cluster, Helm, Namespace};
use serde_json::{Value, json};

use crate::cluster::support::{DATABASE, Images, install, query};

/// Whether the database answers a pod with these labels. A pod is known to the policies a moment
/// after it has an address, so one that may reach the database is given some seconds; one that may
/// not is refused from the beginning.
fn reaches_the_database(
    namespace: &Namespace<'_>,
    name: &str,
    labels: &Value,
    image: &str,
) -> bool {
    let script = "for attempt in 1 2 3 4 5; do pg_isready -t 2 -h rune-postgres && exit 0; sleep 1; done; exit 1";
    namespace
        .run_pod(name, labels, image, &["sh", "-c", script])
        .0
        == 0
}

#[test]
fn only_the_api_reaches_the_database_and_the_database_reaches_nothing() {
    let Some(cluster) = Cluster::up() else { return };
    let images = Images::push(&cluster);
    let namespace = cluster.namespace("network");
    install(&namespace, Helm::Four, &images.values());

    let client = json!({"app.kubernetes.io/instance": "rune", "rune/db-client": "true"});
    let image = images.postgres();
    assert!(
        reaches_the_database(&namespace, "client", &client, &image),
        "{}",
        namespace.describe()
    );
    assert!(!reaches_the_database(
        &namespace,
        "stranger",
        &json!({"app": "other"}),
        &image
    ));
    assert!(
        !reaches_the_database(
            &namespace,
            "impostor",
            &json!({"rune/db-client": "true"}),
            &image
        ),
        "the label of another release"
    );

    let address = namespace.kubectl(&[
        "get",
        "service/rune-api",
        "--output=jsonpath={.spec.clusterIP}",
    ]);
    let connect = ["nc", "-w", "2", &address, "8080", "-e", "true"];
    let other = cluster.namespace("neighbour");
    let (code, said) = other.run_pod("neighbour", &json!({}), &image, &connect);
    assert_eq!(code, 0, "the API answers everybody: {said}");
    assert!(
        namespace.exec(DATABASE, "postgres", &connect).is_err(),
        "the database reached the API"
    );
    let lookup = ["nslookup", "rune-api"];
    assert!(
        namespace.exec(DATABASE, "postgres", &lookup).is_err(),
        "the database reached the name server"
    );
    assert_eq!(
        query(&namespace, "SELECT 1"),
        "1",
        "it is well nevertheless"
    );
}
