//! Integration tests: one binary, one module per behaviour.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail by panicking and look at the world directly"
)]

mod architecture;
mod arm64;
mod bundle;
mod charts;
mod cli_conventions;
mod cli_guide;
mod cli_help;
mod cli_secrets;
mod cluster;
mod disks;
mod docs;
mod feature_openpgp;
mod fuzz_corpus;
mod heavy;
mod init;
mod recorded;
mod registry;
