//! Changing the release: upgrade, wait, test; and back, when one of them fails or somebody asks.

mod state;

use std::time::Duration;

use serde::Serialize;

use super::{
    Cluster, InstallError, InstallRecord, Object, PostRenderer, ReleaseHelm, Revision,
    RunningImages, helm::Ended, pods::what_pods_say, running, workloads,
};
use rune_core::{
    failure::{Failure, FailureKind},
    progress::Progress,
};

pub(crate) use state::State;

/// What fails when a pod runs another image under its tag.
const FOREIGN_IMAGES: &str = "the release runs, but with other images than the bundle has";
/// What fails when a release does not go back.
const NOT_BACK: &str = "the rollback failed";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RolledOut {
    pub(crate) revision: u64,
    pub(crate) is_tested: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) chart: &'a str,
    pub(crate) values: &'a [String],
    pub(crate) post_renderer: Option<&'a PostRenderer>,
    pub(crate) objects: &'a [Object],
    /// By which digests images that are named by their tag may run.
    pub(crate) running: &'a RunningImages,
    /// The names of tests that the bundle leaves out.
    pub(crate) left_out_tests: &'a [String],
    pub(crate) patience: Duration,
    /// The revision that runs again when it fails; none when there was none.
    pub(crate) before: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
#[error("{}{what}: {said}; {state}{}{}", subject(.release, .others), sentences(.pods),
    places(.others))]
pub(crate) struct RolloutError {
    release: String,
    what: &'static str,
    said: String,
    state: State,
    pods: Vec<String>,
    namespace: String,
    others: Vec<(String, State)>,
}

/// Where a release of the same installation is.
#[derive(Serialize)]
struct PlaceReport<'a> {
    release: &'a str,
    left: &'a State,
}

impl RolloutError {
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// A release whose installation was not begun, after others were installed.
    pub(crate) fn not_begun(
        helm: &ReleaseHelm,
        cluster: &Cluster,
        error: &InstallError,
        revision: Option<u64>,
    ) -> Self {
        Self {
            release: helm.release().to_owned(),
            namespace: cluster.namespace().to_owned(),
            what: "the release could not be installed",
            said: error.to_string(),
            state: State::At { revision },
            pods: Vec::new(),
            others: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn with_others(mut self, others: Vec<(String, State)>) -> Self {
        self.others = others;
        self
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
                "push the bundle to the registry that the nodes use; pods and nodes that have the \
                 old image under this tag keep it until `kubectl rollout restart` with \
                 imagePullPolicy Always; then run the same command again"
                    .to_owned()
            }
            State::RolledBack { .. } | State::Removed => {
                "what the pods said is above; when it is mended, run the same command again"
                    .to_owned()
            }
            State::Stuck { .. } if self.what == NOT_BACK => {
                "what the pods said is above; when it is mended, run the same command again: it \
                 goes on from there"
                    .to_owned()
            }
            State::Stuck { to: Some(to), .. } => {
                format!(
                    "`helm history {release} -n {namespace}` shows the revisions; `helm rollback \
                     {release} {to} -n {namespace}` tries again to go back"
                )
            }
            State::Stuck { to: None, .. } => {
                format!(
                    "`helm uninstall {release} -n {namespace}` removes it; then run the same \
                     command again"
                )
            }
            State::Interrupted {
                before: Some(before),
                ..
            } => {
                format!(
                    "run the same command again to finish, or `helm rollback {release} {before} \
                     -n {namespace}` to go back"
                )
            }
            State::Interrupted { before: None, .. } => {
                format!(
                    "run the same command again to finish, or `helm uninstall {release} -n \
                     {namespace}` to go back"
                )
            }
            State::At { .. } => "run the same command again".to_owned(),
        })
    }

    fn details(&self) -> Option<serde_json::Value> {
        let failed = serde_json::json!({
            "release": self.release, "what": self.what, "said": self.said, "left": self.state,
                "pods": self.pods,
        });
        let others = self.others.iter().map(|(release, left)| {
            serde_json::to_value(PlaceReport { release, left }).unwrap_or_default()
        });
        Some(std::iter::once(failed).chain(others).collect())
    }
}

/// Which release it is, where there are several.
fn subject(release: &str, others: &[(String, State)]) -> String {
    if others.is_empty() {
        String::new()
    } else {
        format!("release {release}: ")
    }
}

fn places(others: &[(String, State)]) -> String {
    others
        .iter()
        .map(|(release, state)| format!("\n  release {release}: {state}"))
        .collect()
}

