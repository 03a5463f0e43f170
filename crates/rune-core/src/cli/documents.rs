//! Shell completions and man pages, generated from the same definitions that parse the command
//! line.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::output::Printer;
use crate::{
    command::CommandError,
    failure::{Failure, FailureKind},
};

/// Prints completions for a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

/// Prints a man page.
#[derive(Debug, Args)]
pub struct Man {
    /// The verb to print the page of, and perhaps a verb of its own; without one, the page of the
    /// tool
    verb: Vec<String>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error("there is no verb `{verb}`")]
    UnknownVerb { verb: String, known: Vec<String> },
    #[error("cannot make the page")]
    Render(#[source] std::io::Error),
}

impl Failure for PageError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::UnknownVerb { .. } => FailureKind::Usage,
            Self::Render(_) => FailureKind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::UnknownVerb { known, .. } => Some(format!("there are {}", known.join(", "))),
            Self::Render(_) => None,
        }
    }
}

impl Completions {
    pub fn run(&self, mut command: Command, printer: Printer) -> ExitCode {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, &name, &mut script);
        if self.shell == Shell::Bash {
            script = with_one_spelling(&String::from_utf8_lossy(&script), &name).into_bytes();
        }
        printer.finish_document(Ok(script))
    }
}

impl Man {
    pub fn run(&self, command: Command, printer: Printer) -> ExitCode {
        printer.finish_document(self.page(command).map_err(CommandError::from))
    }

    fn page(&self, mut command: Command) -> Result<Vec<u8>, PageError> {
        command.build();
        // Pages of verbs come from the tool and its version too.
        let source = format!(
            "{} {}",
            command.get_name(),
            command.get_version().unwrap_or_default()
        );
        let mut page = command;
        for verb in &self.verb {
            page = page.find_subcommand(verb).cloned().ok_or_else(|| {
                let known = page
                    .get_subcommands()
                    .map(|verb| verb.get_name().to_owned())
                    .collect();
                PageError::UnknownVerb {
                    verb: verb.clone(),
                    known,
                }
            })?;
        }
        let mut text = Vec::new();
        clap_mangen::Man::new(page)
            .source(source)
            .render(&mut text)
            .map_err(PageError::Render)?;
        Ok(text)
    }
}

/// The bash script spells a tool with a hyphen in its name in two ways, so that nothing is
/// completed behind a verb (<https://github.com/clap-rs/clap/issues/6421>). This gives it one.
fn with_one_spelling(script: &str, name: &str) -> String {
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}
