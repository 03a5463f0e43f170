//! `lock`: decides what every reference, file and chart of a manifest is, and writes it down.

mod licenses;
mod referrers;
mod report;
mod sboms;

use std::time::SystemTime;

pub(crate) use self::{report::LockReport, sboms::SyftOptions};
use self::{
    report::{LockOutcome, report},
    sboms::GeneratedSboms,
};
use super::{
    chart_check::{ChartCheck, CompletenessReport, PackedCharts},
    project::ProjectOptions,
    remarks,
};
use crate::{
    bundle::{self, PinnedCharts},
    manifest::{
        self, Earlier, Evidence, FetchedCharts, Lock, LockedContent, LockedImage, Programs,
        Project, Resolved, Subject,
    },
    oci::Reference,
    policy::{self, Evaluation, PolicyViolation, Rule, SubjectKind},
    registry::{Client, ClientConfig, RegistryError, RepositoryName},
    syft::Syft,
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
    /// Which syft generates the SBOMs that are missing; nothing when none is to.
    pub syft: Option<SyftOptions>,
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
    syft: Option<Syft>,
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
    let syft = options.syft.as_ref().map(|syft| block_on(syft.find()));
    let locking = Locking {
        syft: syft.transpose()?,
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
        let is_check = options.mode == LockMode::Check;
        if let Some(old) = old {
            sboms::keep(&mut new, old, &project.lock_path(), self.syft.is_some())?;
            if is_check {
                new.keep_licenses(old);
            }
        }
        // What `rune-db` would refuse on the air-gapped side is refused here.
        if let Some(migrations) = &new.migrations {
            Migrations::from_dir(&project.path(&migrations.path))?;
        }
        let evidence = evidence.locked_at(options.now);
        let evidence = block_on(evidence.completed(project.policy(), &new, &self.client))?;
        // No SBOM is generated or read of what the policy denies.
        let reads_sboms = !is_check && !project.policy().packages.is_empty();
        let later = [
            reads_sboms.then_some(Rule::Packages),
            self.syft.is_some().then_some(Rule::Sboms),
        ];
        let later: Vec<_> = later.into_iter().flatten().collect();
        let mut policy = self.evaluate(&new, &fetched, &evidence, &later)?;
        let differences = |new: &Lock| old.map(|old| old.changes(new)).unwrap_or_default();
        let is_strict = options.is_strict || project.policy().referrers.is_new_drift;
        let is_note = is_check && !is_strict;
        let (new_referrers, mut changes): (Vec<_>, Vec<_>) = differences(&new)
            .into_iter()
            .partition(|change| is_note && change.is_new_referrer());
        let (outcome, completeness) = if is_check && !changes.is_empty() {
            (LockOutcome::Drifted, CompletenessReport::unchecked())
        } else {
            // Before anything is written: a lock that the charts do not fit is of no use.
            let (completeness, fetched) = self.check_completeness(&mut new, fetched)?;
            let generated = self.complete_sboms(&mut new)?;
            if !later.is_empty() {
                policy = self.evaluate(&new, &fetched, &evidence, &[])?;
                changes = differences(&new);
            }
            (self.write(&new, &generated)?, completeness)
        };
        let gone = match old.filter(|_| is_check) {
            Some(old) => self.gone(old, &new),
            None => Vec::new(),
        };
        let path = project.lock_path();
        let mut report = report(project, path, &new, outcome, changes, policy, completeness);
        report.new_referrers = new_referrers;
        report.gone = gone;
        Ok(report)
    }

    /// Evaluates the policy. Fails with what it denies, except by the rules that are for `later`.
    fn evaluate(
        &self,
        lock: &Lock,
        fetched: &FetchedCharts,
        evidence: &Evidence,
        later: &[Rule],
    ) -> Result<Evaluation, CommandError> {
        let evaluation = manifest::evaluate(&self.project, Some(lock), fetched, Some(evidence))?;
        // An update of one image leaves others to a later `lock`; what the lock lacks is then not
        // this verb's to refuse.
        let is_update = matches!(self.options.mode, LockMode::Update(_));
        let pins: &[Rule] = if is_update { &[Rule::Pins] } else { &[] };
        evaluation
            .without_denied(&[later, pins].concat())
            .into_result()
            .map_err(|denied| self.refused(denied).into())
    }

    fn refused(&self, denied: PolicyViolation) -> PolicyViolation {
        let denied = if self.syft.is_none() && denied.is_only(Rule::Sboms) {
            denied.with_help(
                "generate the SBOMs with --syft, or add a waiver with a reason to `waivers` in \
                 the policy file",
            )
        } else {
            denied
        };
        remarks::located(&self.project)(denied)
    }

    /// Has the SBOMs that are missing generated, and notes in the lock which licences SBOMs state.
    fn complete_sboms(&self, lock: &mut Lock) -> Result<GeneratedSboms, CommandError> {
        let Self {
            options,
            project,
            client,
            syft,
            progress,
        } = self;
        let path = project.lock_path();
        let mut generated = GeneratedSboms::default();
        if let Some(syft) = syft {
            let sboms = GeneratedSboms::complete(lock, &path, syft, client, *progress);
            generated = block_on(sboms)?;
        }
        if options.mode != LockMode::Check {
            let policy = project.policy();
            let read = licenses::read(lock, policy, &path, &generated, client, *progress);
            block_on(read)?;
        }
        Ok(generated)
    }

    fn resolve(&self, old: Option<&Lock>) -> Result<Resolved, CommandError> {
        let Self {
            options,
            project,
            client,
            syft,
            progress,
        } = self;
        let steps = [options.chart_check != ChartCheck::LeftOut, syft.is_some()];
        progress.plan(1 + steps.into_iter().filter(|is_taken| *is_taken).count());
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
    ) -> Result<(CompletenessReport, FetchedCharts), CommandError> {
        let Self {
            options,
            project,
            client,
            progress,
            ..
        } = self;
        let is_partial = matches!(options.mode, LockMode::Update(_))
            && manifest::check_current(project, lock).is_err();
        if is_partial || options.chart_check == ChartCheck::LeftOut {
            return Ok((CompletenessReport::unchecked(), fetched));
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
        let report = options
            .chart_check
            .run(project, packed, confirm, *progress)?;
        Ok((report, fetched))
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

    /// Writes the lock, and first the SBOMs that it names; not what exists already, byte for byte.
    fn write(&self, lock: &Lock, generated: &GeneratedSboms) -> Result<LockOutcome, CommandError> {
        let (path, text) = (self.project.lock_path(), lock.to_text()?);
        let is_same =
            fsx::read(&path, text.len() as u64).is_ok_and(|found| found == text.as_bytes());
        match self.options.mode {
            LockMode::Check => return Ok(LockOutcome::Unchanged),
            _ if self.options.dry_run && is_same => return Ok(LockOutcome::Unchanged),
            _ if self.options.dry_run => return Ok(LockOutcome::WouldBeWritten),
            _ => generated.write(&path)?,
        }
        if is_same {
            return Ok(LockOutcome::Unchanged);
        }
        lock.write(&path)?;
        lock.remove_other_sboms(&path)?;
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
