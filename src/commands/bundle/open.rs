//! Opening a bundle: where it is, and who must vouch for it.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::keys::load_public_key;
use crate::{
    bundle::{AuthenticatedHead, BundleSource, OpenBundle, Trust, UnverifiedHead},
    commands::CommandError,
    failure::{Failure, FailureKind},
    fsx,
    oci::Digest,
};

/// Which bundle, and what it is checked with.
#[derive(Debug, Clone)]
pub struct BundleOptions {
    /// The file, or `-` for standard input.
    pub bundle: Utf8PathBuf,
    /// Files with public keys.
    pub keys: Vec<Utf8PathBuf>,
    /// How many distinct keys must have signed.
    pub threshold: usize,
    /// The digest that the bundle must have.
    pub digest: Option<Digest>,
}

/// What is read in any order cannot come through a pipe.
#[derive(Debug, thiserror::Error)]
#[error("the bundle must be a file, not a pipe: it is read in place")]
struct NotAFile;

impl Failure for NotAFile {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }
}

impl BundleOptions {
    /// Whether anything was given to check the bundle with.
    pub(super) fn has_trust(&self) -> bool {
        !self.keys.is_empty() || self.digest.is_some()
    }

    /// Opens the bundle and reads its head, trusting nothing.
    pub(super) fn open(&self) -> Result<(BundleSource, UnverifiedHead), CommandError> {
        let mut source = match self.bundle.as_str() {
            "-" => BundleSource::Stream(Box::new(std::io::stdin())),
            _ => match fsx::open(&self.bundle)? {
                file if fsx::is_regular(&file) => BundleSource::File(file),
                // A pipe or a tape: readable once, from beginning to end.
                stream => BundleSource::Stream(Box::new(stream)),
            },
        };
        let head = source.read_head().map_err(|error| CommandError::from(error).context(format!("cannot read `{}`", self.bundle)))?;
        Ok((source, head))
    }

    /// Opens the bundle and authenticates its head.
    pub(super) fn authenticate(&self) -> Result<(BundleSource, AuthenticatedHead), CommandError> {
        let trust = self.trust()?;
        let (source, head) = self.open()?;
        Ok((source, head.authenticate(&trust).map_err(|error| CommandError::from(error).context(format!("refusing `{}`", self.bundle)))?))
    }

    /// Opens the bundle for reading its contents where they lie, authenticated.
    pub(super) fn open_in_place(&self) -> Result<Arc<OpenBundle>, CommandError> {
        let (source, head) = self.authenticate()?;
        let BundleSource::File(file) = source else { return Err(NotAFile.into()) };
        OpenBundle::open(file, head).map_err(|error| CommandError::from(error).context(format!("refusing `{}`", self.bundle)))
    }

    /// What the head is authenticated with.
    pub(super) fn trust(&self) -> Result<Trust, CommandError> {
        let keys = self.keys.iter().map(|path| load_public_key(path)).collect::<Result<_, _>>()?;
        Ok(Trust::new(keys, self.threshold, self.digest)?)
    }
}

/// How many threads hash at the same time.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
