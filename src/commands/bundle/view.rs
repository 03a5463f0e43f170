//! Looking into bundles, verified or not.

use camino::Utf8PathBuf;

use super::{
    delta_destination::open_delta,
    open::{BundleOptions, Parts, SignerOptions},
    trust_source::TrustSource,
};
use crate::bundle::{BundleSource, BundleView, DeltaView};
use rune_core::{command::CommandError, digest::Digest, failure::Failure};

/// One or two bundles, and what all of them are checked with.
#[derive(Debug, Clone)]
pub(crate) struct ViewOptions {
    pub(crate) parts: Parts,
    pub(crate) signers: SignerOptions,
    pub(crate) digests: Vec<Digest>,
}

#[derive(Debug, thiserror::Error, Failure)]
#[error("`{0}` is not a regular file; this command needs to seek")]
#[failure(Usage: "save the bundle as a file first, and name that")]
struct NoFile(Utf8PathBuf);

impl ViewOptions {
    pub(super) fn trust_source(&self) -> Option<TrustSource> {
        TrustSource::of(&self.signers, &self.digests)
    }

    /// Looks into a bundle: after it was authenticated, if there is anything to check it with.
    pub(super) fn open(&self, bundle: &Utf8PathBuf) -> Result<BundleView, CommandError> {
        let mut options = self.of(bundle);
        let (source, head) = options.open()?;
        let BundleSource::File(file) = source else {
            return Err(NoFile(bundle.clone()).into());
        };
        options.digest = self.expected(head.digest());
        if options.has_trust() {
            let head = options.authenticate_head(head)?;
            return BundleView::of_authenticated(file, &head)
                .map_err(|error| options.refused(error.into()));
        }
        let unreadable = |error: CommandError| error.context(format!("cannot read `{bundle}`"));
        BundleView::of_unverified(file, &head).map_err(|error| unreadable(error.into()))
    }

    /// Looks into a delta in the same way; nothing when the file is not one.
    pub(super) fn open_delta(
        &self,
        bundle: &Utf8PathBuf,
    ) -> Result<Option<DeltaView>, CommandError> {
        let mut options = self.of(bundle);
        let Some(delta) = open_delta(&options)? else {
            return Ok(None);
        };
        let head = delta.head().clone();
        options.digest = self.expected(head.digest());
        if options.has_trust() {
            let head = options.authenticate_head(head)?;
            return Ok(Some(DeltaView::of_authenticated(delta, &head)));
        }
        let view = DeltaView::of_unverified(delta).map_err(|error| {
            CommandError::from(error).context(format!("cannot read `{bundle}`"))
        })?;
        Ok(Some(view))
    }

    pub(super) fn is_delta(&self, bundle: &Utf8PathBuf) -> Result<bool, CommandError> {
        Ok(open_delta(&self.of(bundle))?.is_some())
    }

    fn of(&self, bundle: &Utf8PathBuf) -> BundleOptions {
        BundleOptions {
            bundle: bundle.clone(),
            parts: self.parts.clone(),
            signers: self.signers.clone(),
            digest: None,
            verified: None,
        }
    }

    /// Which of the given digests a bundle with this one must have.
    fn expected(&self, digest: Digest) -> Option<Digest> {
        let is_given = self.digests.contains(&digest);
        is_given
            .then_some(digest)
            .or_else(|| self.digests.first().copied())
    }
}
