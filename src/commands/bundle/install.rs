//! `install`: from a bundle to releases that run, in one command.
//!
//! Everything is asked before anything is changed, of all releases. Then they are installed one
//! after the other; when one fails, those before it go back as well, the last one first.

mod change;
mod choice;
mod destination;
mod look;
mod mapping;
mod namespace;
mod opened;
mod report;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use camino::Utf8PathBuf;

use self::{
    choice::Chosen,
    look::{Inspection, Permitted},
    opened::Opened,
};
pub(crate) use self::{mapping::MapMode, report::InstallReport};
use super::{
    cluster_access::{ClusterAccess, ClusterAccessOptions},
    open::BundleOptions,
    push::{
        BundleArtifacts, Destination as Registry, IndexChoice, PushOptions, PushSettings,
        push_opened,
    },
    receipt_place::{Deed, ReceiptPlace},
    stored::StoredOptions,
};
use crate::{
    bundle::{ImageSignatureChoice, OpenBundle},
    install::{
        Check, Cluster, InstallError, InstallKind, NamespacePlan, Object, Problems, ReleaseHelm,
        back_up,
    },
    receipt::BundleId,
    registry::ClientConfig,
};
use rune_core::{
    command::{CommandError, block_on_to_the_end},
    progress::Progress,
};

/// How many requests at once when the bundle is pushed, as `push` has it.
const PUSH_JOBS: usize = 4;

#[derive(Debug, Clone)]
pub(crate) struct InstallOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) stored: Option<StoredOptions>,
    pub(crate) access: ClusterAccessOptions,
    pub(crate) release: Option<String>,
    /// Those of the bundle's releases that are installed; without a name, all.
    pub(crate) only: Vec<String>,
    pub(crate) chart: Option<String>,
    pub(crate) profile: Option<String>,
    /// Where the images are, `host[:port][/prefix]`; without it, under the names that the charts
    /// have for them.
    pub(crate) registry: Option<Registry>,
    /// How the images are mapped to it; without a word, by values where that is enough.
    pub(crate) map: Option<MapMode>,
    pub(crate) values_file: Option<Utf8PathBuf>,
    pub(crate) push: Option<Pushed>,
    pub(crate) registry_access: ClientConfig,
    /// Options of Helm that say values, in their order: `--values FILE`, `--set KEY=VALUE`. With
    /// the name of a release and a colon before it, it is for that one of several.
    pub(crate) values: Vec<String>,
    /// How long the release may take to run, and a backup to be made.
    pub(crate) patience: Duration,
    pub(crate) permissions: Permissions,
    pub(crate) with_backup: bool,
    pub(crate) is_dry_run: bool,
    pub(crate) receipts: ReceiptPlace,
}

/// What of the bundle is pushed, beside images and charts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pushed {
    /// Whether the bundle index and its signatures are.
    pub(crate) with_index: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Permissions {
    pub(crate) create_namespace: bool,
    /// Replace a newer bundle by an older one.
    pub(crate) downgrade: bool,
    pub(crate) take_over: bool,
}

struct Work<'a> {
    options: &'a InstallOptions,
    bundle: &'a Arc<OpenBundle>,
    chosen: Chosen,
    cluster: Cluster,
    helm: ReleaseHelm,
    progress: &'a dyn Progress,
}

struct Installation<'a> {
    options: &'a InstallOptions,
    bundle: &'a Arc<OpenBundle>,
    verified_bytes: u64,
    access: &'a ClusterAccess<'a>,
    works: Vec<Work<'a>>,
    progress: &'a Arc<dyn Progress>,
}

/// When a release does not become ready, the previous one runs again, if that is possible.
pub(crate) fn run(
    options: &InstallOptions,
    progress: &Arc<dyn Progress>,
) -> Result<InstallReport, CommandError> {
    options.access.program()?;
    let Opened {
        bundle,
        verified_bytes,
    } = Opened::of(options, progress.as_ref())?;
    let chosen = Chosen::all(&bundle, options)?;
    if !options.is_dry_run {
        options.receipts.prepare()?;
    }
    block_on_to_the_end(async {
        let access = ClusterAccess::connect(&options.access).await?;
        let work = |chosen: Chosen| {
            let namespace = chosen.namespace.as_deref();
            let namespace = namespace.unwrap_or(access.cluster.namespace());
            let (cluster, helm) = access.release(namespace, &chosen.name)?;
            Ok(Work {
                options,
                bundle: &bundle,
                chosen,
                cluster,
                helm,
                progress: progress.as_ref(),
            })
        };
        let works = chosen.into_iter().map(work);
        let works = works.collect::<Result<_, InstallError>>()?;
        let installation = Installation {
            options,
            bundle: &bundle,
            verified_bytes,
            access: &access,
            works,
            progress,
        };
        installation.install().await
    })
}

