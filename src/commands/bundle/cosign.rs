//! What `sign` and `attach` have in common: a signature goes into an existing bundle.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{keys::load_trust_file, open::threads};
use crate::{
    bundle::{CosignError, FileToSign, Placement, SlotState, Trust},
    sign::{PublicKey, Signer, SlotSignature},
};
use rune_core::{
    command::CommandError, digest::Digest, failure::Failure, progress::Progress, text::shown,
};

pub(super) enum Signers {
    Listed(Trust),
    /// The one who signs now; nobody else is known.
    Alone,
}

impl Signers {
    /// Reads the trust file, when there is one.
    pub(super) fn load(trust_file: Option<&Utf8Path>) -> Result<Self, CommandError> {
        let listed = |path| Ok(Self::Listed(Trust::of_file(load_trust_file(path)?, None)));
        trust_file.map_or(Ok(Self::Alone), listed)
    }

    /// Checks that a signature by this key would count.
    pub(super) fn check(&self, key: &PublicKey) -> Result<(), CommandError> {
        if let Self::Listed(trust) = self {
            trust.admits(key)?;
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CosignReport {
    bundle: Utf8PathBuf,
    name: String,
    version: semver::Version,
    digest: Digest,
    key_id: String,
    fingerprint: Digest,
    #[serde(skip)]
    signer: String,
    slot: usize,
    outcome: Outcome,
    signatures: Vec<SlotState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<usize>,
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Added,
    Completed,
    Present,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("a signature is written into the bundle file, so the bundle cannot be standard input")]
#[failure(Usage: "give the path of the bundle")]
struct NoFile;

fn refused(bundle: &Utf8Path) -> impl Fn(CosignError) -> CommandError {
    move |error| {
        CommandError::from(error).context(format!("cannot put a signature into `{bundle}`"))
    }
}

pub(super) fn open(bundle: &Utf8Path, parts: &[Utf8PathBuf]) -> Result<FileToSign, CommandError> {
    if bundle == "-" {
        return Err(NoFile.into());
    }
    FileToSign::open(bundle, parts).map_err(refused(bundle))
}

/// Checks the bundle to its last byte and puts a signature of `key` into it.
pub(super) fn add(
    bundle: &Utf8Path,
    file: FileToSign,
    (signer, signature): (&Signer, &SlotSignature),
    signers: Signers,
    is_dry_run: bool,
    progress: &dyn Progress,
) -> Result<CosignReport, CommandError> {
    let (trust, threshold) = match signers {
        Signers::Listed(trust) => (trust.clone(), Some(trust.threshold())),
        Signers::Alone => (Trust::new(vec![signer.clone()], 1, None)?, None),
    };
    let file = file.check(threads(), progress).map_err(refused(bundle))?;
    let (placement, signatures) = file
        .add(&trust, signature, is_dry_run)
        .map_err(refused(bundle))?;
    let (slot, outcome) = match placement {
        Placement::New(slot) => (slot, Outcome::Added),
        Placement::Completed(slot) => (slot, Outcome::Completed),
        Placement::Present(slot) => (slot, Outcome::Present),
    };
    let index = file.index();
    Ok(CosignReport {
        bundle: bundle.to_owned(),
        name: index.name.clone(),
        version: index.version.clone(),
        digest: file.digest(),
        key_id: signer.key.key_id(),
        fingerprint: signer.key.fingerprint(),
        signer: signer.to_string(),
        slot,
        outcome,
        signatures,
        threshold,
        dry_run: is_dry_run,
    })
}

impl CosignReport {
    pub(super) fn text(&self) -> String {
        use std::fmt::Write as _;
        let Self {
            bundle,
            version,
            slot,
            ..
        } = self;
        // Only the signer authenticates it yet.
        let name = shown(&self.name);
        let signer = self
            .signatures
            .get(*slot)
            .and_then(SlotState::signer)
            .unwrap_or_else(|| self.signer.clone());
        let mut text = match (self.outcome, self.dry_run) {
            (Outcome::Present, _) => {
                format!(
                    "`{bundle}` has the signature of {signer} already, in slot {slot}; nothing \
                     was written\n"
                )
            }
            (_, true) => format!(
                "{name} {version} is intact; would put the signature of {signer} into slot {slot} \
                 of `{bundle}`\n"
            ),
            (Outcome::Added, false) => {
                format!(
                    "{name} {version} is intact; put the signature of {signer} into slot {slot} \
                     of `{bundle}`\n"
                )
            }
            (Outcome::Completed, false) => {
                format!(
                    "{name} {version} is intact; completed the signature of {signer} in slot \
                     {slot} of `{bundle}`, where an earlier run was cut off\n"
                )
            }
        };
        let _ = writeln!(text, "bundle digest  {}", self.digest);
        for state in &self.signatures {
            text.push_str(&state.line());
        }
        if let Some(threshold) = self.threshold {
            let counting = self
                .signatures
                .iter()
                .filter(|state| matches!(state, SlotState::Verified { .. }));
            let signers: BTreeSet<_> = counting.filter_map(SlotState::signer).collect();
            let _ = writeln!(
                text,
                "threshold      {} signed, {threshold} needed",
                signers.len()
            );
        }
        text
    }
}
