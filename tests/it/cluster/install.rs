//! `install` on a real cluster: from a bundle to a release that runs, to the next one, and back
//! when it fails.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use rune_testkit::cluster::{Cluster, Namespace};
use serde_json::{Value, json};

use crate::{
    bundle::project::lay_out,
    bundle::small_bundle::{KEY, Scratch, ends_with},
    charts::support::tool,
    cluster::support::{Images, PATIENCE, query, stripped},
};

/// The registry of the cluster, by a name that this program can reach too.
pub(crate) const REGISTRY: &str = "127.0.0.1:5000";

/// Whoever builds bundles and installs them, within the network of the cluster.
pub(crate) struct Works<'a> {
    cluster: &'a Cluster,
    files: Scratch,
    helm: PathBuf,
}

impl<'a> Works<'a> {
    pub(crate) fn new(cluster: &'a Cluster, helm: &str) -> Self {
        Images::push(cluster);
        let works = Self {
            cluster,
            files: Scratch::new(),
            helm: tool(helm),
        };
        let manifest = include_str!("../../../bundle-manifests/rune.yaml")
            .replace("rune:v0.0.0a6", "rune:stand-in");
        let (before, profiles) = manifest.split_once("profiles:").unwrap();
        let (_, after) = profiles.split_once("migrations:").unwrap();
        let lab = "profiles: [{ name: lab, values: [templates/values/lab.yaml.j2] }]\nmigrations:";
        let project = works.files.path("project");
        fs::create_dir(&project).unwrap();
        lay_out(&project, &format!("{before}{lab}{after}"));
        fs::write(project.join("dist/rune-db"), stripped("rune-db")).unwrap();
        let mirror = json!({"endpoint": [format!("http://{REGISTRY}")]});
        let mirrors = json!({"mirrors": {"docker.io": mirror, "ghcr.io": mirror}});
        fs::write(project.join("registries.yaml"), mirrors.to_string()).unwrap();
        fs::write(project.join("release.key"), KEY).unwrap();
        fs::write(
            project.join("release.pub"),
            crate::bundle::small_bundle::private_key()
                .public_key()
                .to_pem(),
        )
        .unwrap();
        works
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path("project").join(name)
    }