impl Installation<'_> {
    async fn install(&self) -> Result<InstallReport, CommandError> {
        for work in &self.works {
            self.progress.announce(&format!(
                "release {}, namespace {}{}",
                work.helm.release(),
                work.cluster.namespace(),
                self.namespace_source(work)
            ));
        }
        let interrupt = self.access.interrupt();
        let mut found = tokio::select! {
            found = self.look() => found?,
            () = interrupt.asked() => return Err(InstallError::Interrupted.into()),
        };
        let works = self.works.iter().zip(&found);
        let mut notes: Vec<String> = works.flat_map(|(work, found)| work.notes(found)).collect();
        let receipt_notes = self.begin_receipt()?;
        for note in notes.iter().chain(&receipt_notes) {
            self.progress.announce(note);
        }
        notes.extend(receipt_notes);
        let mut report = InstallReport::new(self, &found, notes);
        if self.options.is_dry_run {
            return Ok(report);
        }
        if interrupt.is_asked() {
            return Err(InstallError::Interrupted.into());
        }
        for (number, (work, found)) in self.works.iter().zip(&found).enumerate() {
            if self.options.with_backup && found.install_kind != InstallKind::First {
                let job = back_up(
                    &work.cluster,
                    work.helm.release(),
                    "before",
                    self.options.patience,
                    interrupt,
                    self.progress.as_ref(),
                )
                .await;
                report.backed_up(number, job.map_err(InstallError::from)?);
            }
        }
        let (rolled_out, appended) = self.change(&mut found).await?;
        report.installed(&rolled_out, appended);
        Ok(report)
    }

    /// Says so when nobody named the namespace.
    fn namespace_source(&self, work: &Work<'_>) -> &'static str {
        if work.chosen.namespace.is_none() && self.options.access.cluster.namespace.is_none() {
            " (from the kubeconfig)"
        } else {
            ""
        }
    }

    /// Asks everything and changes nothing in the cluster. What is to be pushed is pushed as soon
    /// as the cluster may be changed.
    async fn look(&self) -> Result<Vec<Inspection>, CommandError> {
        let mut permitted = Vec::new();
        for work in &self.works {
            let asked = work.may_change().await;
            permitted.push(asked.map_err(|error| self.about(work, error))?);
        }
        self.reopen(&mut permitted);
        self.push().await?;
        let images = destination::Images::at(self.bundle, self.options).await?;
        // Kinds of objects that one release brings along are there for the next.
        let mut definitions: Vec<Object> = Vec::new();
        let mut namespaces = BTreeSet::new();
        let mut all = Vec::new();
        for (work, permitted) in self.works.iter().zip(permitted) {
            let found = work.look(permitted, &images, &definitions).await;
            let mut found = found.map_err(|error| self.about(work, error))?;
            // A namespace is created with the first of its releases.
            if namespaces.insert(work.cluster.namespace()) {
                found.changes.splice(0..0, found.namespace.changes.clone());
            } else {
                found.namespace = NamespacePlan::default();
            }
            let objects = found.objects.iter();
            definitions.extend(objects.filter(|object| object.is_definition()).cloned());
            all.push(found);
        }
        let checks: Vec<Check> = all.iter().flat_map(|found| found.checks.clone()).collect();
        Problems::among(&checks).map_err(InstallError::from)?;
        Ok(all)
    }

    /// A run that was cut off while it put its releases on record has finished some of them; they
    /// go on, and back, with the others.
    fn reopen(&self, permitted: &mut [Permitted]) {
        let is_ahead = |one: &Permitted| {
            let mut others = self.works.iter().zip(&*permitted);
            others.any(|(work, other)| {
                let (namespace, release) = (work.cluster.namespace(), work.helm.release());
                one.kept.is_ahead_of(&other.kept, namespace, release)
            })
        };
        let ahead: Vec<bool> = permitted.iter().map(is_ahead).collect();
        for (one, _) in permitted.iter_mut().zip(ahead).filter(|(_, ahead)| *ahead) {
            one.kept.reopen();
        }
    }

    fn about(&self, work: &Work<'_>, error: CommandError) -> CommandError {
        if self.works.len() > 1 {
            error.context(format!("release {}", work.helm.release()))
        } else {
            error
        }
    }

    /// What there is to say about the receipt, before anything is changed.
    fn begin_receipt(&self) -> Result<Vec<String>, CommandError> {
        if self.options.is_dry_run {
            return Ok(Vec::new());
        }
        let place = |work: &Work<'_>| {
            format!(
                "release {} in namespace {}",
                work.helm.release(),
                work.cluster.namespace()
            )
        };
        let places: Vec<String> = self.works.iter().map(place).collect();
        let address = self.access.cluster.address();
        let destination = format!("{} of {address}", places.join(", "));
        self.options.receipts.begin(
            BundleId::of(self.bundle.head()),
            Deed {
                kind: "install",
                destination: &destination,
            },
        )
    }

    async fn push(&self) -> Result<(), CommandError> {
        let pushed = self.options.push.filter(|_| !self.options.is_dry_run);
        let Some((destination, Pushed { with_index })) = self.options.registry.clone().zip(pushed)
        else {
            return Ok(());
        };
        let options = PushOptions {
            registry: self.options.registry_access.clone(),
            bundle: self.options.bundle.clone(),
            provenance: None,
            settings: PushSettings {
                destination,
                index: IndexChoice::Auto,
                overwrites_tags: false,
                artifacts: if with_index {
                    BundleArtifacts::Index
                } else {
                    BundleArtifacts::Nothing
                },
                image_signatures: ImageSignatureChoice::Auto,
                jobs: PUSH_JOBS,
                chunk_bytes: None,
                is_dry_run: false,
            },
            receipts: Some(self.options.receipts.clone()),
        };
        Ok(push_opened(self.bundle, &options, self.progress)
            .await?
            .whole()?)
    }
}
