//! `sign`: one more person signs an existing bundle.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{
    cosign::{self, CosignReport, Signers},
    keys::{Passphrase, load_private_key, signer},
};
use crate::{bundle::TrustError, sign::SlotSignature};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    progress::Progress,
};

#[derive(Debug)]
pub(crate) struct SignOptions {
    pub(crate) bundle: Utf8PathBuf,
    pub(crate) parts: Vec<Utf8PathBuf>,
    pub(crate) key: Utf8PathBuf,
    pub(crate) trust_file: Option<Utf8PathBuf>,
    pub(crate) digest: Option<Digest>,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct SignReport(CosignReport);

impl Report for SignReport {
    const VERB: &'static str = "sign";

    fn text(&self) -> String {
        self.0.text()
    }
}

pub(crate) fn run(
    options: &SignOptions,
    passphrase: impl Fn(&Utf8Path, u8) -> Result<Passphrase, CommandError>,
    progress: &dyn Progress,
) -> Result<SignReport, CommandError> {
    let file = cosign::open(&options.bundle, &options.parts)?;
    if let Some(expected) = options.digest
        && expected != file.digest()
    {
        let error = TrustError::OtherDigest {
            expected,
            actual: file.digest(),
        };
        return Err(
            CommandError::from(error).context(format!("refusing to sign `{}`", options.bundle))
        );
    }
    let signers = Signers::load(options.trust_file.as_deref())?;
    let key = load_private_key(&options.key, passphrase)?;
    signers.check(key.public_key())?;
    let signature = SlotSignature::sign(&key, file.message());
    let signer = signer(&options.key, key.public_key());
    let report = cosign::add(
        &options.bundle,
        file,
        (&signer, &signature),
        signers,
        options.is_dry_run,
        progress,
    )?;
    Ok(SignReport(report))
}
