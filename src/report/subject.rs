//! What a page is about: a bundle, or a delta of one.

use crate::bundle::{BundleView, DeltaView, HeadView, Volumes};

pub(super) struct Subject<'a> {
    pub(super) head: &'a HeadView,
    pub(super) volumes: Option<&'a Volumes>,
    /// The documents of the bundle. A delta lacks some of them.
    pub(super) view: Option<&'a BundleView>,
}

impl<'a> Subject<'a> {
    pub(super) fn of(view: &'a BundleView) -> Self {
        Self {
            head: view.head(),
            volumes: view.volumes(),
            view: Some(view),
        }
    }

    pub(super) fn of_delta(delta: &'a DeltaView) -> Self {
        Self {
            head: delta.head(),
            volumes: delta.volumes(),
            view: None,
        }
    }
}
