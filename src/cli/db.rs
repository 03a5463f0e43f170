//! The command line of `rune-db`.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::{GlobalArgs, documents};

/// Owns RUNE's database schema on SQLite and PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "rune-db", version, max_term_width = 100, propagate_version = true)]
pub struct RuneDb {
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
    let arguments = RuneDb::parse();
    match arguments.verb {
        Verb::Completions(verb) => verb.run(RuneDb::command()),
        Verb::Man(verb) => verb.run(RuneDb::command()),
    }
}
