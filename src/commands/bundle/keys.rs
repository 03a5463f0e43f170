//! Key files: read from where a person said, with errors that name the file.

use camino::{Utf8Path, Utf8PathBuf};
use zeroize::Zeroizing;

use crate::{
    commands::CommandError,
    failure::{Failure, FailureKind},
    fsx,
    secret::Secret,
    sign::{PrivateKey, PublicKey, SignError},
};

/// Far more than any key of the accepted kinds has.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the key `{path}`")]
pub(super) struct KeyFileError {
    path: Utf8PathBuf,
    source: SignError,
}

impl KeyFileError {
    fn of(path: &Utf8Path) -> impl FnOnce(SignError) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

impl Failure for KeyFileError {
    fn kind(&self) -> FailureKind {
        self.source.kind()
    }

    fn help(&self) -> Option<String> {
        self.source.help()
    }
}

/// Reads a private key; `passphrase` is asked only when the key is encrypted.
///
/// # Errors
/// When the file cannot be read, is no supported private key, or the passphrase is missing or wrong.
pub(super) fn load_private_key(
    path: &Utf8Path,
    passphrase: impl FnOnce() -> Result<Secret, CommandError>,
) -> Result<PrivateKey, CommandError> {
    enum Refusal {
        Key(SignError),
        Passphrase(CommandError),
    }
    impl From<SignError> for Refusal {
        fn from(error: SignError) -> Self {
            Self::Key(error)
        }
    }
    let pem = Zeroizing::new(fsx::read(path, MAX_KEY_FILE_BYTES)?);
    PrivateKey::load(&pem, || passphrase().map_err(Refusal::Passphrase)).map_err(|refusal| match refusal {
        Refusal::Key(error) => KeyFileError::of(path)(error).into(),
        Refusal::Passphrase(error) => error,
    })
}

/// Reads a public key.
///
/// # Errors
/// When the file cannot be read, or is no supported public key.
pub(super) fn load_public_key(path: &Utf8Path) -> Result<PublicKey, CommandError> {
    let pem = fsx::read_to_string(path, MAX_KEY_FILE_BYTES)?;
    Ok(PublicKey::from_pem(&pem).map_err(KeyFileError::of(path))?)
}
