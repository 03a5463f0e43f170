//! What a CI shows beside the lines of a change: errors, and warnings of what will be one.
//!
//! GitHub reads workflow commands from the output of a job, GitLab a code quality report from a
//! file. The report of the verb and the exit code stay as they are.

#![expect(
    clippy::disallowed_methods,
    reason = "cli is where the environment is read"
)]

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, ValueEnum};
use serde_json::json;

use rune_core::{
    cli::output::Printer,
    command::{CommandError, Report},
    digest::Digest,
    fsx,
    remark::{Remark, Severity},
    text::shown_lines,
    yaml::Place,
};

/// The name under which jobs of GitLab usually keep it.
const GITLAB_REPORT: &str = "gl-code-quality-report.json";

/// For whom a verb annotates files.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct AnnotateArgs {
    /// Annotate the lines of files for a CI: `github` writes workflow commands to standard error,
    /// `gitlab` a code quality report to `gl-code-quality-report.json`, `auto` whichever the
    /// environment is of
    #[arg(
        long,
        value_name = "CI",
        value_enum,
        env = "RUNE_BUNDLE_ANNOTATE",
        hide_env_values = true,
        hide_possible_values = true
    )]
    annotate: Option<Annotate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Annotate {
    Auto,
    Github,
    Gitlab,
}

pub(super) struct Annotator {
    /// For whom, and the file that a failure without a line is shown at; nothing without
    /// --annotate.
    target: Option<(Dialect, Utf8PathBuf)>,
}

#[derive(Debug, Clone, Copy)]
enum Dialect {
    Github,
    Gitlab,
}

impl Annotator {
    pub(super) fn finish<R: Report>(
        self,
        printer: Printer,
        outcome: Result<R, CommandError>,
    ) -> ExitCode {
        let annotated = match self.target {
            None => Ok(()),
            Some((Dialect::Gitlab, file)) => write_gitlab(R::VERB, &remarks(&file, &outcome)),
            Some((Dialect::Github, file)) => {
                write_github(R::VERB, &remarks(&file, &outcome));
                Ok(())
            }
        };
        match annotated {
            // What the verb says counts for more than that it could not be annotated.
            Err(error) if outcome.is_ok() => printer.fail(&error),
            _ => printer.finish(outcome),
        }
    }
}

impl AnnotateArgs {
    /// For a verb that is about a file, which is looked for only when it is needed.
    pub(super) fn about(&self, file: impl FnOnce() -> Utf8PathBuf) -> Annotator {
        let dialect = self.annotate.and_then(Annotate::dialect);
        Annotator {
            target: dialect.map(|dialect| (dialect, file())),
        }
    }
}

impl Annotate {
    fn dialect(self) -> Option<Dialect> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| value == "true");
        match self {
            Self::Github => Some(Dialect::Github),
            Self::Gitlab => Some(Dialect::Gitlab),
            Self::Auto if is_set("GITHUB_ACTIONS") => Some(Dialect::Github),
            Self::Auto if is_set("GITLAB_CI") => Some(Dialect::Gitlab),
            Self::Auto => None,
        }
    }
}

/// A failure that is about no line of a file is shown at the beginning of the verb's file.
fn remarks<R: Report>(file: &Utf8Path, outcome: &Result<R, CommandError>) -> Vec<Remark> {
    let error = match outcome {
        Ok(report) => return report.remarks(),
        Err(error) if error.remarks().is_empty() => error,
        Err(error) => return error.remarks().to_vec(),
    };
    let beginning = Place { line: 1, column: 1 };
    vec![Remark {
        help: error.help().map(str::to_owned),
        ..Remark::error(file, beginning, error.messages().join("\nbecause: "))
    }]
}

fn message(remark: &Remark) -> String {
    // Words of a registry or of a bundle may be among them.
    let message = shown_lines(&remark.message);
    match &remark.help {
        Some(help) => format!("{message}\nhelp: {}", shown_lines(help)),
        None => message,
    }
}

fn shown_path(path: &Utf8PathBuf) -> &str {
    path.as_str().strip_prefix("./").unwrap_or(path.as_str())
}

fn write_github(verb: &str, remarks: &[Remark]) {
    let escaped = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for remark in remarks {
        let command = match remark.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        text.push_str(&format!(
            "::{command} file={},line={},title=rune-bundle {verb}::{}\n",
            property(shown_path(&remark.path)),
            remark.line,
            escaped(&message(remark))
        ));
    }
    // A closed standard error cannot be reported anywhere.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The report is written without remarks too: GitLab then shows what a change has settled.
fn write_gitlab(verb: &str, remarks: &[Remark]) -> Result<(), CommandError> {
    let issue = |remark: &Remark| {
        let (path, message) = (shown_path(&remark.path), message(remark));
        // Without the line: a finding that a change only moves is the same finding.
        let fingerprint = Digest::of(format!("{verb}\n{path}\n{message}").as_bytes());
        json!({
            "description": message,
            "check_name": format!("rune-bundle {verb}"),
            "fingerprint": fingerprint.hex(),
            "severity": match remark.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
            },
            "location": {"path": path, "lines": {"begin": remark.line}},
        })
    };
    let issues: Vec<_> = remarks.iter().map(issue).collect();
    let text = format!("{:#}\n", json!(issues));
    fsx::write_atomic(Utf8Path::new(GITLAB_REPORT), text.as_bytes())?;
    Ok(())
}
