//! A namespace of the cluster, what a test does in it, and Helm.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use super::{Cluster, OWNER, outcome, project, run};
use crate::unique;

/// A namespace that enforces the Pod Security level `restricted`.
#[derive(Debug)]
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    name: String,
}

/// A version of Helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helm {
    /// Helm 3.
    Three,
    /// Helm 4.
    Four,
}

impl Helm {
    fn program(self) -> &'static str {
        match self {
            Self::Three => "helm3",
            Self::Four => "helm4",
        }
    }
}

impl<'a> Namespace<'a> {
    pub(super) fn new(cluster: &'a Cluster, purpose: &str) -> Self {
        let name = format!("{purpose}-{}", unique());
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        cluster.apply(&[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})]);
        Self::adopt(cluster, name)
    }

    pub(super) fn adopt(cluster: &'a Cluster, name: String) -> Self {
        let namespace = Self { cluster, name };
        namespace.kubectl(&[
            "label",
            "namespace",
            &namespace.name,
            "--overwrite",
            &format!("{OWNER}={}", std::process::id()),
        ]);
        // Without it no pod is let in, and nobody says that it is only late.
        namespace.wait("serviceaccount/default", "create", Duration::from_secs(30));
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `kubectl` in the namespace and gives what it says.
    ///
    /// # Panics
    /// When it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        run(self.command("kubectl").args(arguments))
    }

    /// Runs `kubectl` in the namespace.
    ///
    /// # Errors
    /// What it says when it fails.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        outcome(
            &self
                .command("kubectl")
                .args(arguments)
                .output()
                .expect("kubectl can be started"),
        )
    }

    /// Puts objects in place.
    ///
    /// # Panics
    /// When the API server refuses one.
    pub fn apply(&self, objects: &[Value]) {
        self.try_apply(objects)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Puts objects in place, or says why not.
    ///
    /// # Errors
    /// What `kubectl` says when the API server refuses one.
    pub fn try_apply(&self, objects: &[Value]) -> Result<String, String> {
        self.cluster
            .try_apply(objects, &["--namespace", &self.name])
    }

    /// An object, whole.
    pub fn get(&self, object: &str) -> Value {
        let text = self.kubectl(&["get", object, "--output=json"]);
        serde_json::from_str(&text).expect("kubectl writes JSON")
    }

    /// Waits until a condition of an object holds, in the words of `kubectl wait --for`.
    ///
    /// # Panics
    /// When it does not in time; says what the namespace looks like then.
    pub fn wait(&self, object: &str, condition: &str, patience: Duration) {
        let timeout = format!("--timeout={}s", patience.as_secs());
        if let Err(error) =
            self.try_kubectl(&["wait", object, &format!("--for={condition}"), &timeout])
        {
            panic!(
                "`{object}`: not `{condition}`: {error}\n{}",
                self.describe()
            );
        }
    }

    /// Runs a program in a container of a pod, and gives what it says.
    ///
    /// # Errors
    /// What it says when it fails.
    pub fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String, String> {
        self.try_kubectl(&[&["exec", pod, "--container", container, "--"], command].concat())
    }

    /// What a container of a pod wrote.
    pub fn logs(&self, pod: &str, container: &str) -> String {
        self.kubectl(&["logs", pod, "--container", container])
    }

    /// Runs a program in a pod of its own with these labels, until it ends. Gives its exit code and
    /// what it said.
    pub fn run_pod(
        &self,
        name: &str,
        labels: &Value,
        image: &str,
        command: &[&str],
    ) -> (i64, String) {
        self.apply(&[pod(name, labels, image, command)]);
        let ended = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
        self.wait(&format!("pod/{name}"), ended, Duration::from_mins(1));
        let state = &self.get(&format!("pod/{name}"))["status"]["containerStatuses"][0]["state"]["terminated"];
        let code = state["exitCode"].as_i64().expect("a code is a number");
        let said = self.logs(name, "main");
        self.kubectl(&["delete", "pod", name, "--wait=false"]);
        (code, said)
    }

    /// Runs Helm in the namespace; paths are those of the project.
    ///
    /// # Errors
    /// What it says when it fails, and what the namespace looks like.
    pub fn helm(&self, helm: Helm, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.command(helm.program());
        let output = command
            .args(arguments)
            .current_dir(project())
            .output()
            .expect("Helm can be started");
        outcome(&output).map_err(|error| format!("{error}\n{}", self.describe()))
    }

    /// What there is and what happened, for a message.
    pub fn describe(&self) -> String {
        let said = |arguments: &[&str]| self.try_kubectl(arguments).unwrap_or_else(|error| error);
        let objects = said(&[
            "get",
            "pods,deployments,statefulsets,jobs,persistentvolumeclaims",
            "--output=wide",
        ]);
        let events = said(&[
            "get",
            "events",
            "--sort-by=.lastTimestamp",
            "--output=custom-columns=:.involvedObject.name,:.reason,:.message",
        ]);
        let pods = said(&["get", "pods", "--output=name"]);
        let logs = pods.lines().map(|pod| {
            format!(
                "{pod}:\n{}\n",
                said(&["logs", pod, "--all-containers", "--prefix", "--tail=15"])
            )
        });
        format!("{objects}\n{events}\n{}", logs.collect::<String>())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.cluster.command(PathBuf::from(program));
        command.args(["--namespace", &self.name]);
        command
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let _ = self.try_kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

/// A pod that `restricted` lets in, with one container `main`.
pub(super) fn pod(name: &str, labels: &Value, image: &str, command: &[&str]) -> Value {
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 70, "runAsGroup": 70, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "image": image, "command": command, "securityContext": context}],
        },
    })
}
