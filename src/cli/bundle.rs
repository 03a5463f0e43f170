//! The command line of `rune-bundle`.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::{GlobalArgs, documents};

/// Puts everything RUNE needs into one signed file, and takes it out again where there is no internet.
#[derive(Debug, Parser)]
#[command(name = "rune-bundle", version, max_term_width = 100, propagate_version = true)]
pub struct RuneBundle {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print completions for a shell
    Completions(documents::Completions),
    /// Print the man page of the tool or of a verb
    Man(documents::Man),
}

pub(super) fn main() -> ExitCode {
    let arguments = RuneBundle::parse();
    match arguments.verb {
        Verb::Completions(verb) => verb.run(RuneBundle::command()),
        Verb::Man(verb) => verb.run(RuneBundle::command()),
    }
}
