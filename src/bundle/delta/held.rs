//! The entries that a receiver has, as far as somebody said: they are left out of a delta.

use std::collections::BTreeSet;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::{BaseRecord, DeltaError, Tally};
use crate::canonical_json;
use rune_core::{digest::Digest, fsx};

const FORMAT: u64 = 1;

/// The most bytes that are read of a list: a million entries.
const MAX_LIST_BYTES: u64 = 80 << 20;

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(super) digests: BTreeSet<Digest>,
    pub(super) bases: Vec<BaseRecord>,
    pub(super) bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HaveList {
    format: u64,
    bases: Vec<BaseRecord>,
    digests: BTreeSet<Digest>,
}

impl Held {
    /// What it says is not trusted.
    pub(crate) fn add_list(&mut self, path: &Utf8Path) -> Result<(), DeltaError> {
        let bytes = fsx::read(path, MAX_LIST_BYTES)?;
        let list: HaveList =
            canonical_json::from_bytes(&bytes).map_err(|source| DeltaError::List {
                path: path.to_owned(),
                source,
            })?;
        if list.format != FORMAT {
            return Err(DeltaError::Format(list.format));
        }
        self.bases.extend(list.bases);
        self.digests.extend(list.digests);
        Ok(())
    }

    pub(crate) fn to_list(&self) -> Result<Vec<u8>, DeltaError> {
        let list = HaveList {
            format: FORMAT,
            bases: self.bases.clone(),
            digests: self.digests.clone(),
        };
        canonical_json::to_bytes(&list).map_err(DeltaError::Record)
    }

    /// How many entries were found to be as they should be.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            count: self.digests.len(),
            bytes: self.bytes,
        }
    }

    pub(crate) fn into_bases(self) -> Vec<BaseRecord> {
        self.bases
    }
}
