//! What pods say about themselves when something is wrong with them.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use kube::api::ListParams;

use super::Cluster;

const MAX_SENTENCES: usize = 8;

/// What is wrong with the pods of a release, as far as they say.
pub(super) async fn what_pods_say(cluster: &Cluster, release: &str) -> Vec<String> {
    let parameters = ListParams::default().labels(&format!("app.kubernetes.io/instance={release}"));
    let pods = cluster
        .api::<Pod>()
        .list(&parameters)
        .await
        .map(|list| list.items)
        .unwrap_or_default();
    pods.iter()
        .flat_map(what_a_pod_says)
        .take(MAX_SENTENCES)
        .collect()
}

fn what_a_pod_says(pod: &Pod) -> Vec<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let unscheduled = unscheduled.map(|condition| {
        format!(
            "pod {name} has no node: {}",
            condition
                .message
                .as_deref()
                .or(condition.reason.as_deref())
                .unwrap_or("the scheduler gives no reason")
        )
    });
    let containers =
        containers(status).filter_map(|container| what_a_container_says(name, container));
    unscheduled.chain(containers).collect()
}

pub(super) fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
}

fn what_a_container_says(pod: &str, container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let of = format!("pod {pod}, container {}", container.name);
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let last = container
            .last_state
            .as_ref()
            .and_then(|last| last.terminated.as_ref());
        let last = last.map_or_else(String::new, |last| {
            format!(" (exit code {})", last.exit_code)
        });
        let is_usual = ["PodInitializing", "ContainerCreating", ""].contains(&reason);
        let message = waiting
            .message
            .as_deref()
            .map_or_else(String::new, |message| format!(": {message}"));
        return Some(if is_usual {
            format!("{of}: has not started yet")
        } else {
            format!("{of}: {reason}{message}{last}")
        });
    }
    if let Some(ended) = state
        .terminated
        .as_ref()
        .filter(|ended| ended.exit_code != 0)
    {
        return Some(format!("{of}: exit code {}", ended.exit_code));
    }
    let is_unready = state.running.is_some() && !container.ready;
    is_unready.then(|| format!("{of}: runs and is not ready"))
}
