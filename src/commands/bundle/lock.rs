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
    chart_check::{ChartCheck, CompletenessReport, check_helm, check_survey, survey_charts},
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
    policy::{self, PolicyViolation, Rule, SubjectKind},
    registry::{Client, ClientConfig, RegistryError, RepositoryName},
};
use rune_core::{
    command::{CommandError, block_on},
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx,
    progress::Progress,
    yaml,
};
use rune_storage::migrations::Migrations;

#[derive(Debug, Clone)]
pub struct LockOptions {
    pub project: ProjectOptions,
    pub mode: LockMode,
    /// Whether the charts are checked for images that the lock does not have.
    pub chart_check: ChartCheck,
    /// Whether an artifact about an image that the lock does not have is drift as well.
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

#[derive(Debug, thiserror::Error)]
#[error("the manifest has no image, artifact, chart or file `{name}`")]
struct NoSuchSubject {
    name: String,
    known: Vec<String>,
}

impl Failure for NoSuchSubject {
    fn kind(&self) -> FailureKind {
        FailureKind::NotFound
    }

    fn help(&self) -> Option<String> {
        Some(yaml::suggestion(&self.name, &self.known))
    }
}

/// Resolves a manifest and writes or checks its lock. Fails when the manifest has mistakes, the
/// policy denies something, anything cannot be resolved, or the lock cannot be written. Drift is
/// not an error but the verdict of the report.
pub fn run(options: &LockOptions, progress: &dyn Progress) -> Result<LockReport, CommandError> {
    let project = options.project.load(Programs::Required)?;
    let path = project.lock_path();
    if !matches!(options.mode, LockMode::Update(_)) {
        check_helm(&project, &options.chart_check)?;
    }
    // What the policy denies is not even asked for.
    let subjects = manifest::subjects(project.manifest(), None, None);
    policy::evaluate(project.policy(), &project.manifest().version, &subjects)
        .into_result()
        .map_err(remarks::located(&project))?;
    let old = match options.mode {
        // A lock that cannot be read is about to be replaced.
        LockMode::Write => Lock::read(&path).ok(),
        LockMode::Check | LockMode::Update(_) => Some(Lock::read(&path)?),
    };
    let syft = options.syft.as_ref().map(|syft| block_on(syft.find()));
    let syft = syft.transpose()?;
    let client = Client::new(options.registry.clone())?;
    let steps = [
        options.chart_check != ChartCheck::LeftOut,
        options.syft.is_some(),
    ];
    progress.plan(1 + steps.into_iter().filter(|is_taken| *is_taken).count());
    progress.begin("resolving", 0);
    let new = match (&options.mode, &old) {
        (LockMode::Update(name), Some(old)) => {
            let subject = Subject::all(project.manifest()).find(|(known, _)| known == name);
            let (_, subject) = subject.ok_or_else(|| no_such_subject(name, &project))?;
            block_on(manifest::resolve_one(
                &project, &subject, old, &client, progress,
            ))
        }
        (LockMode::Check, Some(old)) => block_on(manifest::resolve(
            &project,
            &client,
            Earlier::Compared(old),
            progress,
        )),
        (_, old) => {
            let earlier = old.as_ref().map_or(Earlier::Nothing, Earlier::Sizes);
            block_on(manifest::resolve(&project, &client, earlier, progress))
        }
    };
    progress.end();
    let Resolved {
        lock: mut new,
        charts: fetched,
        evidence,
    } = new?;
    if let Some(old) = &old {
        sboms::keep(&mut new, old, &path, syft.is_some())?;
        if options.mode == LockMode::Check {
            new.keep_licenses(old);
        }
    }
    // What `rune-db` would refuse on the air-gapped side is refused here.
    if let Some(migrations) = &new.migrations {
        Migrations::from_dir(&project.path(&migrations.path))?;
    }
    let evidence = evidence.locked_at(options.now);
    let evidence = block_on(evidence.completed(project.policy(), &new, &client))?;
    let evaluated = |lock: &Lock, fetched: &FetchedCharts, left_out: &[Rule]| {
        let evaluation = manifest::evaluate(&project, Some(lock), fetched, Some(&evidence))?;
        evaluation
            .without_denied(left_out)
            .into_result()
            .map_err(|denied| CommandError::from(refused(&project, denied, options)))
    };
    // An update of one image leaves others to a later `lock`; what the lock lacks is then not this
    // verb's to refuse.
    let others: &[Rule] = if matches!(options.mode, LockMode::Update(_)) {
        &[Rule::Pins]
    } else {
        &[]
    };
    // No SBOM is generated or read of what the policy denies.
    let mut not_yet = others.to_vec();
    if options.mode != LockMode::Check {
        not_yet.push(Rule::Packages);
    }
    if syft.is_some() {
        not_yet.push(Rule::Sboms);
    }
    let mut policy = evaluated(&new, &fetched, &not_yet)?;
    let differences = |new: &Lock| {
        let differences = old.as_ref().map(|old| old.changes(new));
        differences.unwrap_or_default()
    };
    let is_strict = options.is_strict || project.policy().referrers.is_new_drift;
    let is_note = options.mode == LockMode::Check && !is_strict;
    let (new_referrers, mut changes): (Vec<_>, Vec<_>) = differences(&new)
        .into_iter()
        .partition(|change| is_note && change.is_new_referrer());
    let (outcome, completeness) = if options.mode == LockMode::Check && !changes.is_empty() {
        (LockOutcome::Drifted, CompletenessReport::unchecked())
    } else {
        // Before anything is written: a lock that the charts do not fit is of no use.
        let (completeness, fetched) =
            check_completeness(&project, &mut new, fetched, options, &client, progress)?;
        let mut generated = GeneratedSboms::default();
        if let Some(syft) = &syft {
            let sboms = GeneratedSboms::complete(&mut new, &path, syft, &client, progress);
            generated = block_on(sboms)?;
        }
        if options.mode != LockMode::Check {
            let rules = project.policy();
            let read = licenses::read(&mut new, rules, &path, &generated, &client, progress);
            block_on(read)?;
            policy = evaluated(&new, &fetched, others)?;
            changes = differences(&new);
        }
        (write(&new, &generated, &path, options)?, completeness)
    };
    let gone = match (&options.mode, &old) {
        (LockMode::Check, Some(old)) => gone(old, &new, &client),
        _ => Vec::new(),
    };
    let mut report = report(&project, path, &new, outcome, changes, policy, completeness);
    report.new_referrers = new_referrers;
    report.gone = gone;
    Ok(report)
}

/// The images and artifacts whose tag was moved, and whose pinned digest the registry has deleted
/// since.
fn gone(old: &Lock, new: &Lock, client: &Client) -> Vec<String> {
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
            let found = client
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

/// Holds the charts against the lock, and notes in it which other tags of theirs mean what it pins.
/// An update of one image may leave a lock that is not current otherwise: then there is nothing yet
/// that the charts could be held against, and `build` will do it.
fn check_completeness(
    project: &Project,
    lock: &mut Lock,
    fetched: FetchedCharts,
    options: &LockOptions,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(CompletenessReport, FetchedCharts), CommandError> {
    let is_partial = matches!(options.mode, LockMode::Update(_))
        && manifest::check_current(project, lock).is_err();
    if is_partial || options.chart_check == ChartCheck::LeftOut {
        return Ok((CompletenessReport::unchecked(), fetched));
    }
    // An update of one thing has fetched no other.
    let fetched = block_on(fetched.complete(project, lock, client, progress))?;
    let PinnedCharts {
        charts,
        profiles,
        mut available,
        check_values,
    } = bundle::pin_charts(project, lock, &fetched)?;
    let survey = survey_charts(
        project,
        &charts,
        &profiles,
        &check_values,
        &options.chart_check,
        progress,
    )?;
    for (name, reference, digest) in survey
        .iter()
        .flat_map(|survey| survey.unconfirmed_tags(&available))
        .collect::<Vec<_>>()
    {
        if means(client, &reference, digest, progress) {
            let tag = reference.tag().unwrap_or_default();
            lock.add_other_tag(&name, tag);
            available
                .iter_mut()
                .filter(|image| image.name == name)
                .for_each(|image| image.other_tags.push(tag.to_owned()));
        }
    }
    Ok((check_survey(project, survey.as_ref(), &available)?, fetched))
}

fn refused(project: &Project, denied: PolicyViolation, options: &LockOptions) -> PolicyViolation {
    let denied = if options.syft.is_none() && denied.is_only(Rule::Sboms) {
        denied.with_help(
            "generate the SBOMs with --syft, or add a waiver with a reason to `waivers` in the \
             policy file",
        )
    } else {
        denied
    };
    remarks::located(project)(denied)
}

/// Whether the registry has a digest under a tag; when it cannot be asked, the tag is not
/// confirmed.
fn means(client: &Client, reference: &Reference, digest: Digest, progress: &dyn Progress) -> bool {
    match block_on(client.resolve(reference)) {
        Ok(found) => found.digest() == digest,
        Err(error) => {
            progress.announce(&format!(
                "note: cannot confirm the digest of {reference}: {}",
                error.messages().join(": ")
            ));
            false
        }
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

/// Writes the lock, and first the SBOMs that it names; not what exists already, byte for byte.
fn write(
    lock: &Lock,
    generated: &GeneratedSboms,
    path: &camino::Utf8Path,
    options: &LockOptions,
) -> Result<LockOutcome, CommandError> {
    let text = lock.to_text()?;
    let is_same = fsx::read(path, text.len() as u64).is_ok_and(|found| found == text.as_bytes());
    match options.mode {
        LockMode::Check => return Ok(LockOutcome::Unchanged),
        _ if options.dry_run && is_same => return Ok(LockOutcome::Unchanged),
        _ if options.dry_run => return Ok(LockOutcome::WouldBeWritten),
        _ => generated.write(path)?,
    }
    if is_same {
        return Ok(LockOutcome::Unchanged);
    }
    lock.write(path)?;
    lock.remove_other_sboms(path)?;
    Ok(LockOutcome::Written)
}
