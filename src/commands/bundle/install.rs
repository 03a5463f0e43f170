//! `install`: from a bundle to a release that runs, in one command.

mod choice;
mod destination;
mod mapping;
mod report;

use std::{sync::Arc, time::Duration};

use camino::Utf8PathBuf;

use self::{
    destination::Destination,
    mapping::{Mapped, Rendering},
};
pub use self::{mapping::MapMode, report::InstallReport};
use super::{
    open::{BundleOptions, threads},
    push::{Destination as Registry, IndexChoice, PushOptions, PushSettings, push_opened},
    receipt_place::{Deed, ReceiptPlace, tool},
};
use crate::{
    bundle::{self, BundleSource, OpenBundle},
    chart::Helm,
    install::{
        Attempt, Check, Cluster, ClusterOptions, Demands, InstallError, Installed, Judgement, Kept,
        Object, ObjectChange, Problems, ReleaseHelm, RolledOut, RunningImages, State, Wanted,
        back_up, check_access, check_cluster, differences, parse_objects, roll_out, take_over,
    },
    receipt::{Act, Appended, Outcome, VerifiedBundle},
    registry::ClientConfig,
};
use rune_core::{
    command::{CommandError, block_on_to_the_end},
    digest::Digest,
    interrupt::Interrupt,
    progress::Progress,
};

/// How many requests at once when the bundle is pushed, as `push` has it.
const PUSH_JOBS: usize = 4;

/// How long looking for Helm may take.
const HELM_TIME_LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone)]
pub struct InstallOptions {
    /// Which bundle, and what it is checked with.
    pub bundle: BundleOptions,
    pub cluster: ClusterOptions,
    /// The release; without one, the name of the chart.
    pub release: Option<String>,
    /// The chart, when the bundle has several.
    pub chart: Option<String>,
    /// The profile; without one, the first.
    pub profile: Option<String>,
    /// Where the images are, `host[:port][/prefix]`; without it, under the names that the charts
    /// have for them.
    pub registry: Option<Registry>,
    /// How the images are mapped to it; without a word, by values where that is enough.
    pub map: Option<MapMode>,
    /// Where the values that map them are written to.
    pub values_file: Option<Utf8PathBuf>,
    /// What is pushed there first.
    pub push: Option<Pushed>,
    /// How that registry is reached.
    pub registry_access: ClientConfig,
    /// Options of Helm that say values, in their order: `--values FILE`, `--set KEY=VALUE`.
    pub values: Vec<String>,
    pub helm: Option<Utf8PathBuf>,
    /// How long the release may take to run, and a backup to be made.
    pub patience: Duration,
    /// What may be done that is refused otherwise.
    pub permissions: Permissions,
    /// Whether the database is backed up first.
    pub with_backup: bool,
    /// Only say what would change.
    pub is_dry_run: bool,
    pub receipts: ReceiptPlace,
}

/// What of the bundle is pushed, beside images and charts.
#[derive(Debug, Clone, Copy)]
pub struct Pushed {
    /// Whether the index of the bundle and its signatures are.
    pub with_index: bool,
}

/// What may be done that is refused otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Permissions {
    pub create_namespace: bool,
    /// Replace a newer bundle by an older one.
    pub downgrade: bool,
    /// End an operation of somebody who is gone.
    pub take_over: bool,
}

/// Everything that is known before the cluster is asked.
struct Work<'a> {
    options: &'a InstallOptions,
    bundle: &'a Arc<OpenBundle>,
    destination: Destination,
    verified_bytes: u64,
    progress: &'a Arc<dyn Progress>,
}

