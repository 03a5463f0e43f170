//! The tar container: which bytes stand where.
//!
//! A bundle's tar is a pure function of a list of entries (name, size, mode): [`Layout`] computes
//! every header byte, every offset and the padding. The writer puts the data of entries at those
//! offsets; the reader compares what it finds with them. No tar header is ever *parsed* to decide
//! something, with one exception: the size of the very first entry, which has to come from
//! somewhere ([`first_entry_size`]).
//!
//! The format is POSIX ustar (IEEE Std 1003.1-1988): regular files only, owner 0, time 0, no links;
//! from 8 GiB on an entry is preceded by one pax `size` record (IEEE Std 1003.1-2001).
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod check;
mod header;
mod layout;
mod name;

pub(crate) use check::check_end;
pub use check::{CheckError, EntryReader};
pub use header::Mode;
pub(crate) use header::{BLOCK_BYTES, first_entry_size};
pub use layout::{Entry, Layout};
pub(crate) use layout::{LayoutError, Placed};
pub use name::EntryName;
pub(crate) use name::EntryNameError;
