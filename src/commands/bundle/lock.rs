//! `lock`: decides what every reference, file and chart of a manifest is, and writes it down.

mod referrers;

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use serde::Serialize;

use self::referrers::{ReferrerSummary, kinds};
use super::{
    chart_check::{ChartCheck, CompletenessReport, check_helm, check_survey, survey_charts},
    project::ProjectOptions,
    remarks,
};
use crate::{
    bundle::{self, PinnedCharts},
    manifest::{
        self, Blob, Change, Earlier, Evidence, FetchedCharts, Lock, LockedChartSource,
        LockedContent, LockedImage, Platforms, Programs, Project, PulledImage, Resolved, Subject,
    },
    oci::{Platform, Reference},
    policy::{self, Evaluation},
    registry::{Client, ClientConfig, RegistryError, RepositoryName},
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx,
    progress::Progress,
    remark::Remark,
    yaml,
};
use rune_storage::migrations::Migrations;

#[derive(Debug, Clone)]
pub struct LockOptions {
    pub project: ProjectOptions,
    /// What to do with the result.
    pub mode: LockMode,
    /// Whether the charts are checked for images that the lock does not have.
    pub chart_check: ChartCheck,
    /// Whether an artifact about an image that the lock does not have is drift as well.
    pub is_strict: bool,
    pub dry_run: bool,
    pub registry: ClientConfig,
}

/// What to do with the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockMode {
    Write,
    /// Compare it with the lock that is there; write nothing.
    Check,
    /// Resolve this image, or this chart, program or file from elsewhere; keep everything else.
    Update(String),
}

/// Why a lock cannot be made, beside what the parts of it say.
#[derive(Debug, thiserror::Error)]
enum LockVerbError {
    #[error("the manifest has no image, chart or file `{name}`")]
    NoSuchSubject { name: String, known: Vec<String> },
}

impl Failure for LockVerbError {
    fn kind(&self) -> FailureKind {
        FailureKind::NotFound
    }

    fn help(&self) -> Option<String> {
        let Self::NoSuchSubject { name, known } = self;
        Some(yaml::suggestion(name, known))
    }
}

/// What was locked, or what moved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LockReport {
    manifest: Utf8PathBuf,
    lock: Utf8PathBuf,
    name: String,
    version: semver::Version,
    outcome: LockOutcome,
    images: Vec<ImageSummary>,
    /// Charts, programs and files from elsewhere.
    fetched: Vec<FetchedSummary>,
    charts: usize,
    migrations: usize,
    binaries: usize,
    /// Bytes of all distinct blobs that a build will fetch.
    fetch_bytes: u64,
    changes: Vec<Change>,
    /// Artifacts about images that the lock does not have: signatures, scans.
    new_referrers: Vec<Change>,
    /// Images whose pinned digest the registry does not have any more.
    gone: Vec<String>,
    policy: Evaluation,
    /// Images whose licence nobody stated, as the policy allows.
    not_reviewed: Vec<String>,
    completeness: CompletenessReport,
    #[serde(skip)]
    remarks: Vec<Remark>,
}

/// What became of the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum LockOutcome {
    Written,
    /// It says already what is the case.
    Unchanged,
    /// It would be written, were this no dry run.
    WouldBeWritten,
    /// Nothing was written: what is the case differs from what it says.
    Drifted,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageSummary {
    name: String,
    reference: Reference,
    /// Digest of the index or manifest; absent for an image that the packager makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    platforms: Vec<Platform>,
    platforms_left_out: Vec<Platform>,
    /// What was chosen and the image does not have.
    platforms_missing: Vec<Platform>,
    attestations: usize,
    /// Artifacts about what is carried: signatures, attestations, SBOMs.
    referrers: Vec<ReferrerSummary>,
    /// Bytes of the distinct blobs that the bundle carries.
    bytes: u64,
}

/// A chart, program or file from elsewhere.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FetchedSummary {
    /// `chart`, `program` or `file`.
    kind: &'static str,
    /// Its name, with the version of a chart and the platform of a program.
    name: String,
    /// Where it comes from, without the query of a URL.
    origin: String,
    digest: Digest,
    bytes: u64,
}

