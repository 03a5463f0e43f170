//! Writes the reference of both programs as pages of the documentation, from the definitions that
//! parse the command line: one page for each verb, and one for what is the same for all.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a tool of the documentation, which fails by panicking"
)]

use std::{fmt::Write as _, fs, path::PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use rune_bundle::cli::RuneBundle;
use rune_db::cli::RuneDb;

fn main() {
    let directory: PathBuf = std::env::args_os()
        .nth(1)
        .expect("the directory to write to is named")
        .into();
    for mut tool in [RuneBundle::command(), RuneDb::command()] {
        tool.build();
        let name = tool.get_name().to_owned();
        write(&directory, &name, &tool_page(&tool));
        for verb in visible(&tool) {
            let title = format!("{name} {}", verb.get_name());
            let mut page = format!("# {title}\n\n");
            describe(&mut page, &title, verb, 2);
            write(&directory, &title.replace(' ', "-"), &page);
        }
    }
}

fn write(directory: &std::path::Path, name: &str, page: &str) {
    fs::write(directory.join(format!("{name}.md")), page).expect("the page can be written");
}

/// Verbs that people are shown, without clap's own `help`.
fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

/// What a tool is, its verbs, and the options that every verb takes.
fn tool_page(tool: &Command) -> String {
    let name = tool.get_name();
    let mut page = format!("# {name}\n\n{}\n\n| verb | |\n|---|---|\n", about(tool));
    for verb in visible(tool) {
        let (verb, about) = (verb.get_name(), cell(&short(verb)));
        let _ = writeln!(page, "| [{verb}]({name}-{verb}.md) | {about} |");
    }
    page.push_str("\n## Options of every verb\n\n");
    for option in tool.get_arguments().filter(|option| is_shown(option)) {
        page.push_str(&described(option));
    }
    page.push_str("\nWhat a verb ends with is in [exit codes](../exit-codes.md).\n");
    page
}

/// Usage, arguments and options of a verb, and of the verbs below it.
fn describe(page: &mut String, title: &str, verb: &Command, level: usize) {
    let usage = verb.clone().render_usage().to_string();
    let _ = writeln!(
        page,
        "{}\n\n```text\n{}\n```\n",
        about(verb),
        usage.trim_start_matches("Usage: ")
    );
    let own = || {
        verb.get_arguments()
            .filter(|argument| is_shown(argument) && !argument.is_global_set())
    };
    let marks = "#".repeat(level);
    if own().any(Arg::is_positional) {
        let _ = writeln!(page, "{marks} Arguments\n");
        own()
            .filter(|argument| argument.is_positional())
            .for_each(|argument| page.push_str(&described(argument)));
        page.push('\n');
    }
    let mut groups: Vec<&str> = Vec::new();
    for option in own().filter(|argument| !argument.is_positional()) {
        let group = option.get_help_heading().unwrap_or("Options");
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for group in groups {
        let _ = writeln!(page, "{marks} {group}\n");
        own()
            .filter(|argument| !argument.is_positional())
            .filter(|option| option.get_help_heading().unwrap_or("Options") == group)
            .for_each(|option| page.push_str(&described(option)));
        page.push('\n');
    }
    if let Some(more) = verb.get_after_long_help() {
        let more = more.to_string();
        let _ = writeln!(
            page,
            "{marks} Examples and more\n\n```text\n{}\n```\n",
            more.trim_start_matches("Examples:\n").trim_end()
        );
    }
    for below in visible(verb) {
        let title = format!("{title} {}", below.get_name());
        let _ = writeln!(page, "{marks} {title}\n");
        describe(page, &title, below, level + 1);
    }
}

fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// One argument as an item of a list: how it is written, what it is for.
fn described(argument: &Arg) -> String {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let value = argument.get_value_names().map_or_else(
        || argument.get_id().as_str().to_uppercase(),
        |names| names.join(" "),
    );
    let long = argument.get_long().map(|long| {
        if takes_value {
            format!("--{long} <{value}>")
        } else {
            format!("--{long}")
        }
    });
    let written = match (argument.get_short(), long) {
        (Some(short), Some(long)) => format!("-{short}, {long}"),
        (Some(short), None) => format!("-{short}"),
        (None, Some(long)) => long,
        (None, None) => format!("<{value}>"),
    };
    let help = argument
        .get_long_help()
        .or(argument.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut text = format!("- `{written}`  \n  {}", prose(&help));
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if takes_value && !defaults.is_empty() {
        let _ = write!(text, " Default: `{}`.", defaults.join(","));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, " Variable: `{}`.", variable.to_string_lossy());
    }
    text.push('\n');
    text
}

fn short(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn about(command: &Command) -> String {
    let text = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    prose(&text)
}

/// A help text as a sentence of a page: what HTML and Markdown would take for their own is escaped.
fn prose(text: &str) -> String {
    // What is between backticks is code, and shown as it stands.
    let pieces = text.trim().split('`').enumerate().map(|(number, piece)| {
        if number % 2 == 1 {
            return piece.to_owned();
        }
        piece
            .replace('<', "\\<")
            .replace('*', "\\*")
            .replace('[', "\\[")
    });
    let mut escaped = pieces.collect::<Vec<_>>().join("`");
    if !escaped.is_empty() && !escaped.ends_with('.') {
        escaped.push('.');
    }
    escaped
}

fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|").replace('\n', " ")
}
