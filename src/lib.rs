//! The library behind `rune-bundle`.
//!
//! Modules depend on each other in one direction only: `main -> cli -> commands -> domain ->
//! {archive, oci, sign, registry} -> net -> rune_core`. `docs/ARCHITECTURE.md` says why;
//! `tests/it/architecture.rs` fails on an arrow that points up. What is public here is what tests,
//! benchmarks and fuzz targets use.
//!
//! Nothing here but `cli` prints, reads the environment, or knows what a terminal is.

pub mod archive;
pub mod bundle;
pub mod canonical_json;
pub mod chart;
pub mod cli;
pub mod commands;
mod containerd;
pub mod diff;
pub mod evidence;
pub mod install;
pub mod load;
pub mod manifest;
pub mod mirror;
pub mod net;
pub mod oci;
pub mod policy;
mod process;
mod prune;
pub mod push;
pub mod receipt;
pub mod registry;
pub mod remote;
pub mod report;
pub mod scaffold;
mod scan;
pub mod serve;
pub mod sign;
mod support;
mod syft;
