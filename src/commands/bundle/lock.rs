//! `lock`: decides what every reference, file and chart of a manifest is, and writes it down.

mod referrers;
mod report;

use std::time::SystemTime;

pub(crate) use self::report::LockReport;
use self::report::{LockOutcome, report};
use super::{
    chart_check::{ChartCheck, CompletenessReport, PackedCharts},
    project::ProjectOptions,
    remarks,
};
use crate::{
    bundle::{self, PinnedCharts},
    manifest::{
        self, Earlier, FetchedCharts, Lock, LockedContent, LockedImage, Programs, Project,
        Resolved, Subject,
    },
    oci::Reference,
    policy::{self, SubjectKind},
    registry::{Client, ClientConfig, RegistryError, RepositoryName},
};
use rune_core::{
    command::{CommandError, block_on},
    digest::Digest,
    failure::Failure,
    fsx,
    progress::Progress,
    yaml,
};
use rune_storage::migrations::Migrations;

#[derive(Debug, Clone)]
pub struct LockOptions {
    pub project: ProjectOptions,
    pub mode: LockMode,
    pub chart_check: ChartCheck,
    pub is_strict: bool,
    pub dry_run: bool,
    pub registry: ClientConfig,
    /// The age of signatures is measured from here.
    pub now: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockMode {
    Write,
    /// Compare it with the existing lock; write nothing.
    Check,
    /// Resolve this image or artifact, or this chart, program or file from elsewhere; keep
    /// everything else.
    Update(String),
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the manifest has no image, artifact, chart or file `{name}`")]
#[failure(NotFound: yaml::suggestion(&.name, &.known))]
struct NoSuchSubject {
    name: String,
    known: Vec<String>,
}

/// What a verb locks, and what it locks with.
struct Locking<'a> {
    options: &'a LockOptions,
    project: Project,
    client: Client,
    progress: &'a dyn Progress,
}

/// Drift is not an error but the verdict of the report.
pub fn run(options: &LockOptions, progress: &dyn Progress) -> Result<LockReport, CommandError> {
    let project = options.project.load(Programs::Required)?;
    if !matches!(options.mode, LockMode::Update(_)) {
        options.chart_check.find_helm(&project)?;
    }
    // What the policy denies is not even asked for.
    let subjects = manifest::subjects(project.manifest(), None, None);
    policy::evaluate(project.policy(), &project.manifest().version, &subjects)
        .into_result()
        .map_err(remarks::located(&project))?;
    let path = project.lock_path();
    let old = match options.mode {
        // A lock that cannot be read is about to be replaced.
        LockMode::Write => Lock::read(&path).ok(),
        LockMode::Check | LockMode::Update(_) => Some(Lock::read(&path)?),
    };
    let locking = Locking {
        client: Client::new(options.registry.clone())?,
        options,
        project,
        progress,
    };
    locking.report(old.as_ref())
}

impl Locking<'_> {
    fn report(&self, old: Option<&Lock>) -> Result<LockReport, CommandError> {
        let Self {
            options, project, ..
        } = self;
        let Resolved {
            lock: mut new,
            charts: fetched,
            evidence,
        } = self.resolve(old)?;
        // What `rune-db` would refuse on the air-gapped side is refused here.
        if let Some(migrations) = &new.migrations {
            Migrations::from_dir(&project.path(&migrations.path))?;
        }
        let evidence = evidence.locked_at(options.now);
        let evidence = block_on(evidence.completed(project.policy(), &new, &self.client))?;
        let evaluation = manifest::evaluate(project, Some(&new), &fetched, Some(&evidence))?;
        // An update of one image leaves others to a later `lock`; what the lock lacks is then not
        // this verb's to refuse.
        let policy = if matches!(options.mode, LockMode::Update(_)) {
            evaluation.without_unpinned()
        } else {
            evaluation
        }
        .into_result()
        .map_err(remarks::located(project))?;
        let differences = old.map(|old| old.changes(&new)).unwrap_or_default();
        let is_strict = options.is_strict || project.policy().referrers.is_new_drift;
        let is_note = options.mode == LockMode::Check && !is_strict;
        let (new_referrers, changes): (Vec<_>, Vec<_>) = differences
            .into_iter()
            .partition(|change| is_note && change.is_new_referrer());
        let (outcome, completeness) = if options.mode == LockMode::Check && !changes.is_empty() {
            (LockOutcome::Drifted, CompletenessReport::unchecked())
        } else {
            // Before anything is written: a lock that the charts do not fit is of no use.
            let completeness = self.check_completeness(&mut new, fetched)?;
            (self.write(&new)?, completeness)
        };
        let gone = match old.filter(|_| options.mode == LockMode::Check) {
            Some(old) => self.gone(old, &new),
            None => Vec::new(),
        };
        let path = project.lock_path();
        let mut report = report(project, path, &new, outcome, changes, policy, completeness);
        report.new_referrers = new_referrers;
        report.gone = gone;
        Ok(report)
    }

