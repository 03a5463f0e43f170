//! Key files: read from where a person said, with errors that name the file.

use camino::Utf8Path;
use zeroize::Zeroizing;

use crate::{
    chart::ChartKey,
    commands::CommandError,
    fsx,
    secret::Secret,
    sign::{PrivateKey, PublicKey, TrustFile},
};

/// Far more than any key of the accepted kinds has.
const MAX_KEY_FILE_BYTES: u64 = 64 << 10;

/// Far above what a person writes.
const MAX_TRUST_FILE_BYTES: u64 = 1 << 20;

/// Reads a private key; `passphrase` is asked only when the key is encrypted.
///
/// # Errors
/// When the file cannot be read, is no supported private key, or the passphrase is missing or wrong.
pub(super) fn load_private_key(
    path: &Utf8Path,
    passphrase: impl FnOnce() -> Result<Secret, CommandError>,
) -> Result<PrivateKey, CommandError> {
    let pem = Zeroizing::new(fsx::read(path, MAX_KEY_FILE_BYTES)?);
    PrivateKey::load(&pem, passphrase).map_err(|error: CommandError| error.context(format!("cannot use the key `{path}`")))
}

/// Reads the OpenPGP key that signs charts.
///
/// # Errors
/// As [`load_private_key`], or when this program was built without OpenPGP.
pub(super) fn load_chart_key(path: &Utf8Path, passphrase: impl FnOnce() -> Result<Secret, CommandError>) -> Result<ChartKey, CommandError> {
    let armored = Zeroizing::new(fsx::read(path, MAX_KEY_FILE_BYTES)?);
    ChartKey::load(&armored, passphrase).map_err(|error: CommandError| error.context(format!("cannot use the chart key `{path}`")))
}

/// Reads a public key.
///
/// # Errors
/// When the file cannot be read, or is no supported public key.
pub(super) fn load_public_key(path: &Utf8Path) -> Result<PublicKey, CommandError> {
    let pem = fsx::read_to_string(path, MAX_KEY_FILE_BYTES)?;
    PublicKey::from_pem(&pem).map_err(|error| CommandError::from(error).context(format!("cannot use the key `{path}`")))
}

/// Reads a trust file, and the key files beside it that it names.
///
/// # Errors
/// When the file cannot be read, or anything in it is wrong.
pub(super) fn load_trust_file(path: &Utf8Path) -> Result<TrustFile, CommandError> {
    let text = fsx::read_to_string(path, MAX_TRUST_FILE_BYTES)?;
    let read_key = |file: &str| fsx::read_to_string(&fsx::parent(path).join(file), MAX_KEY_FILE_BYTES);
    Ok(TrustFile::read(path, &text, &read_key)?)
}
