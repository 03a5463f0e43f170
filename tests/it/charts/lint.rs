//! The rendered charts before foreign checkers: the schemas of Kubernetes, kube-score, checkov. What
//! they find and we do not follow is listed here with the reason, and an exemption that nothing
//! needs any more is a failure too.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    charts::properties::cases,
    charts::support::{Helm, in_tools_env, text, tool},
};

/// Checks of kube-score that are not followed.
const KUBE_SCORE: [(&str, &str); 6] = [
    (
        "container-image-pull-policy",
        "images are pinned by digest, and `Always` would keep pods from starting while the registry is away",
    ),
    (
        "container-security-context-user-group-id",
        "the official image's user is 70, its files belong to it; RUNE's is 1000; both can be changed",
    ),
    (
        "deployment-replicas",
        "SQLite serves one pod, and with a restore or a move there is none",
    ),
    (
        "deployment-strategy",
        "two pods must never have a SQLite file open, so the old one goes first",
    ),
    (
        "networkpolicy-targets-pod",
        "the policy of the jobs is there before a job is",
    ),
    (
        "pod-probes-identical",
        "RUNE has one endpoint for health; liveness asks it less often and gives up after 45 seconds, not 15",
    ),
];

/// Checks of checkov that are not followed.
const CHECKOV: [(&str, &str); 5] = [
    (
        "CKV_K8S_8",
        "a job or a test ends by itself; nothing has to find out whether it is alive",
    ),
    ("CKV_K8S_9", "nobody sends requests to a job or a test"),
    (
        "CKV_K8S_21",
        "Helm puts the objects into the namespace of the release; the text that is checked does not show it",
    ),
    (
        "CKV_K8S_35",
        "RUNE reads its database's URL from the environment and nowhere else; PostgreSQL's password is a file",
    ),
    (
        "CKV_K8S_40",
        "the official image's user is 70, its files belong to it; RUNE's is 1000; both can be changed",
    ),
];

/// Kinds that the charts render, as the schemas name them.
const SCHEMAS: [&str; 13] = [
    "configmap-v1",
    "cronjob-batch-v1",
    "deployment-apps-v1",
    "ingress-networking-v1",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "persistentvolumeclaim-v1",
    "pod-v1",
    "poddisruptionbudget-policy-v1",
    "secret-v1",
    "service-v1",
    "serviceaccount-v1",
    "statefulset-apps-v1",
];

/// All cases of the matrix, as Helm prints them: a file for each.
fn rendered(kubernetes: &str) -> (TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let helm = Helm::new("helm4");
    let files = cases()
        .into_iter()
        .enumerate()
        .map(|(number, (name, (chart, values)))| {
            let (input, output) = (
                directory.path().join("values.json"),
                directory.path().join(format!("{number}.yaml")),
            );
            fs::write(&input, values.to_string()).unwrap();
            let arguments = [
                "template",
                "rune",
                chart,
                "--namespace",
                "rune",
                "--kube-version",
                kubernetes,
                "--values",
                input.to_str().unwrap(),
            ];
            fs::write(
                &output,
                helm.try_run(&arguments)
                    .unwrap_or_else(|error| panic!("{name}: {error}")),
            )
            .unwrap();
            output
        })
        .collect();
    (directory, files)
}

/// The schemas of a Kubernetes version. Those on `PyPI` refer to definitions on a web server; here
/// each gets the definitions itself.
fn schemas(directory: &Path, version: &str) {
    let from = PathBuf::from(in_tools_env("echo $RUNE_TOOLS/kubernetes-schemas"))
        .join(format!("v{version}-local-strict"));
    assert!(
        from.exists(),
        "the schemas of Kubernetes {version} are missing: run tools/setup"
    );
    let read = |name: &str| -> Value {
        let schema = fs::read_to_string(from.join(format!("{name}.json"))).unwrap();
        serde_json::from_str(&schema.replace("/api/_definitions.json#", "#")).unwrap()
    };
    let definitions = read("_definitions");
    for name in SCHEMAS {
        let mut schema = read(name);
        schema["$defs"] = definitions["$defs"].clone();
        fs::write(directory.join(format!("{name}.json")), schema.to_string()).unwrap();
    }
}

