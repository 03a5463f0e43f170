//! Shell completions and man pages, generated from the same definitions that parse the command line.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Command};
use clap_complete::Shell;

/// Prints completions for a shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Prints a man page.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The verb to print the page of; without one, the page of the tool
    verb: Option<String>,
}

impl Completions {
    pub(super) fn run(&self, mut command: Command) -> ExitCode {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        print(&script)
    }
}

impl Man {
    pub(super) fn run(&self, mut command: Command) -> ExitCode {
        command.build();
        // Pages of verbs come from the tool and its version too.
        let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
        let page = match &self.verb {
            None => command,
            Some(verb) => {
                if let Some(found) = command.find_subcommand(verb) {
                    found.clone()
                } else {
                    let message = format!("there is no verb `{verb}`");
                    let _ = command.error(clap::error::ErrorKind::InvalidSubcommand, message).print();
                    return ExitCode::from(2);
                }
            }
        };
        let mut text = Vec::new();
        match clap_mangen::Man::new(page).source(source).render(&mut text) {
            Ok(()) => print(&text),
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// Writes to standard output. A reader that has seen enough is not a failure.
fn print(text: &[u8]) -> ExitCode {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
