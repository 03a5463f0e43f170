//! `push`: a bundle into a registry, byte for byte, and proof that it is there.

use std::{fmt::Write as _, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    delta_destination::DeltaDestination,
    open::BundleOptions,
    receipt_place::{Deed, ReceiptPlace},
    trust_source::TrustSource,
};
use crate::{
    bundle::{AuthenticatedHead, ImageSignatureChoice, OpenBundle, Provenance},
    push::{self, BlobTally, IndexForm, PushedKind, PushedReference, RefusedArtifact},
    receipt::{Act, Appended, BundleId, VerifiedBundle},
    registry::{Client, ClientConfig},
};
use rune_core::{
    command::{CommandError, Report, block_on, counted},
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx,
    progress::Progress,
    text::size,
};

pub use crate::push::BundleArtifacts;
pub(crate) use crate::push::Destination;
pub use crate::push::{IndexChoice, PushSettings};

#[derive(Debug, Clone)]
pub struct PushOptions {
    pub bundle: BundleOptions,
    pub settings: PushSettings,
    pub provenance: Option<Utf8PathBuf>,
    /// Where a receipt is written; none without it.
    pub receipts: Option<ReceiptPlace>,
    pub registry: ClientConfig,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    destination: String,
    dry_run: bool,
    #[serde(skip)]
    image_signatures: ImageSignatureChoice,
    references: Vec<PushedReference>,
    /// What the registry does not take: the bundle index and its signatures, artifacts about
    /// images.
    refused: Vec<RefusedArtifact>,
    image_signatures_left_off: Vec<String>,
    blobs: BlobTally,
    /// Bytes that went over the network, those that had to be sent twice included.
    sent_bytes: u64,
    /// Null in a dry run, or when none is wanted.
    receipt: Option<Appended>,
    notes: Vec<String>,
}

impl Report for PushReport {
    const VERB: &'static str = "push";

    /// Images and charts are there, and what proves where they are from is not.
    fn verdict(&self) -> Option<FailureKind> {
        (!self.refused.is_empty()).then_some(FailureKind::Network)
    }