/// Installs a bundle, or says what would change.
///
/// # Errors
/// When the bundle is not as signed, the cluster lacks something, the bundle must not be installed
/// over what is there, or the release does not come to run: then what was there before runs again,
/// if that is possible.
pub fn run(
    options: &InstallOptions,
    progress: &Arc<dyn Progress>,
) -> Result<InstallReport, CommandError> {
    let program = options.helm.as_deref().ok_or(InstallError::NoHelm)?;
    let (source, head) = options.bundle.authenticate()?;
    let file = options.bundle.file(source)?;
    let refusing = || format!("refusing `{}`", options.bundle.bundle);
    bundle::verify(
        BundleSource::File(file.clone()),
        &head,
        threads(),
        progress.as_ref(),
    )
    .map_err(|error| CommandError::from(error).context(refusing()))?;
    let verified_bytes = head.layout().total_bytes();
    let bundle = OpenBundle::open(file, head)
        .map_err(|error| CommandError::from(error).context(refusing()))?;
    let destination = Destination::read(&bundle, options)?;
    if !options.is_dry_run {
        options.receipts.prepare()?;
    }
    let work = Work {
        options,
        bundle: &bundle,
        destination,
        verified_bytes,
        progress,
    };
    block_on_to_the_end(async {
        let interrupt = Interrupt::listen().map_err(|source| InstallError::Run {
            program: program.to_owned(),
            source,
        })?;
        let helm = Helm::find(program, HELM_TIME_LIMIT)
            .await
            .map_err(InstallError::from)?;
        let cluster = Cluster::connect(&options.cluster)
            .await
            .map_err(InstallError::from)?;
        let release = options
            .release
            .clone()
            .unwrap_or_else(|| work.destination.release());
        let helm = ReleaseHelm::new(
            &helm,
            program,
            &cluster,
            &options.cluster,
            &release,
            interrupt,
        )?;
        work.install(&cluster, &helm).await
    })
}

/// What was found out without changing anything.
struct Found {
    kept: Kept,
    judgement: Judgement,
    checks: Vec<Check>,
    changes: Vec<ObjectChange>,
    manifest: Digest,
    chart: Utf8PathBuf,
    mapped: Mapped,
    objects: Vec<Object>,
    running: RunningImages,
    history: Vec<crate::install::Revision>,
    namespace_exists: bool,
}

