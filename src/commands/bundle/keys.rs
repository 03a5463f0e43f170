//! Key files: read from where a person said, with errors that name the file.

use std::cell::RefCell;

use camino::Utf8Path;
use zeroize::Zeroizing;

use super::key_kind::WantedKey;
use crate::{
    chart::ChartKey,
    sign::{PrivateKey, PublicKey, Signer, TrustFile},
};
use rune_core::{
    command::CommandError,
    failure::FailureKind,
    fsx::{self, Action, PathError},
    secret::Secret,
};

const MAX_KEY_FILE_BYTES: u64 = 64 << 10;

const MAX_TRUST_FILE_BYTES: u64 = 1 << 20;

/// How often a passphrase may be typed.
const MAX_TRIES: u8 = 3;

#[derive(Debug)]
pub(crate) struct Passphrase {
    pub(crate) secret: Secret,
    /// Whether it was typed at a terminal, where it can be typed again.
    pub(crate) is_typed: bool,
}

/// Reads a private key. `ask` gets the path and the number of the attempt, from 1, and is called
/// only when the key is encrypted, up to three times for a passphrase that is typed.
pub(super) fn load_private_key(
    path: &Utf8Path,
    ask: impl Fn(&Utf8Path, u8) -> Result<Passphrase, CommandError>,
) -> Result<PrivateKey, CommandError> {
    let pem = Zeroizing::new(fsx::read(path, MAX_KEY_FILE_BYTES)?);
    WantedKey::Private.check(path, &pem)?;
    let mut attempt = 1;
    loop {
        let mut is_typed = false;
        let loaded = PrivateKey::load(&pem, || {
            let passphrase = ask(path, attempt)?;
            is_typed = passphrase.is_typed;
            Ok(passphrase.secret)
        });
        let error: CommandError = match loaded {
            Ok(key) => return Ok(key),
            Err(error) => error,
        };
        let is_wrong = is_typed && error.kind() == FailureKind::Access;
        if is_wrong && attempt < MAX_TRIES {
            attempt = attempt.saturating_add(1);
            continue;
        }
        let error = error.context(format!("cannot use the key `{path}`"));
        return Err(if is_wrong {
            error.with_help("run the same command again; a lost passphrase cannot be recovered")
        } else {
            error
        });
    }
}

pub(super) fn load_chart_key(
    path: &Utf8Path,
    ask: impl Fn(&Utf8Path, u8) -> Result<Passphrase, CommandError>,
) -> Result<ChartKey, CommandError> {
    let armored = Zeroizing::new(fsx::read(path, MAX_KEY_FILE_BYTES)?);
    ChartKey::load(&armored, || ask(path, 1).map(|asked| asked.secret))
        .map_err(|error: CommandError| error.context(format!("cannot use the chart key `{path}`")))
}

pub(super) fn is_pem(path: &Utf8Path) -> Result<bool, CommandError> {
    Ok(fsx::read_to_string(path, MAX_TRUST_FILE_BYTES)?
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with("-----BEGIN"))
}

pub(super) fn load_public_key(path: &Utf8Path) -> Result<Signer, CommandError> {
    let pem = fsx::read_to_string(path, MAX_KEY_FILE_BYTES)?;
    WantedKey::Public.check(path, pem.as_bytes())?;
    let key = PublicKey::from_pem(&pem).map_err(|error| {
        CommandError::from(error).context(format!("cannot use the key `{path}`"))
    })?;
    Ok(signer(path, &key))
}

/// The holder of a key, by the name of the file that has it.
pub(super) fn signer(path: &Utf8Path, key: &PublicKey) -> Signer {
    Signer {
        name: path.file_name().unwrap_or(path.as_str()).to_owned(),
        key: key.clone(),
    }
}

pub(super) fn load_trust_file(path: &Utf8Path) -> Result<TrustFile, CommandError> {
    read_trust_file(path, &|_| Ok(()))
}

/// The same for the trust file of a site: nobody but root and the user may write it, or a key file
/// that it names.
pub(super) fn load_site_trust_file(path: &Utf8Path) -> Result<TrustFile, CommandError> {
    fsx::check_only_ours(path)?;
    read_trust_file(path, &fsx::check_only_ours)
}

fn read_trust_file(
    path: &Utf8Path,
    check_key: &dyn Fn(&Utf8Path) -> Result<(), PathError>,
) -> Result<TrustFile, CommandError> {
    let text = fsx::read_to_string(path, MAX_TRUST_FILE_BYTES)?;
    WantedKey::TrustFile.check(path, text.as_bytes())?;
    let refused = RefCell::new(None);
    let read_key = |file: &str| {
        let key = fsx::parent(path).join(file);
        // A mistake in the file has a place; that somebody else may write a key is a matter of its
        // own.
        if let Err(error) = check_key(&key)
            && error.action == Action::Trust
        {
            refused.borrow_mut().get_or_insert(error);
        }
        fsx::read_to_string(&key, MAX_KEY_FILE_BYTES)
    };
    let trust = TrustFile::read(path, &text, &read_key);
    if let Some(error) = refused.take() {
        return Err(error.into());
    }
    Ok(trust?)
}
