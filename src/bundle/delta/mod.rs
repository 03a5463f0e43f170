//! Deltas: a bundle without the entries that its receiver has.
//!
//! A delta is a record, the signed bundle index with its slots, and some of its entries, as a tar. What is
//! not in it is taken from a base, and every content is hashed against the signed bundle index while it is
//! written, so neither the record nor the base is trusted. Creating a delta and applying it are
//! plans of the writing engine. `docs/bundle-format.md` documents the format.

mod base;
mod create;
mod error;
mod file;
mod held;
mod record;
mod registry;

pub use base::{Base, Missing};
pub use create::{DeltaPlan, Tally};
pub use error::DeltaError;
pub(super) use error::missing_lines;
pub use file::{Delta, DeltaContents};
pub use held::Held;
pub use record::BaseRecord;
pub(super) use record::is_delta_header;
pub use registry::RegistryBase;