    fn resolve(&self, old: Option<&Lock>) -> Result<Resolved, CommandError> {
        let Self {
            options,
            project,
            client,
            progress,
        } = self;
        let is_unchecked = options.chart_check == ChartCheck::LeftOut;
        progress.plan(if is_unchecked { 1 } else { 2 });
        progress.begin("resolving", 0);
        let resolved = match (&options.mode, old) {
            (LockMode::Update(name), Some(old)) => {
                let subject = Subject::all(project.manifest()).find(|(known, _)| known == name);
                let (_, subject) = subject.ok_or_else(|| no_such_subject(name, project))?;
                block_on(manifest::resolve_one(
                    project, &subject, old, client, *progress,
                ))
            }
            (mode, old) => {
                let earlier = match old {
                    Some(old) if *mode == LockMode::Check => Earlier::Compared(old),
                    Some(old) => Earlier::Sizes(old),
                    None => Earlier::Nothing,
                };
                block_on(manifest::resolve(project, client, earlier, *progress))
            }
        };
        progress.end();
        resolved
    }

    /// The images and artifacts whose tag was moved, and whose pinned digest the registry has
    /// deleted since.
    fn gone(&self, old: &Lock, new: &Lock) -> Vec<String> {
        let root = |image: &LockedImage| match &image.content {
            LockedContent::Registry(pulled) => Some(pulled.root.clone()),
            LockedContent::Build(_) => None,
        };
        let is_gone = |(kind, image): &(SubjectKind, &LockedImage)| {
            let Some(pinned) = root(image) else {
                return false;
            };
            let now = new.named(*kind, &image.name).and_then(root);
            let asked = async {
                let found = self
                    .client
                    .manifest(
                        &RepositoryName::from(&image.reference),
                        pinned.digest,
                        Some(&pinned.media_type),
                    )
                    .await;
                Ok::<_, RegistryError>(found.is_err_and(|error| error.is_missing_digest()))
            };
            now.is_some_and(|now| now.digest != pinned.digest) && block_on(asked).unwrap_or(false)
        };
        old.images_and_artifacts()
            .filter(is_gone)
            .map(|(_, image)| image.name.clone())
            .collect()
    }

    /// Holds the charts against the lock, and notes in it which other tags of theirs mean what it
    /// pins. An update of one image may leave a lock that is not current otherwise: then there is
    /// nothing yet that the charts could be held against, and `build` will do it.
    fn check_completeness(
        &self,
        lock: &mut Lock,
        fetched: FetchedCharts,
    ) -> Result<CompletenessReport, CommandError> {
        let Self {
            options,
            project,
            client,
            progress,
        } = self;
        let is_partial = matches!(options.mode, LockMode::Update(_))
            && manifest::check_current(project, lock).is_err();
        if is_partial || options.chart_check == ChartCheck::LeftOut {
            return Ok(CompletenessReport::unchecked());
        }
        // An update of one thing has fetched no other.
        let fetched = block_on(fetched.complete(project, lock, client, *progress))?;
        let PinnedCharts {
            charts,
            profiles,
            mut available,
            check_values,
        } = bundle::pin_charts(project, lock, &fetched)?;
        let packed = PackedCharts {
            charts: &charts,
            profiles: &profiles,
            check_values: &check_values,
            images: &mut available,
        };
        let confirm = |name: &str, reference: &Reference, digest| {
            let is_meant = self.means(reference, digest);
            if is_meant {
                lock.add_other_tag(name, reference.tag().unwrap_or_default());
            }
            is_meant
        };
        options.chart_check.run(project, packed, confirm, *progress)
    }

    /// Whether the registry has a digest under a tag; when it cannot be asked, the tag is not
    /// confirmed.
    fn means(&self, reference: &Reference, digest: Digest) -> bool {
        match block_on(self.client.resolve(reference)) {
            Ok(found) => found.digest() == digest,
            Err(error) => {
                self.progress.announce(&format!(
                    "note: cannot confirm the digest of {reference}: {}",
                    error.messages().join(": ")
                ));
                false
            }
        }
    }

    /// Writes the lock unless it has this text already, byte for byte.
    fn write(&self, lock: &Lock) -> Result<LockOutcome, CommandError> {
        let (path, text) = (self.project.lock_path(), lock.to_text()?);
        if fsx::read(&path, text.len() as u64).is_ok_and(|found| found == text.as_bytes())
            || self.options.mode == LockMode::Check
        {
            return Ok(LockOutcome::Unchanged);
        }
        if self.options.dry_run {
            return Ok(LockOutcome::WouldBeWritten);
        }
        lock.write(&path)?;
        Ok(LockOutcome::Written)
    }
}

fn no_such_subject(name: &str, project: &Project) -> NoSuchSubject {
    let known = Subject::all(project.manifest())
        .map(|(known, _)| known)
        .collect();
    NoSuchSubject {
        name: name.to_owned(),
        known,
    }
}
