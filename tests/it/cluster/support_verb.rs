//! `support` on a real cluster: what the vendor gets, what nobody gets, and what an account with few
//! rights gets.

use std::{
    fs,
    process::{Command, Output},
};

use rune_testkit::{
    cluster::{Cluster, ImageLayout, Namespace},
    process::succeeded,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{bundle::small_bundle::ends_with, cluster::support::PATIENCE, docs::reports::Reader};

const IMAGE: &str = "docker.io/tests/support:1";
/// What every secret of the test begins with.
const MARK: &str = "MARKER";

/// What a program of a careless author says. The value of the environment variable has no key.
const TALK: &str = r#"
echo "listening on 8080"
echo "password=MARKER-key"
echo "connecting to postgres://rune:MARKER-url@db:5432/rune"
echo "started with $GREETING"
echo "API_TOKEN=$FROM_SECRET"
echo '{"level":"debug","dbPassword":"MARKER-json","event":"opened"}'
echo "Authorization: Bearer MARKER.bearer.token"
echo "-----BEGIN PRIVATE KEY-----"
echo "MARKERaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
echo "-----END PRIVATE KEY-----"
echo "ready"
"#;

const LONG: &str = r#"awk 'BEGIN { line = sprintf("%600s", ""); gsub(/ /, "x", line); for (i = 0; i < 5000; i++) print i, line; print "the last line" }'"#;

struct Site<'a> {
    cluster: &'a Cluster,
    namespace: Namespace<'a>,
    files: TempDir,
}

/// A pod that `restricted` lets in and that runs a script.
fn pod(name: &str, script: &str) -> Value {
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let from_secret = json!({"secretKeyRef": {"name": "credentials", "key": "password"}});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": {"note": "MARKER-annotation"}},
        "spec": {
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 70, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "kept", "emptyDir": {}}],
            "containers": [{
                "name": "main", "image": IMAGE, "volumeMounts": [{"name": "kept", "mountPath": "/kept"}], "command": ["sh", "-c", script], "securityContext": context,
                "env": [
                    {"name": "GREETING", "value": "MARKER of the environment"},
                    {"name": "FROM_SECRET", "valueFrom": from_secret},
                ],
            }],
        },
    })
}

impl<'a> Site<'a> {
    fn new(cluster: &'a Cluster, purpose: &str) -> Self {
        cluster.push(&ImageLayout::postgres(), "tests/support:1");
        let namespace = cluster.namespace(purpose);
        namespace.apply(&[
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials"}, "stringData": {"password": "MARKER-secret"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"db-password": "MARKER-config"}}),
        ]);
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "unreachable", "namespace": namespace.name()},
            "involvedObject": {"kind": "Pod", "name": "talker", "namespace": namespace.name()},
            "type": "Warning", "reason": "Unreachable",
            "message": "cannot reach postgres://rune:MARKER-event@db/rune",
        });
        let fails = r#"[ -e /kept/once ] && exec sleep 3600; touch /kept/once
            echo "passphrase: MARKER-previous"; echo "cannot go on"; exit 3"#;
        namespace.apply(&[
            event,
            pod("talker", &format!("{TALK}\nexec sleep 3600")),
            pod("failing", fails),
            pod("long", &format!("{LONG}\nexec sleep 3600")),
        ]);
        for name in ["talker", "long"] {
            namespace.wait(&format!("pod/{name}"), "condition=Ready", PATIENCE);
        }
        let again = "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}=3";
        namespace.wait("pod/failing", again, PATIENCE);
        let last = || namespace.logs("long", "main").ends_with("the last line");
        crate::cluster::support::wait_until("everything is in the log", last);
        Self {
            cluster,
            namespace,
            files: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.cluster.command(env!("CARGO_BIN_EXE_rune-bundle"));
        command.arg("support").args(arguments);
        command.current_dir(self.files.path());
        command
    }

    /// What tar finds in a file: the names, or the content of one.
    fn tar(&self, arguments: &[&str]) -> String {
        let mut tar = Command::new("tar");
        succeeded(tar.args(arguments).current_dir(self.files.path()))
    }
}

