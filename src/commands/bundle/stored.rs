//! A bundle that `publish` stored, for the verbs that read it in the registry.

use super::{open::BundleOptions, push::Destination};
use crate::{
    bundle::{
        AuthenticatedHead, Base, BundleIndex, BundleView, Elsewhere, RegistryBase, StoredBundle,
        StoredError,
    },
    oci::Reference,
    registry::{Client, ClientConfig},
};
use rune_core::command::{CommandError, block_on};

/// Which stored bundle, and what it is checked with.
#[derive(Debug, Clone)]
pub(crate) struct StoredOptions {
    pub(crate) reference: Reference,
    pub(crate) trust: BundleOptions,
    /// Whether slots that were blank are filled with signatures that came since.
    pub(crate) with_later_signatures: bool,
    pub(crate) registry: ClientConfig,
}

/// A stored bundle whose head was read.
pub(super) struct Stored<'a> {
    options: &'a StoredOptions,
    pub(super) client: Client,
    pub(super) bundle: StoredBundle,
}

impl StoredOptions {
    /// Reads the head, trusting nothing.
    pub(super) fn open(&self) -> Result<Stored<'_>, CommandError> {
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
    pub(super) fn authenticate(&self) -> Result<AuthenticatedHead, CommandError> {
        let trust = &self.options.trust;
        let head = self.bundle.head().clone().authenticate(&trust.trust()?);
        head.map_err(|error| trust.refused(error.into()))
    }

    /// Where the registry has the entries.
    pub(super) fn entries(&self, index: &BundleIndex) -> Result<Base, CommandError> {
        let destination = destination(&self.options.reference, &index.name)?;
        let repository = |name: &str| destination.name(name);
        let registry = RegistryBase {
            client: &self.client,
            name: destination.to_string(),
            repository: &repository,
        };
        block_on(self.bundle.entries(&registry, index))
    }

    /// Looks into it: after it was authenticated, if there is anything to check it with.
    pub(super) fn view(&self) -> Result<BundleView, CommandError> {
        let trust = &self.options.trust;
        let refused = |error| trust.refused(CommandError::from(error));
        if trust.has_trust() {
            let head = self.authenticate()?;
            let elsewhere = self.elsewhere(head.index())?;
            return BundleView::elsewhere_authenticated(elsewhere, &head).map_err(refused);
        }
        let head = self.bundle.head();
        let (index, _) = head.peek()?;
        BundleView::elsewhere_unverified(self.elsewhere(&index)?, head).map_err(refused)
    }

    pub(super) fn elsewhere(&self, index: &BundleIndex) -> Result<Elsewhere, CommandError> {
        Ok(Elsewhere::of(&self.client, self.entries(index)?))
    }
}

/// Where the images and charts are of a bundle whose index is at a reference: `push` writes all of
/// them below one prefix.
pub(super) fn destination(reference: &Reference, name: &str) -> Result<Destination, CommandError> {
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
