//! `fingerprint`: what people compare, on the telephone or on paper, before they trust a key.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use clap::Args;
use serde::Serialize;

use super::keys::{is_pem, load_public_key, load_trust_file};
use crate::sign::{Signer, TrustFile};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    text::shown,
};

/// Show the fingerprint of a public key, or of each key of a trust file, to compare out of band.
#[derive(Debug, Args)]
pub(crate) struct Fingerprint {
    /// Public key (PEM), or trust file
    file: Utf8PathBuf,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FingerprintReport {
    file: Utf8PathBuf,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    name: String,
    #[serde(rename = "keyId")]
    id: String,
    fingerprint: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
}

impl Key {
    fn of(Signer { name, key }: Signer, revoked: Option<String>) -> Self {
        Self {
            name,
            id: key.key_id(),
            fingerprint: key.fingerprint(),
            revoked,
        }
    }
}

impl Report for FingerprintReport {
    const VERB: &'static str = "fingerprint";

    fn text(&self) -> String {
        let width = self
            .keys
            .iter()
            .map(|key| key.name.chars().count())
            .max()
            .unwrap_or(0);
        self.keys.iter().fold(String::new(), |mut text, key| {
            let _ = write!(
                text,
                "{:<width$}  {}",
                shown(&key.name),
                key.fingerprint.grouped()
            );
            let _ = match &key.revoked {
                Some(reason) => writeln!(text, "  (revoked: {})", shown(reason)),
                None => writeln!(text),
            };
            text
        })
    }
}

pub(crate) fn run(options: &Fingerprint) -> Result<FingerprintReport, CommandError> {
    let file = &options.file;
    let keys = if is_pem(file)? {
        vec![Key::of(load_public_key(file)?, None)]
    } else {
        let TrustFile {
            signers,
            revocations,
            ..
        } = load_trust_file(file)?;
        let revoked = |signer: &Signer| {
            revocations
                .iter()
                .find(|revoked| revoked.key == signer.key.fingerprint())
        };
        signers
            .into_iter()
            .map(|signer| {
                (
                    revoked(&signer).map(|revoked| revoked.reason.clone()),
                    signer,
                )
            })
            .map(|(revoked, signer)| Key::of(signer, revoked))
            .collect()
    };
    Ok(FingerprintReport {
        file: file.clone(),
        keys,
    })
}
