//! The mistakes of a file that a person wrote, all of them at once.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::{Place, YamlError};
use crate::{
    failure::{Failure, FailureKind},
    remark::Remark,
};

/// Something that is wrong at one place of a file.
///
/// The text it displays as is a lower-case fragment; the hint says what to write instead.
pub trait Problem: fmt::Display {
    fn hint(&self) -> Option<String> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub(crate) path: Utf8PathBuf,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[derive(Debug)]
pub struct Findings {
    path: Utf8PathBuf,
    list: Vec<Finding>,
}

#[derive(Debug, thiserror::Error)]
pub struct Diagnostics {
    findings: Vec<Finding>,
}

impl Findings {
    pub fn new(path: &Utf8Path) -> Self {
        Self {
            path: path.to_owned(),
            list: Vec::new(),
        }
    }

    pub fn add(&mut self, place: Place, problem: &impl Problem) {
        self.list.push(Finding {
            path: self.path.clone(),
            line: place.line,
            column: place.column,
            message: problem.to_string(),
            hint: problem.hint(),
        });
    }

    /// Adds a text that is not even YAML. An error that is not about the text itself is kept
    /// without a place.
    pub fn add_syntax(&mut self, error: &YamlError) {
        let (line, column, message) = match error {
            YamlError::Read {
                line,
                column,
                message,
                ..
            } => (*line, *column, message.clone()),
            YamlError::Write(_) => (0, 0, error.to_string()),
        };
        let number = |value: u64| usize::try_from(value).unwrap_or(0);
        self.list.push(Finding {
            path: self.path.clone(),
            line: number(line),
            column: number(column),
            message,
            hint: None,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Diagnostics {
    /// Puts the findings of several files together, in the order of files and then of places;
    /// nothing when there are none.
    pub fn check(files: impl IntoIterator<Item = Findings>) -> Result<(), Self> {
        let mut findings = Vec::new();
        for file in files {
            let mut list = file.list;
            list.sort();
            list.dedup();
            findings.extend(list);
        }
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Self { findings })
        }
    }

    /// For a file that could not be used although nothing was found to be wrong with it, which is a
    /// bug.
    pub fn unexplained(path: &Utf8Path) -> Self {
        let message = "it cannot be used, and no reason was found".to_owned();
        Self {
            findings: vec![Finding {
                path: path.to_owned(),
                line: 0,
                column: 0,
                message,
                hint: None,
            }],
        }
    }

    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files: Vec<String> = Vec::new();
        for Finding { path, .. } in &self.findings {
            let file = format!("`{path}`");
            if !files.contains(&file) {
                files.push(file);
            }
        }
        let verb = if files.len() == 1 { "is" } else { "are" };
        let files = files.join(" and ");
        match self.findings.len() {
            1 => write!(formatter, "{files} {verb} invalid: 1 error")?,
            errors => write!(formatter, "{files} {verb} invalid: {errors} errors")?,
        }
        for Finding {
            path,
            line,
            column,
            message,
            hint,
        } in &self.findings
        {
            write!(formatter, "\n  {path}:{line}:{column}: {message}")?;
            if let Some(hint) = hint {
                write!(formatter, "\n    hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl Failure for Diagnostics {
    fn kind(&self) -> FailureKind {
        FailureKind::Input
    }

    fn details(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.findings).ok()
    }

    fn remarks(&self) -> Vec<Remark> {
        let remark = |finding: &Finding| {
            let place = Place {
                line: finding.line,
                column: finding.column,
            };
            Remark {
                help: finding.hint.clone(),
                ..Remark::error(&finding.path, place, finding.message.clone())
            }
        };
        self.findings.iter().map(remark).collect()
    }
}
