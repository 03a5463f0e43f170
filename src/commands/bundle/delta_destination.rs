//! A delta that is used as it is, where the registry has the rest of its bundle.

use std::sync::Arc;

use super::{base, open::BundleOptions, push::Destination};
use crate::{
    bundle::{Delta, DeltaError, OpenBundle},
    registry::{Client, ClientConfig},
};
use rune_core::{
    command::{CommandError, block_on},
    fsx,
    progress::Progress,
    text::size,
};

pub(super) struct DeltaDestination<'a> {
    pub(super) destination: &'a Destination,
    pub(super) access: ClientConfig,
    pub(super) reads_releases: bool,
}

impl DeltaDestination<'_> {
    /// Opens the file, if it is a delta whose bundle the registry has the rest of, and says so.
    pub(super) fn open(
        self,
        options: &BundleOptions,
        progress: &dyn Progress,
    ) -> Result<Option<Arc<OpenBundle>>, CommandError> {
        let Some(delta) = open_delta(options)? else {
            return Ok(None);
        };
        let BundleOptions { bundle, .. } = options;
        let head = options.authenticate_head(delta.head().clone())?;
        let Self {
            destination,
            access,
            reads_releases,
        } = self;
        let client = Client::new(access)?;
        let registry = base::registry(&client, destination, "");
        let (opened, present) = block_on(registry.open(head, &delta, reads_releases))
            .map_err(|error| error.context(format!("cannot use `{bundle}`, a delta")))?;
        progress.announce(&format!(
            "note: `{bundle}` is a delta, and all {} others ({}) are at `{destination}`",
            present.count,
            size(present.bytes)
        ));
        Ok(Some(opened))
    }
}

pub(super) fn open_delta(options: &BundleOptions) -> Result<Option<Delta>, CommandError> {
    let BundleOptions { bundle, parts, .. } = options;
    if bundle == "-" || !fsx::is_file(bundle) {
        return Ok(None);
    }
    let refused =
        |error: DeltaError| CommandError::from(error).context(format!("refusing `{bundle}`"));
    Delta::open(bundle, &parts.places, !parts.are_shared).map_err(refused)
}
