//! What the workloads of a release do while Helm waits for them: a line for each whenever it
//! changes, and a warning as soon as a container is in trouble that waiting seldom ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    time::Duration,
};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use serde_json::Value;

use super::{Cluster, Object, pods, running::is_of};
use rune_core::{progress::Progress, text::shown};

const INTERVAL: Duration = Duration::from_secs(2);

const MAX_MESSAGE_CHARS: usize = 200;

/// Reasons for which a container waits that need somebody to act.
const TROUBLE: [&str; 7] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// Shows the workloads of a release for as long as it is polled.
pub(super) async fn watch(
    cluster: &Cluster,
    objects: &[Object],
    progress: &dyn Progress,
) -> Infallible {
    let mut watched = Watched::of(objects);
    loop {
        tokio::time::sleep(INTERVAL).await;
        // An API server that does not answer now may do so the next time; Helm says what lasts.
        if let Ok(pods) = cluster.api::<Pod>().list(&ListParams::default()).await {
            for line in watched.news(&pods.items) {
                progress.announce(&line);
            }
        }
    }
}

struct Watched<'a> {
    workloads: Vec<&'a Object>,
    lines: BTreeMap<usize, String>,
    warnings: BTreeSet<String>,
}

impl<'a> Watched<'a> {
    fn of(objects: &'a [Object]) -> Self {
        let is_watched =
            |object: &&Object| object.pod_template().is_some() && object.kind() != "CronJob";
        Self {
            workloads: objects
                .iter()
                .filter(|object| is_watched(object) && !object.is_test())
                .collect(),
            lines: BTreeMap::new(),
            warnings: BTreeSet::new(),
        }
    }

    /// What is worth saying about the pods of a namespace and was not said before.
    fn news(&mut self, pods: &[Pod]) -> Vec<String> {
        let width = self
            .workloads
            .iter()
            .map(|object| object.name().len())
            .max();
        let width = width.unwrap_or_default();
        let mut news = Vec::new();
        for (number, object) in self.workloads.iter().enumerate() {
            let own: Vec<&Pod> = pods
                .iter()
                .filter(|pod| {
                    pod.metadata.deletion_timestamp.is_none()
                        && is_of(pod, std::slice::from_ref(*object))
                })
                .collect();
            if own.is_empty() {
                continue;
            }
            let line = format!(
                "  {:<width$}  {}",
                shown(object.name()),
                state(object, &own)
            );
            if self.lines.get(&number) != Some(&line) {
                news.push(line.clone());
                self.lines.insert(number, line);
            }
            let warnings = own.iter().flat_map(|pod| warnings(pod));
            news.extend(warnings.filter(|warning| self.warnings.insert(warning.clone())));
        }
        news
    }
}

/// How many pods of a workload are ready, of how many, and what one does that is not: `0/1
/// Init:ImagePullBackOff`.
fn state(object: &Object, pods: &[&Pod]) -> String {
    let wanted = ["/spec/replicas", "/spec/completions"]
        .iter()
        .find_map(|path| object.value().pointer(path).and_then(Value::as_u64));
    let wanted = match object.kind() {
        "DaemonSet" => pods.len() as u64,
        _ => wanted.unwrap_or(1),
    };
    let states: Vec<String> = pods.iter().map(|pod| pod_state(pod)).collect();
    let is_done = |state: &&String| [READY, COMPLETED].contains(&state.as_str());
    let ready = states.iter().filter(is_done).count();
    let other = states.iter().find(|state| !is_done(state));
    format!(
        "{ready}/{wanted} {}",
        other.or(states.first()).map_or("", String::as_str)
    )
}

const READY: &str = "Running";
const COMPLETED: &str = "Completed";

