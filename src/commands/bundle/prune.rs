//! `prune`: deletes from a registry what only older bundles need.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use serde::Serialize;

use super::{open::SignerOptions, trust_source::TrustSource};
use crate::{
    install::{Cluster, ClusterOptions, InstallRecord, Installed},
    prune::{self, Fate, Held, Plan, PruneSettings, Target, TargetKind, Use, UseKind},
    push::Destination,
    registry::{Client, ClientConfig},
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    failure::Failure,
    progress::Progress,
    text::size,
};

const CONNECTIONS: usize = 4;

#[derive(Debug, Clone)]
pub(crate) struct PruneOptions {
    pub(crate) destination: Destination,
    pub(crate) keep: usize,
    pub(crate) signers: SignerOptions,
    pub(crate) clusters: Vec<ClusterOptions>,
    pub(crate) is_only_cluster: bool,
    /// Where in them bundles are installed; everywhere, when none is named.
    pub(crate) namespaces: BTreeSet<String>,
    pub(crate) registry: ClientConfig,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PruneReport {
    destination: String,
    dry_run: bool,
    keep: usize,
    trust: Option<TrustSource>,
    clusters: Vec<ClusterUse>,
    bundles: Vec<Fate>,
    manifests: Vec<Target>,
    held: Vec<Held>,
    bytes: u64,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ClusterUse {
    address: String,
    releases: usize,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("one cluster is named, and another one may use the registry, too")]
#[failure(Usage: "name every cluster that uses the registry with --kubeconfig or --context, or say \
    --only-this-cluster")]
struct OtherClusters;

impl Report for PruneReport {
    const VERB: &'static str = "prune";

    fn text(&self) -> String {
        let goes: Vec<&Target> = self
            .manifests
            .iter()
            .filter(|target| self.dry_run || target.is_deleted())
            .collect();
        let mut text = format!(
            "{} from {}: {}, at most {} to free\n",
            if self.dry_run {
                "would delete"
            } else {
                "deleted"
            },
            self.destination,
            counted(goes.len(), "manifest"),
            size(self.bytes)
        );
        for Fate {
            name,
            version,
            kept,
            ..
        } in &self.bundles
        {
            let _ = match kept.as_slice() {
                [] => writeln!(text, "delete     {name} {version}"),
                reasons => writeln!(text, "keep       {name} {version}: {}", reasons.join("; ")),
            };
        }
        for target in goes {
            let _ = writeln!(
                text,
                "{:<10} {target}  {}",
                word(target.kind),
                size(target.bytes())
            );
        }
        for held in &self.held {
            let _ = writeln!(text, "held       {held}");
        }
        for ClusterUse { address, releases } in &self.clusters {
            let _ = writeln!(
                text,
                "cluster    {address}: {}",
                counted(*releases, "release")
            );
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust      {trust}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

const fn word(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Image => "image",
        TargetKind::Artifact => "artifact",
        TargetKind::Chart => "chart",
        TargetKind::Referrer => "referrer",
        TargetKind::Index => "index",
        TargetKind::Signature => "signature",
        TargetKind::Provenance => "provenance",
        TargetKind::Files => "files",
        TargetKind::List => "list",
    }
}

pub(crate) fn run(
    options: &PruneOptions,
    progress: &Arc<dyn Progress>,
) -> Result<PruneReport, CommandError> {
    let has_keys = !options.signers.keys.is_empty() || options.signers.trust_file.is_some();
    let trust = options.signers.trust(None).map_err(|error| {
        if has_keys {
            error
        } else {
            error.with_help("pass the keys of whoever signs the bundles with --key or --trust")
        }
    })?;
    block_on(async {
        let (clusters, uses) = ask_clusters(options, progress.as_ref()).await?;
        let settings = PruneSettings {
            destination: options.destination.clone(),
            keep: options.keep,
            uses,
        };
        let host = options.destination.registry();
        let client = Client::new(options.registry.clone().confined_to(host, CONNECTIONS))?;
        let mut plan = prune::plan(&client, &settings, &trust, progress.as_ref()).await?;
        if !options.is_dry_run {
            prune::delete(&client, &mut plan, progress.as_ref())
                .await
                .map_err(|error| {
                    let all = plan.targets.len();
                    let done = plan.targets.iter().filter(|target| target.is_deleted());
                    CommandError::from(error).context(format!(
                        "{} of {} deleted; the same command goes on from there",
                        done.count(),
                        counted(all, "manifest")
                    ))
                })?;
        }
        Ok::<_, CommandError>(PruneReport::new(options, clusters, plan))
    })
}

impl PruneReport {
    fn new(options: &PruneOptions, clusters: Vec<ClusterUse>, plan: Plan) -> Self {
        let Plan {
            bundles,
            targets,
            held,
            mut notes,
            ..
        } = plan;
        let is_counted = |target: &&Target| options.is_dry_run || target.is_deleted();
        let bytes = targets.iter().filter(is_counted).map(Target::bytes).sum();
        if !targets.is_empty() {
            notes.push(
                "note: the registry frees the bytes when it collects its garbage, and keeps what \
                 other repositories have as well"
                    .to_owned(),
            );
            notes.push(
                "note: distribution does it with `registry garbage-collect CONFIG`; never add -m \
                 to it on 2.8, which deletes the platforms of every image that has several"
                    .to_owned(),
            );
        }
        if options.is_dry_run && !targets.is_empty() {
            notes.push("nothing was deleted: add --yes".to_owned());
        }
        Self {
            destination: options.destination.to_string(),
            dry_run: options.is_dry_run,
            keep: options.keep,
            trust: TrustSource::of(&options.signers, &[]),
            clusters,
            bundles,
            manifests: targets,
            held,
            bytes,
            notes,
        }
    }
}

async fn ask_clusters(
    options: &PruneOptions,
    progress: &dyn Progress,
) -> Result<(Vec<ClusterUse>, Vec<Use>), CommandError> {
    let mut known = BTreeSet::new();
    let (mut clusters, mut uses) = (Vec::new(), Vec::new());
    for cluster in &options.clusters {
        let cluster = Cluster::connect(cluster).await?;
        if !known.insert(cluster.id().unwrap_or(cluster.address()).to_owned()) {
            continue;
        }
        progress.note(&format!("asking {} what it uses", cluster.address()));
        let mut records = Vec::new();
        if options.namespaces.is_empty() {
            records.extend(InstallRecord::list(&cluster, true).await?);
        }
        for namespace in &options.namespaces {
            records.extend(InstallRecord::list(&cluster.in_namespace(namespace), false).await?);
        }
        clusters.push(ClusterUse {
            address: cluster.address().to_owned(),
            releases: records.len(),
        });
        for ((namespace, release), record) in records {
            let place = format!(
                "release {release} in namespace {namespace} of {}",
                cluster.address()
            );
            uses.extend(uses_of(&record, &place));
        }
    }
    if clusters.len() < 2 && !options.is_only_cluster {
        return Err(OtherClusters.into());
    }
    Ok((clusters, uses))
}

/// What a release runs, what it is about to run, and what `rollback` goes back to.
fn uses_of(record: &InstallRecord, place: &str) -> Vec<Use> {
    let installed = |installed: &Installed, kind| Use {
        name: installed.bundle.clone(),
        version: installed.version.clone(),
        digest: installed.digest,
        kind,
        place: place.to_owned(),
    };
    let current = record.installed.as_ref();
    let before = record.earlier.first();
    let attempt = record.attempt.as_ref().map(|attempt| Use {
        name: attempt.bundle.clone(),
        version: attempt.version.clone(),
        digest: attempt.digest,
        kind: UseKind::InProgress,
        place: place.to_owned(),
    });
    current
        .map(|current| installed(current, UseKind::Installed))
        .into_iter()
        .chain(attempt)
        .chain(before.map(|before| installed(before, UseKind::Rollback)))
        .collect()
}