impl Work<'_> {
    async fn install(
        &self,
        cluster: &Cluster,
        helm: &ReleaseHelm,
    ) -> Result<InstallReport, CommandError> {
        let found = tokio::select! {
            found = self.look(cluster, helm) => found?,
            () = helm.interrupt().asked() => return Err(InstallError::Interrupted.into()),
        };
        let mut notes = self.notes(&found);
        let receipt_notes = self.begin_receipt(cluster, helm)?;
        for note in notes.iter().chain(&receipt_notes) {
            self.progress.announce(note);
        }
        notes.extend(receipt_notes);
        let mut report = InstallReport::new(self, cluster, helm, &found, notes);
        if self.options.is_dry_run {
            return Ok(report);
        }
        if helm.interrupt().is_asked() {
            return Err(InstallError::Interrupted.into());
        }
        if !found.namespace_exists {
            cluster
                .create_namespace()
                .await
                .map_err(InstallError::from)?;
        }
        if self.options.with_backup && found.judgement != Judgement::First {
            let job = back_up(
                cluster,
                helm.release(),
                "before",
                self.options.patience,
                helm.interrupt(),
                self.progress.as_ref(),
            )
            .await;
            report.backed_up(job.map_err(InstallError::from)?);
        }
        let (rolled_out, appended) = self.change(cluster, helm, &found).await?;
        report.installed(rolled_out, appended);
        Ok(report)
    }

    /// Asks everything and changes nothing in the cluster. What is to be pushed is pushed as soon
    /// as the cluster may be changed.
    async fn look(&self, cluster: &Cluster, helm: &ReleaseHelm) -> Result<Found, CommandError> {
        let Self {
            options,
            destination,
            ..
        } = self;
        let index = self.bundle.index();
        // First what everything else needs, so that its lack is said in its own words.
        let (access, namespace_exists) =
            check_access(cluster, &[], options.permissions.create_namespace)
                .await
                .map_err(InstallError::from)?;
        Problems::among(&access).map_err(InstallError::from)?;
        let kept = Kept::read(cluster, helm.release())
            .await
            .map_err(InstallError::from)?;
        let judgement = kept.judge(
            &index.name,
            &index.version,
            self.bundle.head().digest(),
            options.permissions.downgrade,
        );
        let judgement = judgement.map_err(InstallError::from)?;
        let history = helm.history().await?;
        if let Some(last) = history
            .last()
            .filter(|last| last.status.starts_with("pending") && !options.permissions.take_over)
        {
            let release = helm.release().to_owned();
            return Err(InstallError::Pending {
                release,
                status: last.status.clone(),
                revision: last.number,
            }
            .into());
        }

        self.push().await?;
        let images = destination.images(self.bundle, options).await?;
        let chart = helm.write(&destination.chart_file(), &destination.archive)?;
        let kubernetes = cluster.version();
        let kubernetes = format!(
            "{}.{}.{}",
            kubernetes.major, kubernetes.minor, kubernetes.patch
        );
        let is_upgrade = !history.is_empty();
        let rendering = Rendering {
            helm,
            chart: &chart,
            kubernetes: &kubernetes,
            is_upgrade,
        };
        let mapped = self.map(&images, rendering).await?;
        let wanted = parse_objects(&mapped.rendered).map_err(InstallError::from)?;

        // A test that is not run needs nothing.
        let left_out = self.left_out_tests(&wanted);
        let needed: Vec<Object> = wanted
            .iter()
            .filter(|object| {
                !left_out
                    .iter()
                    .any(|name| object.is_test() && object.name() == name)
            })
            .cloned()
            .collect();
        let (mut checks, _) = check_access(cluster, &needed, options.permissions.create_namespace)
            .await
            .map_err(InstallError::from)?;
        let demands = Demands {
            objects: &needed,
            kube_version: destination.kube_version.as_deref(),
            namespace_exists,
        };
        checks.extend(check_cluster(cluster, demands).await);
        checks.extend(Destination::check_images(
            &mapped.rendered,
            &images,
            self.bundle,
        ));
        let running = images.running(&mapped.rendered, self.bundle);
        Problems::among(&checks).map_err(InstallError::from)?;

        let installed = match history
            .iter()
            .rev()
            .find(|revision| revision.status == "deployed")
        {
            Some(revision) => helm.installed(revision.number).await?,
            None => String::new(),
        };
        let changes = differences(
            &parse_objects(&installed).map_err(InstallError::from)?,
            &wanted,
        );
        let shown: Vec<_> = wanted
            .iter()
            .map(|object| object.without_secrets().value().to_string())
            .collect();
        let manifest = Digest::of(shown.join("\n").as_bytes());
        let objects = wanted;
        Ok(Found {
            kept,
            judgement,
            checks,
            changes,
            manifest,
            chart,
            mapped,
            objects,
            running,
            history,
            namespace_exists,
        })
    }

    fn schema_version(&self) -> Option<u32> {
        self.bundle
            .index()
            .migrations
            .as_ref()
            .map(|migrations| migrations.schema_version)
    }

    /// The names of the tests that the bundle leaves out.
    fn left_out_tests(&self, objects: &[Object]) -> Vec<String> {
        let places = self.bundle.index().completeness.image_places();
        let tests = objects
            .iter()
            .filter(|object| object.is_test() && places.leaves_out_test(object.name()).is_some());
        tests.map(|object| object.name().to_owned()).collect()
    }

    /// What somebody should know before it happens.
    fn notes(&self, found: &Found) -> Vec<String> {
        let there = found
            .kept
            .installed
            .as_ref()
            .and_then(|installed| installed.schema_version);
        let mut notes = Vec::new();
        if let Some((there, next)) = there
            .zip(self.schema_version())
            .filter(|(there, next)| there != next)
        {
            let backup = if self.options.with_backup {
                ""
            } else {
                "; --backup-first makes a backup before"
            };
            notes.push(format!(
                "note: the schema of the database moves from version {there} to {next}{backup}"
            ));
        }
        if found.judgement == Judgement::First && !found.history.is_empty() {
            notes.push("note: the release was not installed by this program, so it is not known whether this is a downgrade".to_owned());
        }
        notes
    }

    async fn change(
        &self,
        cluster: &Cluster,
        helm: &ReleaseHelm,
        found: &Found,
    ) -> Result<(RolledOut, Option<Appended>), CommandError> {
        let index = self.bundle.index();
        let (digest, release) = (self.bundle.head().digest(), helm.release());
        let mut kept = found.kept.clone();
        kept.attempt = Some(Attempt {
            bundle: index.name.clone(),
            version: index.version.clone(),
            digest,
        });
        kept.write(cluster, release)
            .await
            .map_err(InstallError::from)?;
        let history = take_over(helm, &found.history, self.progress.as_ref()).await?;
        let wanted = Wanted {
            chart: found.chart.as_str(),
            values: &found.mapped.values,
            post_renderer: found.mapped.post_renderer.as_ref(),
            objects: &found.objects,
            running: &found.running,
            left_out_tests: &self.left_out_tests(&found.objects),
            patience: self.options.patience,
        };
        let rolled_out =
            match roll_out(cluster, helm, &wanted, &history, self.progress.as_ref()).await {
                Ok(rolled_out) => rolled_out,
                Err(InstallError::Rollout(failure)) => {
                    let outcome = match failure.state() {
                        State::RolledBack { .. } | State::Removed => Some(Outcome::RolledBack),
                        State::Stuck { .. } => Some(Outcome::Failed),
                        State::Interrupted { .. } => None,
                    };
                    if let Some(outcome) = outcome {
                        // The failure is what matters; that it could not be put on record as well
                        // is said beside it.
                        if let Err(error) = self.put_on_record(cluster, helm, found, 0, outcome) {
                            self.progress.announce(&format!(
                                "note: there is no receipt of this: {}",
                                error.messages().join(": ")
                            ));
                        }
                    }
                    if outcome == Some(Outcome::RolledBack) {
                        kept.attempt = None;
                        if let Err(error) = kept.write(cluster, release).await {
                            self.progress.announce(&format!(
                            "note: the cluster still has it on record that this was begun: {error}"
                        ));
                        }
                    }
                    return Err(InstallError::Rollout(failure).into());
                }
                Err(error @ InstallError::HelmRefused { .. }) => {
                    kept.attempt = None;
                    kept.write(cluster, release)
                        .await
                        .map_err(InstallError::from)?;
                    return Err(error.into());
                }
                Err(error) => return Err(error.into()),
            };
        let appended =
            self.put_on_record(cluster, helm, found, rolled_out.revision, Outcome::Deployed);
        kept.attempt = None;
        kept.installed = Some(Installed {
            bundle: index.name.clone(),
            version: index.version.clone(),
            digest,
            charts: vec![self.destination.chart_label()],
            profile: self.destination.profile.clone(),
            schema_version: self.schema_version(),
            receipt: appended
                .as_ref()
                .ok()
                .and_then(|appended| appended.as_ref().map(|appended| appended.digest)),
            tool: tool(),
        });
        let runs = "the release runs, and this is not on record";
        kept.write(cluster, release)
            .await
            .map_err(|error| CommandError::from(InstallError::from(error)).context(runs))?;
        let appended = appended
            .map_err(|error| error.context("the release runs, and there is no receipt of it"))?;
        Ok((rolled_out, appended))
    }

    /// What there is to say about the receipt, before anything is changed.
    fn begin_receipt(
        &self,
        cluster: &Cluster,
        helm: &ReleaseHelm,
    ) -> Result<Vec<String>, CommandError> {
        if self.options.is_dry_run {
            return Ok(Vec::new());
        }
        let destination = format!(
            "release {} in namespace {} of {}",
            helm.release(),
            cluster.namespace(),
            cluster.address()
        );
        self.options.receipts.begin(
            self.bundle.head(),
            Deed {
                kind: "install",
                destination: &destination,
            },
        )
    }

    fn put_on_record(
        &self,
        cluster: &Cluster,
        helm: &ReleaseHelm,
        found: &Found,
        revision: u64,
        outcome: Outcome,
    ) -> Result<Option<Appended>, CommandError> {
        let destination = &self.destination;
        let act = Act::Install {
            cluster: cluster.address().to_owned(),
            cluster_id: cluster.id().map(str::to_owned),
            namespace: cluster.namespace().to_owned(),
            release: helm.release().to_owned(),
            revision,
            chart: destination.chart_label(),
            chart_digest: Digest::of(&destination.archive),
            profile: destination.profile.clone(),
            registry: self.options.registry.as_ref().map(ToString::to_string),
            manifest_digest: found.manifest,
            schema_version: self.schema_version(),
            outcome,
        };
        self.options.receipts.append(
            VerifiedBundle::of(self.bundle.head(), self.verified_bytes),
            act,
        )
    }

    /// Pushes the bundle to the registry.
    async fn push(&self) -> Result<(), CommandError> {
        let pushed = self.options.push.filter(|_| !self.options.is_dry_run);
        let Some((destination, Pushed { with_index })) = self.options.registry.clone().zip(pushed)
        else {
            return Ok(());
        };
        let options = PushOptions {
            bundle: self.options.bundle.clone(),
            settings: PushSettings {
                destination,
                index: IndexChoice::Auto,
                overwrites_tags: false,
                with_index,
                jobs: PUSH_JOBS,
                chunk_bytes: None,
                is_dry_run: false,
            },
            receipts: Some(self.options.receipts.clone()),
            registry: self.options.registry_access.clone(),
        };
        Ok(push_opened(self.bundle, &options, self.progress)
            .await?
            .whole()?)
    }
}
