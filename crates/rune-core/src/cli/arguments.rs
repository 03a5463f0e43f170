//! From the arguments of the process to the structs of a tool.
//!
//! What is wrong with a command line is said like every other error, and with `--json` as a report
//! too, so that a program that asked for JSON gets JSON however the command ends.

use std::{env, error::Error as _, process::ExitCode};

use clap::{
    Command, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    Color,
    help::{Guide, OTHER_TOOL},
    output::Printer,
};
use crate::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error, Failure)]
#[error("{message}")]
#[failure(Usage: .help.clone())]
struct UsageError {
    message: String,
    help: String,
}

/// Reads the arguments of the process; prints help, version or what is wrong instead.
pub fn parse<T: Parser>(guide: &Guide) -> Result<T, ExitCode> {
    let mut command = guide.apply(T::command());
    let parsed = command
        .try_get_matches_from_mut(env::args_os())
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| {
        let shows_help = matches!(
            error.kind(),
            ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        let arguments: Vec<String> = env::args_os()
            .skip(1)
            .map(|argument| argument.to_string_lossy().into_owned())
            .take_while(|argument| argument != "--")
            .collect();
        let asks_for_json = arguments.iter().any(|argument| argument == "--json");
        if shows_help && !(error.use_stderr() && asks_for_json) {
            // A closed standard output or error cannot be reported anywhere.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                FailureKind::Usage.exit_code()
            } else {
                0
            });
        }
        let verb = verb_of(&command, &arguments);
        let usage = UsageError {
            message: message(&error),
            help: written_apart(&error, &command, &verb, &arguments)
                .or_else(|| meant_option(&error, guide, &command, &verb))
                .unwrap_or_else(|| advice(&error, guide, command.get_name(), &verb)),
        };
        Printer::new(asks_for_json, false, 0, color(&arguments)).fail(&usage.into())
    })
}

fn color(arguments: &[String]) -> Color {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next().map(String::as_str),
            Some(value) => value.strip_prefix('='),
            None => continue,
        };
        return match value {
            Some("always") => Color::Always,
            Some("never") => Color::Never,
            _ => Color::Auto,
        };
    }
    Color::Auto
}

