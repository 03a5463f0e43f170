//! Shell completions and man pages, generated from the same definitions that parse the command
//! line.

use std::{fmt::Write as _, io, process::ExitCode};

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Command};
use clap_complete::Shell;

use super::{help::Guide, output::Printer, output_path::output_path};
use crate::{command::CommandError, failure::Failure, fsx};

/// Print completions for a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// Shell
    shell: Shell,
}

/// Print the man page of the tool or of a verb, or write all pages into a directory.
#[derive(Debug, Args)]
pub struct Man {
    /// Verb whose page to print, such as `build` or `doctor build` [default: the page of the tool]
    #[arg(conflicts_with = "output")]
    verb: Vec<String>,
    /// Write the pages of the tool and of all verbs into this directory, such as
    /// /usr/local/share/man/man1
    #[arg(long, short, visible_alias = "out", value_name = "DIR", value_parser = output_path)]
    output: Option<Utf8PathBuf>,
}

#[derive(Debug, thiserror::Error, Failure)]
enum PageError {
    #[error("unknown verb `{verb}`")]
    #[failure(Usage: if .known.is_empty() {
        "this verb has no verbs of its own; leave the last word out".to_owned()
    } else {
        format!("use one of {}", .known.join(", "))
    })]
    UnknownVerb { verb: String, known: Vec<String> },
    #[error("cannot render the page")]
    #[failure(Internal)]
    Render(#[source] io::Error),
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
    pub fn run(&self, mut command: Command, guide: &Guide, printer: Printer) -> ExitCode {
        command.build();
        printer.finish_document(match &self.output {
            Some(directory) => write_pages(directory, &command, guide),
            None => self.page(&command, guide).map_err(CommandError::from),
        })
    }

    fn page(&self, tool: &Command, guide: &Guide) -> Result<Vec<u8>, PageError> {
        let mut found = tool;
        for verb in &self.verb {
            found = found.find_subcommand(verb).ok_or_else(|| {
                let known = found.get_subcommands().map(Command::get_name);
                PageError::UnknownVerb {
                    verb: verb.clone(),
                    known: known.map(str::to_owned).collect(),
                }
            })?;
        }
        page(tool, found, &self.verb.join(" "), guide).map_err(PageError::Render)
    }
}

fn write_pages(
    directory: &Utf8Path,
    tool: &Command,
    guide: &Guide,
) -> Result<Vec<u8>, CommandError> {
    fsx::create_dir_all(directory)?;
    let mut listed = String::new();
    let mut left = vec![(String::new(), tool)];
    while let Some((verb, command)) = left.pop() {
        let name = format!("{} {verb}", tool.get_name());
        let path = directory.join(format!("{}.1", name.trim_end().replace(' ', "-")));
        let text = page(tool, command, &verb, guide).map_err(PageError::Render)?;
        fsx::write_atomic(&path, &text)?;
        listed.push_str(&format!("wrote  {path}\n"));
        let inner = command
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set());
        left.extend(
            inner
                .filter(|inner| inner.get_name() != "help")
                .map(|inner| {
                    let path = format!("{verb} {}", inner.get_name());
                    (path.trim_start().to_owned(), inner)
                }),
        );
    }
    Ok(listed.into_bytes())
}

fn page(tool: &Command, command: &Command, verb: &str, guide: &Guide) -> io::Result<Vec<u8>> {
    // Pages of verbs come from the tool and its version too.
    let source = format!(
        "{} {}",
        tool.get_name(),
        tool.get_version().unwrap_or_default()
    );
    let man = clap_mangen::Man::new(command.clone()).source(source);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    let mut roff = String::new();
    let examples = guide.examples_of(verb);
    if !examples.is_empty() {
        let lines = examples.iter().map(|line| format!("{}\n", escaped(line)));
        let _ = write!(
            roff,
            ".SH EXAMPLES\n.nf\n{}.fi\n",
            lines.collect::<String>()
        );
    }
    let variables: Vec<_> = guide
        .variables
        .iter()
        .filter(|(name, _)| verb.is_empty() || names_variable(command, name))
        .collect();
    if !variables.is_empty() {
        roff.push_str(".SH ENVIRONMENT\n");
        for (name, meaning) in variables {
            let _ = write!(roff, ".TP\n\\fB{name}\\fR\n{}\n", escaped(meaning));
        }
    }
    roff.push_str(".SH \"EXIT STATUS\"\n");
    for (code, meaning) in guide.exit_meanings() {
        let _ = write!(roff, ".TP\n\\fB{code}\\fR\n{}\n", escaped(meaning));
    }
    let name = tool.get_name();
    let own = (!verb.is_empty()).then(|| name.to_owned());
    let beside = guide.siblings(verb).map(|other| format!("{name}-{other}"));
    let others = guide.see_also.iter().map(|other| (*other).to_owned());
    let pages: Vec<String> = own
        .into_iter()
        .chain(beside)
        .chain(others)
        .map(|page| format!("\\fB{}\\fR(1)", escaped(&page)))
        .collect();
    let _ = write!(roff, ".SH \"SEE ALSO\"\n{}\n", pages.join(", "));
    text.extend_from_slice(roff.as_bytes());
    if command.get_version().is_some() {
        man.render_version_section(&mut text)?;
    }
    Ok(text)
}

fn names_variable(command: &Command, name: &str) -> bool {
    let says = |argument: &clap::Arg| {
        let help = argument.get_long_help().or_else(|| argument.get_help());
        argument.get_env().is_some_and(|variable| variable == name)
            || help.is_some_and(|help| {
                help.to_string()
                    .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .any(|word| word == name)
            })
    };
    command.get_arguments().any(says)
        || command
            .get_subcommands()
            .any(|inner| names_variable(inner, name))
}

/// A line as roff prints it: no character of it is a request or an escape.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// The bash script spells a tool with a hyphen in its name in two ways, so that nothing is
/// completed behind a verb (<https://github.com/clap-rs/clap/issues/6421>). This gives it one.
fn with_one_spelling(script: &str, name: &str) -> String {
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}