/// The report of a run, whose fields are documented.
fn report(output: &Output) -> Value {
    ends_with(output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    Reader::new().report("support", report.clone());
    report
}

#[test]
fn the_vendor_gets_what_happened_and_no_secret() {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(&cluster, "support");
    let name = site.namespace.name();
    let given = ["--namespace", name, "--json"];
    let report = report(&site.command(&given).output().unwrap());
    let file = site.files.path().join("rune-support.tar");
    let raw = fs::read(&file).unwrap();
    assert_eq!(report["bytes"], raw.len());
    let has = |text: &str| {
        raw.windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    let marked = raw
        .windows(MARK.len())
        .position(|window| window == MARK.as_bytes());
    if let Some(at) = marked {
        let around = &raw[at.saturating_sub(200)..raw.len().min(at + 100)];
        panic!("{}", String::from_utf8_lossy(around));
    }
    for kept in [
        "listening on 8080",
        "connecting to postgres://[redacted]@db:5432/rune",
        "cannot reach postgres://[redacted]@db/rune",
        "cannot go on",
        "the last line",
    ] {
        assert!(has(kept), "{kept}");
    }

    // The list is the first file, and has every other one.
    let listed = site.tar(&["-tf", "rune-support.tar"]);
    let listed: Vec<&str> = listed.lines().collect();
    let files = report["files"].as_array().unwrap();
    let reported = files
        .iter()
        .map(|file| format!("support/{}", file["path"].as_str().unwrap()));
    let expected: Vec<String> = ["support/README.txt".to_owned()]
        .into_iter()
        .chain(reported)
        .collect();
    assert_eq!(listed, expected);
    let readme = site.tar(&["-xOf", "rune-support.tar", "support/README.txt"]);
    for file in files {
        let path = file["path"].as_str().unwrap();
        assert!(readme.contains(path), "{path}: {readme}");
    }
    let redacted = |path: &str| {
        let path = format!("{name}/{path}");
        let file = files.iter().find(|file| file["path"] == *path);
        file.unwrap_or_else(|| panic!("{path}: {files:#?}"))["redacted"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(redacted("logs/talker/main.log"), 7);
    assert_eq!(redacted("logs/failing/main.previous.log"), 1);
    assert!(redacted("events.json") > 0);
    assert_eq!(redacted("logs/long/main.log"), 0);

    let read = |path: &str| -> Value {
        let path = format!("support/{path}");
        serde_json::from_str(&site.tar(&["-xOf", "rune-support.tar", &path])).unwrap()
    };
    let versions = read("versions.json");
    let runtime = versions["nodes"][0]["nodeInfo"]["containerRuntimeVersion"]
        .as_str()
        .unwrap();
    assert!(runtime.starts_with("containerd://"), "{versions:#}");
    let pods = read(&format!("{name}/pods.json"));
    let failing = pods
        .as_array()
        .unwrap()
        .iter()
        .find(|pod| pod["name"] == "failing")
        .unwrap();
    let last = &failing["status"]["containerStatuses"][0]["lastState"];
    assert_eq!(last["terminated"]["exitCode"], 3, "{failing:#}");

    // Of a long log the end is kept.
    let long = site.tar(&[
        "-xOf",
        "rune-support.tar",
        &format!("support/{name}/logs/long/main.log"),
    ]);
    assert!(
        long.len() <= 1 << 20 && long.len() > 1 << 19,
        "{}",
        long.len()
    );
    assert!(long.ends_with("the last line\n"));
    let left_out = report["leftOut"].to_string();
    assert!(left_out.contains("logs/long/main.log"), "{left_out}");

    // An existing file is never overwritten.
    ends_with(&site.command(&given).output().unwrap(), 12);
    assert!(fs::read(&file).unwrap() == raw);
    let all = ["--all-namespaces", "--output", "diagnostics.tar"];
    ends_with(&site.command(&all).output().unwrap(), 0);
}

#[test]
fn what_an_account_may_not_read_is_named_and_the_rest_is_collected() {
    let Some(cluster) = Cluster::up() else { return };
    let site = Site::new(&cluster, "support-refused");
    let name = site.namespace.name();
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "get"]});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "few"});
    let subject = json!({"kind": "ServiceAccount", "name": "few", "namespace": name});
    let rbac = "rbac.authorization.k8s.io/v1";
    site.namespace.apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "few"}}),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "few"}, "rules": [rule]}),
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "few"}, "roleRef": role, "subjects": [subject]}),
    ]);
    let token = site.namespace.kubectl(&["create", "token", "few"]);
    let config = cluster.kubectl(&[
        "config",
        "view",
        "--raw",
        "--minify",
        "--flatten",
        "--output=json",
    ]);
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["users"][0]["user"] = json!({"token": token});
    let kubeconfig = site.files.path().join("kubeconfig");
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let given = ["--namespace", name, "--json", "--kubeconfig", "kubeconfig"];
    let report = report(&site.command(&given).output().unwrap());
    let refused = report["refused"].to_string();
    for what in [
        "list nodes",
        "list what is installed",
        "list events in namespace",
        "list deployments in namespace",
        "read the log of container main of pod talker",
    ] {
        assert!(refused.contains(what), "{what}: {refused}");
    }
    let readme = site.tar(&["-xOf", "rune-support.tar", "support/README.txt"]);
    assert!(readme.contains("not read: cannot list events"), "{readme}");
    let path = format!("support/{name}/pods.json");
    let pods: Value =
        serde_json::from_str(&site.tar(&["-xOf", "rune-support.tar", &path])).unwrap();
    assert_eq!(pods.as_array().unwrap().len(), 3);
    let raw = fs::read(site.files.path().join("rune-support.tar")).unwrap();
    assert!(
        !raw.windows(MARK.len())
            .any(|window| window == MARK.as_bytes())
    );
}
