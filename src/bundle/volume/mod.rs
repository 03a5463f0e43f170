//! Volumes: a bundle in files of limited size, each of which names its set and is verified alone.
//!
//! A volume is a record, the bundle index with its slots, and a range of its bytes. Whole entries are proven
//! by the signed index; of an entry that crosses a border the record has the digests of the pieces,
//! which find accidents and not attackers, so the set as a whole is what is trusted.
//! `docs/bundle-format.md` documents the format.

mod check;
mod error;
mod join;
mod output;
mod plan;
mod record;
mod rewrite_error;
mod set;
mod size;
mod split;

pub use check::{CheckedVolume, SharedEntry, verify_volume};
pub use error::{VolumeError, volumes as volume_numbers};
pub use join::{Joined, VolumesToJoin, join};
pub use output::Destination;
pub(super) use output::{ContentHasher, Output};
pub(super) use plan::RECORD_END;
pub use plan::VolumePlan;
pub use rewrite_error::RewriteError;
pub use set::Volume;
pub(super) use set::{find_set, open_set, unite};
pub use size::{VolumeSize, VolumeSizeError};
pub use split::{check_split, split};
