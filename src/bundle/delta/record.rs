//! What a delta says of itself: which entries of which bundle it has, and what it was created for.
//!
//! It is not signed. The entries are compared with the signed bundle index, and what it was created
//! for is only shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::DeltaError;
use crate::{
    archive::{Entry, EntryName, EntryNameError, Mode, first_entry_size},
    bundle::index::MAX_INDEX_BYTES,
    canonical_json,
};
use rune_core::digest::Digest;

const FORMAT: u64 = 1;

const NAME: &str = "delta.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeltaRecord {
    format: u64,
    pub(super) bundle: Digest,
    pub(super) bases: Vec<BaseRecord>,
    pub(super) entries: Vec<EntryName>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BaseRecord {
    /// Name and version of a bundle, or what else has the entries.
    pub(crate) name: String,
    /// The bundle digest, if it is a bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bundle: Option<Digest>,
}

impl fmt::Display for BaseRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        match self.bundle {
            Some(digest) => write!(formatter, " ({digest})"),
            None => Ok(()),
        }
    }
}

/// Only the field that decides whether the rest can be understood.
#[derive(Deserialize)]
struct Preamble {
    format: u64,
}

impl DeltaRecord {
    pub(super) const fn new(
        bundle: Digest,
        bases: Vec<BaseRecord>,
        entries: Vec<EntryName>,
    ) -> Self {
        Self {
            format: FORMAT,
            bundle,
            bases,
            entries,
        }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, DeltaError> {
        canonical_json::to_bytes(self).map_err(DeltaError::Record)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, DeltaError> {
        if let Ok(Preamble { format }) = serde_json::from_slice(bytes)
            && format != FORMAT
        {
            return Err(DeltaError::Format(format));
        }
        canonical_json::from_bytes(bytes).map_err(DeltaError::Record)
    }

    /// The entry that holds a record of so many bytes.
    pub(super) fn entry(size: u64) -> Result<Entry, EntryNameError> {
        Ok(Entry {
            name: EntryName::new(NAME)?,
            size,
            mode: Mode::Regular,
        })
    }
}

/// The size of the record, if a file begins with this block as a delta does.
pub(super) fn record_size(block: &[u8]) -> Option<u64> {
    first_entry_size(block, &EntryName::new(NAME).ok()?, MAX_INDEX_BYTES).ok()
}

pub(in crate::bundle) fn is_delta_header(block: &[u8]) -> bool {
    record_size(block).is_some()
}
