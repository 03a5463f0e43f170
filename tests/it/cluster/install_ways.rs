//! The less usual ways of `install` on a real cluster: over what somebody left unfinished, from
//! within a pod, and with images that were reduced to the platforms of the bundle.

use std::{fs, process::Child, process::Stdio};

use rune_testkit::{
    cluster::{Cluster, ImageLayout, Namespace, Program},
    unique,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    charts::support::tool,
    cluster::install::{REGISTRY, Works, history},
    cluster::support::{Images, PATIENCE, stripped, wait_until},
};

const SQLITE: [&str; 2] = ["--set", "postgres.enabled=false"];

/// Kills a process and those that it started, as the end of a machine would.
pub(crate) fn kill_with_children(process: &mut Child) {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let children =
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    let children: Vec<i32> = children
        .flat_map(|line| {
            line.split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    process.kill().unwrap();
    for child in children {
        kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
    }
    process.wait().unwrap();
}

#[test]
fn what_somebody_left_unfinished_is_refused_and_ended_when_that_is_asked_for() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm4");
    let namespace = cluster.namespace("take-over");
    works.build("1.0.0", "one.tar");
    let cut_off = |options: &[&str], begun: &str| {
        let given = [
            "install",
            "one.tar",
            "--key",
            "release.pub",
            "--namespace",
            namespace.name(),
        ];
        let never_ready = ["--set", "image.tag=no-such-tag", "--set", "image.digest="];
        let mut command = works.command(&[&given[..], &SQLITE, &never_ready, options].concat());
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("Helm has begun", || {
            history(&namespace)
                .last()
                .is_some_and(|status| status == begun)
        });
        kill_with_children(&mut process);
    };

    // Of a first installation nothing is left to go back to.
    cut_off(&[], "pending-install");
    let refused = works.report(&namespace, "one.tar", &SQLITE, 12);
    let said = &refused["error"];
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .contains("pending-install")
            && said["help"].as_str().unwrap().contains("--take-over"),
        "{said}"
    );
    let first = works.report(
        &namespace,
        "one.tar",
        &[&SQLITE[..], &["--take-over"]].concat(),
        0,
    );
    assert_eq!(
        (&first["step"], &first["revision"]),
        (&json!("first"), &json!(1))
    );

    // An upgrade goes back to what ran, and on from there.
    cut_off(&[], "pending-upgrade");
    works.report(&namespace, "one.tar", &SQLITE, 12);
    let second = works.report(
        &namespace,
        "one.tar",
        &[&SQLITE[..], &["--take-over"]].concat(),
        0,
    );
    assert_eq!(
        (&second["step"], &second["revision"]),
        (&json!("same"), &json!(4))
    );
    assert_eq!(history(&namespace).last().unwrap(), "deployed");
}

/// A pod whose account may do within its namespace whatever its owner may, and nothing else.
fn pod(namespace: &Namespace<'_>, image: &str, command: &[&str]) -> [Value; 3] {
    let name = namespace.name();
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "installer"}});
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"});
    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "installer"}, "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "name": "installer", "namespace": name}],
    });
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true});
    let scratch = json!([{"name": "scratch", "mountPath": "/tmp"}]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "installer"},
        "spec": {
            "serviceAccountName": "installer", "restartPolicy": "Never", "volumes": [{"name": "scratch", "emptyDir": {}}],
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image, "command": command, "workingDir": "/tmp", "volumeMounts": scratch,
                "securityContext": context,
            }],
        },
    });
    [account, rights, pod]
}

#[test]
fn within_a_pod_its_account_is_who_installs() {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm4");
    let namespace = cluster.namespace("in-pod");
    works.build("1.0.0", "one.tar");
    let read = |path: &std::path::Path| fs::read(path).unwrap();
    let (program, helm) = (stripped("rune-bundle"), read(&tool("helm4")));
    let (bundle, key) = (
        read(&works.path("one.tar")),
        read(&works.path("release.pub")),
    );
    let files = [
        ("/bin/rune-bundle", &program),
        ("/bin/helm", &helm),
        ("/one.tar", &bundle),
        ("/release.pub", &key),
    ];
    let image = ImageLayout::postgres()
        .with_programs(&files.map(|(path, content)| Program { path, content }));
    let digest = cluster.push(&image, "tests/installer:1");

    let install = [
        "/bin/rune-bundle",
        "install",
        "/one.tar",
        "--key",
        "/release.pub",
        "--timeout",
        "140s",
        "--receipts",
        "receipts",
        "--json",
    ];
    let values = ["--set", "rune.database.allowUnprovenImage=true"];
    let command = [&install[..], &SQLITE, &values].concat();
    namespace.apply(&pod(
        &namespace,
        &format!("docker.io/tests/installer:1@{digest}"),
        &command,
    ));
    let phase = || {
        namespace.get("pod/installer")["status"]["phase"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    wait_until("the pod ends", || {
        ["Succeeded", "Failed"].contains(&phase().as_str())
    });
    let said = namespace.logs("installer", "main");
    assert_eq!(phase(), "Succeeded", "{said}");
    // What it says on the way comes first.
    let report: String = said.lines().skip_while(|line| *line != "{").collect();
    let report: Value =
        serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(
        (&report["revision"], &report["tested"]),
        (&json!(1), &json!(true)),
        "{report}"
    );
    namespace.wait("deployment/rune-api", "condition=Available", PATIENCE);
}

#[test]
fn where_a_registry_takes_neither_gaps_nor_deep_paths_the_charts_are_told_the_other_names_and_digests()
 {
    let Some(cluster) = Cluster::up() else { return };
    let works = Works::new(&cluster, "helm3");
    let locked = Images::push(&cluster).postgres();
    let namespace = cluster.namespace("reduced");
    works.change(
        "bundle-manifests/rune.yaml",
        "platforms: all",
        "platforms: [linux/amd64]",
    );
    works.build("1.0.0", "one.tar");
    let registry = format!("{REGISTRY}/reduced-{}", unique());
    works.report(
        &namespace,
        "one.tar",
        &["--push", "--flatten", "--registry", &registry],
        0,
    );
    let image = namespace.get("pod/rune-postgres-0")["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
        .to_owned();
    let (name, digest) = image.split_once('@').unwrap();
    assert_eq!(name, format!("{registry}/library-postgres:17-alpine"));
    assert!(
        !locked.ends_with(digest),
        "the index that was locked names manifests that the registry does not have"
    );
}