    /// `rune-bundle` where bundles are built.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.cluster.command(env!("CARGO_BIN_EXE_rune-bundle"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env("RUNE_BUNDLE_HELM", &self.helm);
        command.env("RUNE_BUNDLE_RECEIPTS", self.path("rune-bundle-receipts"));
        command
    }

    pub(crate) fn change(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
    }

    /// Builds a bundle of what the project is now.
    pub(crate) fn build(&self, version: &str, file: &str) {
        let manifest = fs::read_to_string(self.path("bundle-manifests/rune.yaml")).unwrap();
        let old = manifest
            .lines()
            .find(|line| line.starts_with("version: "))
            .unwrap();
        self.change(
            "bundle-manifests/rune.yaml",
            old,
            &format!("version: {version}"),
        );
        let access = ["--registry-config", "registries.yaml"];
        ends_with(
            &self
                .command(&[&["lock"], &access[..]].concat())
                .output()
                .unwrap(),
            0,
        );
        let build = [
            &[
                "build",
                "--no-chart-check",
                "--key",
                "release.key",
                "--output",
                file,
            ],
            &access[..],
        ]
        .concat();
        ends_with(&self.command(&build).output().unwrap(), 0);
    }

    /// Installs a bundle, small.
    pub(crate) fn install(
        &self,
        namespace: &Namespace<'_>,
        file: &str,
        options: &[&str],
    ) -> Output {
        let given = [
            "install",
            file,
            "--key",
            "release.pub",
            "--namespace",
            namespace.name(),
            "--timeout",
            "150s",
            "--json",
        ];
        let small = ["--set", "rune.database.allowUnprovenImage=true"];
        self.command(&[&given, &small[..], options].concat())
            .output()
            .unwrap()
    }

    /// Installs a bundle and gives the report.
    pub(crate) fn report(
        &self,
        namespace: &Namespace<'_>,
        file: &str,
        options: &[&str],
        code: i32,
    ) -> Value {
        let output = self.install(namespace, file, options);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{said}\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            namespace.describe()
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// What the cluster keeps about the release.
fn kept(namespace: &Namespace<'_>) -> Value {
    let data = &namespace.get("configmap/rune-bundle.rune")["data"];
    assert!(
        data.get("attempt.json").is_none(),
        "nothing is going on: {data}"
    );
    data["installed.json"]
        .as_str()
        .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// The state of each revision, as Helm says it; none when there is no release.
pub(crate) fn history(namespace: &Namespace<'_>) -> Vec<String> {
    let said = namespace.helm(
        rune_testkit::cluster::Helm::Four,
        &["history", "rune", "--output", "json"],
    );
    let said = said.unwrap_or_else(|error| {
        if error.contains("not found") {
            "[]".to_owned()
        } else {
            panic!("{error}")
        }
    });
    let revisions: Value = serde_json::from_str(&said).unwrap();
    revisions
        .as_array()
        .unwrap()
        .iter()
        .map(|revision| revision["status"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one life of one release")]
fn a_release_is_installed_upgraded_and_rolled_back_from_bundles_alone() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm4");
    let namespace = cluster.namespace("install");
    works.build("1.0.0", "one.tar");
    let with_backups = [
        "--registry",
        REGISTRY,
        "--set",
        "postgres.backup.enabled=true",
        "--set",
        "postgres.backup.persistence.size=1Gi",
    ];
    let install = |file: &str, options: &[&str], code| {
        works.report(
            &namespace,
            file,
            &[&with_backups[..], options].concat(),
            code,
        )
    };

    // A dry run says what would be made, and makes nothing.
    let planned = install("one.tar", &["--dry-run"], 0);
    assert_eq!(
        (&planned["step"], &planned["revision"]),
        (&json!("first"), &Value::Null)
    );
    assert!(
        planned["changes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|change| change["object"] == "StatefulSet/rune-postgres"),
        "{planned}"
    );
    assert!(
        namespace
            .try_kubectl(&["get", "configmap", "rune-bundle.rune"])
            .is_err()
            && !works.path("rune-bundle-receipts").exists()
    );

    let first = install("one.tar", &[], 0);
    assert_eq!(
        (&first["revision"], &first["tested"], &first["profile"]),
        (&json!(1), &json!(true), &json!("lab"))
    );
    assert!(
        first["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["verdict"] == "satisfied"),
        "{}",
        first["checks"]
    );
    let recorded = kept(&namespace);
    assert_eq!(
        (&recorded["version"], &recorded["digest"]),
        (&json!("1.0.0"), &first["digest"])
    );
    assert_eq!(
        (&recorded["receipt"], &recorded["schemaVersion"]),
        (&first["receipt"]["digest"], &json!(6))
    );
    query(
        &namespace,
        "SET ROLE rune; CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')",
    );

    // The same again changes nothing that runs.
    let again = install("one.tar", &["--dry-run"], 0);
    assert_eq!(
        (&again["step"], again["changes"].as_array().unwrap().len()),
        (&json!("same"), 0),
        "{}",
        again["changes"]
    );

    // The next one, after a backup.
    works.change(
        "templates/values/lab.yaml.j2",
        "postgres:\n",
        "auditLogs:\n  retentionDays: 91\npostgres:\n",
    );
    works.build("2.0.0", "two.tar");
    let second = install("two.tar", &["--backup-first"], 0);
    assert_eq!(
        (&second["step"], &second["before"], &second["revision"]),
        (&json!("upgrade"), &json!("1.0.0"), &json!(2))
    );
    let job = second["backup"].as_str().unwrap();
    assert!(
        namespace
            .logs(&format!("job/{job}"), "backup")
            .contains("dumping to")
    );
    let changed = second["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|change| change["object"] == "Deployment/rune-api")
        .unwrap();
    assert!(
        changed["paths"]
            .to_string()
            .contains("rune/audit-log-retention-days"),
        "{changed}"
    );

    // What is older, and what only says that it is the same, is refused.
    let refused = install("one.tar", &[], 12);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("older than 2.0.0"),
        "{refused}"
    );
    works.change(
        "templates/values/lab.yaml.j2",
        "retentionDays: 91",
        "retentionDays: 92",
    );
    works.build("2.0.0", "forged.tar");
    let refused = install("forged.tar", &["--allow-downgrade"], 12);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("bundle digest"),
        "{refused}"
    );
    assert_eq!(history(&namespace), ["superseded", "deployed"]);

    // What never becomes ready is taken back, and said to be.
    works.build("3.0.0", "three.tar");
    let failing = [
        "--timeout",
        "20s",
        "--set",
        "image.tag=no-such-tag",
        "--set",
        "image.digest=",
    ];
    let output = works
        .command(
            &[
                &[
                    "install",
                    "three.tar",
                    "--key",
                    "release.pub",
                    "--namespace",
                    namespace.name(),
                    "--json",
                ],
                &with_backups[..],
                &failing,
            ]
            .concat(),
        )
        .output()
        .unwrap();
    let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(13), "{failed}");
    assert_eq!(
        failed["error"]["details"][0]["left"],
        json!({"state": "rolledBack", "to": 2}),
        "{failed}"
    );
    assert!(
        failed["error"]["details"][0]["pods"]
            .to_string()
            .contains("pod rune-api-"),
        "{failed}"
    );
    assert_eq!(kept(&namespace)["version"], "2.0.0");
    assert_eq!(history(&namespace).last().unwrap(), "deployed");
    assert_eq!(query(&namespace, "SELECT word FROM kept"), "still here");

    // What was allowed is on record, and what the cluster keeps shows that the record is whole.
    let older = install("one.tar", &["--allow-downgrade"], 0);
    assert_eq!(
        (&older["step"], &older["before"]),
        (&json!("downgrade"), &json!("2.0.0"))
    );
    let head = kept(&namespace)["receipt"].as_str().unwrap().to_owned();
    let said = ends_with(
        &works
            .command(&["receipts", "verify", "--head", &head])
            .output()
            .unwrap(),
        0,
    );
    assert!(said.starts_with("4 receipts"), "{said}");
    let listed = ends_with(&works.command(&["receipts", "list"]).output().unwrap(), 0);
    assert!(
        listed.contains("tried and rolled back rune 3.0.0 as release rune"),
        "{listed}"
    );
}

/// A kubeconfig of an account that may do nothing.
fn account_without_rights(
    cluster: &Cluster,
    namespace: &Namespace<'_>,
    works: &Works<'_>,
) -> PathBuf {
    namespace.kubectl(&["create", "serviceaccount", "nobody"]);
    let token = namespace.kubectl(&["create", "token", "nobody"]);
    let mut kubeconfig: Value =
        serde_json::from_str(&cluster.kubectl(&["config", "view", "--raw", "--output=json"]))
            .unwrap();
    kubeconfig["users"][0]["user"] = json!({"token": token});
    let path = works.path("nobody.kubeconfig");
    fs::write(&path, kubeconfig.to_string()).unwrap();
    path
}

#[test]
fn what_the_cluster_lacks_is_said_at_once_and_a_first_installation_that_fails_is_removed() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm3");
    let namespace = cluster.namespace("lacking");
    works.build("1.0.0", "one.tar");
    let sqlite = ["--set", "postgres.enabled=false"];
    let install = |options: &[&str], code| {
        works.report(
            &namespace,
            "one.tar",
            &[&sqlite[..], options].concat(),
            code,
        )
    };

    let nobody = account_without_rights(&cluster, &namespace, &works);
    let refused = install(&["--kubeconfig", nobody.to_str().unwrap()], 9);
    assert!(
        refused["error"]["details"]
            .to_string()
            .contains("no right to get, create, patch, delete configmaps"),
        "{refused}"
    );

    let absent = [
        "--set",
        "rune.existingSecret=no-such-secret",
        "--set",
        "persistence.storageClass=no-such-class",
    ];
    let lacking = install(
        &[
            &absent[..],
            &[
                "--set",
                "resources.requests.memory=900Ti",
                "--set",
                "resources.limits.memory=900Ti",
            ],
        ]
        .concat(),
        4,
    );
    let help = lacking["error"]["help"].as_str().unwrap();
    let command = format!(
        "`kubectl create secret generic no-such-secret --namespace {}",
        namespace.name()
    );
    assert!(help.contains(&command), "{help}");
    let lacking = &lacking["error"]["details"];
    let about: Vec<&str> = lacking
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["about"].as_str().unwrap())
        .collect();
    assert_eq!(about, ["secrets", "storage", "nodes"], "{lacking}");
    assert!(
        lacking.to_string().contains("no-such-secret")
            && lacking.to_string().contains("no-such-class"),
        "{lacking}"
    );
    let lacking = install(&["--registry", &format!("{REGISTRY}/nothing-here")], 4);
    assert!(
        lacking["error"]["details"]
            .to_string()
            .contains("no such image"),
        "{lacking}"
    );
    let help = lacking["error"]["help"].as_str().unwrap();
    let way_out = "`rune-bundle push`, or the option `--push`";
    assert_eq!(help.matches(way_out).count(), 1, "{help}");
    assert!(
        namespace
            .try_kubectl(&["get", "configmap", "rune-bundle.rune"])
            .is_err(),
        "nothing was changed"
    );

    let failing = [
        "--timeout",
        "20s",
        "--set",
        "image.tag=no-such-tag",
        "--set",
        "image.digest=",
    ];
    let arguments = [
        "install",
        "one.tar",
        "--key",
        "release.pub",
        "--namespace",
        namespace.name(),
    ];
    let said = ends_with(
        &works
            .command(&[&arguments[..], &sqlite, &failing].concat())
            .output()
            .unwrap(),
        13,
    );
    assert!(
        said.contains("what was made is removed again")
            && said.contains("pod rune-api-")
            && said.contains(&format!("release rune, namespace {}\n", namespace.name())),
        "{said}"
    );
    assert!(
        namespace
            .kubectl(&["get", "deployments", "--output=name"])
            .is_empty()
    );
    assert_eq!(kept(&namespace), Value::Null);

    // Interrupted while it waits for what never comes: it says what it leaves, and the same command
    // with what was lacking finishes.
    let mut waiting = works.command(&[&arguments[..], &sqlite, &failing[2..]].concat());
    let waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    namespace.wait("deployment/rune-api", "create", PATIENCE);
    let process = rustix::process::Pid::from_raw(waiting.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let said = ends_with(&waiting.wait_with_output().unwrap(), 130);
    assert!(
        said.contains("it was left at revision 1 in state failed")
            && said.contains("run the same command again"),
        "{said}"
    );
    let first = install(&[], 0);
    assert_eq!(
        (&first["revision"], &first["step"]),
        (&json!(2), &json!("first"))
    );
}
