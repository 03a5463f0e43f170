//! `inspect`: what a bundle says it contains. Reads the head only.

use serde::Serialize;

use super::open::BundleOptions;
use crate::{
    archive::EntryName,
    bundle::{BundleIndex, SlotState},
    commands::{CommandError, Report},
    oci::Digest,
    text::shown,
};

/// Which bundle to look into.
#[derive(Debug, Clone)]
pub struct InspectOptions {
    /// Which bundle; keys are optional here.
    pub bundle: BundleOptions,
    /// Whether to list every entry.
    pub with_entries: bool,
}

/// What a bundle says it contains.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectReport {
    /// Whether somebody trusted vouches for the index.
    verified: bool,
    digest: Digest,
    signatures: Vec<SlotState>,
    index: BundleIndex,
    #[serde(skip)]
    with_entries: bool,
}

impl Report for InspectReport {
    const VERB: &'static str = "inspect";

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let index = &self.index;
        let bytes: u64 = index.entries.iter().map(|entry| entry.size).sum();
        let mut text = String::new();
        if !self.verified {
            text.push_str("UNVERIFIED: no --key and no --trust was given; everything below is only what the file claims\n");
        }
        let _ = writeln!(text, "{} {}, format {}, made by {}", shown(&index.name), index.version, index.format, shown(&index.tool));
        let _ = writeln!(text, "bundle digest  {}", self.digest);
        for state in &self.signatures {
            let signer = state.signer().unwrap_or_default();
            let _ = match state {
                SlotState::Blank => Ok(()),
                SlotState::Verified { .. } => writeln!(text, "signature      good, by {signer}"),
                SlotState::Revoked { reason, .. } => writeln!(text, "signature      revoked, by {signer}: {reason}"),
                SlotState::Unknown { .. } => writeln!(text, "signature      not checked, claims to be by {signer}"),
                SlotState::Malformed => writeln!(text, "signature      malformed"),
            };
        }
        let _ = writeln!(text, "contents       {} entries, {bytes} bytes", index.entries.len());
        for image in &index.images {
            let _ = writeln!(text, "image          {}@{}", shown(&image.reference.to_string()), image.target.digest);
            for manifest in image.runnable() {
                let _ = writeln!(
                    text,
                    "               {}{}",
                    shown(&manifest.platform_name()),
                    if manifest.carried { "" } else { " (left out)" }
                );
            }
        }
        for chart in &index.charts {
            let _ = writeln!(text, "chart          {} {} in {}", shown(&chart.name), shown(&chart.version), chart.path);
        }
        for profile in &index.profiles {
            let values: Vec<&str> = profile.values.iter().map(EntryName::as_str).collect();
            let charts = if profile.charts.is_empty() { String::new() } else { format!(" of {}", profile.charts.join(", ")) };
            let _ = writeln!(text, "profile        {}{}: {}", shown(&profile.name), shown(&charts), values.join(", "));
        }
        if let Some(migrations) = &index.migrations {
            let _ = writeln!(text, "migrations     {}, schema version {}", migrations.files.len(), migrations.schema_version);
        }
        for binary in &index.binaries {
            let _ = writeln!(text, "binary         {} for {} in {}", shown(&binary.name), shown(&binary.platform.to_string()), binary.path);
        }
        let checked = if index.completeness.checked { "checked" } else { "not checked" };
        let _ = writeln!(text, "completeness   {checked} when it was built");
        for sentence in index.completeness.left_out.iter().chain(&index.completeness.exceptions()) {
            let _ = writeln!(text, "               {}", shown(sentence));
        }
        if self.with_entries {
            for entry in &index.entries {
                let _ = writeln!(text, "{} {:>12} {}", entry.sha256.hex(), entry.size, entry.path);
            }
        }
        text
    }
}

/// Reads what a bundle says it contains; with a key or digest, only after its head was authenticated.
///
/// # Errors
/// When the head cannot be read, or a key was given and does not vouch for it.
pub fn run(options: &InspectOptions) -> Result<InspectReport, CommandError> {
    let with_entries = options.with_entries;
    if options.bundle.has_trust() {
        let (_, head) = options.bundle.authenticate()?;
        let (digest, signatures, index) = (head.digest(), head.slots().to_vec(), head.index().clone());
        return Ok(InspectReport { verified: true, digest, signatures, index, with_entries });
    }
    let (_, head) = options.bundle.open()?;
    let (index, signatures) = head.peek()?;
    Ok(InspectReport { verified: false, digest: head.digest(), signatures, index, with_entries })
}
