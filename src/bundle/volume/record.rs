//! What a volume says of itself: which one it is of which set, which bytes of the bundle it has,
//! and the digests of what it shares with its neighbours.
//!
//! It is not signed. Everything in it but these digests follows from the signed index, and is
//! compared with that.

use serde::{Deserialize, Serialize};

use super::{
    VolumeError,
    plan::{RECORD_END, SharedPiece, VolumePlan},
};
use crate::{
    archive::{BLOCK_BYTES, Entry, EntryName, Layout, Mode},
    canonical_json,
};
use rune_core::digest::Digest;

const FORMAT: u64 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VolumeRecord {
    format: u64,
    /// The bundle digest; of a delta the digest of its record.
    pub(super) bundle: Digest,
    bundle_bytes: u64,
    pub(super) volume_bytes: u64,
    pub(super) number: u64,
    pub(super) count: u64,
    /// The bytes of the bundle that it has: from `begin` to before `end`.
    begin: u64,
    end: u64,
    offset: u64,
    /// What it has of an entry that begins in an earlier volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<PieceRecord>,
    /// What it has of an entry that begins in it and ends in a later volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<PieceRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PieceRecord {
    path: EntryName,
    bytes: u64,
    pub(super) digest: Digest,
}

/// Whether a file that begins with this block is a volume.
pub(in crate::bundle) fn is_volume_header(block: &[u8]) -> bool {
    VolumeRecord::header().is_ok_and(|header| header == block)
}

impl PieceRecord {
    pub(super) fn new(piece: &SharedPiece<'_>, digest: Digest) -> Self {
        Self {
            path: piece.placed.name().clone(),
            bytes: piece.range.end.saturating_sub(piece.range.start),
            digest,
        }
    }

    pub(super) fn is_of(&self, piece: &SharedPiece<'_>) -> bool {
        *self == Self::new(piece, self.digest)
    }
}

impl VolumeRecord {
    /// The record of a volume, without what it shares.
    pub(super) fn new(plan: &VolumePlan, bundle: Digest, number: u64) -> Self {
        let range = plan.range(number);
        Self {
            format: FORMAT,
            bundle,
            bundle_bytes: plan.bundle_bytes(),
            volume_bytes: plan.volume_bytes(),
            number,
            count: plan.count(),
            begin: range.start,
            end: range.end,
            offset: plan.offset(number),
            first: None,
            last: None,
        }
    }

    pub(super) fn header() -> Result<Vec<u8>, VolumeError> {
        let name = EntryName::new("volume.json").map_err(|_| VolumeError::Layout)?;
        let size = RECORD_END.saturating_sub(BLOCK_BYTES);
        let layout = Layout::new([Entry {
            name,
            size,
            mode: Mode::Regular,
        }]);
        let layout = layout.map_err(|_| VolumeError::Layout)?;
        Ok(layout
            .entries()
            .iter()
            .flat_map(crate::archive::Placed::header)
            .collect())
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, VolumeError> {
        let mut bytes = Self::header()?;
        bytes.extend(canonical_json::to_bytes(self).map_err(|_| VolumeError::Layout)?);
        let whole = usize::try_from(RECORD_END).map_err(|_| VolumeError::Layout)?;
        if bytes.len() > whole {
            return Err(VolumeError::Layout);
        }
        bytes.resize(whole, b' ');
        Ok(bytes)
    }

    /// Reads what stands behind the first block; nothing when a byte of it is not as it was
    /// written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        canonical_json::from_bytes(bytes.trim_ascii_end())
            .ok()
            .filter(|record: &Self| {
                record
                    .to_bytes()
                    .is_ok_and(|expected| expected.ends_with(bytes))
            })
    }

    /// Where everything is, when the record agrees with itself and with the size of the head.
    pub(super) fn plan(&self, head_bytes: u64) -> Option<VolumePlan> {
        let plan = VolumePlan::new(head_bytes, self.bundle_bytes, self.volume_bytes).ok()?;
        let expected = Self {
            first: self.first.clone(),
            last: self.last.clone(),
            ..Self::new(&plan, self.bundle, self.number)
        };
        let is_number = (1..=plan.count()).contains(&self.number);
        (is_number && *self == expected).then_some(plan)
    }

    pub(super) fn shared(&self) -> Vec<Digest> {
        let pieces = [&self.first, &self.last];
        pieces
            .into_iter()
            .flatten()
            .map(|piece| piece.digest)
            .collect()
    }
}
