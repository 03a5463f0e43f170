//! `evidence`: what a reviewer needs of a bundle, in one directory that is read without this
//! program.

mod directory;

use camino::Utf8PathBuf;
use serde::Serialize;

use self::directory::Directory;
use super::{
    open::{BundleOptions, threads},
    push::read_provenance,
    trust_source::{TrustSource, identity_lines},
};
use crate::{
    bundle::{
        self, AuthenticatedHead, BundleSource, BundleView, Completeness, Documents, EntryRecord,
        ImageRecord, PlatformSboms, Provenance, ReferrerRecord, SBOM_NAME, ShownAdvisory,
        SlotState,
    },
    policy::{Decision, Evaluation, Policy},
    report,
};
use rune_core::{
    command::{CommandError, Report, counted},
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx,
    progress::Progress,
    text::shown,
    yaml::Diagnostics,
};

const PROVENANCE: &str = "provenance.sigstore.json";

#[derive(Debug, Clone)]
pub(crate) struct EvidenceOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) policy: Option<Utf8PathBuf>,
    pub(crate) provenance: Option<Utf8PathBuf>,
    /// The directory to create; without one, `<name>-<version>-evidence`.
    pub(crate) output: Option<Utf8PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvidenceReport {
    output: Utf8PathBuf,
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    files: usize,
    /// What the policy of the reviewer denies.
    denied: Vec<String>,
    /// What is not there, one sentence each.
    missing: Vec<String>,
}

impl Report for EvidenceReport {
    const VERB: &'static str = "evidence";

    fn verdict(&self) -> Option<FailureKind> {
        (!self.denied.is_empty()).then_some(FailureKind::Policy)
    }

    fn text(&self) -> String {
        let Self {
            output,
            name,
            version,
            files,
            ..
        } = self;
        let files = counted(*files, "file");
        let mut text = format!("wrote the evidence of {name} {version} to `{output}`: {files}\n");
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        for denied in &self.denied {
            text.push_str(&format!("denied         {}\n", shown(denied)));
        }
        for missing in &self.missing {
            text.push_str(&format!("note: {missing}\n"));
        }
        text.push_str(&format!(
            "next: `cd {output} && sha256sum --check SHA256SUMS`\n"
        ));
        text
    }
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("`{0}` already exists, and evidence is written into a new directory")]
#[failure(Conflict: "choose another directory with --output")]
struct Exists(Utf8PathBuf);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    name: &'a str,
    version: &'a semver::Version,
    digest: Digest,
    tool: &'a str,
    signatures: &'a [SlotState],
    policy: PolicySummary<'a>,
    completeness: &'a Completeness,
    images: Vec<ImageSummary<'a>>,
    artifacts: Vec<ImageSummary<'a>>,
    advisories: Vec<ShownAdvisory>,
    provenance: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicySummary<'a> {
    built_by: Digest,
    waived: &'a [String],
    reviewed_by: Option<Digest>,
    decisions: &'a [Decision],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageSummary<'a> {
    name: &'a str,
    reference: String,
    digest: Digest,
    license: Option<&'a str>,
    sboms: Vec<SbomSummary>,
    referrers: Vec<ReferrerSummary<'a>>,
}

#[derive(Debug, Serialize)]
struct SbomSummary {
    #[serde(flatten)]
    found: PlatformSboms,
    files: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ReferrerSummary<'a> {
    kind: String,
    #[serde(flatten)]
    record: &'a ReferrerRecord,
    files: Vec<String>,
}

struct Review {
    text: String,
    evaluation: Evaluation,
}

/// Verifies a bundle to its last byte and writes the directory; after a failure nothing is left.
pub(crate) fn run(
    options: &EvidenceOptions,
    progress: &dyn Progress,
) -> Result<EvidenceReport, CommandError> {
    let refused =
        |error: CommandError| error.context(format!("refusing `{}`", options.bundle.bundle));
    let (source, head) = options.bundle.authenticate()?;
    let index = head.index();
    let output = options
        .output
        .clone()
        .unwrap_or_else(|| format!("{}-{}-evidence", index.name, index.version).into());
    if fsx::exists(&output) {
        return Err(Exists(output).into());
    }
    let provenance = options
        .provenance
        .as_deref()
        .map(|path| read_provenance(path, &head, &options.bundle))
        .transpose()?;
    let file = options.bundle.file(source)?;
    let source = BundleSource::File(file.clone());
    let documents = bundle::verify(source, &head, threads(), progress)
        .map_err(|error| refused(error.into()))?;
    let review = review(options, &head, &documents)?;
    let view = BundleView::of_authenticated(file, &head).map_err(|error| refused(error.into()))?;
    let mut directory = Directory::create(&output)?;
    let written = write(
        &mut directory,
        &view,
        &head,
        review.as_ref(),
        provenance.as_ref(),
    );
    let missing = match written {
        Ok(missing) => missing,
        Err(error) => {
            directory.discard()?;
            return Err(error);
        }
    };
    let files = directory.finish()?;
    let denied = review.iter().flat_map(|review| review.evaluation.denied());
    Ok(EvidenceReport {
        output,
        name: index.name.clone(),
        version: index.version.clone(),
        digest: head.digest(),
        trust: options.bundle.trust_source(),
        files,
        denied: denied.map(ToString::to_string).collect(),
        missing,
    })
}

