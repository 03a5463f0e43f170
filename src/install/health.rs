//! Whether what a release runs is ready: its workloads, as the cluster has them.

use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use serde::Serialize;
use serde_json::Value;

use super::{Cluster, ClusterError, Object};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Workload {
    /// `Kind/name`.
    pub(crate) object: String,
    pub(crate) state: WorkloadState,
    /// How many of its pods are ready; of a job, how many succeeded.
    pub(crate) ready: u64,
    pub(crate) wanted: u64,
    #[serde(skip)]
    pub(super) live: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum WorkloadState {
    Ready,
    /// Too few of its pods are ready, or not of the newest template.
    NotReady,
    Missing,
}

/// Looks up the workloads among the objects of a release.
pub(super) async fn workloads(
    cluster: &Cluster,
    objects: &[Object],
) -> Result<Vec<Workload>, ClusterError> {
    let mut workloads = Vec::new();
    for object in objects.iter().filter(|object| !object.is_hook()) {
        let plural = match object.kind() {
            "Deployment" => "deployments",
            "StatefulSet" => "statefulsets",
            "DaemonSet" => "daemonsets",
            "Job" => "jobs",
            _ => continue,
        };
        let (group, version) = object.group_and_version();
        let kind = GroupVersionKind::gvk(group, version, object.kind());
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        let namespace = object.namespace().unwrap_or(cluster.namespace());
        let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), namespace, &resource);
        let live = api
            .get_opt(object.name())
            .await
            .map_err(cluster.failed(format!("read {object}")))?;
        let live = live.and_then(|live| serde_json::to_value(live).ok());
        workloads.push(workload(object, live));
    }
    Ok(workloads)
}

fn workload(object: &Object, live: Option<Value>) -> Workload {
    let number = |pointer: &str| {
        let live = live.as_ref()?;
        live.pointer(pointer).and_then(Value::as_u64)
    };
    let (wanted, ready, newest) = match object.kind() {
        "DaemonSet" => (
            number("/status/desiredNumberScheduled"),
            number("/status/numberReady"),
            number("/status/updatedNumberScheduled"),
        ),
        "Job" => {
            let done = number("/status/succeeded");
            (Some(number("/spec/completions").unwrap_or(1)), done, done)
        }
        _ => (
            Some(number("/spec/replicas").unwrap_or(1)),
            number("/status/readyReplicas"),
            number("/status/updatedReplicas"),
        ),
    };
    let (wanted, ready) = (wanted.unwrap_or(0), ready.unwrap_or(0));
    // A status that is older than the specification says nothing about it.
    let is_observed = object.kind() == "Job"
        || number("/status/observedGeneration") >= number("/metadata/generation");
    let state = match &live {
        // A job that is over may be removed.
        None if object
            .value()
            .pointer("/spec/ttlSecondsAfterFinished")
            .is_some() =>
        {
            WorkloadState::Ready
        }
        None => WorkloadState::Missing,
        Some(_) if is_observed && ready >= wanted && newest.unwrap_or(0) >= wanted => {
            WorkloadState::Ready
        }
        Some(_) => WorkloadState::NotReady,
    };
    Workload {
        object: object.to_string(),
        state,
        ready,
        wanted,
        live,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{WorkloadState, workload};
    use crate::install::parse_objects;

    fn state(kind: &str, live: Option<Value>) -> WorkloadState {
        let text = format!("kind: {kind}\nmetadata: {{name: a}}\n");
        workload(&parse_objects(&text).unwrap()[0], live).state
    }

    #[test]
    fn a_workload_is_ready_when_all_pods_of_its_newest_template_are() {
        let deployment = |generation: u64, ready: u64, updated: u64| {
            let status = json!({"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": updated});
            let metadata = json!({"generation": generation});
            let live = json!({"metadata": metadata, "spec": {"replicas": 2}, "status": status});
            state("Deployment", Some(live))
        };
        assert_eq!(deployment(2, 2, 2), WorkloadState::Ready);
        assert_eq!(deployment(2, 1, 2), WorkloadState::NotReady);
        assert_eq!(deployment(2, 2, 1), WorkloadState::NotReady);
        assert_eq!(deployment(3, 2, 2), WorkloadState::NotReady, "old status");
        assert_eq!(state("Deployment", None), WorkloadState::Missing);
    }

    #[test]
    fn a_job_is_ready_when_it_has_succeeded() {
        let job = |succeeded: u64| state("Job", Some(json!({"status": {"succeeded": succeeded}})));
        assert_eq!(job(1), WorkloadState::Ready);
        assert_eq!(job(0), WorkloadState::NotReady);
    }

    #[test]
    fn a_daemon_set_without_nodes_is_ready() {
        let status = json!({"desiredNumberScheduled": 0, "numberReady": 0});
        let live = json!({"status": status});
        assert_eq!(state("DaemonSet", Some(live)), WorkloadState::Ready);
    }
}
