//! A view of a delta, for showing what it is of: authenticated or not.

use super::{BaseRecord, Delta, DeltaContents, DeltaError};
use crate::bundle::{AuthenticatedHead, BundleIndex, IndexError, SlotState, Volumes};
use rune_core::digest::Digest;

#[derive(Debug)]
pub(crate) struct DeltaView {
    delta: Delta,
    index: BundleIndex,
    digest: Digest,
    bundle_bytes: u64,
    signatures: Vec<SlotState>,
    is_verified: bool,
}

impl DeltaView {
    pub(crate) fn of_authenticated(delta: Delta, head: &AuthenticatedHead) -> Self {
        Self {
            delta,
            index: head.index().clone(),
            digest: head.digest(),
            bundle_bytes: head.layout().total_bytes(),
            signatures: head.slots().to_vec(),
            is_verified: true,
        }
    }

    /// Everything that it shows is only what the file claims.
    pub(crate) fn of_unverified(delta: Delta) -> Result<Self, IndexError> {
        let head = delta.head();
        let (index, signatures) = head.peek()?;
        let bundle_bytes = index.layout(head.index_size())?.total_bytes();
        Ok(Self {
            digest: head.digest(),
            delta,
            index,
            bundle_bytes,
            signatures,
            is_verified: false,
        })
    }

    pub(crate) const fn index(&self) -> &BundleIndex {
        &self.index
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// The size of the whole bundle.
    pub(crate) const fn bundle_bytes(&self) -> u64 {
        self.bundle_bytes
    }

    pub(crate) fn signatures(&self) -> &[SlotState] {
        &self.signatures
    }

    pub(crate) const fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// The volumes that the delta is read from, if it is.
    pub(crate) fn volumes(&self) -> Option<&Volumes> {
        self.delta.volumes()
    }

    /// What it was created for, as it says.
    pub(crate) fn bases(&self) -> &[BaseRecord] {
        self.delta.bases()
    }

    pub(crate) fn contents(&self) -> Result<DeltaContents<'_>, DeltaError> {
        self.delta.contents(&self.index)
    }
}
