//! Changing the release: upgrade, wait, test; and back, when one of them fails.

use std::{fmt, time::Duration};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use serde::Serialize;

use super::{
    Cluster, InstallError, Object, PostRenderer, ReleaseHelm, Revision, RunningImages, running,
    workloads,
};
use rune_core::{
    failure::{Failure, FailureKind},
    progress::Progress,
};

/// The most sentences about pods.
const MAX_SENTENCES: usize = 8;

/// What fails when a pod runs another image under its tag.
const FOREIGN_IMAGES: &str = "the release runs, but with other images than the bundle has";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledOut {
    /// The revision that this made.
    pub revision: u64,
    /// Whether the chart's tests were run.
    pub is_tested: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The file with the chart.
    pub chart: &'a str,
    /// Helm's options with the values.
    pub values: &'a [String],
    /// What maps the images in them.
    pub post_renderer: Option<&'a PostRenderer>,
    pub objects: &'a [Object],
    /// By which digests images that are named by their tag may run.
    pub running: &'a RunningImages,
    /// The names of tests that the bundle leaves out.
    pub left_out_tests: &'a [String],
    /// How long it may take to run.
    pub patience: Duration,
}

/// In which state a failed installation left the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "state",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum State {
    /// The revision before runs again.
    RolledBack {
        /// The revision whose content runs.
        to: u64,
    },
    /// There was none before, and what was made is removed again; volumes that the chart keeps are
    /// kept.
    Removed,
    Stuck {
        /// The revision to go back to; none when there was none before.
        to: Option<u64>,
        said: String,
    },
    /// Somebody pressed Ctrl-C: nothing was taken back.
    Interrupted {
        /// The last revision and Helm's word for its state.
        revision: u64,
        /// Helm's word for its state.
        status: String,
        /// The revision that ran before.
        before: Option<u64>,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("{what}: {said}; {state}{}", sentences(.pods))]
pub struct RolloutError {
    what: &'static str,
    said: String,
    /// The state in which it was left.
    state: State,
    pods: Vec<String>,
    release: String,
    namespace: String,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledBack { to } => write!(formatter, "rolled back: what revision {to} was runs again"),
            Self::Removed => formatter.write_str("there was no revision before, so what was made is removed again (its volumes are kept)"),
            Self::Stuck { to: Some(to), said } => write!(formatter, "NOT rolled back to revision {to}: {said}"),
            Self::Stuck { to: None, said } => write!(formatter, "NOT removed again: {said}"),
            Self::Interrupted { revision, status, before } => {
                write!(formatter, "it was left at revision {revision} in state {status}")?;
                before.map_or(Ok(()), |before| write!(formatter, "; revision {before} ran before"))
            }
        }
    }
}

impl RolloutError {
    /// The state in which the release was left.
    pub const fn state(&self) -> &State {
        &self.state
    }
}

impl Failure for RolloutError {
    fn kind(&self) -> FailureKind {
        match self.state {
            State::Interrupted { .. } => FailureKind::Interrupted,
            _ => FailureKind::Rollout,
        }
    }

    fn help(&self) -> Option<String> {
        let Self {
            release, namespace, ..
        } = self;
        Some(match &self.state {
            // Pods whose template did not change are not started anew, and a node keeps what it
            // has.
            State::RolledBack { .. } | State::Removed if self.what == FOREIGN_IMAGES => {
                "push the bundle to the registry that the nodes use; pods and nodes that have the old image under this tag keep it until \
                 `kubectl rollout restart` with imagePullPolicy Always; then run the same command again"
                    .to_owned()
            }
            State::RolledBack { .. } | State::Removed => {
                "what the pods said is above; when it is mended, run the same command again".to_owned()
            }
            State::Stuck { to: Some(to), .. } => {
                format!("`helm history {release} -n {namespace}` shows the revisions; `helm rollback {release} {to} -n {namespace}` tries again to go back")
            }
            State::Stuck { to: None, .. } => format!("`helm uninstall {release} -n {namespace}` removes it; then run the same command again"),
            State::Interrupted { before: Some(before), .. } => {
                format!("run the same command again to finish, or `helm rollback {release} {before} -n {namespace}` to go back")
            }
            State::Interrupted { before: None, .. } => {
                format!("run the same command again to finish, or `helm uninstall {release} -n {namespace}` to go back")
            }
        })
    }

    fn details(&self) -> Option<serde_json::Value> {
        Some(
            serde_json::json!([{"what": self.what, "said": self.said, "left": self.state, "pods": self.pods}]),
        )
    }
}

fn sentences(pods: &[String]) -> String {
    pods.iter()
        .map(|sentence| format!("\n  {sentence}"))
        .collect()
}

