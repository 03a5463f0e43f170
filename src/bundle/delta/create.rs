//! Which bytes a delta has: the plan of a bundle without the entries that are held already.

use std::{collections::BTreeSet, fmt};

use super::{DeltaError, Held, record::DeltaRecord};
use crate::{
    archive::{Entry, Layout, Placed},
    bundle::{
        BundleIndex, EntryRecord,
        materialise::{Content, Plan},
    },
};
use rune_core::{digest::Sha256, text::exact_size};

/// The entries that lead to all others. No registry has them, so they are in every delta.
const ROOTS: [&str; 2] = ["index.json", "artifacts/index.json"];

#[derive(Debug)]
pub(crate) struct DeltaPlan {
    pub(crate) plan: Plan,
    pub(crate) included: Tally,
    pub(crate) left_out: Tally,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Tally {
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.count == 1 { "entry" } else { "entries" };
        let count = self.count;
        write!(formatter, "{count} {noun}, {}", exact_size(self.bytes))
    }
}

impl Tally {
    pub(crate) fn of<'a>(entries: impl Iterator<Item = &'a EntryRecord>) -> Self {
        let mut tally = Self::default();
        entries.for_each(|entry| tally.add(entry));
        tally
    }

    pub(super) const fn add(&mut self, entry: &EntryRecord) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.size);
    }
}

impl DeltaPlan {
    /// Takes from the plan of a bundle what is not held, each content once.
    pub(crate) fn new(bundle: Plan, index: &BundleIndex, held: &Held) -> Result<Self, DeltaError> {
        let head = bundle.entries().saturating_sub(index.entries.len());
        let mut seen = BTreeSet::new();
        let is_included: Vec<bool> = index
            .entries
            .iter()
            .map(|entry| {
                let is_needed =
                    ROOTS.contains(&entry.path.as_str()) || !held.digests.contains(&entry.sha256);
                is_needed && seen.insert(entry.sha256)
            })
            .collect();
        let entries = |wanted: bool| {
            let entries = index.entries.iter().zip(&is_included);
            entries.filter_map(move |(entry, is)| (*is == wanted).then_some(entry))
        };
        let names = entries(true).map(|entry| entry.path.clone()).collect();
        let record = DeltaRecord::new(bundle.digest, held.bases.clone(), names).to_bytes()?;
        let mut identity = Sha256::new();
        identity.update(&record);
        let size = record.len() as u64;
        let (placed, contents): (Vec<&Placed>, Vec<Content>) = bundle
            .layout
            .entries()
            .iter()
            .zip(bundle.contents)
            .zip(std::iter::repeat_n(&true, head).chain(&is_included))
            .filter_map(|(both, is_included)| is_included.then_some(both))
            .unzip();
        let layout = Layout::new(std::iter::once(DeltaRecord::entry(size)?).chain(
            placed.into_iter().map(|placed| Entry {
                name: placed.name().clone(),
                size: placed.size(),
                mode: placed.mode(),
            }),
        ))?;
        Ok(Self {
            included: Tally::of(entries(true)),
            left_out: Tally::of(entries(false)),
            plan: Plan {
                // The record names the bundle and every entry.
                digest: identity.finish(),
                layout,
                contents: std::iter::once(Content::Bytes(record.into()))
                    .chain(contents)
                    .collect(),
            },
        })
    }
}
