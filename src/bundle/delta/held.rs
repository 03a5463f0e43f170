//! The contents that a receiver has, as far as somebody said: they are left out of a delta.

use std::collections::{BTreeMap, BTreeSet};

use super::BaseRecord;
use crate::bundle::{BundleIndex, IndexError, UnverifiedHead};
use rune_core::digest::Digest;

/// The contents of some bases.
#[derive(Debug, Default)]
pub struct Held {
    pub(super) digests: BTreeSet<Digest>,
    pub(super) bases: Vec<BaseRecord>,
}

impl Held {
    /// Adds everything that a bundle says it has. Nobody needs to vouch for it: what turns out not
    /// to be there is named when the delta is applied.
    ///
    /// # Errors
    /// When the index is none that this program understands.
    pub fn add_bundle(&mut self, head: &UnverifiedHead) -> Result<(), IndexError> {
        let (index, _) = head.peek()?;
        self.bases.push(BaseRecord {
            name: format!("{} {}", index.name, index.version),
            bundle: Some(head.digest()),
        });
        self.digests.extend(sizes(&index).into_keys());
        Ok(())
    }

    pub fn into_bases(self) -> Vec<BaseRecord> {
        self.bases
    }
}

/// The size of each content of a bundle.
fn sizes(index: &BundleIndex) -> BTreeMap<Digest, u64> {
    let entries = index.entries.iter();
    entries.map(|entry| (entry.sha256, entry.size)).collect()
}
