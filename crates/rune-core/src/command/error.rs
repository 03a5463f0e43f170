//! How a command fails: the kind that decides the exit code, the chain of causes, what to do next.

use std::error::Error;

use serde::Serialize;

use crate::{
    failure::{Failure, FailureKind},
    remark::Remark,
    text::without_error_numbers,
};

#[derive(Debug)]
pub struct CommandError {
    kind: FailureKind,
    may_pass: bool,
    error: Box<dyn Error + Send + Sync>,
    help: Option<String>,
    details: Option<serde_json::Value>,
    remarks: Vec<Remark>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorReport {
    kind: FailureKind,
    exit_code: u8,
    message: String,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<serde_json::Value>,
}

#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
struct Context {
    doing: String,
    source: Box<dyn Error + Send + Sync>,
}

impl CommandError {
    /// Says with `help` what to do next, instead of what the failure itself says.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what was being done; the failure itself becomes the cause.
    #[must_use]
    pub fn context(self, doing: impl Into<String>) -> Self {
        let error = Box::new(Context {
            doing: doing.into(),
            source: self.error,
        });
        Self { error, ..self }
    }

    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    pub const fn may_pass(&self) -> bool {
        self.may_pass
    }

    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The message and its causes, outermost first, without repetition: several errors print their
    /// source as part of themselves.
    pub fn messages(&self) -> Vec<String> {
        let mut messages = vec![without_error_numbers(&self.error.to_string())];
        let mut source = self.error.source();
        while let Some(error) = source {
            let text = without_error_numbers(&error.to_string());
            if messages.last().is_none_or(|last| !last.ends_with(&text)) {
                messages.push(text);
            }
            source = error.source();
        }
        messages
    }

    pub(crate) fn to_report(&self) -> ErrorReport {
        let mut messages = self.messages().into_iter();
        ErrorReport {
            kind: self.kind,
            exit_code: self.kind.exit_code(),
            message: messages.next().unwrap_or_default(),
            causes: messages.collect(),
            help: self.help.clone(),
            details: self.details.clone(),
        }
    }
}

impl<E: Failure> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self {
            kind: error.kind(),
            may_pass: error.may_pass(),
            help: error.help(),
            details: error.details(),
            remarks: error.remarks(),
            error: Box::new(error),
        }
    }
}
