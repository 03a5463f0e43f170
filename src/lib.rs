//! The library behind `rune-bundle` and `rune-db`.
//!
//! Modules depend on each other in one direction only: `bin -> cli -> commands -> domain ->
//! {archive, oci, sign, registry} -> {net, fsx, yaml, canonical_json, secret} -> tls`, and the two
//! domains (the bundle's and the database's) do not know each other. `docs/ARCHITECTURE.md` says
//! why; `tests/it/architecture.rs` fails on an arrow that points up.
//!
//! Nothing here but `cli` prints, reads the environment, or knows what a terminal is.

pub mod archive;
pub mod bundle;
pub mod canonical_json;
pub mod chart;
pub mod cli;
pub mod commands;
pub mod diff;
pub mod evidence;
pub mod install;
pub mod load;
pub mod manifest;
pub mod mirror;
pub mod net;
pub mod oci;
pub mod policy;
mod prune;
pub mod push;
pub mod receipt;
pub mod registry;
pub mod remote;
pub mod report;
pub mod scaffold;
pub mod serve;
pub mod sign;
mod support;