/// The verb of a command line, with the verb inside it: `doctor build`; empty without one.
fn verb_of(command: &Command, arguments: &[String]) -> String {
    let mut inner = command;
    let mut path: Vec<&str> = Vec::new();
    for argument in arguments {
        if let Some(found) = inner.find_subcommand(argument) {
            path.push(found.get_name());
            inner = found;
        }
        if !inner.has_subcommands() {
            break;
        }
    }
    path.join(" ")
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

fn code(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
    quoted.join(", ")
}

fn message(error: &clap::Error) -> String {
    let argument = texts(error, ContextKind::InvalidArg);
    let value = texts(error, ContextKind::InvalidValue);
    let first = argument.first().map_or("", String::as_str);
    match error.kind() {
        ErrorKind::InvalidSubcommand => format!(
            "unknown verb {}",
            code(&texts(error, ContextKind::InvalidSubcommand))
        ),
        ErrorKind::UnknownArgument if first.starts_with('-') => {
            format!("unknown option `{first}`")
        }
        ErrorKind::UnknownArgument => format!("unexpected argument `{first}`"),
        ErrorKind::MissingRequiredArgument => format!("missing {}", code(&argument)),
        ErrorKind::MissingSubcommand => "missing verb".to_owned(),
        ErrorKind::ArgumentConflict => {
            let others = texts(error, ContextKind::PriorArg);
            if others.is_empty() || others == argument {
                format!("`{first}` was given more than once")
            } else {
                format!("`{first}` cannot be used with {}", code(&others))
            }
        }
        ErrorKind::InvalidValue if value.iter().all(String::is_empty) => {
            format!("`{first}` needs a value")
        }
        ErrorKind::InvalidValue => format!("invalid value {} for `{first}`", code(&value)),
        ErrorKind::ValueValidation => {
            let why = error.source().map(|source| format!(": {source}"));
            format!(
                "invalid value {} for `{first}`{}",
                code(&value),
                why.unwrap_or_default()
            )
        }
        ErrorKind::NoEquals => format!("the value of `{first}` is written with `=`"),
        _ => first_paragraph(error),
    }
}

fn advice(error: &clap::Error, guide: &Guide, tool: &str, verb: &str) -> String {
    // `help` has verbs as arguments, and no help of its own.
    let path = match verb {
        "" | "help" => tool.to_owned(),
        verb => format!("{tool} {verb}"),
    };
    let suggestion = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = texts(error, ContextKind::InvalidSubcommand);
            let meant = typed.first().and_then(|typed| guide.meant(typed));
            let similar = texts(error, ContextKind::SuggestedSubcommand);
            let option = meant.filter(|meant| meant.starts_with('-'));
            let other_tool = meant.filter(|meant| meant.starts_with(OTHER_TOOL));
            match (option, meant, similar.first()) {
                (Some(option), ..) => Some(format!("run `{tool} {option}`")),
                _ if other_tool.is_some() => other_tool.map(|command| format!("run `{command}`")),
                (None, Some(meant), _) => Some(format!("did you mean `{tool} {meant}`?")),
                (None, None, Some(_)) => {
                    let similar: Vec<String> = similar
                        .iter()
                        .map(|similar| format!("{path} {similar}"))
                        .collect();
                    Some(format!("did you mean {}?", code(&similar)))
                }
                (None, None, None) => Some(format!("`{path} --help` lists the verbs")),
            }
        }
        ErrorKind::UnknownArgument => {
            let similar = texts(error, ContextKind::SuggestedArg);
            (!similar.is_empty()).then(|| format!("did you mean {}?", code(&similar)))
        }
        ErrorKind::InvalidValue => {
            let valid = texts(error, ContextKind::ValidValue);
            let similar = texts(error, ContextKind::SuggestedValue);
            match (similar.first(), valid.is_empty()) {
                (Some(similar), _) => Some(format!("did you mean `{similar}`?")),
                (None, false) => Some(format!("use one of {}", code(&valid))),
                (None, true) => None,
            }
        }
        _ => None,
    };
    let example = guide
        .examples_of(verb)
        .first()
        .map(|example| format!("for example: `{example}`"));
    suggestion
        .or(example)
        .unwrap_or_else(|| format!("`{path} --help` shows the options"))
}

fn meant_option(
    error: &clap::Error,
    guide: &Guide,
    command: &Command,
    verb: &str,
) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let typed = texts(error, ContextKind::InvalidArg);
    let inner = verb_in(command, verb)?;
    let arguments = || inner.get_arguments().chain(command.get_arguments());
    guide.meant_options(typed.first()?).find_map(|ours| {
        let has_option = |known: &clap::Arg| known.get_long() == ours.strip_prefix("--");
        let is_value = |known: &clap::Arg| {
            known.is_positional() && known.get_value_names().is_some_and(|names| names == [ours])
        };
        if ours.starts_with("--") {
            arguments()
                .any(has_option)
                .then(|| format!("did you mean `{ours}`?"))
        } else {
            inner
                .get_arguments()
                .any(is_value)
                .then(|| format!("write `<{ours}>` as the last argument, without an option"))
        }
    })
}

fn verb_in<'c>(command: &'c Command, verb: &str) -> Option<&'c Command> {
    verb.split_whitespace()
        .try_fold(command, |command, verb| command.find_subcommand(verb))
}

/// The way to write a value that stands behind an option which takes it with `=` alone.
fn written_apart(
    error: &clap::Error,
    command: &Command,
    verb: &str,
    arguments: &[String],
) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let [value] = &texts(error, ContextKind::InvalidArg)[..] else {
        return None;
    };
    let mut pairs = arguments.iter().zip(arguments.iter().skip(1));
    let (before, _) = pairs.find(|(_, behind)| *behind == value)?;
    let before = before.strip_prefix("--")?;
    verb_in(command, verb)?
        .get_arguments()
        .find(|known| known.get_long() == Some(before) && known.is_require_equals_set())
        .map(|_| format!("the value of `--{before}` is written with `=`: `--{before}={value}`"))
}

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
