//! `scan`: the images of a bundle, with the scanner and the vulnerability database of the site.

use std::{fmt::Write as _, future::pending, net::Ipv4Addr, sync::Arc};

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{
    open::BundleOptions,
    receipt_place::{Deed, ReceiptPlace},
    table::aligned,
    trust_source::{TrustSource, identity_lines},
};
use crate::{
    bundle::{ContentError, ImageRecord, ImageSignatureChoice, ManifestRecord, OpenBundle},
    oci::{Manifest, Reference},
    receipt::{Act, Appended, BundleId, ScannedImage, VerifiedBundle},
    scan::{
        Advisory, AdvisoryKind, Counts, DatabaseDirectories, Finding, ScanError, Scanned, Scanner,
        Severity, Subject, is_read,
    },
    serve::{Catalog, Listener, Server},
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    digest::Digest,
    failure::FailureKind,
    progress::{Progress, Silent},
    text::shown,
};

#[derive(Debug, Clone)]
pub(crate) struct ScanOptions {
    pub(crate) bundle: BundleOptions,
    pub(crate) scanner: Option<Utf8PathBuf>,
    pub(crate) databases: DatabaseDirectories,
    pub(crate) fail_on: Option<Severity>,
    pub(crate) receipts: ReceiptPlace,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScanReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    scanner: ScannerReport,
    counts: Counts,
    images: Vec<ImageReport>,
    advisories: Vec<AdvisoryReport>,
    not_scanned: Vec<NotScanned>,
    fail_on: Option<Severity>,
    failed: u64,
    receipt: Option<Appended>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ScannerReport {
    name: &'static str,
    version: String,
    program: Utf8PathBuf,
    database_built: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageReport {
    reference: Reference,
    platform: String,
    digest: Digest,
    distribution: Option<String>,
    counts: Counts,
    findings: Vec<Finding>,
    /// What advisories of the bundle say that it is not affected by.
    not_affected: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct AdvisoryReport {
    path: String,
    kind: AdvisoryKind,
    applied: bool,
}

#[derive(Debug, Serialize)]
struct NotScanned {
    kind: &'static str,
    name: String,
}

impl Report for ScanReport {
    const VERB: &'static str = "scan";

    fn verdict(&self) -> Option<FailureKind> {
        (self.failed > 0).then_some(FailureKind::Policy)
    }

    fn text(&self) -> String {
        let ScannerReport {
            name: scanner,
            version: scanner_version,
            database_built,
            ..
        } = &self.scanner;
        let findings: usize = self.images.iter().map(|image| image.findings.len()).sum();
        let mut text = format!(
            "scanned {} {} with {scanner} {scanner_version}: {}, {}\n",
            self.name,
            self.version,
            counted(self.images.len(), "image"),
            counted(findings, "finding")
        );
        text.push_str(&identity_lines(self.digest, self.trust.as_ref()));
        let _ = writeln!(text, "database       built {}", shown(database_built));
        let tables = [self.count_table(), self.finding_table()].concat();
        if !tables.is_empty() {
            let _ = writeln!(text, "{tables}");
        }
        for image in &self.images {
            if image.distribution.is_none() {
                let _ = writeln!(
                    text,
                    "note: {scanner} does not recognise the distribution of {} ({}); packages of \
                     a distribution are not compared",
                    image.reference, image.platform
                );
            }
            for finding in &image.not_affected {
                let _ = writeln!(
                    text,
                    "not affected   {} in {}, say the advisories of the bundle: {} ({})",
                    shown(&finding.id),
                    shown(&finding.package),
                    image.reference,
                    image.platform
                );
            }
        }
        for advisory in self.advisories.iter().filter(|advisory| !advisory.applied) {
            let _ = writeln!(
                text,
                "not applied    {} ({}), which {scanner} does not read",
                shown(&advisory.path),
                advisory.kind.name()
            );
        }
        for NotScanned { kind, name } in &self.not_scanned {
            let _ = writeln!(text, "not scanned    {kind} {}", shown(name));
        }
        if let Some(receipt) = &self.receipt {
            let _ = writeln!(text, "receipt        {receipt}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        if let Some(severity) = self.fail_on.filter(|_| self.failed > 0) {
            let _ = writeln!(
                text,
                "failed: {} of severity {} or higher",
                counted(self.failed, "finding"),
                severity.name()
            );
        }
        text
    }
}

impl ScanReport {
    fn count_table(&self) -> String {
        let severities = Severity::ALL.map(|severity| severity.name().to_uppercase());
        let [critical, high, medium, low, negligible, unknown] = severities;
        let (image, platform) = ("IMAGE".to_owned(), "PLATFORM".to_owned());
        let headings = [
            image, platform, critical, high, medium, low, negligible, unknown,
        ];
        let row = |image: &ImageReport| {
            let counts = Severity::ALL.map(|severity| image.counts.get(severity).to_string());
            let [critical, high, medium, low, negligible, unknown] = counts;
            let (image, platform) = (image.reference.to_string(), image.platform.clone());
            [
                image, platform, critical, high, medium, low, negligible, unknown,
            ]
        };
        let rows: Vec<_> = self.images.iter().map(row).collect();
        table(&headings, &rows)
    }

    fn finding_table(&self) -> String {
        let headings = [
            "SEVERITY",
            "VULNERABILITY",
            "PACKAGE",
            "VERSION",
            "FIXED IN",
            "IMAGE",
            "PLATFORM",
        ];
        let row = |image: &ImageReport, finding: &Finding| {
            [
                finding.severity.name().to_owned(),
                shown(&finding.id),
                shown(&finding.package),
                shown(&finding.version),
                shown(&finding.fixed_in.join(", ")),
                image.reference.to_string(),
                image.platform.clone(),
            ]
        };
        let rows = self.images.iter().flat_map(|image| {
            let findings = image.findings.iter();
            findings.map(move |finding| row(image, finding))
        });
        table(&headings.map(str::to_owned), &rows.collect::<Vec<_>>())
    }
}

/// Set off by an empty line before it; nothing without rows.
fn table<const N: usize>(headings: &[String; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", aligned(std::iter::once(headings).chain(rows)))
}

/// Scans every image of a bundle for every platform that it has. Fails when the bundle is not as
/// signed or an image cannot be scanned; there is no receipt then.
pub(crate) fn run(
    options: &ScanOptions,
    progress: &dyn Progress,
) -> Result<ScanReport, CommandError> {
    let program = options.scanner.as_ref().ok_or(ScanError::NotFound)?;
    let bundle = options.bundle.open_in_place()?;
    block_on(async {
        let scanner = Scanner::find(program, &options.databases).await?;
        scan(options, &bundle, &scanner, progress).await
    })
}

async fn scan(
    options: &ScanOptions,
    bundle: &Arc<OpenBundle>,
    scanner: &Scanner,
    progress: &dyn Progress,
) -> Result<ScanReport, CommandError> {
    let tool = format!("{} {}", scanner.name(), scanner.version());
    let deed = Deed {
        kind: "scan",
        destination: &tool,
    };
    let notes = options.receipts.begin(BundleId::of(bundle.head()), deed)?;
    let advisories = advisories(bundle)?;
    let host = serve(bundle).await?;
    let index = bundle.index();
    let manifests = index.images.iter().flat_map(|image| {
        let manifests = image.carried_runnable();
        manifests.map(move |manifest| (image, manifest))
    });
    let manifests: Vec<_> = manifests.collect();
    progress.begin_steps(&format!("scanning with {tool}"), manifests.len() as u64);
    let mut images = Vec::new();
    for (image, manifest) in manifests {
        let subject = Subject {
            host: &host,
            reference: &image.reference,
            root: image.target.digest,
            manifest: manifest.digest,
            platform: manifest.platform.as_ref(),
            packed_bytes: contents(bundle, manifest.digest)
                .filter_map(|content| bundle.size(content))
                .fold(0, u64::saturating_add),
        };
        progress.note(&subject.to_string());
        let scanned = match scanner.scan(&subject, &advisories).await {
            Ok(scanned) => scanned,
            Err(error) => {
                let refused = |damage: ContentError| {
                    CommandError::from(damage)
                        .context(format!("refusing `{}`", options.bundle.bundle))
                };
                check(bundle, manifest.digest).map_err(refused)?;
                return Err(error.into());
            }
        };
        images.push(ImageReport::new(image, manifest, scanned));
        progress.advance(1);
    }
    progress.end();
    let act = Act::Scan {
        scanner: tool,
        database_built: scanner.built().to_owned(),
        images: images.iter().map(on_record).collect(),
    };
    let verified = VerifiedBundle::of(bundle.head(), served_bytes(bundle, &images));
    let receipt = options
        .receipts
        .append(verified, act)
        .map_err(|error| error.context("everything is scanned, and there is no receipt of it"))?;
    let counts = Counts::of(images.iter().flat_map(|image| &image.findings));
    let failing = Severity::ALL.into_iter();
    let failing =
        failing.filter(|severity| options.fail_on.is_some_and(|least| *severity >= least));
    Ok(ScanReport {
        name: index.name.clone(),
        version: index.version.clone(),
        digest: bundle.head().digest(),
        trust: options.bundle.trust_source(),
        scanner: ScannerReport {
            name: scanner.name(),
            version: scanner.version().to_owned(),
            program: scanner.program().to_owned(),
            database_built: scanner.built().to_owned(),
        },
        failed: failing.map(|severity| counts.get(severity)).sum(),
        counts,
        images,
        advisories: advisories
            .into_iter()
            .map(|advisory| AdvisoryReport {
                applied: is_read(advisory.kind),
                path: advisory.path,
                kind: advisory.kind,
            })
            .collect(),
        not_scanned: not_scanned(bundle),
        fail_on: options.fail_on,
        receipt,
        notes,
    })
}

/// Serves the bundle on a port that the system chooses, until the runtime ends; gives the host.
async fn serve(bundle: &Arc<OpenBundle>) -> Result<String, CommandError> {
    let named = [("the bundle".to_owned(), Arc::clone(bundle))];
    let catalog = Catalog::new(named, ImageSignatureChoice::Never)?;
    let server = Arc::new(Server::new(catalog, None, None));
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let host = listener.address().to_string();
    tokio::spawn(server.run(listener, Arc::new(Silent), pending()));
    Ok(host)
}

fn advisories(bundle: &OpenBundle) -> Result<Vec<Advisory>, ContentError> {
    let records = bundle.index().advisories.iter();
    let read = records.map(|record| {
        Ok(Advisory {
            path: record.path.to_string(),
            kind: record.kind,
            bytes: bundle.entry(&record.path)?.unwrap_or_default(),
        })
    });
    read.collect()
}

fn contents(bundle: &OpenBundle, manifest: Digest) -> impl Iterator<Item = Digest> {
    let document = bundle.document(manifest);
    let manifest = document.and_then(|bytes| Manifest::parse(bytes.to_vec(), None).ok());
    let children = manifest.map(|manifest| {
        let children = manifest.children().map(|child| child.digest);
        children.collect::<Vec<_>>()
    });
    children.unwrap_or_default().into_iter()
}

/// Whether a scanner failed because it was not given what the bundle should have.
fn check(bundle: &OpenBundle, manifest: Digest) -> Result<(), ContentError> {
    let mut piece = Vec::new();
    for content in contents(bundle, manifest) {
        bundle.rehash(content)?;
        if let Some(mut reader) = bundle.read(content) {
            while reader.next_piece(bundle, &mut piece)? {}
        }
    }
    Ok(())
}

/// How many bytes of the bundle the scanner was given, each verified before its end was sent.
fn served_bytes(bundle: &OpenBundle, images: &[ImageReport]) -> u64 {
    let contents = images
        .iter()
        .flat_map(|image| contents(bundle, image.digest).chain([image.digest]));
    let distinct: std::collections::BTreeSet<Digest> = contents.collect();
    let sizes = distinct
        .into_iter()
        .filter_map(|content| bundle.size(content));
    sizes.fold(0, u64::saturating_add)
}

fn not_scanned(bundle: &OpenBundle) -> Vec<NotScanned> {
    let index = bundle.index();
    let named = |kind, name: String| NotScanned { kind, name };
    let artifacts = index.artifacts.iter();
    let charts = index.charts.iter();
    artifacts
        .map(|artifact| named("artifact", artifact.reference.to_string()))
        .chain(charts.map(|chart| named("chart", format!("{} {}", chart.name, chart.version))))
        .collect()
}

fn on_record(image: &ImageReport) -> ScannedImage {
    let counts = Severity::ALL.map(|severity| (severity.name(), image.counts.get(severity)));
    let found = counts.into_iter().filter(|(_, count)| *count > 0);
    ScannedImage {
        reference: image.reference.to_string(),
        platform: image.platform.clone(),
        digest: image.digest,
        findings: found
            .map(|(severity, count)| (severity.to_owned(), count))
            .collect(),
        not_affected: image.not_affected.len() as u64,
    }
}

impl ImageReport {
    fn new(image: &ImageRecord, manifest: &ManifestRecord, scanned: Scanned) -> Self {
        let Scanned {
            distribution,
            findings,
            not_affected,
        } = scanned;
        Self {
            reference: image.reference.clone(),
            platform: manifest.platform_name(),
            digest: manifest.digest,
            distribution: distribution.map(|name| shown(&name)),
            counts: Counts::of(&findings),
            findings,
            not_affected,
        }
    }
}
