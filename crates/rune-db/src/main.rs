//! The `rune-db` tool; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rune_db::cli::main()
}
