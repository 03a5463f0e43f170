//! `keygen`: a new key pair in cosign's format.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::sign::{Algorithm, PrivateKey, PublicKey};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    failure::Failure,
    fsx,
    secret::Secret,
};

#[derive(Debug)]
pub(crate) struct KeygenOptions {
    pub(crate) prefix: Utf8PathBuf,
    pub(crate) is_dry_run: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeygenReport {
    dry_run: bool,
    algorithm: &'static str,
    private_key: Utf8PathBuf,
    public_key: Utf8PathBuf,
    /// Nothing in a dry run: the key does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Digest>,
}

#[derive(Debug, thiserror::Error, Failure)]
enum KeygenError {
    #[error("`{0}` already exists")]
    #[failure(Conflict: "nothing was written; choose another name with --output, or move the old \
        key pair away yourself")]
    Exists(Utf8PathBuf),
    #[error("`{0}` is not a file name to put `.key` and `.pub` behind")]
    #[failure(Usage: "give a path such as `keys/cosign`")]
    Prefix(Utf8PathBuf),
    #[error("`{0}` is a directory, and `.key` and `.pub` are put behind a file name")]
    #[failure(Usage: format!("give a file name in it with --output, such as `{}`",
        .0.join("cosign")))]
    Directory(Utf8PathBuf),
}

/// Makes a key pair. The passphrase is asked for once it is known that both files can be made.
pub(crate) fn run(
    options: &KeygenOptions,
    passphrase: impl FnOnce() -> Result<Secret, CommandError>,
) -> Result<KeygenReport, CommandError> {
    let prefix = &options.prefix;
    if prefix.as_str().ends_with('/') || prefix.file_name().is_none() {
        return Err(KeygenError::Prefix(prefix.clone()).into());
    }
    if fsx::is_dir(prefix) {
        return Err(KeygenError::Directory(prefix.clone()).into());
    }
    let (private_path, public_path) = (with_suffix(prefix, "key"), with_suffix(prefix, "pub"));
    if let Some(taken) = [&private_path, &public_path]
        .into_iter()
        .find(|path| fsx::is_taken(path))
    {
        return Err(KeygenError::Exists(taken.clone()).into());
    }
    // Asks about the directory before anybody types a passphrase.
    fsx::check_keeps_private(fsx::parent(prefix))?;

    let key = if options.is_dry_run {
        None
    } else {
        Some(write_pair(&private_path, &public_path, &passphrase()?)?)
    };
    let public = key.as_ref().map(PrivateKey::public_key);
    Ok(KeygenReport {
        dry_run: options.is_dry_run,
        algorithm: Algorithm::EcdsaP256.name(),
        private_key: private_path,
        public_key: public_path,
        key_id: public.map(PublicKey::key_id),
        fingerprint: public.map(PublicKey::fingerprint),
    })
}

/// Both files or neither: the private one comes first, and goes again when the public one cannot be
/// written.
fn write_pair(
    private_path: &Utf8Path,
    public_path: &Utf8Path,
    passphrase: &Secret,
) -> Result<PrivateKey, CommandError> {
    let key = PrivateKey::generate()?;
    fsx::write_private(private_path, key.to_encrypted_pem(passphrase)?.as_bytes())?;
    if let Err(error) = fsx::write_new(public_path, key.public_key().to_pem().as_bytes(), 0o644) {
        fsx::remove_file(private_path)?;
        return Err(error.into());
    }
    Ok(key)
}

fn with_suffix(prefix: &Utf8Path, suffix: &str) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{prefix}.{suffix}"))
}

impl Report for KeygenReport {
    const VERB: &'static str = "keygen";

    fn text(&self) -> String {
        let Self {
            algorithm,
            private_key,
            public_key,
            ..
        } = self;
        let Some(fingerprint) = self.fingerprint.map(|fingerprint| fingerprint.grouped()) else {
            return format!("would write {private_key} and {public_key} ({algorithm})\n");
        };
        format!(
            "private key  {private_key} ({algorithm}, encrypted)\n\
             public key   {public_key}\n\
             fingerprint  {fingerprint}\n\
             \n\
             Keep {private_key} and its passphrase to yourself; neither can be recovered.\n\
             Hand {public_key} to those who will receive bundles out of band, and let them\n\
             compare the fingerprint: a key that comes with a bundle proves nothing about it.\n"
        )
    }
}