fn review(
    options: &EvidenceOptions,
    head: &AuthenticatedHead,
    documents: &Documents,
) -> Result<Option<Review>, CommandError> {
    let Some(path) = &options.policy else {
        return Ok(None);
    };
    // What is written into the directory is what was evaluated.
    let text = Policy::read_text(path)?;
    let (policy, findings) = Policy::read_beside(path, &text);
    Diagnostics::check([findings])?;
    Ok(Some(Review {
        evaluation: options.bundle.evaluate(head, documents, &policy)?,
        text,
    }))
}

fn write(
    directory: &mut Directory,
    view: &BundleView,
    head: &AuthenticatedHead,
    review: Option<&Review>,
    provenance: Option<&Provenance>,
) -> Result<Vec<String>, CommandError> {
    let index = view.index();
    directory.add("bundle.json", head.index_bytes())?;
    for (slot, signature) in head.signatures() {
        directory.add(&format!("signatures/{slot}.sigstore.json"), &signature)?;
    }
    directory.add("report.html", report::page(view, None)?.as_bytes())?;
    let is_advisory = |entry: &EntryRecord| {
        let mut advisories = index.advisories.iter();
        advisories.any(|advisory| advisory.path == entry.path)
    };
    for entry in &index.entries {
        if entry.path.as_str() == SBOM_NAME {
            directory.add("sboms/bundle.cdx.json", &view.whole(entry)?)?;
        } else if is_advisory(entry) {
            directory.add(entry.path.as_str(), &view.whole(entry)?)?;
        }
    }
    if let Some(provenance) = provenance {
        directory.add(PROVENANCE, provenance.bytes())?;
    }
    if let Some(review) = review {
        directory.add("policy.yaml", review.text.as_bytes())?;
    }
    let mut images = Vec::new();
    for image in &index.images {
        images.push(summary(directory, view, image)?);
    }
    let mut artifacts = Vec::new();
    for artifact in &index.artifacts {
        artifacts.push(summary(directory, view, artifact)?);
    }
    let missing = missing(&images, review, provenance);
    let summary = Summary {
        name: &index.name,
        version: &index.version,
        digest: view.digest(),
        tool: &index.tool,
        signatures: view.signatures(),
        policy: PolicySummary {
            built_by: index.policy.sha256,
            waived: &index.policy.waived,
            reviewed_by: review.map(|review| Digest::of(review.text.as_bytes())),
            decisions: review
                .map(|review| review.evaluation.decisions.as_slice())
                .unwrap_or_default(),
        },
        completeness: &index.completeness,
        images,
        artifacts,
        advisories: view.advisories()?,
        provenance: provenance.map(|_| PROVENANCE),
    };
    let mut text = serde_json::to_vec_pretty(&summary).map_err(SummaryError)?;
    text.push(b'\n');
    directory.add("evidence.json", &text)?;
    Ok(missing)
}

fn summary<'a>(
    directory: &mut Directory,
    view: &BundleView,
    image: &'a ImageRecord,
) -> Result<ImageSummary<'a>, CommandError> {
    let mut sboms = Vec::new();
    for found in view.sboms(image) {
        let mut files = Vec::new();
        for sbom in &found.sboms {
            for (digest, bytes) in view.sbom_contents(sbom)? {
                let file = format!(
                    "sboms/{}/sha256-{}.json",
                    file_name(&image.name),
                    digest.hex()
                );
                directory.add(&file, &bytes)?;
                files.push(file);
            }
        }
        sboms.push(SbomSummary { found, files });
    }
    let mut referrers = Vec::new();
    for record in image.carried_referrers() {
        let place = format!("referrers/{}", file_name(&image.name));
        let mut files = Vec::new();
        for (digest, bytes) in view.referrer_contents(record)? {
            let file = format!("{place}/sha256-{}", digest.hex());
            directory.add(&file, &bytes)?;
            files.push(file);
        }
        referrers.push(ReferrerSummary {
            kind: record.kind(),
            record,
            files,
        });
    }
    Ok(ImageSummary {
        name: &image.name,
        reference: image.reference.to_string(),
        digest: image.target.digest,
        license: image.license.as_deref(),
        sboms,
        referrers,
    })
}

fn missing(
    images: &[ImageSummary<'_>],
    review: Option<&Review>,
    provenance: Option<&Provenance>,
) -> Vec<String> {
    let mut missing = Vec::new();
    if review.is_none() {
        let text = "signatures of images are not verified: --policy verifies them";
        missing.push(text.to_owned());
    }
    if provenance.is_none() {
        missing.push("there is no provenance: --provenance adds it".to_owned());
    }
    let has_none = |found: &&SbomSummary| found.found.sboms.is_empty();
    for image in images {
        for found in image.sboms.iter().filter(has_none) {
            let (name, platform) = (&image.name, &found.found.platform);
            missing.push(format!("image `{name}` has no SBOM for {platform}"));
        }
    }
    missing
}

/// A name as a part of a path: everything but letters, digits and hyphens becomes a hyphen.
fn file_name(name: &str) -> String {
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => character,
        _ => '-',
    };
    name.chars().map(plain).collect()
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the summary cannot be written")]
#[failure(Internal)]
struct SummaryError(#[source] serde_json::Error);
