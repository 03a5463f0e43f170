//! Deltas: a bundle without the entries that its receiver has.
//!
//! A delta is a record, the signed bundle index with its slots, and some of its entries, as a tar.
//! What is not in it is taken from a base, and every content is hashed against the signed bundle
//! index while it is written, so neither the record nor the base is trusted. Creating a delta and
//! applying it are plans of the writing engine. `docs/bundle-format.md` documents the format.

mod base;
mod create;
mod elsewhere;
mod error;
mod file;
mod held;
mod node;
mod record;
mod registry;
mod start;
mod view;

pub(crate) use base::{Base, Missing};
pub(crate) use create::{DeltaPlan, Tally};
pub(crate) use elsewhere::Elsewhere;
pub(crate) use error::DeltaError;
pub(super) use error::missing_lines;
pub(crate) use file::{Delta, DeltaContents};
pub(crate) use held::Held;
pub(crate) use node::NodeDelta;
pub(crate) use record::BaseRecord;
pub(super) use record::is_delta_header;
pub(crate) use registry::RegistryBase;
pub(super) use start::DeltaStart;
pub(crate) use view::DeltaView;
