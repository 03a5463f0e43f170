//! What kind of failure an error is.
//!
//! Every error that can reach a person implements [`Failure`]: the kind decides the exit code, the
//! help line says what to do next. Most derive it, with both beside the message of each variant, so
//! that adding one forces the decision; those that must think implement it.

pub use rune_derive::Failure;
use serde::Serialize;

use crate::remark::Remark;

/// The kinds of failure, each with its documented, never renumbered exit code.
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

pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The failure that this one only passes on: it answers for what is not answered here.
    fn inner(&self) -> Option<&dyn Failure> {
        None
    }

    /// Decides the exit code; an internal error unless said otherwise.
    fn kind(&self) -> FailureKind {
        self.inner().map_or(FailureKind::Internal, Failure::kind)
    }

    /// What to do next, as one sentence without a trailing period.
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

/// What the derived implementations use.
#[doc(hidden)]
pub mod derived {
    pub use serde_json::{Value, to_value};

    pub trait Help {
        fn into_help(self) -> Option<String>;
    }

    impl Help for &str {
        fn into_help(self) -> Option<String> {
            Some(self.to_owned())
        }
    }

    impl Help for String {
        fn into_help(self) -> Option<String> {
            Some(self)
        }
    }

    impl<T: Into<String>> Help for Option<T> {
        fn into_help(self) -> Option<String> {
            self.map(Into::into)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Failure, FailureKind};

    #[derive(Debug, thiserror::Error, Failure)]
    #[failure(Input)]
    enum Inner {
        #[error("`{path}` has {}", .found.join(", "))]
        #[failure(Conflict: "remove `{path}`, in {{0}} `{found:?}`")]
        Listed { path: String, found: Vec<String> },
        #[error("`{0}` is missing, and {1}")]
        #[failure(help: "create {1}", may_pass)]
        Missing(String, u8),
        #[error("not this way")]
        Other,
    }

    #[derive(Debug, thiserror::Error, Failure)]
    enum Outer {
        #[error(transparent)]
        Inner(#[from] Inner),
        #[error("`{name}` failed")]
        #[failure(inner: format!("see {}", .name.len()), details: .list)]
        Named {
            name: String,
            list: Vec<u8>,
            source: Box<Inner>,
        },
        #[error("cannot write")]
        #[failure(kind: kind_of(.0), help: None)]
        Write(#[source] io::Error),
    }

    fn kind_of(error: &io::Error) -> FailureKind {
        match error.kind() {
            io::ErrorKind::StorageFull => FailureKind::Space,
            _ => FailureKind::Internal,
        }
    }

    fn missing() -> Inner {
        Inner::Missing("a".to_owned(), 7)
    }

    #[test]
    fn a_variant_says_its_kind_and_help_or_has_those_of_its_type() {
        let found = Inner::Listed {
            path: "a".to_owned(),
            found: vec!["b".to_owned()],
        };
        assert_eq!(found.kind(), FailureKind::Conflict);
        assert_eq!(found.help().unwrap(), r#"remove `a`, in {0} `["b"]`"#);
        assert_eq!(missing().kind(), FailureKind::Input);
        assert_eq!(missing().help().unwrap(), "create 7");
        assert!(missing().may_pass() && !found.may_pass());
        assert_eq!(Inner::Other.help(), None);
    }

    #[test]
    fn an_inner_error_says_what_the_outer_one_does_not() {
        let outer = Outer::from(missing());
        assert_eq!(outer.kind(), FailureKind::Input);
        assert_eq!(outer.help().unwrap(), "create 7");
        assert!(outer.may_pass());
        let named = Outer::Named {
            name: "abc".to_owned(),
            list: vec![1],
            source: Box::new(missing()),
        };
        assert_eq!(named.kind(), FailureKind::Input);
        assert_eq!(named.help().unwrap(), "see 3");
        assert_eq!(named.details(), Some(serde_json::json!([1])));
        assert!(named.may_pass());
    }

    #[test]
    fn an_expression_decides_where_a_kind_is_not_always_the_same() {
        let full = Outer::Write(io::ErrorKind::StorageFull.into());
        assert_eq!(full.kind(), FailureKind::Space);
        assert_eq!(full.help(), None);
        assert!(full.inner().is_none());
    }
}