fn sentences(pods: &[String]) -> String {
    pods.iter()
        .map(|sentence| format!("\n  {sentence}"))
        .collect()
}

/// Installs or upgrades the release, waits until it runs, compares the images that run with those
/// of the bundle, and runs its tests. On failure it goes back to the revision before, and says in
/// which state the release was left.
pub(crate) async fn roll_out(
    cluster: &Cluster,
    helm: &ReleaseHelm,
    wanted: &Wanted<'_>,
    history: &[Revision],
    progress: &dyn Progress,
) -> Result<RolledOut, InstallError> {
    let (timeout, before) = (timeout(wanted.patience), wanted.before);
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
            said: upgrade.stderr,
        });
    }
    if !upgrade.is_success {
        let what = "the release did not become ready";
        return Err(Box::new(
            go_back(
                cluster,
                helm,
                what,
                upgrade.stderr,
                before,
                wanted.patience,
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
                wanted.patience,
                progress,
            )
            .await?,
        )
        .into());
    }
    let test = run_tests(helm, wanted.left_out_tests, &timeout, progress).await?;
    if !test.is_success {
        let what = "the release runs, but a test of its chart failed";
        return Err(Box::new(
            go_back(
                cluster,
                helm,
                what,
                test.stderr,
                before,
                wanted.patience,
                progress,
            )
            .await?,
        )
        .into());
    }
    Ok(RolledOut {
        revision: last_revision(helm).await?,
        is_tested: test.output.contains("TEST SUITE"),
    })
}

/// Brings the release back to a revision and runs the tests of its chart; without a revision, what
/// was installed is removed. Nothing is done for a release that is gone already.
pub(crate) async fn return_to(
    cluster: &Cluster,
    helm: &ReleaseHelm,
    to: Option<u64>,
    left_out_tests: &[String],
    patience: Duration,
    progress: &dyn Progress,
) -> Result<Option<RolledOut>, InstallError> {
    progress.announce(&to.map_or_else(
        || format!("removing release {}", helm.release()),
        |to| format!("rolling release {} back to revision {to}", helm.release()),
    ));
    let failed = async |said: String, state: State| -> Result<_, InstallError> {
        let state = match state {
            state if !helm.interrupt().is_asked() => state,
            _ => interrupted(helm, None).await?,
        };
        Ok(InstallError::from(Box::new(RolloutError {
            release: helm.release().to_owned(),
            namespace: cluster.namespace().to_owned(),
            what: NOT_BACK,
            said,
            state,
            pods: what_pods_say(cluster, helm.release()).await,
            others: Vec::new(),
        })))
    };
    let back = take_back(helm, to, patience).await?;
    if let State::Stuck { said, .. } = &back {
        return Err(failed(said.clone(), back.clone()).await?);
    }
    if to.is_none() {
        return Ok(None);
    }
    let test = run_tests(helm, left_out_tests, &timeout(patience), progress).await?;
    if !test.is_success {
        return Err(failed(test.stderr, back).await?);
    }
    Ok(Some(RolledOut {
        revision: last_revision(helm).await?,
        is_tested: test.output.contains("TEST SUITE"),
    }))
}

/// Goes back to a revision and waits until it runs; without one, what was installed is removed.
pub(crate) async fn take_back(
    helm: &ReleaseHelm,
    to: Option<u64>,
    patience: Duration,
) -> Result<State, InstallError> {
    let timeout = timeout(patience);
    let number = to.map(|number| number.to_string());
    let mut arguments = match &number {
        Some(number) => vec!["rollback", helm.release(), number],
        None => vec!["uninstall", helm.release(), "--ignore-not-found"],
    };
    arguments.extend(["--wait", "--timeout", &timeout]);
    let mut back = helm.run(&arguments).await?;
    // Helm 4 leaves fields alone that somebody else has set since; the way back takes them.
    if !back.is_success && !helm.is_3() && back.stderr.contains("conflict occurred") {
        arguments.push("--force-conflicts");
        back = helm.run(&arguments).await?;
    }
    Ok(match (to, back.is_success) {
        (Some(to), true) => State::RolledBack { to },
        (None, true) => State::Removed,
        (to, false) => State::Stuck {
            to,
            said: back.stderr,
        },
    })
}

