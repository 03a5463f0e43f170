//! Volumes: a bundle in files of limited size, each of which names its set and is verified alone.
//!
//! A volume is a record, the bundle index with its slots, and a range of its bytes. Whole entries
//! are proven by the signed index; of an entry that crosses a border the record has the digests of
//! the pieces, which find accidents and not attackers, so the set as a whole is what is trusted.
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

pub use check::verify_volume;
pub(crate) use check::{CheckedVolume, SharedEntry};
pub(crate) use error::{VolumeError, volumes as volume_numbers};
pub(crate) use join::{Joined, VolumesToJoin, join};
pub(crate) use output::Destination;
pub(super) use output::{ContentHasher, Output};
pub(super) use plan::RECORD_END;
pub(crate) use plan::VolumePlan;
pub(super) use record::is_volume_header;
pub(crate) use rewrite_error::RewriteError;
pub use set::Volume;
pub(super) use set::{find_set, open_set, unite};
pub(crate) use size::VolumeSize;
pub(crate) use split::{check_split, split};
