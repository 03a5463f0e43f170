//! Scripts of the first start from a `ConfigMap` and a Secret, packed; the backup of what they
//! leave, and an exporter beside the database.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use base64ct::{Base64, Encoding as _};
use rune_testkit::cluster::{Cluster, Helm};
use serde_json::{Value, json};

use crate::{
    charts::support::tool,
    cluster::shell::Shell,
    cluster::support::{PATIENCE, query},
    cluster::volumes::{begin, is_ready, values},
    docs::cluster::yaml,
};

const INSTALL: &str = "docs/operations/install.md";
const MONITORING: &str = "docs/operations/monitoring.md";

fn compressed(program: &str, text: &str) -> String {
    let mut process = Command::new(tool(program))
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    Base64::encode_string(&process.wait_with_output().unwrap().stdout)
}

#[test]
fn packed_scripts_run_their_rows_are_backed_up_and_an_exporter_reads_statistics() {
    let Some(cluster) = Cluster::up() else { return };
    let mut values = values(&cluster);
    let namespace = cluster.namespace("scripts");
    let shell = Shell::with_the_chart(&cluster, Helm::Four, namespace.name());
    shell.apply(INSTALL, &["name: rune-db-secret", "stringData:"]);
    namespace.apply(&[
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"},
            "binaryData": {"1-seed.sql.gz": compressed("gzip", "CREATE TABLE seed (x int); INSERT INTO seed VALUES (1)")},
            "data": {"2-seed.SQL": "INSERT INTO seed VALUES (2)"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "more"},
            "data": {"3-seed.sql.zst": compressed("zstd", "INSERT INTO seed VALUES (3)"), "4-seed.sql.xz": compressed("xz", "INSERT INTO seed VALUES (4)")}}),
    ]);
    values["initdb"] = json!({"existingConfigMap": "more", "existingSecret": "more"});
    values["backup"]["enabled"] = json!(true);
    values["jobs"] = json!({"podLabels": {"sidecar.istio.io/inject": "false"}, "podAnnotations": {"note": "job"}});
    values["podSecurity"] =
        json!({"supplementalGroups": [5555], "seLinuxOptions": {"level": "s0:c1,c2"}});
    values["service"] = json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]});
    let page: Value = rune_core::yaml::from_str(
        camino::Utf8Path::new(MONITORING),
        &yaml(MONITORING, &["extraHba:", "extraIngress:"]),
    )
    .unwrap();
    for key in ["extraHba", "networkPolicy"] {
        values[key] = page["postgres"][key].clone();
    }
    begin(&namespace, &values);
    is_ready(&namespace);
    let seed = "SELECT string_agg(x::text, ' ' ORDER BY x), pg_get_userbyid((SELECT relowner FROM pg_class WHERE relname = 'seed')) FROM seed";
    assert_eq!(query(&namespace, seed), "1 2 3 4|rune");

    let complete = format!("--timeout={}s", PATIENCE.as_secs());
    namespace.kubectl(&[
        "wait",
        "job",
        "--all",
        "--for=condition=Complete",
        &complete,
    ]);
    let said = namespace.kubectl(&[
        "logs",
        "--selector=rune/job=backup,sidecar.istio.io/inject=false",
        "--tail=-1",
    ]);
    assert!(said.contains("is whole"), "{said}");

    shell.follow(
        MONITORING,
        "kubectl -n rune exec -i statefulset/rune-postgres",
    );
    let url = format!(
        "postgresql://metrics:another-long-password@rune-postgres.{}.svc:5432/rune?sslmode=disable",
        namespace.name()
    );
    let digest = values["image"]["digest"].as_str().unwrap();
    let image = format!("docker.io/library/postgres:17-alpine@{digest}");
    let ask = |name: &str, labels: &Value, sql: &str| {
        let script = format!(
            "for attempt in 1 2 3 4 5; do said=$(psql -XAtc \"{sql}\" '{url}&connect_timeout=3' 2>&1) && echo \"$said\" && exit 0; sleep 1; done; echo \"$said\"; exit 1"
        );
        namespace.run_pod(name, labels, &image, &["sh", "-c", &script])
    };
    let exporter = json!({"app.kubernetes.io/name": "rune-postgres-exporter"});
    let (code, said) = ask(
        "exporter",
        &exporter,
        "SELECT numbackends > 0 FROM pg_stat_database WHERE datname = 'rune'",
    );
    assert!(code == 0 && said.trim() == "t", "{code}: {said}");
    assert_ne!(
        ask("thief", &exporter, "SELECT * FROM seed").0,
        0,
        "a role for statistics reads no rows"
    );
    assert_ne!(
        ask("stranger", &json!({"app": "other"}), "SELECT 1").0,
        0,
        "the policy lets the exporter in, not everybody"
    );
}
