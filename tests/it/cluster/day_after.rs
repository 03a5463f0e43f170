//! The day after an installation, on a real cluster: what `status` says, and the way back.

use rune_testkit::cluster::{Cluster, Helm, Namespace};
use serde_json::{Value, json};

use crate::{
    bundle::small_bundle::ends_with,
    cluster::install::{REGISTRY, Works, history},
    cluster::support::query,
};

/// What a verb about a namespace reports.
fn report(works: &Works<'_>, namespace: &Namespace<'_>, verb: &[&str], code: i32) -> Value {
    let given = ["--namespace", namespace.name(), "--json"];
    let output = works.command(&[verb, &given].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn drift(release: &Value) -> Vec<(&str, &str)> {
    let drift = release["drift"].as_array().unwrap().iter();
    drift
        .map(|drift| {
            let text = |key: &str| drift[key].as_str().unwrap();
            (text("about"), text("what"))
        })
        .collect()
}

#[test]
fn status_says_what_was_changed_and_rollback_goes_back_once_the_schema_allows_it() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm4");
    let namespace = cluster.namespace("day-after");
    works.build("1.0.0", "one.tar");
    works.report(&namespace, "one.tar", &["--registry", REGISTRY], 0);
    query(
        &namespace,
        "SET ROLE rune; CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')",
    );
    works.change(
        "templates/values/lab.yaml.j2",
        "postgres:\n",
        "auditLogs:\n  retentionDays: 91\npostgres:\n",
    );
    works.build("2.0.0", "two.tar");
    works.report(&namespace, "two.tar", &["--registry", REGISTRY], 0);

    let status = |code| report(&works, &namespace, &["status"], code);
    let fresh = status(0);
    let release = &fresh["releases"][0];
    assert_eq!(
        (
            &release["installed"]["version"],
            &release["before"]["version"]
        ),
        (&json!("2.0.0"), &json!("1.0.0"))
    );
    assert_eq!(
        (&release["healthy"], &release["schema"]["database"]),
        (&json!(true), &json!(6)),
        "{release}"
    );
    let workloads = release["workloads"].as_array().unwrap();
    assert!(workloads.len() >= 2, "{release}");

    // Somebody upgrades by hand, and somebody else the database.
    let values = [
        "--reuse-values",
        "--set",
        "networkPolicy.egressPorts={8443}",
    ];
    let upgrade = ["upgrade", "rune", "charts/rune"];
    namespace
        .helm(Helm::Four, &[&upgrade[..], &values].concat())
        .unwrap();
    query(
        &namespace,
        "SET ROLE rune; INSERT INTO schema_version VALUES (7, 0)",
    );
    let changed = status(5);
    let drift = drift(&changed["releases"][0]);
    for (about, what) in [
        ("values", "networkPolicy"),
        ("objects", "NetworkPolicy/rune-api"),
        ("schema", "version 7"),
    ] {
        assert!(
            drift
                .iter()
                .any(|(found, said)| *found == about && said.contains(what)),
            "{about}: {drift:?}"
        );
    }

    // The release of before knows six versions.
    let refused = report(&works, &namespace, &["rollback", "rune"], 12);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("schema version 7"), "{message}");
    assert_eq!(history(&namespace).len(), 3, "nothing was changed");
    query(
        &namespace,
        "SET ROLE rune; DELETE FROM schema_version WHERE version = 7",
    );
    let planned = report(&works, &namespace, &["rollback", "rune", "--dry-run"], 0);
    assert_eq!(planned["releases"][0]["to"]["version"], "1.0.0");
    assert_eq!(history(&namespace).len(), 3, "nothing was changed");

    let back = report(&works, &namespace, &["rollback", "rune"], 0);
    assert_eq!(
        (&back["releases"][0]["revision"], history(&namespace).len()),
        (&json!(4), 4)
    );
    assert_eq!(query(&namespace, "SELECT word FROM kept"), "still here");
    let after = status(0);
    assert_eq!(after["releases"][0]["installed"]["version"], "1.0.0");
    assert_eq!(after["releases"][0]["receipt"], back["receipt"]["digest"]);
    let head = back["receipt"]["digest"].as_str().unwrap();
    let verify = ["receipts", "verify", "--head", head];
    let said = ends_with(&works.command(&verify).output().unwrap(), 0);
    assert!(said.starts_with("3 receipts"), "{said}");
    report(&works, &namespace, &["rollback", "rune"], 4);
}