async fn run_tests(
    helm: &ReleaseHelm,
    left_out: &[String],
    timeout: &str,
    progress: &dyn Progress,
) -> Result<Ended, InstallError> {
    progress.announce("running the chart's tests");
    let filters: Vec<String> = left_out
        .iter()
        .map(|name| format!("!name={name}"))
        .collect();
    let mut arguments = vec!["test", helm.release(), "--timeout", timeout, "--logs"];
    arguments.extend(
        filters
            .iter()
            .flat_map(|filter| ["--filter", filter.as_str()]),
    );
    helm.run(&arguments).await
}

async fn last_revision(helm: &ReleaseHelm) -> Result<u64, InstallError> {
    let history = helm.history().await?;
    Ok(history.last().map_or(0, |revision| revision.number))
}

async fn interrupted(helm: &ReleaseHelm, before: Option<u64>) -> Result<State, InstallError> {
    let last = helm.history().await?.pop();
    let (revision, status) =
        last.map_or((0, "unknown".to_owned()), |last| (last.number, last.status));
    Ok(State::Interrupted {
        revision,
        status,
        before,
    })
}

/// Refuses a release with an operation that is not over, unless it may be ended.
pub(crate) fn check_pending(
    release: &str,
    history: &[Revision],
    take_over: bool,
) -> Result<(), InstallError> {
    match pending(history).filter(|_| !take_over) {
        Some(last) => Err(InstallError::Pending {
            release: release.to_owned(),
            status: last.status.clone(),
            revision: last.number,
        }),
        None => Ok(()),
    }
}

fn pending(history: &[Revision]) -> Option<&Revision> {
    history
        .last()
        .filter(|last| last.status.starts_with("pending"))
}

/// Ends an operation of somebody who is gone, so that Helm accepts another: back to the revision
/// that ran before, if there is one. Gives the revisions as they are then.
pub(crate) async fn take_over(
    helm: &ReleaseHelm,
    history: &[Revision],
    before: Option<u64>,
    progress: &dyn Progress,
) -> Result<Vec<Revision>, InstallError> {
    let Some(last) = pending(history) else {
        return Ok(history.to_vec());
    };
    progress.announce(&format!(
        "ending what was left at revision {} in state {}",
        last.number, last.status
    ));
    let number = before.map(|number| number.to_string());
    let ended = match &number {
        Some(number) => helm.run(&["rollback", helm.release(), number]).await?,
        None => helm.run(&["uninstall", helm.release(), "--wait"]).await?,
    };
    if !ended.is_success {
        return Err(InstallError::HelmRefused {
            doing: "end what was left".to_owned(),
            said: ended.stderr,
        });
    }
    helm.history().await
}

/// The revision that ran before an installation; after one that was cut off, before that one.
pub(crate) fn revision_before(record: &InstallRecord, history: &[Revision]) -> Option<u64> {
    let in_progress = record.attempt.as_ref().and_then(|attempt| attempt.before);
    match in_progress {
        Some(0) => None,
        Some(before) if history.iter().any(|existing| existing.number == before) => Some(before),
        _ => deployed(history),
    }
}

/// How Helm is told how long something may take.
fn timeout(patience: Duration) -> String {
    format!("{}s", patience.as_secs())
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
    patience: Duration,
    progress: &dyn Progress,
) -> Result<RolloutError, InstallError> {
    let pods = what_pods_say(cluster, helm.release()).await;
    let (said, state) = if helm.interrupt().is_asked() {
        let state = interrupted(helm, before).await?;
        ("interrupted".to_owned(), state)
    } else {
        progress.announce(&format!("{what}; going back"));
        (said, take_back(helm, before, patience).await?)
    };
    Ok(RolloutError {
        release: helm.release().to_owned(),
        what,
        said,
        state,
        pods,
        namespace: cluster.namespace().to_owned(),
        others: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::{RolloutError, State};
    use rune_core::failure::Failure as _;

    #[test]
    fn the_way_back_after_an_interruption_names_release_and_namespace() {
        for (before, command) in [
            (Some(3), "`helm rollback shop 3 -n site`"),
            (None, "`helm uninstall shop -n site`"),
        ] {
            let error = RolloutError {
                release: "shop".to_owned(),
                namespace: "site".to_owned(),
                what: "interrupted",
                said: String::new(),
                state: State::Interrupted {
                    revision: 4,
                    status: "pending-upgrade".to_owned(),
                    before,
                },
                pods: Vec::new(),
                others: Vec::new(),
            };
            assert!(
                error.help().unwrap().contains(command),
                "{:?}",
                error.help()
            );
        }
    }
}
