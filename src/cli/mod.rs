//! The command line of the tool.
//!
//! The clap structs. The only module that reads the environment. Domain decisions do not belong
//! here.

mod annotation;
mod bundle;
mod guide;
mod image_signature_args;
mod passphrase;
mod registry_args;
mod site;

use std::process::ExitCode;

pub use bundle::RuneBundle;
pub use guide::GUIDE;

pub fn rune_bundle() -> ExitCode {
    bundle::main()
}
