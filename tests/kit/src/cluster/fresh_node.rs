//! A second node of the cluster, with an empty image store.

use std::{path::Path, process::Command, process::Stdio};

use serde_json::Value;

use super::{Cluster, project, run};
use crate::{process::Process, unique};

/// A kubelet with a containerd that has no images. It goes when the value is dropped, with what
/// runs on it.
#[derive(Debug)]
pub struct FreshNode<'a> {
    cluster: &'a Cluster,
    name: String,
    socket: String,
    process: Option<Process>,
}

impl<'a> FreshNode<'a> {
    pub(super) fn start(cluster: &'a Cluster, purpose: &str) -> Self {
        let name = format!("{purpose}-{}", unique());
        let mut command = Command::new("nsenter");
        command.args(["--target", &cluster.process().to_string()]);
        command.args(["--mount", "--pid", "--net", "--", "python3", "-B"]);
        command.arg(project().join("tools/cluster/fresh.py"));
        let mut process = Process::start(command.arg(&name).stdout(Stdio::piped()));
        let line = process.first_line();
        let announced: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("`fresh.py` announced {line:?}: {error}"));
        let socket = announced["socket"].as_str().expect("it says its socket");
        let node = Self {
            cluster,
            socket: format!("/proc/{}/root{socket}", cluster.process()),
            process: Some(process),
            name,
        };
        let object = format!("node/{}", node.name);
        for condition in ["create", "condition=Ready"] {
            let condition = format!("--for={condition}");
            cluster.kubectl(&["wait", &object, &condition, "--timeout=150s"]);
        }
        node
    }

    /// Its name, for `nodeName` of a pod.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the images that it has, without those of the cluster itself.
    pub fn images(&self) -> Vec<String> {
        let mut ctr = Command::new("ctr");
        ctr.args(["--address", &self.socket, "--namespace", "k8s.io"]);
        let names = run(ctr.args(["images", "list", "--quiet"]));
        let names = names.lines().filter(|name| !name.contains("/pause"));
        names
            .filter(|name| !name.starts_with("sha256:"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for FreshNode<'_> {
    fn drop(&mut self) {
        // The kubelet first: it would register again.
        self.process.take();
        let socket = Path::new(&self.socket);
        crate::poll::poll(std::time::Duration::from_secs(20), || !socket.exists());
        let mut delete = self.cluster.command("kubectl");
        let _ = delete
            .args(["delete", "node", &self.name, "--wait=false"])
            .output();
    }
}
