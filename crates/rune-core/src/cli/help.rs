//! What the help and the man pages of a tool say besides its options: verbs in groups, examples,
//! variables of the environment.

use std::fmt::Write as _;

use clap::Command;

use crate::failure::FailureKind;

const MAX_WIDTH: usize = 100;

const EXAMPLE_INDENT: usize = 6;

pub(crate) const OTHER_TOOL: &str = "helm ";

pub struct Group {
    pub heading: &'static str,
    pub verbs: &'static [&'static str],
}

pub struct Guide {
    pub groups: &'static [Group],
    /// For each verb, verbs of verbs included (`doctor build`), command lines that work.
    pub examples: &'static [(&'static str, &'static [&'static str])],
    /// Verbs of other tools, and what does the same here; a command of Helm where nothing does.
    pub synonyms: &'static [(&'static str, &'static str)],
    /// Options of other tools, and what does the same here: an option, or the name of a value that
    /// needs none. The first counts that the verb has.
    pub option_synonyms: &'static [(&'static str, &'static str)],
    pub variables: &'static [(&'static str, &'static str)],
    pub exit_codes: &'static [(FailureKind, &'static str)],
    pub see_also: &'static [&'static str],
}

impl Guide {
    pub fn exit_codes_text(&self) -> String {
        let lines = self
            .exit_meanings()
            .map(|(code, meaning)| format!("\n{code:>5}  {meaning}"));
        format!("Exit codes:{}", lines.collect::<String>())
    }

    pub fn exit_meanings(&self) -> impl Iterator<Item = (u8, &'static str)> {
        let failures = self
            .exit_codes
            .iter()
            .map(|(kind, meaning)| (kind.exit_code(), *meaning));
        std::iter::once((0, "done")).chain(failures)
    }

    pub(crate) fn apply(&self, command: Command) -> Command {
        let style = command.get_styles().get_header();
        let template = format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{style}Options:{style:#}\n{{options}}{{after-help}}",
            self.overview(&command)
        );
        self.with_examples(command.help_template(template), "")
    }

    fn with_examples(&self, mut command: Command, verb: &str) -> Command {
        let inner: Vec<String> = command
            .get_subcommands()
            .map(|inner| inner.get_name().to_owned())
            .collect();
        for name in inner {
            let path = format!("{verb} {name}");
            command =
                command.mut_subcommand(name, |inner| self.with_examples(inner, path.trim_start()));
        }
        match self.examples_of(verb) {
            [] => command,
            examples => {
                let width = terminal_width().min(MAX_WIDTH);
                let lines = examples
                    .iter()
                    .map(|example| format!("\n  {}", hanging(example, EXAMPLE_INDENT, width)));
                command.after_help(format!("Examples:{}", lines.collect::<String>()))
            }
        }
    }

    pub fn examples_of(&self, verb: &str) -> &'static [&'static str] {
        self.examples
            .iter()
            .find(|(known, _)| *known == verb)
            .map_or(&[], |(_, examples)| examples)
    }

    pub(super) fn meant(&self, verb: &str) -> Option<&'static str> {
        let found = self.synonyms.iter().find(|(other, _)| *other == verb);
        found.map(|(_, ours)| *ours)
    }

    pub(super) fn meant_options(&self, option: &str) -> impl Iterator<Item = &'static str> {
        let synonyms = self.option_synonyms.iter();
        synonyms
            .filter(move |(other, _)| *other == option)
            .map(|(_, ours)| *ours)
    }

    pub(super) fn siblings(&self, verb: &str) -> impl Iterator<Item = &'static str> {
        let group = self.groups.iter().find(|group| group.verbs.contains(&verb));
        let verbs = group.map_or(&[][..], |group| group.verbs);
        verbs.iter().copied().filter(move |other| *other != verb)
    }

    fn overview(&self, command: &Command) -> String {
        let verbs = command.get_subcommands().map(Command::get_name);
        let indent = verbs.map(str::len).max().unwrap_or_default() + 4;
        let style = command.get_styles().get_header();
        let mut text = String::new();
        for Group { heading, verbs } in self.groups {
            let _ = writeln!(text, "{style}{heading}:{style:#}");
            let known = verbs
                .iter()
                .filter_map(|verb| command.find_subcommand(verb));
            for verb in known {
                let about = verb.get_about().map(ToString::to_string);
                let line = hanging(
                    &about.unwrap_or_default(),
                    indent,
                    terminal_width().min(MAX_WIDTH),
                );
                let _ = writeln!(
                    text,
                    "  {:<width$}{line}",
                    verb.get_name(),
                    width = indent - 2
                );
            }
            text.push('\n');
        }
        text
    }
}

pub(super) fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stderr()));
    size.ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(MAX_WIDTH)
}

/// Breaks a text into lines of at most `width` columns, the first behind `indent` of something
/// else.
pub(super) fn hanging(text: &str, indent: usize, width: usize) -> String {
    // A column that is too narrow for words is left to the terminal.
    let room = width.saturating_sub(indent).max(16);
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > room {
            let _ = write!(lines, "\n{:indent$}", "");
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::hanging;

    #[test]
    fn lines_hang_behind_what_is_before_them() {
        assert_eq!(
            hanging("Resolve every reference to a digest", 4, 24),
            "Resolve every\n    reference to a\n    digest"
        );
        assert_eq!(hanging("Build", 30, 40), "Build");
    }
}
