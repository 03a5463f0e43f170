//! What a command says about one line of a file, for whoever reviews a change of that file.

use std::fmt;

use camino::Utf8PathBuf;

use crate::yaml::Place;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub severity: Severity,
    pub path: Utf8PathBuf,
    pub line: usize,
    pub message: String,
    pub help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    /// It will fail a later command, unless somebody decides.
    Warning,
}

impl fmt::Display for Remark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.message)
    }
}

impl Remark {
    pub fn error(path: impl Into<Utf8PathBuf>, place: Place, message: String) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            line: place.line.max(1),
            message,
            help: None,
        }
    }

    pub fn warning(path: impl Into<Utf8PathBuf>, place: Place, message: String) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, place, message)
        }
    }

    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}
