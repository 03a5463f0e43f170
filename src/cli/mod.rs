//! What a person types and sees.
//!
//! The clap structs of both tools, the printer for reports and errors, progress, completions and man pages.
//! The only module that reads the environment or knows what a terminal is. Domain decisions do not belong here.

mod arguments;
mod bundle;
mod db;
mod documents;
mod output;
mod output_path;
mod passphrase;
mod progress;
mod registry_args;
mod site;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

pub use bundle::RuneBundle;
pub use db::RuneDb;
use output::Printer;

/// Runs `rune-bundle` on the arguments of the process.
pub fn rune_bundle() -> ExitCode {
    bundle::main()
}

/// Runs `rune-db` on the arguments of the process.
pub fn rune_db() -> ExitCode {
    db::main()
}

/// Options that every verb takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct GlobalArgs {
    /// Print one JSON report on standard output instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Print no progress and no notes
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more on standard error; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// When to use colour: auto (on a terminal, unless `NO_COLOR` is set), always, never
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_possible_values = true)]
    color: Color,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// When it goes to a terminal and `NO_COLOR` is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl GlobalArgs {
    fn printer(&self) -> Printer {
        Printer::new(self.json, self.quiet, self.verbose, self.color)
    }
}
