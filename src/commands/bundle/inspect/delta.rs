//! What a delta has of its bundle, and what it needs from elsewhere.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    archive::EntryName,
    bundle::{BaseRecord, BundleIndex, Delta, DeltaContents, EntryRecord, Tally},
};
use rune_core::text::{exact_size, shown};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeltaReport {
    bytes: u64,
    included: Tally,
    needed: Tally,
    needed_entries: BTreeSet<EntryName>,
    /// What it was created for. That is not signed.
    bases: Vec<BaseRecord>,
}

impl DeltaReport {
    pub(super) fn new(delta: &Delta, contents: &DeltaContents<'_>, index: &BundleIndex) -> Self {
        let needed = index.entries.iter().filter(|entry| !contents.has(entry));
        let needed_entries = needed.map(|entry| entry.path.clone()).collect();
        let (included, needed) = contents.tallies(index);
        Self {
            bytes: contents.bytes(),
            included,
            needed,
            needed_entries,
            bases: delta.bases().to_vec(),
        }
    }

    pub(super) fn needs(&self, entry: &EntryRecord) -> bool {
        self.needed_entries.contains(&entry.path)
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "delta          {}\nincluded       {}\n",
            exact_size(self.bytes),
            self.included
        );
        text.push_str(&format!("needed         {}, from elsewhere\n", self.needed));
        for base in &self.bases {
            text.push_str(&format!(
                "base           {}, as the delta claims\n",
                shown(&base.to_string())
            ));
        }
        text
    }
}
