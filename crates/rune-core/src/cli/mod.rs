//! What the command lines of both tools have in common: arguments, help, the printer, progress,
//! documents.

pub mod arguments;
pub mod documents;
mod emphasis;
pub mod help;
pub mod output;
pub mod output_path;
mod progress;

use clap::{Args, ValueEnum};

use output::Printer;

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
    /// Print each request on standard error; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Use colour: auto (on a terminal, unless `NO_COLOR` is set), always, never
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN",
        hide_possible_values = true)]
    color: Color,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// When it goes to a terminal and `NO_COLOR` is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl GlobalArgs {
    pub fn printer(&self) -> Printer {
        Printer::new(self.json, self.quiet, self.verbose, self.color)
    }
}
