//! What a release is now, compared with what was installed.

use super::{
    Cluster, DatabaseSchema, Drift, DriftKind, InstallError, InstallRecord, Object, ReleaseHelm,
    Revision, Workload, WorkloadState, ask_schema, drift, health, parse_objects, pods, rollout,
};

#[derive(Debug, Clone)]
pub(crate) struct Inspection {
    /// The revision that Helm has deployed, if any.
    pub(crate) revision: Option<u64>,
    /// Helm's word for the state of the last revision; none when Helm has no such release.
    pub(crate) status: Option<String>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) pods: Vec<String>,
    /// Nothing when it was not asked for.
    pub(crate) schema: Option<DatabaseSchema>,
    pub(crate) drift: Vec<Drift>,
}

impl Inspection {
    pub(crate) fn is_healthy(&self) -> bool {
        let is_ready = |workload: &Workload| workload.state == WorkloadState::Ready;
        self.status.as_deref() == Some("deployed") && self.workloads.iter().all(is_ready)
    }
}

/// Inspects a release and compares it with its record.
pub(crate) async fn inspect(
    cluster: &Cluster,
    helm: &ReleaseHelm,
    record: &InstallRecord,
    asks_database: bool,
) -> Result<Inspection, InstallError> {
    let history = helm.history().await?;
    let revision = rollout::deployed(&history);
    // What was installed counts; after somebody's own upgrade, what Helm has deployed.
    let installed = record.installed.as_ref();
    let recorded = installed.and_then(|installed| installed.revision);
    let recorded = recorded.filter(|then| history.iter().any(|existing| existing.number == *then));
    let objects = match recorded.or(revision) {
        Some(number) => parse_objects(&helm.installed(number).await?)?,
        None => Vec::new(),
    };
    let workloads = health::workloads(cluster, &objects).await?;
    let mut found = Vec::new();
    if let Some(installed) = installed {
        found.extend(drift::of_release(helm, installed, &history).await?);
        found.extend(drift::of_images(cluster, installed, &objects, &workloads).await?);
    }
    let schema = if asks_database {
        Some(ask_schema(cluster, helm.release(), &objects).await)
    } else {
        None
    };
    found.extend(drift_of_schema(record, schema.as_ref()));
    let all_ready = |workload: &Workload| workload.state == WorkloadState::Ready;
    let pods = if workloads.iter().all(all_ready) {
        Vec::new()
    } else {
        pods::what_pods_say(cluster, helm.release()).await
    };
    Ok(Inspection {
        revision,
        status: history.last().map(|last| last.status.clone()),
        workloads,
        pods,
        schema,
        drift: found,
    })
}

fn drift_of_schema(record: &InstallRecord, schema: Option<&DatabaseSchema>) -> Option<Drift> {
    let expected = record.installed.as_ref()?.schema_version?;
    let Some(DatabaseSchema::Version(version)) = schema else {
        return None;
    };
    let found = match version {
        Some(version) if *version == expected => return None,
        Some(version) => format!("version {version}"),
        None => "no schema".to_owned(),
    };
    let what = format!("the database has {found}, and the bundle has version {expected}");
    Some(Drift::new(DriftKind::Schema, what))
}

pub(crate) async fn deployed_objects(
    helm: &ReleaseHelm,
    history: &[Revision],
) -> Result<Vec<Object>, InstallError> {
    match rollout::deployed(history) {
        Some(number) => Ok(parse_objects(&helm.installed(number).await?)?),
        None => Ok(Vec::new()),
    }
}