/// Installs or upgrades the release, waits until it runs, compares the images that run with those
/// of the bundle, and runs its tests. On failure it goes back to the revision before.
///
/// # Errors
/// When the release does not come to run, with other images, or its tests fail: says in which state
/// it was left.
pub async fn roll_out(
    cluster: &Cluster,
    helm: &ReleaseHelm,
    wanted: &Wanted<'_>,
    history: &[Revision],
    progress: &dyn Progress,
) -> Result<RolledOut, InstallError> {
    let timeout = format!("{}s", wanted.patience.as_secs());
    let before = deployed(history);
    let mut arguments = vec![
        "upgrade",
        "--install",
        helm.release(),
        wanted.chart,
        "--wait",
        "--timeout",
        &timeout,
    ];
    arguments.extend(wanted.values.iter().map(String::as_str));
    progress.announce(&match before {
        Some(before) => format!(
            "upgrading release {} from revision {before}, and waiting until it runs",
            helm.release()
        ),
        None => format!(
            "installing release {}, and waiting until it runs",
            helm.release()
        ),
    });
    let upgrade = tokio::select! {
        upgrade = helm.run_with(&arguments, wanted.post_renderer) => upgrade?,
        never = workloads::watch(cluster, wanted.objects, progress) => match never {},
    };
    if !upgrade.is_success && helm.history().await? == history {
        // Helm failed before it recorded a revision, so nothing was applied.
        let doing = "install or upgrade the release, and changed nothing".to_owned();
        return Err(InstallError::HelmRefused {
            doing,
            said: upgrade.complaint,
        });
    }
    if !upgrade.is_success {
        let what = "the release did not come to run";
        return Err(Box::new(
            go_back(
                cluster,
                helm,
                what,
                upgrade.complaint,
                before,
                &timeout,
                progress,
            )
            .await?,
        )
        .into());
    }
    let foreign = running::foreign(cluster, wanted.objects, wanted.running).await?;
    if !foreign.is_empty() {
        return Err(Box::new(
            go_back(
                cluster,
                helm,
                FOREIGN_IMAGES,
                foreign.join("; "),
                before,
                &timeout,
                progress,
            )
            .await?,
        )
        .into());
    }
    progress.announce("running the chart's tests");
    let filters: Vec<String> = wanted
        .left_out_tests
        .iter()
        .map(|name| format!("!name={name}"))
        .collect();
    let mut arguments = vec!["test", helm.release(), "--timeout", &timeout, "--logs"];
    arguments.extend(
        filters
            .iter()
            .flat_map(|filter| ["--filter", filter.as_str()]),
    );
    let test = helm.run(&arguments).await?;
    if !test.is_success {
        let what = "the release runs, but a test of its chart failed";
        return Err(Box::new(
            go_back(
                cluster,
                helm,
                what,
                test.complaint,
                before,
                &timeout,
                progress,
            )
            .await?,
        )
        .into());
    }
    let revision = helm
        .history()
        .await?
        .last()
        .map_or(0, |revision| revision.number);
    Ok(RolledOut {
        revision,
        is_tested: test.output.contains("TEST SUITE"),
    })
}

/// Ends an operation of somebody who is gone, so that Helm accepts another: back to the revision
/// that ran before, if there is one. Gives the revisions as they are then.
///
/// # Errors
/// When Helm cannot.
pub async fn take_over(
    helm: &ReleaseHelm,
    history: &[Revision],
    progress: &dyn Progress,
) -> Result<Vec<Revision>, InstallError> {
    let Some(last) = history
        .last()
        .filter(|last| last.status.starts_with("pending"))
    else {
        return Ok(history.to_vec());
    };
    progress.announce(&format!(
        "ending what was left at revision {} in state {}",
        last.number, last.status
    ));
    let number = deployed(history).map(|number| number.to_string());
    let ended = match &number {
        Some(number) => helm.run(&["rollback", helm.release(), number]).await?,
        None => helm.run(&["uninstall", helm.release(), "--wait"]).await?,
    };
    if !ended.is_success {
        return Err(InstallError::HelmRefused {
            doing: "end what was left".to_owned(),
            said: ended.complaint,
        });
    }
    helm.history().await
}

pub(super) fn deployed(history: &[Revision]) -> Option<u64> {
    history
        .iter()
        .rev()
        .find(|revision| revision.status == "deployed")
        .map(|revision| revision.number)
}

async fn go_back(
    cluster: &Cluster,
    helm: &ReleaseHelm,
    what: &'static str,
    said: String,
    before: Option<u64>,
    timeout: &str,
    progress: &dyn Progress,
) -> Result<RolloutError, InstallError> {
    let pods = what_pods_say(cluster, helm.release()).await;
    if helm.interrupt().is_asked() {
        let last = helm.history().await?.pop();
        let (revision, status) =
            last.map_or((0, "unknown".to_owned()), |last| (last.number, last.status));
        return Ok(RolloutError {
            what,
            said: "interrupted".to_owned(),
            state: State::Interrupted {
                revision,
                status,
                before,
            },
            pods,
            release: helm.release().to_owned(),
            namespace: cluster.namespace().to_owned(),
        });
    }
    progress.announce(&format!("{what}; going back"));
    let number = before.map(|number| number.to_string());
    let back = match &number {
        Some(number) => {
            helm.run(&[
                "rollback",
                helm.release(),
                number,
                "--wait",
                "--timeout",
                timeout,
            ])
            .await?
        }
        None => {
            helm.run(&["uninstall", helm.release(), "--wait", "--timeout", timeout])
                .await?
        }
    };
    let state = match (before, back.is_success) {
        (Some(to), true) => State::RolledBack { to },
        (None, true) => State::Removed,
        (to, false) => State::Stuck {
            to,
            said: back.complaint,
        },
    };
    Ok(RolloutError {
        what,
        said,
        state,
        pods,
        release: helm.release().to_owned(),
        namespace: cluster.namespace().to_owned(),
    })
}

/// What is wrong with the pods of a release, as far as they say.
async fn what_pods_say(cluster: &Cluster, release: &str) -> Vec<String> {
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
    let containers = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten());
    let containers = containers.filter_map(|container| what_a_container_says(name, container));
    unscheduled.chain(containers).collect()
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