impl Report for LockReport {
    const VERB: &'static str = "lock";

    fn remarks(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    fn verdict(&self) -> Option<FailureKind> {
        (self.outcome == LockOutcome::Drifted).then_some(FailureKind::Drift)
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let lock = &self.lock;
        let _ = match self.outcome {
            LockOutcome::Written => {
                writeln!(text, "locked {} {} in {lock}", self.name, self.version)
            }
            LockOutcome::Unchanged => writeln!(text, "{lock} is up to date"),
            LockOutcome::WouldBeWritten => writeln!(text, "{lock} would be written"),
            LockOutcome::Drifted => writeln!(text, "{lock} is out of date; nothing was written"),
        };
        for change in &self.changes {
            let _ = writeln!(text, "changed     {change}");
        }
        for change in &self.new_referrers {
            let _ = writeln!(text, "note        {change}");
        }
        for name in &self.gone {
            let _ = writeln!(
                text,
                "gone        image `{name}`: the registry no longer has what the lock pins; run `rune-bundle lock --update {name}`"
            );
        }
        if self.outcome == LockOutcome::Drifted {
            text.push_str("review what changed, then run `rune-bundle lock`\n");
            return text;
        }
        for image in &self.images {
            let digest = image.digest.map_or_else(
                || "made by the packager".to_owned(),
                |digest| digest.to_string(),
            );
            let _ = writeln!(text, "image       {}  {digest}", image.reference);
            let _ = writeln!(
                text,
                "            {}, {}, {} bytes",
                listed(&image.platforms),
                counted(image.attestations, "attestation"),
                image.bytes
            );
            for (kind, count) in kinds(&image.referrers) {
                let _ = writeln!(text, "            {count} x {kind}");
            }
            if !image.platforms_left_out.is_empty() {
                let _ = writeln!(
                    text,
                    "            left out: {}",
                    listed(&image.platforms_left_out)
                );
            }
            if !image.platforms_missing.is_empty() {
                let _ = writeln!(
                    text,
                    "            it has no {}",
                    listed(&image.platforms_missing)
                );
            }
        }
        for FetchedSummary {
            kind,
            name,
            origin,
            digest,
            bytes,
        } in &self.fetched
        {
            let _ = writeln!(
                text,
                "{kind:<11} {name} of {origin}\n            {digest}, {bytes} bytes"
            );
        }
        let others = [
            (self.charts, "chart"),
            (self.migrations, "migration"),
            (self.binaries, "program"),
        ];
        let others: Vec<String> = others
            .into_iter()
            .map(|(count, thing)| counted(count, thing))
            .collect();
        let _ = writeln!(
            text,
            "also        {}; {} bytes to fetch",
            others.join(", "),
            self.fetch_bytes
        );
        for signed in self.policy.signed() {
            let _ = writeln!(text, "signed      {signed}");
        }
        for waived in self.policy.waived() {
            let _ = writeln!(text, "waived      {waived}");
        }
        for remark in &self.remarks {
            let _ = writeln!(
                text,
                "note: {}:{}: {}",
                remark.path, remark.line, remark.message
            );
        }
        if !self.not_reviewed.is_empty() {
            let _ = writeln!(
                text,
                "unreviewed  no licence is stated: {}",
                self.not_reviewed.join(", ")
            );
        }
        text.push_str(&self.completeness.text("complete    "));
        text
    }
}

fn listed(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "no platform".to_owned();
    }
    platforms
        .iter()
        .map(Platform::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Resolves a manifest and writes or checks its lock.
///
/// # Errors
/// When the manifest has mistakes, the policy denies something, anything cannot be resolved, or the
/// lock cannot be written. Drift is no error but the verdict of the report.
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
    let client = Client::new(options.registry.clone())?;
    progress.plan(if options.chart_check == ChartCheck::LeftOut {
        1
    } else {
        2
    });
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
    } = new?;
    // What `rune-db` would refuse on the far side is refused here.
    if let Some(migrations) = &new.migrations {
        Migrations::from_dir(&project.path(&migrations.path))?;
    }
    let evidence = block_on(Evidence::fetch(project.policy(), &new, &client))?;
    let evaluation = manifest::judge(&project, Some(&new), &fetched, Some(&evidence))?;
    // An update of one image leaves others to a later `lock`; what the lock lacks is then not this
    // verb's to refuse.
    let policy = if matches!(options.mode, LockMode::Update(_)) {
        evaluation.without_unpinned()
    } else {
        evaluation
    }
    .into_result()
    .map_err(remarks::located(&project))?;
    let differences = old
        .as_ref()
        .map(|old| old.changes(&new))
        .unwrap_or_default();
    let is_note = options.mode == LockMode::Check && !options.is_strict;
    let (new_referrers, changes): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|change| is_note && change.is_new_referrer());
    let (outcome, completeness) = if options.mode == LockMode::Check && !changes.is_empty() {
        (LockOutcome::Drifted, CompletenessReport::unchecked())
    } else {
        // Before anything is written: a lock that the charts do not fit is of no use.
        let completeness =
            check_completeness(&project, &mut new, fetched, options, &client, progress)?;
        (write(&new, &path, options)?, completeness)
    };
    let gone = match (&options.mode, &old) {
        (LockMode::Check, Some(old)) => gone(old, &new, &client),
        _ => Vec::new(),
    };
    Ok(LockReport {
        new_referrers,
        gone,
        ..report(&project, path, &new, outcome, changes, policy, completeness)
    })
}

