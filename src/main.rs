//! The `rune-bundle` tool; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rune_bundle::cli::rune_bundle()
}
