//! `verify`: is this bundle, or delta of one, to its last byte, what somebody trusted signed?

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    delta_destination::open_delta,
    open::{BundleOptions, threads},
    trust_source::{TrustSource, identity_lines},
};
use crate::{
    archive::EntryName,
    bundle::{
        self, AuthenticatedHead, BundleIndex, BundleSource, CheckedVolume, Delta, DeltaError,
        SharedEntry, SlotState, Tally, Volume, Volumes, volume_numbers,
    },
    policy::{Evaluation, Policy},
};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    failure::Failure,
    fsx,
    progress::Progress,
    text::{exact_size, shown},
    yaml::Diagnostics,
};

#[derive(Debug, Clone)]
pub struct VerifyOptions {
    pub bundle: BundleOptions,
    pub expect: Option<Expectation>,
    pub policy: Option<Utf8PathBuf>,
    pub is_set: bool,
}

/// The name and version that a bundle must have, written `NAME@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    name: String,
    version: semver::Version,
}

#[derive(Debug, thiserror::Error)]
#[error("write NAME@VERSION with a semantic version, for example rune@0.1.0")]
pub struct ExpectationError;

impl std::str::FromStr for Expectation {
    type Err = ExpectationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, version) = text.split_once('@').ok_or(ExpectationError)?;
        let version = version.parse().map_err(|_| ExpectationError)?;
        if name.is_empty() {
            Err(ExpectationError)
        } else {
            Ok(Self {
                name: name.to_owned(),
                version,
            })
        }
    }
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the bundle is {found}, not {expected}")]
#[failure(Policy: "it is intact and signed, but another release; check which file was copied")]
struct Unexpected {
    found: String,
    expected: String,
}

/// A policy is about a whole bundle.
#[derive(Debug, thiserror::Error, Failure)]
#[failure(Usage)]
enum PolicyOfPart {
    #[error("`{0}` is one volume, and --policy needs the whole bundle")]
    #[failure(help: "add --set to verify the bundle of all volumes")]
    Volume(Utf8PathBuf),
    #[error("`{0}` is a delta, and --policy needs the whole bundle")]
    #[failure(help: "create the bundle with `rune-bundle apply`, and verify that")]
    Delta(Utf8PathBuf),
}

/// A bundle, a delta, or one volume of either, that is what it should be.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum VerifyReport {
    Bundle(Box<BundleReport>),
    Delta(Box<DeltaReport>),
    Volume(Box<VolumeReport>),
}

impl Report for VerifyReport {
    const VERB: &'static str = "verify";

    fn text(&self) -> String {
        match self {
            Self::Bundle(report) => report.text(),
            Self::Delta(report) => report.text(),
            Self::Volume(report) => report.text(),
        }
    }
}

