//! Reports on standard output, everything else on standard error.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
    sync::Arc,
};

use serde_json::{Value, json};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{
    Color,
    emphasis::{self, emphasised},
    progress::Terminal,
};
use crate::{
    command::{CommandError, Report},
    failure::{Failure, FailureKind},
    progress::{Progress, Silent},
    text::shown_lines,
};

#[derive(Debug, thiserror::Error, Failure)]
#[error("cannot write to standard output")]
#[failure(Space)]
struct OutputError(#[source] io::Error);

/// Writes what a command found or why it failed, and decides the exit code.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    json: bool,
    quiet: bool,
    /// Requests are logged, line by line.
    verbose: bool,
    colored: bool,
    /// The same for reports.
    reports_colored: bool,
}

impl Printer {
    pub(crate) fn new(json: bool, quiet: bool, verbosity: u8, color: Color) -> Self {
        let is_colored = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        let colored = is_colored(io::stderr().is_terminal());
        if verbosity > 0 {
            let level = if verbosity == 1 {
                LevelFilter::DEBUG
            } else {
                LevelFilter::TRACE
            };
            let ours = ["rune_bundle", "rune_core", "rune_db", "rune_storage"];
            let lines = fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(colored)
                .with_target(false)
                .without_time();
            let of_ours = Targets::new().with_targets(ours.map(|part| (part, level)));
            let _ = tracing_subscriber::registry()
                .with(lines.with_filter(of_ours))
                .try_init();
        }
        Self {
            json,
            quiet,
            verbose: verbosity > 0,
            colored,
            reports_colored: is_colored(io::stdout().is_terminal()),
        }
    }

    pub fn progress(self) -> Arc<dyn Progress> {
        if self.quiet {
            Arc::new(Silent)
        } else {
            Arc::new(Terminal::new(io::stderr().is_terminal() && !self.verbose))
        }
    }

    pub fn finish<R: Report>(self, outcome: Result<R, CommandError>) -> ExitCode {
        match outcome {
            Ok(report) => {
                let code = report.verdict().map_or(0, FailureKind::exit_code);
                let text = self.text(&report);
                if report.has_changed() {
                    Self::print_of_change(text.as_bytes(), code)
                } else {
                    self.print(text.as_bytes(), code)
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    pub fn announce<R: Report>(self, report: &R) -> Result<(), CommandError> {
        Self::write(self.text(report).as_bytes()).map_err(CommandError::from)
    }

    /// Ends a command that has said everything. One that runs until it is stopped has not failed
    /// then.
    pub fn finish_service(self, outcome: Result<(), CommandError>) -> ExitCode {
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.kind() == FailureKind::Interrupted && !self.json => {
                let _ = Write::write_all(&mut io::stderr().lock(), b"stopped\n");
                ExitCode::from(FailureKind::Interrupted.exit_code())
            }
            Err(error) => self.fail(&error),
        }
    }

    pub(crate) fn finish_document(self, outcome: Result<Vec<u8>, CommandError>) -> ExitCode {
        match outcome {
            Ok(text) => self.print(&text, 0),
            Err(error) => self.fail(&error),
        }
    }

    fn print(self, text: &[u8], code: u8) -> ExitCode {
        match Self::write(text) {
            Ok(()) => ExitCode::from(code),
            Err(error) => self.fail(&error.into()),
        }
    }

    /// The same for a command that has changed something: a failure would say that it has not.
    fn print_of_change(text: &[u8], code: u8) -> ExitCode {
        if let Err(OutputError(source)) = Self::write(text) {
            let text = format!(
                "warning: the command has done its work, but its report cannot be written to \
                 standard output: {source}\n"
            );
            let _ = Write::write_all(&mut io::stderr().lock(), text.as_bytes());
        }
        ExitCode::from(code)
    }

    fn write(text: &[u8]) -> Result<(), OutputError> {
        let mut stdout = io::stdout().lock();
        match Write::write_all(&mut stdout, text).and_then(|()| stdout.flush()) {
            // A reader that has seen enough is not a failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(OutputError(error)),
            _ => Ok(()),
        }
    }

    fn text<R: Report>(self, report: &R) -> String {
        if self.json {
            return Self::json_text(R::VERB, report);
        }
        let text = report.text();
        if self.reports_colored {
            emphasised(&text)
        } else {
            text
        }
    }

    fn json_text<R: Report>(verb: &str, report: &R) -> String {
        let mut value = serde_json::to_value(report).unwrap_or(Value::Null);
        if let Some(members) = value.as_object_mut() {
            members.insert(
                "schema".to_owned(),
                json!(format!("rune-bundle/report/{verb}/v1")),
            );
        }
        format!("{value:#}\n")
    }

    pub fn fail(self, error: &CommandError) -> ExitCode {
        if self.json {
            print_error_report(error);
        }
        let paint = |code: &str, text: &str| {
            if self.colored {
                emphasis::paint(code, text)
            } else {
                text.to_owned()
            }
        };
        let mut messages = error.messages().into_iter();
        // What failed may have come from outside, and its words with it.
        let mut text = format!(
            "{}: {}\n",
            paint("1;31", "error"),
            shown_lines(&messages.next().unwrap_or_default())
        );
        for cause in messages {
            let _ = writeln!(text, "  {}: {}", paint("1", "because"), shown_lines(&cause));
        }
        if let Some(help) = error.help() {
            let _ = writeln!(text, "{}: {}", paint("1;36", "help"), shown_lines(help));
        }
        let _ = Write::write_all(&mut io::stderr().lock(), text.as_bytes());
        ExitCode::from(error.kind().exit_code())
    }
}

pub(crate) fn print_error_report(error: &CommandError) {
    let report = json!({"schema": "rune-bundle/report/error/v1", "error": error.to_report()});
    let _ = Write::write_all(&mut io::stdout().lock(), format!("{report:#}\n").as_bytes());
}
