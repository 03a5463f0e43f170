//! Namespaces that `install` creates, on a real cluster.

use rune_testkit::cluster::{Cluster, Helm};
use serde_json::{Value, json};

use crate::cluster::{install::REGISTRY, release_set::Site};

const SETTINGS: &str = "namespaces:
  - { podSecurity: restricted, quota: { pods: 10, requests.storage: 1Gi }, defaultDeny: [ingress] }
";

#[test]
fn a_namespace_is_created_as_the_bundle_asks_and_others_stay_as_they_are() {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(&cluster, Helm::Four);
    site.build_with("1.0.0", SETTINGS);
    let name = format!("{}-made", site.namespace.name());
    let install = |namespace: &str, options: &[&str]| -> Value {
        let given = ["install", "1.0.0.tar", "--key", "release.pub", "--json"];
        let place = [
            "--registry",
            REGISTRY,
            "--create-namespace",
            "--namespace",
            namespace,
        ];
        let arguments = [&given[..], &place, options].concat();
        let output = site.works.command(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let changes = |report: &Value, number: usize| -> Vec<String> {
        let changes = report["releases"][number]["changes"].as_array().unwrap();
        let made = changes.iter().filter(|change| {
            let object = change["object"].as_str().unwrap();
            ["Namespace/", "ResourceQuota/", "NetworkPolicy/"]
                .iter()
                .any(|kind| object.starts_with(kind))
        });
        made.map(|change| format!("{} {}", change["object"], change["change"]))
            .collect()
    };
    let added = [
        format!("\"Namespace/{name}\" \"added\""),
        "\"ResourceQuota/rune-bundle\" \"added\"".to_owned(),
        "\"NetworkPolicy/rune-bundle\" \"added\"".to_owned(),
    ];

    let planned = install(&name, &["--dry-run"]);
    assert_eq!(changes(&planned, 0), added);
    assert!(changes(&planned, 1).is_empty(), "it is created once");
    let note = format!(
        "note: namespace {name} has Pod Security level restricted; quota pods 10, requests.storage 1Gi; default deny ingress"
    );
    assert_eq!(planned["notes"][0], json!(note));
    let there = cluster.kubectl(&["get", "namespace", &name, "--ignore-not-found"]);
    assert!(there.is_empty(), "{there}");

    install(&name, &[]);
    let made = cluster.adopt_namespace(&name);
    let labels = &made.get(&format!("namespace/{name}"))["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    let quota = &made.get("resourcequota/rune-bundle")["spec"]["hard"];
    assert_eq!(*quota, json!({"pods": "10", "requests.storage": "1Gi"}));
    let policy = &made.get("networkpolicy/rune-bundle")["spec"];
    assert_eq!(
        *policy,
        json!({"podSelector": {}, "policyTypes": ["Ingress"]})
    );

    // What a run that was cut off left out is made up for.
    made.kubectl(&["delete", "resourcequota", "rune-bundle"]);
    let again = install(&name, &[]);
    assert_eq!(changes(&again, 0), added[1..2]);
    assert_eq!(
        made.get("resourcequota/rune-bundle")["spec"]["hard"]["pods"],
        "10"
    );

    let foreign = install(site.namespace.name(), &["--dry-run"]);
    assert!(changes(&foreign, 0).is_empty(), "{foreign:#}");
    let note = foreign["notes"][0].as_str().unwrap();
    assert!(
        note.ends_with("was not created by this program and stays as it is"),
        "{note}"
    );
}
