//! What a page is about: a bundle, or a delta of one.

use crate::bundle::{BundleIndex, BundleView, DeltaView, SlotState, Volumes};
use rune_core::digest::Digest;

pub(super) struct Subject<'a> {
    pub(super) index: &'a BundleIndex,
    pub(super) digest: Digest,
    pub(super) signatures: &'a [SlotState],
    pub(super) is_verified: bool,
    /// The size of the whole bundle.
    pub(super) bytes: u64,
    pub(super) volumes: Option<&'a Volumes>,
    /// The documents of the bundle. A delta lacks some of them.
    pub(super) view: Option<&'a BundleView>,
}

impl<'a> Subject<'a> {
    pub(super) fn of(view: &'a BundleView) -> Self {
        Self {
            index: view.index(),
            digest: view.digest(),
            signatures: view.signatures(),
            is_verified: view.is_verified(),
            bytes: view.total_bytes(),
            volumes: view.volumes(),
            view: Some(view),
        }
    }

    pub(super) fn of_delta(delta: &'a DeltaView) -> Self {
        Self {
            index: delta.index(),
            digest: delta.digest(),
            signatures: delta.signatures(),
            is_verified: delta.is_verified(),
            bytes: delta.bundle_bytes(),
            volumes: delta.volumes(),
            view: None,
        }
    }
}
