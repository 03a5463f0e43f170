//! What a command found or did, for people and for programs.

use serde::Serialize;

use crate::{failure::FailureKind, remark::Remark};

/// A number of things, for people: `1 chart`, `2 charts`.
pub fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// The outcome of a verb: one object as JSON, a few lines as text.
pub trait Report: Serialize {
    /// The verb, as it stands in the name of the JSON schema, `rune-bundle/report/<verb>/v1`.
    const VERB: &'static str;

    /// What people read on standard output, ending with a newline; empty when there is nothing to
    /// say.
    fn text(&self) -> String;

    /// Whether the command has changed something. Then it has done its work, whatever becomes of
    /// this report.
    fn has_changed(&self) -> bool {
        false
    }

    /// The kind of failure when the command ran well but found something that must fail a job, such
    /// as drift.
    fn verdict(&self) -> Option<FailureKind> {
        None
    }

    /// What it says about lines of files.
    fn remarks(&self) -> Vec<Remark> {
        Vec::new()
    }
}