    fn text(&self) -> String {
        let Self {
            name,
            version,
            destination,
            references,
            refused,
            blobs,
            ..
        } = self;
        let would = if self.dry_run { "would push" } else { "pushed" };
        let mut text = format!(
            "{would} {name} {version} to {destination}: {}\n",
            counted(references.len(), "reference")
        );
        for reference in references {
            let digest = reference.digest.to_string();
            // Without a tag it is part of the name.
            let digest = if reference.destination.ends_with(&digest) {
                String::new()
            } else {
                format!("  {digest}")
            };
            let _ = writeln!(
                text,
                "{:<10} {}{digest}{}",
                word(reference.kind),
                reference.destination,
                presence(reference)
            );
            if let Some(remark) = remark(reference) {
                let _ = writeln!(text, "           {remark}");
            }
        }
        for RefusedArtifact {
            kind,
            destination,
            reason,
        } in refused
        {
            let _ = writeln!(text, "refused    {} {destination}: {reason}", word(*kind));
        }
        for subject in &self.image_signatures_left_off {
            let reason = self.image_signatures.reason();
            let _ = writeln!(text, "left off   signature of {subject}{reason}");
        }
        let BlobTally {
            uploaded,
            uploaded_bytes,
            mounted,
            skipped,
        } = blobs;
        let to = if self.dry_run { "to send" } else { "sent" };
        let _ = writeln!(
            text,
            "blobs      {uploaded} {to} ({}), {mounted} {}, {skipped} already present",
            size(*uploaded_bytes),
            if self.dry_run { "to mount" } else { "mounted" }
        );
        if !self.dry_run {
            text.push_str("every manifest and tag was fetched again and is what the bundle has\n");
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust      {trust}");
        }
        if let Some(receipt) = &self.receipt {
            let (number, path, signed) = (receipt.number, &receipt.path, receipt.signed());
            let _ = writeln!(text, "receipt    {number} in `{path}`{signed}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

const fn word(kind: PushedKind) -> &'static str {
    match kind {
        PushedKind::Image => "image",
        PushedKind::Artifact => "artifact",
        PushedKind::Chart => "chart",
        PushedKind::Referrer => "referrer",
        PushedKind::Index => "index",
        PushedKind::Provenance => "provenance",
        PushedKind::Files => "files",
        PushedKind::ImageSignature | PushedKind::Signature => "signature",
    }
}

const fn presence(reference: &PushedReference) -> &'static str {
    if reference.was_there {
        "  (already present)"
    } else {
        ""
    }
}

fn remark(reference: &PushedReference) -> Option<String> {
    match reference.index {
        IndexForm::Full => None,
        IndexForm::Sparse => Some(
            "platforms were left out of it; the image index names them all the same".to_owned(),
        ),
        IndexForm::Reduced => Some(format!(
            "platforms were left out: this is the image index of the others, and not {}",
            reference.source_digest
        )),
        IndexForm::SparseOrReduced => Some(
            "platforms were left out of it: if the registry does not take this index, that of the \
             others is pushed"
                .to_owned(),
        ),
    }
}

impl PushOptions {
    /// As many connections as jobs, and no host beside the named ones.
    fn access(&self) -> ClientConfig {
        let PushSettings {
            destination, jobs, ..
        } = &self.settings;
        self.registry
            .clone()
            .confined_to(destination.registry(), *jobs)
    }
}

/// Running it again after a failure goes on from there.
pub fn run(
    options: &PushOptions,
    progress: &Arc<dyn Progress>,
) -> Result<PushReport, CommandError> {
    // Whoever publishes a bundle has all of it.
    let has_everything = options.settings.artifacts == BundleArtifacts::Everything;
    let delta = if has_everything {
        None
    } else {
        let at = DeltaDestination {
            destination: &options.settings.destination,
            access: options.access(),
            reads_releases: false,
        };
        at.open(&options.bundle, progress.as_ref())?
    };
    let mut bundle = match delta {
        Some(bundle) => bundle,
        None => options.bundle.open_in_place()?,
    };
    if let Some(path) = &options.provenance {
        let provenance = read_provenance(path, bundle.head(), &options.bundle)?;
        OpenBundle::publish_provenance(&mut bundle, provenance)?;
    }
    let report = block_on(push_opened(&bundle, options, progress))?;
    let is_refused = report.refused.iter().any(RefusedArtifact::is_of_bundle);
    if is_refused && !has_everything {
        progress.announce(
            "help: the registry takes images and no other artifacts: add --no-index-artifact to \
             leave out the bundle index and its signatures",
        );
    }
    Ok(report)
}

/// The most that provenance has: a statement with a line for each image and file.
const MAX_PROVENANCE_BYTES: u64 = 16 << 20;

pub(super) fn read_provenance(
    path: &Utf8Path,
    head: &AuthenticatedHead,
    options: &BundleOptions,
) -> Result<Provenance, CommandError> {
    let bytes = fsx::read(path, MAX_PROVENANCE_BYTES)?;
    Provenance::verify(bytes, head.digest(), &options.trust()?)
        .map_err(|error| CommandError::from(error).context(format!("cannot use `{path}`")))
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("the registry took the images and charts, and refused: {}", .0.join("; "))]
#[failure(Network: "add --no-index-artifact to install without the bundle index and its signatures \
    in the registry")]
pub(super) struct ArtifactsRefused(Vec<String>);

impl PushReport {
    /// Where the bundle index is, if the registry has it now and took all that is about it.
    pub(super) fn bundle_index(&self) -> Option<&str> {
        let is_there = !self.dry_run && !self.refused.iter().any(RefusedArtifact::is_of_bundle);
        let index = |reference: &&PushedReference| reference.kind == PushedKind::Index;
        let found = self.references.iter().find(index);
        found
            .filter(|_| is_there)
            .map(|reference| reference.destination.as_str())
    }

    /// Everything of the bundle, or an error. What is about images was announced if it was refused;
    /// the images run without it.
    pub(super) fn whole(self) -> Result<(), ArtifactsRefused> {
        let refused = self
            .refused
            .into_iter()
            .filter(RefusedArtifact::is_of_bundle);
        let refused: Vec<String> = refused.map(|refused| refused.destination).collect();
        if refused.is_empty() {
            Ok(())
        } else {
            Err(ArtifactsRefused(refused))
        }
    }
}

pub(super) async fn push_opened(
    bundle: &Arc<OpenBundle>,
    options: &PushOptions,
    progress: &Arc<dyn Progress>,
) -> Result<PushReport, CommandError> {
    let settings = &options.settings;
    let receipts = options.receipts.as_ref().filter(|_| !settings.is_dry_run);
    let destination = settings.destination.to_string();
    let deed = Deed {
        kind: "push",
        destination: &destination,
    };
    let notes = receipts
        .map(|place| place.begin(BundleId::of(bundle.head()), deed))
        .transpose()?
        .unwrap_or_default();
    let client = Client::new(options.access())?;
    let pushed = push::push(bundle, &client, settings, progress).await?;
    for refused in pushed
        .refused
        .iter()
        .filter(|refused| !refused.is_of_bundle())
    {
        let RefusedArtifact {
            destination,
            reason,
            ..
        } = refused;
        progress.announce(&format!(
            "warning: the registry does not take {destination}, which is about an image: {reason}"
        ));
    }
    let index = bundle.index();
    let act = Act::Push {
        registry: destination.clone(),
        references: pushed.references.iter().map(on_record).collect(),
        sent_bytes: pushed.sent_bytes,
    };
    let verified = VerifiedBundle::of(bundle.head(), pushed.blobs().uploaded_bytes);
    let receipt = receipts.map_or(Ok(None), |place| place.append(verified, act));
    let receipt = receipt
        .map_err(|error| error.context("everything is pushed, and there is no receipt of it"))?;
    let blobs = pushed.blobs();
    Ok(PushReport {
        receipt,
        notes,
        trust: options.bundle.trust_source(),
        name: index.name.clone(),
        version: index.version.clone(),
        digest: bundle.head().digest(),
        destination,
        dry_run: settings.is_dry_run,
        image_signatures: settings.image_signatures,
        image_signatures_left_off: pushed.left_off,
        blobs,
        sent_bytes: pushed.sent_bytes,
        references: pushed.references,
        refused: pushed.refused,
    })
}

fn on_record(reference: &PushedReference) -> crate::receipt::PushedReference {
    crate::receipt::PushedReference {
        reference: reference.destination.clone(),
        source: reference.source_digest,
        destination: reference.digest,
    }
}