impl VerifyReport {
    /// Of a bundle that was verified where it is stored.
    pub(super) fn of_stored(head: &AuthenticatedHead, trust: Option<TrustSource>) -> Self {
        Self::Bundle(Box::new(BundleReport::of(head, trust)))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    signatures: Vec<SlotState>,
    volume: CheckedVolume,
}

impl VolumeReport {
    fn text(&self) -> String {
        use std::fmt::Write as _;
        let CheckedVolume {
            number,
            count,
            bytes,
            entries,
            is_of_delta,
            ..
        } = self.volume;
        let mut text = format!(
            "volume {number} of {count} of {}{} {} is intact: {}, {entries} whole entries\n",
            if is_of_delta { "a delta of " } else { "" },
            self.name,
            self.version,
            exact_size(bytes)
        );
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        for state in &self.signatures {
            text.push_str(&state.line());
        }
        for SharedEntry {
            path,
            bytes,
            volumes,
        } in &self.volume.shared
        {
            let _ = writeln!(
                text,
                "note: {} of {path} are verified only together with {}",
                exact_size(*bytes),
                volume_numbers(volumes)
            );
        }
        text.push_str(if is_of_delta {
            "next: `rune-bundle verify --set` verifies the delta when all volumes are here\n"
        } else {
            "next: `rune-bundle verify --set` verifies the bundle when all volumes are here\n"
        });
        text
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeltaReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Volumes>,
    included: Tally,
    needed: Tally,
    signatures: Vec<SlotState>,
}

impl DeltaReport {
    fn text(&self) -> String {
        let mut text = format!(
            "the delta of {} {} is intact: {}\n",
            self.name,
            self.version,
            exact_size(self.bytes)
        );
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        if let Some(volumes) = &self.volumes {
            text.push_str(&format!("volumes        {}\n", volumes.files.len()));
        }
        for state in &self.signatures {
            text.push_str(&state.line());
        }
        text.push_str(&format!("included       {}\n", self.included));
        text.push_str(&format!("needed         {}, from elsewhere\n", self.needed));
        text
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Volumes>,
    entries: usize,
    signatures: Vec<SlotState>,
    completeness_checked: bool,
    left_out: Vec<String>,
    /// What the policy let through when the charts were checked.
    exceptions: Vec<String>,
    waived: Vec<String>,
    signed: Vec<String>,
    /// Where charts, programs and files come from that are not of the project, by entry.
    origins: Vec<EntryOrigin>,
    not_reviewed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct EntryOrigin {
    path: EntryName,
    origin: String,
}

impl BundleReport {
    fn of(head: &AuthenticatedHead, trust: Option<TrustSource>) -> Self {
        let index = head.index();
        let origins = index.origins.iter().map(|(path, origin)| EntryOrigin {
            path: path.clone(),
            origin: origin.clone(),
        });
        let not_reviewed = index.not_reviewed().into_iter().map(str::to_owned);
        Self {
            name: index.name.clone(),
            version: index.version.clone(),
            digest: head.digest(),
            trust,
            bytes: head.layout().total_bytes(),
            volumes: None,
            entries: head.layout().entries().len(),
            signatures: head.slots().to_vec(),
            completeness_checked: index.completeness.checked,
            left_out: index.completeness.left_out.clone(),
            exceptions: index.completeness.exceptions(),
            waived: index.policy.waived.clone(),
            signed: Vec::new(),
            origins: origins.collect(),
            not_reviewed: not_reviewed.collect(),
        }
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "{} {} is intact: {} entries, {}\n",
            self.name,
            self.version,
            self.entries,
            exact_size(self.bytes)
        );
        let _ = writeln!(text, "bundle digest  {}", self.digest);
        if let Some(volumes) = &self.volumes {
            let _ = writeln!(text, "volumes        {}", volumes.files.len());
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust          {trust}");
        }
        for state in &self.signatures {
            text.push_str(&state.line());
        }
        for signed in &self.signed {
            let _ = writeln!(text, "signed         {}", shown(signed));
        }
        for EntryOrigin { path, origin } in &self.origins {
            let _ = writeln!(text, "origin         {path} is from {}", shown(origin));
        }
        if !self.completeness_checked {
            text.push_str(
                "note: whether the charts need an image that is not inside was not checked when \
                 it was built\n",
            );
        }
        for sentence in self.left_out.iter().chain(&self.exceptions) {
            let _ = writeln!(text, "note: {sentence}");
        }
        for waived in &self.waived {
            let _ = writeln!(text, "note: built with a waiver: {waived}");
        }
        if !self.not_reviewed.is_empty() {
            let _ = writeln!(
                text,
                "note: not reviewed, no licence is stated: {}",
                self.not_reviewed.join(", ")
            );
        }
        text
    }
}

fn read_policy(path: &Utf8Path) -> Result<Policy, CommandError> {
    let (policy, findings) = Policy::load(path)?;
    Diagnostics::check([findings])?;
    Ok(policy)
}

fn check_expected(options: &VerifyOptions, index: &BundleIndex) -> Result<(), Unexpected> {
    match &options.expect {
        Some(expected) if index.name != expected.name || index.version != expected.version => {
            Err(Unexpected {
                found: format!("{} {}", index.name, index.version),
                expected: format!("{} {}", expected.name, expected.version),
            })
        }
        _ => Ok(()),
    }
}

fn run_volume(
    options: &VerifyOptions,
    volume: Volume,
    progress: &dyn Progress,
) -> Result<VolumeReport, CommandError> {
    let bundle = &options.bundle;
    if options.policy.is_some() {
        return Err(PolicyOfPart::Volume(bundle.bundle.clone()).into());
    }
    let head = bundle.authenticate_head(volume.head().clone())?;
    check_expected(options, head.index())?;
    let (number, count) = (volume.number(), volume.count());
    let checked = bundle::verify_volume(volume, &head, threads(), progress).map_err(|error| {
        CommandError::from(error)
            .context(format!(
                "refusing `{}`, volume {number} of {count} of {} {}",
                bundle.bundle,
                head.index().name,
                head.index().version
            ))
            .with_help(format!(
                "copy `{}` again from its source; the other volumes need not be copied",
                bundle.bundle
            ))
    })?;
    Ok(VolumeReport {
        name: head.index().name.clone(),
        version: head.index().version.clone(),
        digest: head.digest(),
        trust: bundle.trust_source(),
        signatures: head.slots().to_vec(),
        volume: checked,
    })
}

fn run_delta(
    options: &VerifyOptions,
    delta: &Delta,
    progress: &dyn Progress,
) -> Result<DeltaReport, CommandError> {
    let bundle = &options.bundle;
    if options.policy.is_some() {
        return Err(PolicyOfPart::Delta(bundle.bundle.clone()).into());
    }
    let head = bundle.authenticate_head(delta.head().clone())?;
    let index = head.index();
    check_expected(options, index)?;
    let refused = |error: DeltaError| bundle.refused(error.into());
    let contents = delta.contents(index).map_err(refused)?;
    delta.verify(&head, threads(), progress).map_err(|error| {
        CommandError::from(error).context(format!("refusing `{}`", bundle.bundle))
    })?;
    let (included, needed) = contents.tallies(index);
    Ok(DeltaReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: bundle.trust_source(),
        bytes: contents.bytes(),
        volumes: delta.volumes().cloned(),
        included,
        needed,
        signatures: head.slots().to_vec(),
    })
}

/// Verifies a bundle: its head, every header and content, and that every blob it refers to is
/// there.
pub fn run(options: &VerifyOptions, progress: &dyn Progress) -> Result<VerifyReport, CommandError> {
    if !options.is_set && fsx::is_file(&options.bundle.bundle) && options.bundle.bundle != "-" {
        let volume = Volume::open(&options.bundle.bundle).map_err(|error| {
            CommandError::from(error).context(format!("refusing `{}`", options.bundle.bundle))
        })?;
        if let Some(volume) = volume {
            return run_volume(options, volume, progress)
                .map(|report| VerifyReport::Volume(Box::new(report)));
        }
    }
    if let Some(delta) = open_delta(&options.bundle)? {
        return run_delta(options, &delta, progress)
            .map(|report| VerifyReport::Delta(Box::new(report)));
    }
    let (source, head) = options.bundle.authenticate()?;
    let record = options.bundle.verified.as_ref();
    let record = record.and_then(|records| records.begin(&source));
    let volumes = source.volumes().cloned();
    let index = head.index();
    check_expected(options, index)?;
    let policy = options.policy.as_deref().map(read_policy).transpose()?;
    let source = match &policy {
        Some(policy) if bundle::needs_attestations(index, policy) => {
            BundleSource::File(options.bundle.file(source)?)
        }
        _ => source,
    };
    let documents = bundle::verify(source, &head, threads(), progress).map_err(|error| {
        CommandError::from(error).context(format!("refusing `{}`", options.bundle.bundle))
    })?;
    if let Some(record) = record {
        record.keep(head.digest());
    }
    let evaluation = policy
        .as_ref()
        .map(|policy| options.bundle.evaluate(&head, &documents, policy))
        .transpose()?
        .map(Evaluation::into_result)
        .transpose()?;
    let signed = evaluation.iter().flat_map(Evaluation::signed);
    let report = BundleReport {
        volumes,
        signed: signed.map(ToString::to_string).collect(),
        ..BundleReport::of(&head, options.bundle.trust_source())
    };
    Ok(VerifyReport::Bundle(Box::new(report)))
}
