//! Opening a bundle: where it is, and what it is verified with.

use std::sync::Arc;

use camino::Utf8PathBuf;

use super::{
    keys::{load_public_key, load_site_trust_file, load_trust_file},
    trust_source::TrustSource,
};
use crate::{
    bundle::{
        self, AuthenticatedHead, BundleFile, BundleSource, Documents, HeadError, OpenBundle, Trust,
        UnverifiedHead, VerifiedFiles,
    },
    policy::{Evaluation, Policy},
};
use rune_core::{
    command::CommandError,
    digest::Digest,
    failure::Failure,
    fsx::{self, Stamp},
};

#[derive(Debug, Clone)]
pub struct BundleOptions {
    pub bundle: Utf8PathBuf,
    pub parts: Parts,
    pub signers: SignerOptions,
    pub digest: Option<Digest>,
    pub verified: Option<VerifiedFiles>,
}

#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Files, and directories to look in, besides the directory of the bundle.
    pub(crate) places: Vec<Utf8PathBuf>,
    /// Whether some of these files may belong to another bundle.
    pub(crate) are_shared: bool,
}

#[derive(Debug, Clone)]
pub struct SignerOptions {
    pub keys: Vec<Utf8PathBuf>,
    pub threshold: usize,
    /// A trust file, which has keys and a threshold of its own; then there are no other keys.
    pub trust_file: Option<Utf8PathBuf>,
    pub origin: Origin,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Options,
    Variable(&'static str),
    /// This site file. The trust file must then be as safe from others as that is.
    Site(Utf8PathBuf),
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("`{0}` is not a file, and blobs can be read from a file only")]
#[failure(Usage: "store the bundle in a file first")]
struct NotAFile(Utf8PathBuf);

impl BundleOptions {
    /// Whether anything was given to check the bundle with.
    pub(super) fn has_trust(&self) -> bool {
        !self.signers.keys.is_empty() || self.signers.trust_file.is_some() || self.digest.is_some()
    }

    pub(super) fn trust_source(&self) -> Option<TrustSource> {
        TrustSource::of(&self.signers, self.digest.as_slice())
    }

    pub(super) fn open(&self) -> Result<(BundleSource, UnverifiedHead), CommandError> {
        let mut source = match self.bundle.as_str() {
            "-" => BundleSource::Stream(Box::new(std::io::stdin())),
            _ => match fsx::open(&self.bundle)? {
                file if fsx::is_regular(&file) => BundleSource::File(BundleFile::open(
                    &self.bundle,
                    &self.parts.places,
                    !self.parts.are_shared,
                )?),
                // A pipe or a tape: readable once, from beginning to end.
                stream => BundleSource::Stream(Box::new(stream)),
            },
        };
        let head = source.read_head().map_err(|error| self.no_head(error))?;
        Ok((source, head))
    }

    pub(super) fn authenticate(&self) -> Result<(BundleSource, AuthenticatedHead), CommandError> {
        let trust = self.trust()?;
        let (source, head) = self.open()?;
        let head = head
            .authenticate(&trust)
            .map_err(|error| self.refused(error.into()))?;
        source.check_length(head.layout()).map_err(|error| {
            CommandError::from(error).context(format!("refusing `{}`", self.bundle))
        })?;
        Ok((source, head))
    }

    /// Authenticates a head that is read already, of a delta or volume.
    pub(super) fn authenticate_head(
        &self,
        head: UnverifiedHead,
    ) -> Result<AuthenticatedHead, CommandError> {
        head.authenticate(&self.trust()?)
            .map_err(|error| self.refused(error.into()))
    }

    /// Why the file does not begin as a bundle does, with the command for one that was compressed.
    fn no_head(&self, error: HeadError) -> CommandError {
        let compression = match &error {
            HeadError::Compressed(compression) => Some(*compression),
            _ => None,
        };
        let error = CommandError::from(error).context(format!("cannot read `{}`", self.bundle));
        match compression {
            Some(compression) => error.with_help(compression.help(self.bundle.as_str())),
            None => error,
        }
    }

    /// Why the bundle is not trusted. Who reads the command line alone does not see trust that
    /// comes from elsewhere.
    pub(super) fn refused(&self, error: CommandError) -> CommandError {
        let elsewhere = self
            .trust_source()
            .filter(|_| self.signers.origin != Origin::Options);
        let trust = elsewhere
            .map(|source| format!(", which was checked with {source}"))
            .unwrap_or_default();
        error.context(format!("refusing `{}`{trust}", self.bundle))
    }

    /// Opens the bundle, authenticates its head and reads its documents, so that its entries can be
    /// given away from where they lie.
    pub(super) fn open_in_place(&self) -> Result<Arc<OpenBundle>, CommandError> {
        let (source, head) = self.authenticate()?;
        let file = self.file(source)?;
        let verified = self.verified(&file, &head);
        OpenBundle::open(file, head, verified).map_err(|error| {
            CommandError::from(error).context(format!("refusing `{}`", self.bundle))
        })
    }

    /// What the file looks like, if it was verified before and nobody wrote to it since.
    pub(super) fn verified(
        &self,
        file: &BundleFile,
        head: &AuthenticatedHead,
    ) -> Option<Arc<[Stamp]>> {
        let records = self.verified.as_ref()?;
        records.find(head.digest(), file)
    }

    pub(super) fn file(&self, source: BundleSource) -> Result<BundleFile, CommandError> {
        match source {
            BundleSource::File(file) => Ok(file),
            BundleSource::Stream(_) => Err(NotAFile(self.bundle.clone()).into()),
        }
    }

    /// Evaluates what was verified. Signed attestations are read again, from a file.
    pub(super) fn evaluate(
        &self,
        head: &AuthenticatedHead,
        documents: &Documents,
        policy: &Policy,
    ) -> Result<Evaluation, CommandError> {
        let index = head.index();
        let again = bundle::needs_attestations(index, policy).then(|| self.open_in_place());
        let again = again.transpose()?;
        Ok(bundle::evaluate(
            index,
            documents,
            policy,
            again.as_deref(),
        )?)
    }

    pub(super) fn trust(&self) -> Result<Trust, CommandError> {
        self.signers.trust(self.digest)
    }
}

impl SignerOptions {
    pub(super) fn trust(&self, digest: Option<Digest>) -> Result<Trust, CommandError> {
        let SignerOptions {
            keys,
            threshold,
            trust_file,
            origin,
        } = self;
        if let Some(path) = trust_file {
            let file = match origin {
                Origin::Options => load_trust_file(path)?,
                Origin::Variable(name) => load_trust_file(path)
                    .map_err(|error| error.context(format!("cannot use what {name} names")))?,
                Origin::Site(site) => load_site_trust_file(path).map_err(|error| {
                    error.context(format!(
                        "cannot use the trust file that the site file `{site}` names"
                    ))
                })?,
            };
            return Ok(Trust::of_file(file, digest));
        }
        let keys = keys
            .iter()
            .map(|path| load_public_key(path))
            .collect::<Result<_, _>>()?;
        Ok(Trust::new(keys, *threshold, digest)?)
    }
}

pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
