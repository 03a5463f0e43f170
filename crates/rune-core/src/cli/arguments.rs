//! From the arguments of the process to the structs of a tool.
//!
//! What is wrong with a command line is said by clap, in text. With `--json` it is a report as
//! well, so that a program that asked for JSON gets JSON however the command ends.

use std::{env, process::ExitCode};

use clap::Parser;

use super::output;
use crate::failure::{Failure, FailureKind};

/// What clap says about a command line.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct UsageError {
    message: String,
    tool: &'static str,
}

impl Failure for UsageError {
    fn kind(&self) -> FailureKind {
        FailureKind::Usage
    }

    fn help(&self) -> Option<String> {
        Some(format!("see `{} --help`", self.tool))
    }
}

/// Reads the arguments of the process, or says what is wrong with them, or prints what was asked
/// for instead: the help, the version.
pub fn parse<T: Parser>(tool: &'static str) -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| {
        if error.use_stderr() && asks_for_json() {
            output::print_error_report(
                &UsageError {
                    message: first_paragraph(&error),
                    tool,
                }
                .into(),
            );
        }
        // A closed standard output or error leaves nobody to tell.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() {
            FailureKind::Usage.exit_code()
        } else {
            0
        })
    })
}

/// Whether `--json` is among the options: the arguments as a whole could not be understood.
fn asks_for_json() -> bool {
    env::args_os()
        .skip(1)
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
}

/// What is wrong, without the usage and the hints that follow it.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = paragraph
        .trim_start_matches("error: ")
        .lines()
        .map(str::trim)
        .collect();
    lines.join(" ")
}

/// What the exit codes mean, for the end of the help and of the man page.
pub fn exit_codes() -> String {
    let lines = FailureKind::ALL
        .iter()
        .map(|kind| format!("\n{:>5}  {}", kind.exit_code(), kind.meaning()));
    std::iter::once("Exit codes:\n    0  done".to_owned())
        .chain(lines)
        .collect()
}
