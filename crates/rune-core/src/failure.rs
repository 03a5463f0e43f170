//! What kind of failure an error is.
//!
//! Every error that can reach a person implements [`Failure`]: the kind decides the exit code, the
//! help line says what to do next. The trait lives at the bottom so that each module classifies its
//! own errors next to where they are defined, and adding a variant forces the decision.

use serde::Serialize;

use crate::remark::Remark;

/// The kinds of failure a command can end with, each with its documented, never renumbered exit
/// code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum FailureKind {
    Internal = 1,
    Usage = 2,
    /// A file is invalid: a manifest, a policy, a key, the header of a bundle.
    Input = 3,
    /// A file, image, release or other name was not found.
    NotFound = 4,
    /// Drift: a digest moved, or a rendered file is out of date.
    Drift = 5,
    /// Content does not match its digest or the signed bundle index.
    Content = 6,
    /// A signature is missing, bad, or by a key that is not trusted.
    Signature = 7,
    /// The policy, or the completeness of the bundle, is violated.
    Policy = 8,
    Access = 9,
    Network = 10,
    /// There is not enough space, or a limit was reached.
    Space = 11,
    /// Something already exists, is locked by another process, or would be downgraded.
    Conflict = 12,
    Rollout = 13,
    Interrupted = 130,
}

impl FailureKind {
    /// Every kind, by exit code.
    pub const ALL: [Self; 14] = [
        Self::Internal,
        Self::Usage,
        Self::Input,
        Self::NotFound,
        Self::Drift,
        Self::Content,
        Self::Signature,
        Self::Policy,
        Self::Access,
        Self::Network,
        Self::Space,
        Self::Conflict,
        Self::Rollout,
        Self::Interrupted,
    ];

    pub const fn exit_code(self) -> u8 {
        self as u8
    }
}

/// An error that knows its kind and what a person should do next.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The failure that this one only passes on: it answers for what is not answered here.
    fn inner(&self) -> Option<&dyn Failure> {
        None
    }

    /// Which kind this is; decides the exit code. Of one that neither says nor passes it on: an
    /// internal error.
    fn kind(&self) -> FailureKind {
        self.inner().map_or(FailureKind::Internal, Failure::kind)
    }

    /// What to do next, as one sentence without a trailing period, when there is something useful
    /// to say.
    fn help(&self) -> Option<String> {
        self.inner().and_then(Failure::help)
    }

    /// Whether waiting may help without a change of the command: a server that is not up yet, a
    /// database that is about to be created.
    fn may_pass(&self) -> bool {
        self.inner().is_some_and(Failure::may_pass)
    }

    /// The same for programs, for errors that are a list: the `details` of the JSON report.
    fn details(&self) -> Option<serde_json::Value> {
        self.inner().and_then(Failure::details)
    }

    fn remarks(&self) -> Vec<Remark> {
        self.inner().map(Failure::remarks).unwrap_or_default()
    }
}
