//! The chart with a PostgreSQL elsewhere: a Secret in CloudNativePG's shape, and TLS that is
//! checked.

use rune_testkit::cluster::{Cluster, Helm, Namespace};
use serde_json::{Value, json};

use crate::cluster::support::{Images, PATIENCE, install, values_file, wait_until};
use rune_testkit::certificates::{Authority, Issued};

const PASSWORD: &str = "p@ss/w:rd#100% of it";
const ENCODED_PASSWORD: &str = "p%40ss%2Fw%3Ard%23100%25%20of%20it";

/// The server: our own chart, alone in a namespace, under the names that CloudNativePG gives.
fn provide(namespace: &Namespace<'_>, images: &Images, authority: &Authority) {
    let host = format!("rune-db-rw.{}", namespace.name());
    let Issued { certificate, key } = authority.issue(Some(&host), &host, false);
    namespace.apply(&[
        secret(
            "server-tls",
            &json!({"tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem()}),
        ),
        secret(
            "owner",
            &json!({"password": PASSWORD, "RUNE_DB_URL": "not used here"}),
        ),
    ]);
    let mut values = images.values()["postgres"].clone();
    values["fullnameOverride"] = json!("rune-db-rw");
    values["auth"] = json!({"existingSecret": "owner", "generate": false});
    values["tls"] = json!({"enabled": true, "secretName": "server-tls"});
    values["networkPolicy"] = json!({"enabled": false});
    let file = values_file(&values);
    let path = file.path().to_str().unwrap();
    let arguments = [
        "install",
        "database",
        "charts/rune/charts/postgres",
        "--values",
        path,
        "--wait",
        "--timeout",
        "150s",
    ];
    namespace
        .helm(Helm::Four, &arguments)
        .unwrap_or_else(|error| panic!("{error}"));
}

fn secret(name: &str, content: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": content})
}

/// What the operator writes for a cluster `rune-db`: its URL says nothing about TLS.
fn secrets_of_the_operator(provider: &str, authority: &Authority) -> [Value; 2] {
    let host = format!("rune-db-rw.{provider}");
    let uri = format!("postgresql://rune:{ENCODED_PASSWORD}@{host}:5432/rune");
    let app = json!({"username": "rune", "password": PASSWORD, "dbname": "rune", "host": host, "port": "5432", "uri": uri});
    [
        secret("rune-db-app", &app),
        secret("rune-db-ca", &json!({"ca.crt": authority.pem()})),
    ]
}

fn values(images: &Images) -> Value {
    let mut values = images.values();
    values["postgres"] = json!({"enabled": false});
    let database = &mut values["rune"]["database"];
    database["existingSecret"] = json!("rune-db-app");
    database["existingSecretKey"] = json!("uri");
    database["tls"] = json!({"mode": "verify-full", "caSecret": "rune-db-ca"});
    values
}

#[test]
fn an_external_database_is_reached_through_the_operators_secret_and_its_certificate_is_checked() {
    let Some(cluster) = Cluster::up() else { return };
    let images = Images::push(&cluster);
    let authority = Authority::new("the operator's");
    let provider = cluster.namespace("provider");
    provide(&provider, &images, &authority);

    let consumer = cluster.namespace("consumer");
    consumer.apply(&secrets_of_the_operator(provider.name(), &authority));
    let ask = |sql: &str| {
        let ask = [
            "psql",
            "--no-psqlrc",
            "-qAtU",
            "postgres",
            "-d",
            "rune",
            "-c",
            sql,
        ];
        provider
            .exec("rune-db-rw-0", "postgres", &ask)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    for helm in [Helm::Three, Helm::Four] {
        install(&consumer, helm, &values(&images));
        let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'rune'";
        assert_eq!(ask(encrypted), "t");
        let tested = consumer
            .helm(helm, &["test", "rune"])
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(tested.matches("Succeeded").count(), 1, "{tested}");
        ask(
            "SET ROLE rune; CREATE TABLE IF NOT EXISTS kept (word text); INSERT INTO kept VALUES ('still here')",
        );
        let uninstalled = ["uninstall", "rune", "--wait", "--timeout", "100s"];
        consumer
            .helm(helm, &uninstalled)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(
        ask("SELECT count(*) FROM kept"),
        "2",
        "what the first release left was there for the second"
    );

    // The same with another authority's certificate: rune-db does not go on, and says why.
    let stranger = cluster.namespace("stranger");
    stranger.apply(&secrets_of_the_operator(
        provider.name(),
        &Authority::new("somebody else's"),
    ));
    let file = values_file(&values(&images));
    let arguments = [
        "install",
        "rune",
        "charts/rune",
        "--values",
        file.path().to_str().unwrap(),
    ];
    stranger
        .helm(Helm::Four, &arguments)
        .unwrap_or_else(|error| panic!("{error}"));
    wait_until("rune-db names the certificate", || {
        let said = stranger.try_kubectl(&["logs", "deployment/rune-api", "--container=db-migrate"]);
        said.is_ok_and(|said| said.contains("certificate"))
    });
    stranger.wait(
        "deployment/rune-api",
        "jsonpath={.status.unavailableReplicas}=1",
        PATIENCE,
    );
}
