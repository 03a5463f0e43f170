//! A bundle that `publish` stored, for the verbs that read it in the registry.

use super::{base, open::BundleOptions, push::Destination};
use crate::{
    bundle::{
        AuthenticatedHead, Base, BundleIndex, BundleView, Elsewhere, StoredBundle, StoredError,
        Trust,
    },
    oci::Reference,
    registry::{Client, ClientConfig},
};
use rune_core::command::{CommandError, block_on};

#[derive(Debug, Clone)]
pub(crate) struct StoredOptions {
    pub(crate) reference: Reference,
    pub(crate) trust: BundleOptions,
    /// Whether slots that were blank are filled with signatures that came since.
    pub(crate) with_later_signatures: bool,
    pub(crate) registry: ClientConfig,
}

pub(super) struct Stored<'a> {
    options: &'a StoredOptions,
    pub(super) client: Client,
    pub(super) bundle: StoredBundle,
}

impl StoredOptions {
    pub(super) fn open(&self) -> Result<(Stored<'_>, AuthenticatedHead), CommandError> {
        let trust = self.trust.trust()?;
        let stored = self.read()?;
        let head = stored.authenticate(&trust)?;
        Ok((stored, head))
    }

    /// Opens it for showing: after it was authenticated, if there is anything to check it with.
    pub(super) fn view(&self) -> Result<BundleView, CommandError> {
        let trust = self.trust.has_trust().then(|| self.trust.trust());
        let trust = trust.transpose()?;
        let stored = self.read()?;
        let refused = |error| self.trust.refused(CommandError::from(error));
        if let Some(trust) = trust {
            let head = stored.authenticate(&trust)?;
            let elsewhere = stored.elsewhere(head.index())?;
            return BundleView::elsewhere_authenticated(elsewhere, &head).map_err(refused);
        }
        let head = stored.bundle.head();
        let (index, _) = head.peek()?;
        BundleView::elsewhere_unverified(stored.elsewhere(&index)?, head).map_err(refused)
    }

    fn read(&self) -> Result<Stored<'_>, CommandError> {
        let client = Client::new(self.registry.clone())?;
        let bundle = block_on(StoredBundle::read(
            &client,
            &self.reference,
            self.with_later_signatures,
        ))?;
        Ok(Stored {
            options: self,
            client,
            bundle,
        })
    }
}

impl Stored<'_> {
    fn authenticate(&self, trust: &Trust) -> Result<AuthenticatedHead, CommandError> {
        let head = self.bundle.head().clone().authenticate(trust);
        head.map_err(|error| self.options.trust.refused(error.into()))
    }

    pub(super) fn entries(&self, index: &BundleIndex) -> Result<Base, CommandError> {
        let destination = destination(&self.options.reference, &index.name)?;
        let registry = base::registry(&self.client, &destination, "");
        block_on(self.bundle.entries(&registry, index))
    }

    pub(super) fn elsewhere(&self, index: &BundleIndex) -> Result<Elsewhere, CommandError> {
        Ok(Elsewhere::of(&self.client, self.entries(index)?))
    }
}

/// Where the images and charts are of a bundle whose index is at a reference: `push` writes all of
/// them below one prefix.
fn destination(reference: &Reference, name: &str) -> Result<Destination, CommandError> {
    let repository = reference.repository();
    let prefix = |suffix: String| repository.strip_suffix(&suffix);
    let nested = prefix(format!("bundles/{name}")).map(|prefix| (prefix, false));
    let found = nested.or_else(|| Some((prefix(format!("bundles-{name}"))?, true)));
    let (prefix, is_flat) = found
        .filter(|(prefix, _)| prefix.is_empty() || prefix.ends_with('/'))
        .ok_or_else(|| StoredError::OtherName {
            reference: reference.to_string(),
            name: name.to_owned(),
            repository: format!("bundles/{name}"),
        })?;
    let destination: Destination = format!("{}/{prefix}", reference.registry()).parse()?;
    Ok(destination.flattened(is_flat))
}