/// The images whose tag was moved, and whose pinned digest the registry has deleted since.
fn gone(old: &Lock, new: &Lock, client: &Client) -> Vec<String> {
    let root = |image: &LockedImage| match &image.content {
        LockedContent::Registry(pulled) => Some(pulled.root.clone()),
        LockedContent::Build(_) => None,
    };
    let is_gone = |image: &&LockedImage| {
        let Some(pinned) = root(image) else {
            return false;
        };
        let now = new
            .images
            .iter()
            .find(|other| other.name == image.name)
            .and_then(root);
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
    old.images
        .iter()
        .filter(is_gone)
        .map(|image| image.name.clone())
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
) -> Result<CompletenessReport, CommandError> {
    let is_partial = matches!(options.mode, LockMode::Update(_))
        && manifest::check_current(project, lock).is_err();
    if is_partial || options.chart_check == ChartCheck::LeftOut {
        return Ok(CompletenessReport::unchecked());
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
    check_survey(project, survey.as_ref(), &available)
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

fn no_such_subject(name: &str, project: &Project) -> LockVerbError {
    let known = Subject::all(project.manifest())
        .map(|(known, _)| known)
        .collect();
    LockVerbError::NoSuchSubject {
        name: name.to_owned(),
        known,
    }
}

/// Writes the lock unless its text is there already, byte for byte.
fn write(
    lock: &Lock,
    path: &camino::Utf8Path,
    options: &LockOptions,
) -> Result<LockOutcome, CommandError> {
    let text = lock.to_text()?;
    if fsx::read(path, text.len() as u64).is_ok_and(|found| found == text.as_bytes())
        || options.mode == LockMode::Check
    {
        return Ok(LockOutcome::Unchanged);
    }
    if options.dry_run {
        return Ok(LockOutcome::WouldBeWritten);
    }
    lock.write(path)?;
    Ok(LockOutcome::Written)
}

fn report(
    project: &Project,
    path: Utf8PathBuf,
    lock: &Lock,
    outcome: LockOutcome,
    changes: Vec<Change>,
    policy: Evaluation,
    completeness: CompletenessReport,
) -> LockReport {
    let pulled = lock.images.iter().filter_map(|image| match &image.content {
        LockedContent::Registry(pulled) => Some(pulled),
        LockedContent::Build(_) => None,
    });
    let downloads = fetched(lock).iter().map(|fetched| fetched.bytes).sum();
    let mut remarks = remarks::ending_waivers(project, &policy);
    if outcome == LockOutcome::Drifted {
        remarks.extend(
            changes
                .iter()
                .map(|change| remarks::drifted(project, change)),
        );
    }
    LockReport {
        remarks,
        manifest: project.manifest_path().to_owned(),
        lock: path,
        name: lock.bundle.name.clone(),
        version: lock.bundle.version.clone(),
        outcome,
        images: lock
            .images
            .iter()
            .map(|image| summary(image, &lock.platforms))
            .collect(),
        fetched: fetched(lock),
        charts: lock.charts.len(),
        migrations: lock
            .migrations
            .as_ref()
            .map_or(0, |migrations| migrations.files.len()),
        binaries: lock.binaries.len(),
        fetch_bytes: distinct_bytes(pulled.flat_map(PulledImage::carried_blobs))
            .saturating_add(downloads),
        changes,
        new_referrers: Vec::new(),
        gone: Vec::new(),
        not_reviewed: policy.not_reviewed(),
        policy,
        completeness,
    }
}

fn fetched(lock: &Lock) -> Vec<FetchedSummary> {
    let charts = lock.charts.iter().filter_map(|chart| {
        let (origin, digest, bytes) = match &chart.source {
            LockedChartSource::Registry {
                reference,
                manifest,
                size,
                ..
            } => (
                format!("oci://{}", reference.name()),
                manifest.digest,
                *size,
            ),
            LockedChartSource::Repository {
                repository,
                digest,
                size,
            } => (repository.clone(), *digest, *size),
            LockedChartSource::Directory { .. } | LockedChartSource::Archive { .. } => return None,
        };
        Some(FetchedSummary {
            kind: "chart",
            name: format!("{} {}", chart.name, chart.version),
            origin,
            digest,
            bytes,
        })
    });
    let binaries = lock.binaries.iter().filter_map(|binary| {
        let (name, origin) = (
            format!("{} for {}", binary.name, binary.platform),
            binary.url.clone()?,
        );
        Some(FetchedSummary {
            kind: "program",
            name,
            origin,
            digest: binary.digest,
            bytes: binary.size,
        })
    });
    let files = lock.files.iter().map(|file| {
        let (name, origin) = (file.path.to_string(), file.url.clone());
        FetchedSummary {
            kind: "file",
            name,
            origin,
            digest: file.digest,
            bytes: file.size,
        }
    });
    charts.chain(binaries).chain(files).collect()
}

fn summary(image: &LockedImage, chosen: &Platforms) -> ImageSummary {
    let (name, reference) = (image.name.clone(), image.reference.clone());
    let missing = |has: &dyn Fn(&Platform) -> bool| match chosen {
        Platforms::All => Vec::new(),
        Platforms::Only(wanted) => wanted
            .iter()
            .filter(|wanted| !has(wanted))
            .cloned()
            .collect(),
    };
    match &image.content {
        LockedContent::Registry(pulled) => {
            let platforms = |carried: bool| {
                let entries = pulled
                    .manifests
                    .iter()
                    .filter(move |entry| entry.carried == carried);
                entries
                    .filter_map(|entry| entry.platform.clone())
                    .collect::<Vec<_>>()
            };
            let carried = platforms(true);
            ImageSummary {
                name,
                reference,
                digest: Some(pulled.root.digest),
                platforms_left_out: platforms(false),
                platforms_missing: missing(&|wanted| {
                    carried.iter().any(|platform| platform.matches(wanted))
                }),
                platforms: carried,
                attestations: pulled
                    .attestations
                    .iter()
                    .filter(|attestation| attestation.carried)
                    .count(),
                referrers: pulled.referrers.iter().map(ReferrerSummary::of).collect(),
                bytes: distinct_bytes(pulled.carried_blobs()),
            }
        }
        LockedContent::Build(built) => ImageSummary {
            name,
            reference,
            digest: None,
            platforms: built
                .binaries
                .iter()
                .map(|binary| binary.platform.clone())
                .collect(),
            platforms_left_out: Vec::new(),
            platforms_missing: missing(&|wanted| {
                built
                    .binaries
                    .iter()
                    .any(|binary| binary.platform.matches(wanted))
            }),
            attestations: 0,
            referrers: Vec::new(),
            bytes: built.binaries.iter().map(|binary| binary.size).sum(),
        },
    }
}

fn distinct_bytes<'a>(blobs: impl Iterator<Item = &'a Blob>) -> u64 {
    let mut seen = BTreeSet::new();
    blobs
        .filter(|blob| seen.insert(blob.digest))
        .map(|blob| blob.size)
        .sum()
}