fn kubeconform(directory: &Path, version: &str, files: &[PathBuf]) -> Output {
    let location = directory.join("{{.ResourceKind}}{{.KindSuffix}}.json");
    let mut command = Command::new(tool("kubeconform"));
    command
        .args([
            "-strict",
            "-summary",
            "-kubernetes-version",
            version,
            "-schema-location",
        ])
        .arg(location)
        .args(files);
    command.output().unwrap()
}

fn valid_for(version: &str) {
    let (directory, files) = rendered(version);
    schemas(directory.path(), version);
    let output = kubeconform(directory.path(), version, &files);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("Invalid: 0, Errors: 0, Skipped: 0"),
        "{said}"
    );

    // A field that does not exist, deep within, is noticed.
    let rendered = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .find(|text| text.contains("podFailurePolicy:"))
        .unwrap();
    let wrong = directory.path().join("wrong.yaml");
    fs::write(&wrong, rendered.replace("onExitCodes:", "onExitCode:")).unwrap();
    assert!(
        !kubeconform(directory.path(), version, &[wrong])
            .status
            .success()
    );
}

#[test]
fn every_object_is_what_kubernetes_1_30_reads() {
    valid_for("1.30.0");
}

#[test]
fn every_object_is_what_kubernetes_1_33_reads() {
    valid_for("1.33.0");
}

#[test]
fn every_object_is_what_the_newest_kubernetes_reads() {
    valid_for("1.36.0");
}

/// Compares what a checker found, as pairs of a check and a place, with the exemptions.
fn settle(found: &[(String, String)], exemptions: &[(&str, &str)]) {
    let exempted = |check: &str| exemptions.iter().any(|(exemption, _)| *exemption == check);
    let open: Vec<_> = found.iter().filter(|(check, _)| !exempted(check)).collect();
    assert!(open.is_empty(), "{open:#?}");
    let used: BTreeSet<&str> = found.iter().map(|(check, _)| check.as_str()).collect();
    for (exemption, reason) in exemptions {
        assert!(
            used.contains(exemption),
            "the exemption {exemption} is needed no more: {reason}"
        );
    }
}

#[test]
fn kube_score_has_nothing_to_say_but_what_is_exempted() {
    let (_directory, files) = rendered("1.33.0");
    let mut found = Vec::new();
    for file in files {
        let output = Command::new(tool("kube-score"))
            .args(["score", "--output-format", "json"])
            .arg(file)
            .output()
            .unwrap();
        let report: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        for object in &report {
            let checks = object["checks"].as_array().unwrap().iter();
            // 1 is critical, 5 a warning.
            for check in checks
                .filter(|check| check["skipped"] == false && check["grade"].as_u64() < Some(7))
            {
                found.push((
                    text(&check["check"]["id"]).to_owned(),
                    format!("{}: {}", object["object_name"], check["comments"]),
                ));
            }
        }
    }
    settle(&found, &KUBE_SCORE);
}

#[test]
fn checkov_has_nothing_to_say_but_what_is_exempted() {
    let (directory, files) = rendered("1.33.0");
    // One run for the case that has everything, because each takes ten seconds.
    let names: Vec<&str> = cases().into_keys().collect();
    let file = &files[names.iter().position(|name| *name == "airgap").unwrap()];
    let mut command = Command::new(tool("checkov"));
    command
        .args([
            "--framework",
            "kubernetes",
            "--skip-download",
            "--quiet",
            "--compact",
            "--output",
            "json",
            "--file",
        ])
        .arg(file);
    let output = command.env("HOME", directory.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let failed = report["results"]["failed_checks"]
        .as_array()
        .unwrap()
        .iter();
    let found: Vec<_> = failed
        .map(|check| {
            (
                text(&check["check_id"]).to_owned(),
                text(&check["resource"]).to_owned(),
            )
        })
        .collect();
    assert!(
        report["summary"]["passed"].as_u64() > Some(300),
        "{}",
        report["summary"]
    );
    settle(&found, &CHECKOV);
}
