//! `doctor`: whether the next step can work here, line by line: what it needs, what there is, what
//! to do. Changes nothing.

mod build;
mod receive;

use std::fmt::Write as _;

use serde::Serialize;

use rune_core::{
    command::{CommandError, Report, counted},
    failure::FailureKind,
    text::shown,
};

pub(crate) use build::{DoctorBuildOptions, run as examine_build};
pub(crate) use receive::{DoctorReceiveOptions, run as examine_receive};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DoctorReport {
    step: &'static str,
    subject: String,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    name: &'static str,
    state: State,
    needed: String,
    available: String,
    help: Option<String>,
    #[serde(skip)]
    kind: Option<FailureKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    /// As the step needs it.
    Ok,
    /// The step works, or most of it; worth a thought.
    Warning,
    Problem,
}

impl Check {
    fn ok(name: &'static str, needed: impl Into<String>, available: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            needed: needed.into(),
            available: available.into(),
            help: None,
            kind: None,
        }
    }

    fn warning(
        name: &'static str,
        needed: impl Into<String>,
        available: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            state: State::Warning,
            help: Some(help.into()),
            ..Self::ok(name, needed, available)
        }
    }

    fn problem(name: &'static str, needed: impl Into<String>, error: &CommandError) -> Self {
        let help = error.help().map(str::to_owned);
        // Lists of mistakes have several lines; the verb itself shows them as such.
        let messages = error
            .messages()
            .join(": ")
            .replace("\n  ", "; ")
            .replace(":; ", ": ")
            .replace('\n', " ");
        Self {
            state: State::Problem,
            help,
            kind: Some(error.kind()),
            ..Self::ok(name, needed, messages)
        }
    }

    fn of(
        name: &'static str,
        needed: impl Into<String>,
        outcome: Result<String, CommandError>,
    ) -> Self {
        match outcome {
            Ok(available) => Self::ok(name, needed, available),
            Err(error) => Self::problem(name, needed, &error),
        }
    }
}

impl Report for DoctorReport {
    const VERB: &'static str = "doctor";

    fn text(&self) -> String {
        let mut text = String::new();
        for Check {
            name,
            state,
            needed,
            available,
            help,
            ..
        } in &self.checks
        {
            let word = match state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Problem => "problem",
            };
            let _ = write!(text, "{word:<8} {name:<11} {}", shown(available));
            let _ = match state {
                State::Ok => writeln!(text),
                State::Warning | State::Problem => writeln!(text, "; needed: {}", shown(needed)),
            };
            if let Some(help) = help {
                let _ = writeln!(text, "{:<8} {:<11} -> {}", "", "", shown(help));
            }
        }
        let count = |wanted: State| {
            self.checks
                .iter()
                .filter(|check| check.state == wanted)
                .count()
        };
        let _ = match (count(State::Problem), count(State::Warning)) {
            (0, 0) => writeln!(text, "ready"),
            (0, warnings) => writeln!(
                text,
                "ready; {} to think about",
                counted(warnings, "warning")
            ),
            (problems, _) => writeln!(text, "not ready; {} to solve", counted(problems, "problem")),
        };
        text
    }

    /// The kind of the first problem; warnings fail nothing.
    fn verdict(&self) -> Option<FailureKind> {
        self.checks.iter().find_map(|check| check.kind)
    }
}