/// What a pod does, in the words of `kubectl get pods`.
fn pod_state(pod: &Pod) -> String {
    let Some(status) = &pod.status else {
        return "Pending".to_owned();
    };
    if status.phase.as_deref() == Some("Succeeded") {
        return COMPLETED.to_owned();
    }
    let init = status.init_container_statuses.iter().flatten();
    let init = init.filter_map(|container| container_state(container, false));
    let init = init.map(|state| format!("Init:{state}"));
    let own = status.container_statuses.iter().flatten();
    let own = own.filter_map(|container| container_state(container, true));
    let phase = status.phase.as_deref().unwrap_or("Pending");
    let none_yet = || (phase != READY).then(|| phase.to_owned());
    init.chain(own)
        .next()
        .or_else(none_yet)
        .unwrap_or_else(|| READY.to_owned())
}

fn container_state(container: &ContainerStatus, must_be_ready: bool) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("Waiting");
        // Another container is what it waits for.
        return (reason != "PodInitializing").then(|| shown(reason));
    }
    if let Some(ended) = &state.terminated {
        return (ended.exit_code != 0).then(|| format!("Error (exit code {})", ended.exit_code));
    }
    match (must_be_ready, state.running.is_some()) {
        (true, true) if !container.ready => Some("NotReady".to_owned()),
        (false, true) => Some("Running".to_owned()),
        _ => None,
    }
}

fn warnings(pod: &Pod) -> Vec<String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.iter();
    let containers = status.flat_map(pods::containers);
    let waiting = containers.filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        TROUBLE.contains(&reason).then(|| {
            let message = waiting.message.as_deref().unwrap_or_default();
            let message: String = message.chars().take(MAX_MESSAGE_CHARS).collect();
            format!(
                "warning: pod {}, container {}: {reason}{}{}",
                shown(name),
                shown(&container.name),
                if message.is_empty() { "" } else { ": " },
                shown(&message)
            )
        })
    });
    waiting.collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::Watched;
    use crate::install::parse_objects;

    const WEB: &str = "kind: Deployment\nmetadata: {name: web}\nspec: \
                       {replicas: 2, template: {metadata: {labels: {app: web}}}}\n";

    fn pod(name: &str, phase: &str, init: &Value, own: &Value) -> Pod {
        let status = |name: &str, state: &Value| json!({"name": name, "image": "i", "imageID": "", "restartCount": 0, "ready": state["ready"] == true, "state": state["state"]});
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"app": "web"}},
            "status": {"phase": phase, "initContainerStatuses": [status("init", init)], "containerStatuses": [status("main", own)]},
        }))
        .unwrap()
    }

    #[test]
    fn a_workload_has_a_line_whenever_it_changes_and_trouble_is_warned_of_once() {
        let objects = parse_objects(WEB).unwrap();
        let mut watched = Watched::of(&objects);
        let waits = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
        let pull = json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"a\u{1b}\""}}});
        let done = json!({"state": {"terminated": {"exitCode": 0}}});
        let ready = json!({"ready": true, "state": {"running": {}}});
        let pulling = [pod("web-1", "Pending", &pull, &waits)];
        assert_eq!(
            watched.news(&pulling),
            [
                "  web  0/2 Init:ImagePullBackOff",
                "warning: pod web-1, container init: ImagePullBackOff: Back-off pulling \
                 image \"a\\u{1b}\""
            ]
        );
        assert!(watched.news(&pulling).is_empty());
        let crash = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let crashing = [
            pod("web-1", "Running", &done, &ready),
            pod("web-2", "Running", &done, &crash),
        ];
        assert_eq!(
            watched.news(&crashing),
            [
                "  web  1/2 CrashLoopBackOff",
                "warning: pod web-2, container main: CrashLoopBackOff"
            ]
        );
        let running = [
            pod("web-1", "Running", &done, &ready),
            pod("web-2", "Running", &done, &ready),
        ];
        assert_eq!(watched.news(&running), ["  web  2/2 Running"]);
        // Pods of others are not shown.
        let objects = parse_objects(&WEB.replace("app: web", "app: db")).unwrap();
        assert!(Watched::of(&objects).news(&running).is_empty());
    }
}
