//! A view of a delta, for showing what it is of: authenticated or not.

use super::{BaseRecord, Delta, DeltaContents, DeltaError};
use crate::bundle::{AuthenticatedHead, HeadView, IndexError, Volumes};

#[derive(Debug)]
pub(crate) struct DeltaView {
    delta: Delta,
    head: HeadView,
}

impl DeltaView {
    pub(crate) fn of_authenticated(delta: Delta, head: &AuthenticatedHead) -> Self {
        Self {
            delta,
            head: HeadView::of_authenticated(head),
        }
    }

    pub(crate) fn of_unverified(delta: Delta) -> Result<Self, IndexError> {
        Ok(Self {
            head: HeadView::of_unverified(delta.head())?,
            delta,
        })
    }

    pub(crate) const fn head(&self) -> &HeadView {
        &self.head
    }

    pub(crate) fn volumes(&self) -> Option<&Volumes> {
        self.delta.volumes()
    }

    /// What it was created for, as it says.
    pub(crate) fn bases(&self) -> &[BaseRecord] {
        self.delta.bases()
    }

    pub(crate) fn contents(&self) -> Result<DeltaContents<'_>, DeltaError> {
        self.delta.contents(self.head.index())
    }
}
