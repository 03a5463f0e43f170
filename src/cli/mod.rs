//! What a person types and sees.
//!
//! The clap structs. The only module that reads the environment. Domain decisions do not belong
//! here.

mod annotation;
mod bundle;
mod passphrase;
mod registry_args;
mod site;

use std::process::ExitCode;

pub use bundle::RuneBundle;

/// Runs `rune-bundle` on the arguments of the process.
pub fn rune_bundle() -> ExitCode {
    bundle::main()
}
