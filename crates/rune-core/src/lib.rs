//! What both tools need and neither owns: failures and exit codes, secrets, files, YAML, trust in
//! TLS certificates, printing.
//!
//! Nothing of bundles and nothing of databases. Only `cli` prints, reads the environment, or knows
//! what a terminal is.

// The derived implementations of `Failure` name this crate, here too.
extern crate self as rune_core;

pub mod cli;
pub mod command;
pub mod digest;
pub mod duration;
pub mod failure;
pub mod fsx;
pub mod interrupt;
pub mod progress;
pub mod remark;
pub mod secret;
pub mod text;
pub mod tls;
pub mod yaml;
