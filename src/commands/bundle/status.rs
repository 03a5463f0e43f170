//! `status`: which bundles are installed in a cluster, whether what they installed runs, and what
//! is not as it was installed. Changes nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::cluster_access::{ClusterAccess, ClusterAccessOptions};
use crate::install::{
    DatabaseSchema, Drift, Inspection, InstallError, InstallRecord, Installed, Workload,
    WorkloadState, inspect,
};
use rune_core::{
    command::{CommandError, Report, block_on_to_the_end, counted},
    digest::Digest,
    failure::{Failure, FailureKind},
    progress::Progress,
};

#[derive(Debug, Clone)]
pub(crate) struct StatusOptions {
    pub(crate) access: ClusterAccessOptions,
    pub(crate) release: Option<String>,
    pub(crate) in_all_namespaces: bool,
    /// Whether the database of each release is asked for its schema, by a job.
    pub(crate) ask_database: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct StatusReport {
    cluster: String,
    kubernetes: String,
    /// The namespace that was looked in; none when it was all of them.
    namespace: Option<String>,
    releases: Vec<ReleaseStatus>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseStatus {
    namespace: String,
    release: String,
    /// What is installed; none when the first installation is not finished.
    installed: Option<BundleStatus>,
    /// What is being installed or rolled back to, or was when somebody was cut off.
    in_progress: Option<BundleStatus>,
    before: Option<BundleStatus>,
    chart: Option<String>,
    profile: Option<String>,
    revision: Option<u64>,
    /// Helm's word for the last revision.
    status: Option<String>,
    healthy: bool,
    workloads: Vec<Workload>,
    pods: Vec<String>,
    schema: SchemaStatus,
    drift: Vec<Drift>,
    receipt: Option<Digest>,
}

#[derive(Debug, Serialize)]
pub(super) struct BundleStatus {
    pub(super) name: String,
    pub(super) version: semver::Version,
    digest: Digest,
    /// The revision of the release that it was installed as.
    pub(super) revision: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
struct SchemaStatus {
    bundle: Option<u32>,
    database: Option<u32>,
    /// Why the database's version is not known.
    unknown: Option<String>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("there is no record of release {release} in namespace {namespace}")]
#[failure(NotFound: "`rune-bundle status --all-namespaces` lists the releases that rune-bundle \
    installed")]
pub(super) struct NoRecord {
    pub(super) release: String,
    pub(super) namespace: String,
}

pub(crate) fn run(
    options: &StatusOptions,
    progress: &dyn Progress,
) -> Result<StatusReport, CommandError> {
    options.access.program()?;
    block_on_to_the_end(async {
        let access = ClusterAccess::connect(&options.access).await?;
        tokio::select! {
            report = look(options, &access, progress) => report,
            () = access.interrupt().asked() => Err(InstallError::Interrupted.into()),
        }
    })
}

async fn look(
    options: &StatusOptions,
    access: &ClusterAccess<'_>,
    progress: &dyn Progress,
) -> Result<StatusReport, CommandError> {
    let all = options.in_all_namespaces;
    let records = InstallRecord::list(&access.cluster, all)
        .await
        .map_err(InstallError::from)?;
    let is_asked_for = |release: &str| {
        options
            .release
            .as_deref()
            .is_none_or(|asked| asked == release)
    };
    let mut releases = Vec::new();
    for ((namespace, release), record) in records {
        // The first installation was rolled back: nothing is left of it.
        let is_empty = record.installed.is_none() && record.attempt.is_none();
        if is_empty || !is_asked_for(&release) {
            continue;
        }
        progress.announce(&format!(
            "checking release {release} in namespace {namespace}"
        ));
        let (cluster, helm) = access.release(&namespace, &release)?;
        let found = inspect(&cluster, &helm, &record, options.ask_database).await?;
        releases.push(ReleaseStatus::new(namespace, release, &record, found));
    }
    let namespace = (!all).then(|| access.cluster.namespace().to_owned());
    if let Some(release) = options.release.clone().filter(|_| releases.is_empty()) {
        let namespace = namespace.unwrap_or_else(|| "any".to_owned());
        return Err(NoRecord { release, namespace }.into());
    }
    Ok(StatusReport {
        cluster: access.cluster.address().to_owned(),
        kubernetes: access.cluster.version().to_string(),
        namespace,
        releases,
    })
}

impl BundleStatus {
    pub(super) fn of(installed: &Installed) -> Self {
        Self {
            name: installed.bundle.clone(),
            version: installed.version.clone(),
            digest: installed.digest,
            revision: installed.revision,
        }
    }
}

impl ReleaseStatus {
    fn new(namespace: String, release: String, record: &InstallRecord, found: Inspection) -> Self {
        let installed = record.installed.as_ref();
        let bundle = installed.and_then(|installed| installed.schema_version);
        let schema = match found.schema.clone() {
            None | Some(DatabaseSchema::NoDatabase) => SchemaStatus::default(),
            Some(DatabaseSchema::Version(database)) => SchemaStatus {
                bundle,
                database,
                unknown: None,
            },
            Some(DatabaseSchema::Unknown(reason)) => SchemaStatus {
                bundle,
                database: None,
                unknown: Some(reason),
            },
        };
        Self {
            healthy: found.is_healthy(),
            namespace,
            release,
            installed: installed.map(BundleStatus::of),
            in_progress: record.attempt.as_ref().map(|attempt| BundleStatus {
                name: attempt.bundle.clone(),
                version: attempt.version.clone(),
                digest: attempt.digest,
                revision: None,
            }),
            before: record.earlier.first().map(BundleStatus::of),
            chart: installed.map(|installed| installed.charts.join(", ")),
            profile: installed.and_then(|installed| installed.profile.clone()),
            revision: found.revision,
            status: found.status,
            workloads: found.workloads,
            pods: found.pods,
            schema,
            drift: found.drift,
            receipt: installed.and_then(|installed| installed.receipt),
        }
    }

    fn describe(&self, text: &mut String) {
        let health = if self.healthy {
            "healthy"
        } else {
            "NOT healthy"
        };
        let drift = match self.drift.len() {
            0 => "no drift".to_owned(),
            count => counted(count, "difference"),
        };
        let what = self.installed.as_ref().map_or_else(
            || "nothing installed completely".to_owned(),
            |bundle| format!("{} {}", bundle.name, bundle.version),
        );
        let _ = writeln!(
            text,
            "release {} in namespace {}: {what}, {health}, {drift}",
            self.release, self.namespace
        );
        if let Some(bundle) = &self.installed {
            let _ = writeln!(text, "  bundle digest  {}", bundle.digest.grouped());
        }
        if let Some(chart) = &self.chart {
            let profile = self.profile.as_ref();
            let profile = profile.map_or_else(String::new, |name| format!(", profile {name}"));
            let _ = writeln!(text, "  chart          {chart}{profile}");
        }
        let revision = self
            .revision
            .map_or_else(|| "none".to_owned(), |number| number.to_string());
        let status = self.status.as_deref().unwrap_or("not in Helm");
        let _ = writeln!(text, "  revision       {revision} ({status})");
        for workload in &self.workloads {
            let Workload {
                object,
                ready,
                wanted,
                state,
                ..
            } = workload;
            let state = match state {
                WorkloadState::Ready => "",
                WorkloadState::NotReady => ", NOT ready",
                WorkloadState::Missing => ", MISSING",
            };
            let _ = writeln!(
                text,
                "  workload       {object}: {ready} of {wanted}{state}"
            );
        }
        for sentence in &self.pods {
            let _ = writeln!(text, "                 {sentence}");
        }
        match &self.schema {
            SchemaStatus {
                unknown: Some(reason),
                bundle: Some(version),
                ..
            } => {
                let _ = writeln!(
                    text,
                    "  schema         not known, {version} in the bundle: {reason}"
                );
            }
            SchemaStatus {
                database: Some(version),
                ..
            } => {
                let _ = writeln!(text, "  schema         {version}");
            }
            _ => {}
        }
        for Drift { about, what } in &self.drift {
            let _ = writeln!(text, "  drift          {}: {what}", about.name());
        }
        if let Some(bundle) = &self.in_progress {
            let _ = writeln!(
                text,
                "  in progress    {} {}, or cut off",
                bundle.name, bundle.version
            );
        }
        if let Some(bundle) = &self.before {
            let revision = bundle.revision.unwrap_or_default();
            let _ = writeln!(
                text,
                "  before         {} {}, revision {revision}",
                bundle.name, bundle.version
            );
        }
    }
}

impl Report for StatusReport {
    const VERB: &'static str = "status";

    fn text(&self) -> String {
        let mut text = String::new();
        for release in &self.releases {
            release.describe(&mut text);
        }
        if self.releases.is_empty() {
            let place = self.namespace.as_ref().map_or_else(
                || "any namespace".to_owned(),
                |namespace| format!("namespace {namespace}"),
            );
            let _ = writeln!(
                text,
                "no bundle is installed in {place} of {}",
                self.cluster
            );
        }
        text
    }

    fn verdict(&self) -> Option<FailureKind> {
        let is_unhealthy = self.releases.iter().any(|release| !release.healthy);
        let has_drift = self
            .releases
            .iter()
            .any(|release| !release.drift.is_empty());
        match (is_unhealthy, has_drift) {
            (true, _) => Some(FailureKind::Rollout),
            (false, true) => Some(FailureKind::Drift),
            (false, false) => None,
        }
    }
}
