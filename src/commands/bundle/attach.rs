//! `attach`: a signature that was made elsewhere, by an HSM, a KMS, cosign or openssl, goes into a
//! bundle.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    cosign::{self, CosignReport, Signers},
    keys::load_public_key,
};
use crate::{
    bundle::Trust,
    sign::{ForeignSignature, SignError, Signer, SlotSignature},
};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    failure::{Failure, FailureKind},
    fsx,
    progress::Progress,
};

/// Far above what a signature has, with everything of a transparency log.
const MAX_SIGNATURE_FILE_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct AttachOptions {
    pub(crate) bundle: Utf8PathBuf,
    pub(crate) parts: Vec<Utf8PathBuf>,
    pub(crate) signature: Utf8PathBuf,
    pub(crate) key: Option<Utf8PathBuf>,
    pub(crate) trust_file: Option<Utf8PathBuf>,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct AttachReport(CosignReport);

impl Report for AttachReport {
    const VERB: &'static str = "attach";

    fn text(&self) -> String {
        self.0.text()
    }
}

#[derive(Debug, thiserror::Error, Failure)]
enum AttachError {
    #[error("there is nothing to check the signature with: neither --key nor --trust was given")]
    #[failure(Usage: "give --key FILE with the public key of the signer, or --trust FILE with all \
        trusted keys")]
    NoKey,
    #[error("no key of the trust file that counts made this signature over this bundle")]
    #[failure(Signature: "give --key FILE with the public key of the signer, or --trust FILE with \
        all trusted keys")]
    NoneFits,
}

/// Puts a signature into a bundle, after it was checked against a key and the bundle to its last
/// byte.
pub(crate) fn run(
    options: &AttachOptions,
    progress: &dyn Progress,
) -> Result<AttachReport, CommandError> {
    let file = cosign::open(&options.bundle, &options.parts)?;
    let signers = Signers::load(options.trust_file.as_deref())?;
    let unusable = |error: SignError| {
        CommandError::from(error)
            .context(format!("cannot use the signature `{}`", options.signature))
    };
    let foreign =
        ForeignSignature::parse(&fsx::read(&options.signature, MAX_SIGNATURE_FILE_BYTES)?)
            .map_err(unusable)?;
    let (signer, signature) = match (&options.key, &signers) {
        (Some(path), _) => {
            let signer = load_public_key(path)?;
            signers.check(&signer.key)?;
            let signature = foreign
                .check(&signer.key, file.message())
                .map_err(|error| misfit(&options.bundle, file.digest(), unusable(error)))?;
            (signer, signature)
        }
        (None, Signers::Listed(trust)) => {
            let found = find(trust, &foreign, file.message());
            found.ok_or_else(|| {
                misfit(
                    &options.bundle,
                    file.digest(),
                    CommandError::from(AttachError::NoneFits),
                )
            })?
        }
        (None, Signers::Alone) => return Err(AttachError::NoKey.into()),
    };
    let report = cosign::add(
        &options.bundle,
        file,
        (&signer, &signature),
        signers,
        options.is_dry_run,
        progress,
    )?;
    Ok(AttachReport(report))
}

fn find(
    trust: &Trust,
    foreign: &ForeignSignature,
    message: &[u8],
) -> Option<(Signer, SlotSignature)> {
    trust
        .signers()
        .iter()
        .find_map(|signer| Some((signer.clone(), foreign.check(&signer.key, message).ok()?)))
}

fn misfit(bundle: &Utf8Path, digest: Digest, error: CommandError) -> CommandError {
    if error.kind() != FailureKind::Signature {
        return error;
    }
    let hex = digest.hex();
    error.with_help(format!(
        "sign the exact output of `tar --occurrence=1 -xOf {bundle} bundle.json` (its SHA-256 is \
         {hex}), and give the public key of the one that signs"
    ))
}
