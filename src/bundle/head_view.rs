//! What a head says, for showing it: authenticated or not.

use super::{AuthenticatedHead, BundleIndex, IndexError, Quorum, SlotState, UnverifiedHead};
use crate::archive::Layout;
use rune_core::digest::Digest;

#[derive(Debug)]
pub(crate) struct HeadView {
    index: BundleIndex,
    digest: Digest,
    layout: Layout,
    signatures: Vec<SlotState>,
    quorum: Option<Quorum>,
    is_verified: bool,
}

impl HeadView {
    pub(super) fn of_authenticated(head: &AuthenticatedHead) -> Self {
        Self {
            index: head.index().clone(),
            digest: head.digest(),
            layout: head.layout().clone(),
            signatures: head.slots().to_vec(),
            quorum: head.quorum().cloned(),
            is_verified: true,
        }
    }

    /// Everything that it shows is only what the file claims.
    pub(super) fn of_unverified(head: &UnverifiedHead) -> Result<Self, IndexError> {
        let (index, signatures) = head.peek()?;
        let layout = index.layout(head.index_size())?;
        Ok(Self {
            index,
            digest: head.digest(),
            layout,
            signatures,
            quorum: None,
            is_verified: false,
        })
    }

    pub(crate) const fn index(&self) -> &BundleIndex {
        &self.index
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn signatures(&self) -> &[SlotState] {
        &self.signatures
    }

    /// Which of the trusted signers have signed; nothing when none were given.
    pub(crate) const fn quorum(&self) -> Option<&Quorum> {
        self.quorum.as_ref()
    }

    /// Whether a trusted key or digest authenticates the bundle index.
    pub(crate) const fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// The size of the whole bundle, in bytes.
    pub(crate) const fn bundle_bytes(&self) -> u64 {
        self.layout.total_bytes()
    }
}
