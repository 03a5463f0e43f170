//! What a command found or did, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::{failure::FailureKind, remark::Remark};

/// A number of things, for people: `1 chart`, `2 charts`.
pub fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(count: N, thing: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// The outcome of a verb: one object as JSON, a few lines as text.
pub trait Report: Serialize {
    /// The verb, as it stands in the name of the JSON schema, `rune-bundle/report/<verb>/v1`.
    const VERB: &'static str;

    /// What people read on standard output, with a newline at its end, if anything.
    fn text(&self) -> String;

    /// Whether it changed something: its work is done, whatever becomes of this report.
    fn has_changed(&self) -> bool {
        false
    }

    /// The failure of a command that ran well but found what must fail a job, such as drift.
    fn verdict(&self) -> Option<FailureKind> {
        None
    }

    fn remarks(&self) -> Vec<Remark> {
        Vec::new()
    }
}
