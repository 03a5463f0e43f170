//! A backup of the database before an upgrade: the chart's own, by its own schedule's template,
//! now.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{ListParams, ObjectMeta, PostParams};

use super::{Cluster, ClusterError};
use rune_core::{failure::Failure, interrupt::Interrupt, progress::Progress};

const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum BackupError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(
        "release {release} in namespace {namespace} has no CronJob for backups, or more than one"
    )]
    #[failure(NotFound: "turn backups on with postgres.backup.enabled, or make one by hand with \
        `rune-db backup` and leave --backup-first out")]
    NoSchedule { release: String, namespace: String },
    #[error("the backup failed: {reason}; nothing was changed")]
    #[failure(Rollout: "`kubectl logs job/{job}` says more")]
    Failed { reason: String, job: String },
    #[error("the backup was not done after {} seconds; nothing was changed", .patience.as_secs())]
    #[failure(Rollout: "`kubectl logs job/{job}` says more")]
    TimeLimit { patience: Duration, job: String },
    #[error("interrupted while the backup job {job} was running; nothing was changed")]
    #[failure(Interrupted: "run the same command again; it makes a backup of its own")]
    Interrupted { job: String },
}

/// Makes a backup with the release's own job and waits for it. Gives the name of the job.
pub(crate) async fn back_up(
    cluster: &Cluster,
    release: &str,
    purpose: &str,
    patience: Duration,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<String, BackupError> {
    let parameters = ListParams::default().labels(&format!("app.kubernetes.io/instance={release}"));
    let schedules = cluster
        .api::<CronJob>()
        .list(&parameters)
        .await
        .map_err(cluster.failed("list the CronJobs of the release"))?
        .items;
    let mut backups = schedules.into_iter().filter(|schedule| {
        schedule
            .metadata
            .name
            .as_deref()
            .is_some_and(|name| name.ends_with("-backup"))
    });
    let (Some(schedule), None) = (backups.next(), backups.next()) else {
        return Err(BackupError::NoSchedule {
            release: release.to_owned(),
            namespace: cluster.namespace().to_owned(),
        });
    };
    let jobs = cluster.api::<Job>();
    let made = jobs
        .create(&PostParams::default(), &job_of(schedule, purpose))
        .await
        .map_err(cluster.failed("make the backup job"))?;
    let job = made.metadata.name.unwrap_or_default();
    progress.announce(&format!("waiting for the backup job {job}"));
    let wait = async {
        loop {
            let found = jobs
                .get(&job)
                .await
                .map_err(cluster.failed(format!("read the job {job}")))?;
            match verdict(&found) {
                Some(Ok(())) => return Ok(job.clone()),
                Some(Err(reason)) => {
                    return Err(BackupError::Failed {
                        reason,
                        job: job.clone(),
                    });
                }
                None => tokio::time::sleep(INTERVAL).await,
            }
        }
    };
    tokio::select! {
        done = tokio::time::timeout(patience,
            wait) => done.unwrap_or_else(|_| Err(BackupError::TimeLimit { patience,
            job: job.clone() })),
        () = interrupt.asked() => Err(BackupError::Interrupted { job: job.clone() }),
    }
}

/// The job that the schedule would make, as `kubectl create job --from` makes it.
fn job_of(schedule: CronJob, purpose: &str) -> Job {
    let name = schedule.metadata.name.unwrap_or_default();
    let template = schedule
        .spec
        .map(|spec| spec.job_template)
        .unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.insert(
        "cronjob.kubernetes.io/instantiate".to_owned(),
        "manual".to_owned(),
    );
    Job {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-{purpose}-")),
            annotations: Some(annotations),
            labels: metadata.labels,
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

fn verdict(job: &Job) -> Option<Result<(), String>> {
    let conditions = job
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())?;
    let is = |kind: &str| {
        conditions
            .iter()
            .find(|condition| condition.type_ == kind && condition.status == "True")
    };
    if is("Complete").is_some() {
        return Some(Ok(()));
    }
    is("Failed").map(|failed| {
        Err(failed
            .message
            .clone()
            .or_else(|| failed.reason.clone())
            .unwrap_or_else(|| "the job gives no reason".to_owned()))
    })
}
