//! How talking to a registry fails: what was wanted, and what every endpoint that was tried did.
//!
//! No message holds a query (it may be a signature), a password or a token.

use std::fmt;

use super::{AuthFileError, EndpointError, RegistriesFileError, RepositoryName, advice, quirks};
use crate::net::NetError;
use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("cannot fetch {what}: {}", listed(.failures))]
    Fetch {
        what: String,
        /// Whether it was asked for by its digest.
        is_by_digest: bool,
        failures: Vec<EndpointFailure>,
    },
    #[error("cannot push {what} to `{name}`: {failure}")]
    Push {
        what: String,
        name: RepositoryName,
        failure: Box<EndpointFailure>,
    },
    #[error("cannot delete `{name}{}{what}`: {failure}",
        if .what.contains(':') { "@" } else { ":" })]
    Delete {
        what: String,
        name: RepositoryName,
        failure: Box<EndpointFailure>,
    },
    #[error("cannot list the repositories of `{registry}`: {failure}")]
    Catalog {
        registry: String,
        failure: Box<EndpointFailure>,
    },
    #[error("cannot fetch {what}: {failure}")]
    Web {
        what: String,
        failure: Box<EndpointFailure>,
    },
    #[error("cannot log in: {failure}")]
    Login { failure: EndpointFailure },
    #[error("{what} has {bytes} bytes, and at most {max_bytes} are accepted")]
    TooLarge {
        what: String,
        bytes: u64,
        max_bytes: u64,
    },
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    RegistriesFile(#[from] RegistriesFileError),
    #[error(transparent)]
    AuthFile(#[from] AuthFileError),
    #[error("the mirror `{endpoint}` is neither on loopback nor named by --plain-http")]
    PlainMirror { endpoint: String, host: String },
}

/// Why one endpoint did not give what was asked for.
#[derive(Debug)]
pub struct EndpointFailure {
    pub(crate) endpoint: String,
    pub(crate) is_mirror: bool,
    /// The repository that it was asked for, when a rewrite made it another one.
    pub(crate) asked_for: Option<String>,
    /// Whether the client keeps to the hosts that it was given, without proxies and mirrors.
    pub(crate) is_confined: bool,
    pub(crate) attempts: u32,
    pub(crate) cause: Box<EndpointError>,
}

impl EndpointFailure {
    pub(super) fn host(&self) -> &str {
        let host = self.endpoint.split("://").nth(1);
        host.unwrap_or(&self.endpoint)
    }
}

impl RegistryError {
    /// Whether the registry takes images and does not take the artifact that was to be written.
    pub(crate) fn is_refusal_of_artifact(&self) -> bool {
        matches!(self, Self::Push { failure, .. } if quirks::refuses_artifact(&failure.cause))
    }

    /// Whether nobody has what was asked for by its digest.
    pub fn is_missing_digest(&self) -> bool {
        matches!(
            self,
            Self::Fetch {
                is_by_digest: true,
                ..
            }
        ) && self.kind() == FailureKind::NotFound
    }

    /// Whether a web server says that what was asked for does not exist.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Web { .. }) && self.kind() == FailureKind::NotFound
    }

    /// Whether the registry does not take the image index that was to be written because it does
    /// not have all of its manifests.
    pub(crate) fn is_refusal_of_gaps(&self) -> bool {
        matches!(self, Self::Push { failure, .. }
            if quirks::refuses_index_with_gaps(&failure.cause))
    }

    /// Whether the registry got what was to be written and did not take it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Push { failure, .. }
            if !matches!(*failure.cause, EndpointError::Transport { .. }))
    }

    /// Whether what was to be written is damaged where it came from.
    pub(crate) fn is_about_source(&self) -> bool {
        matches!(self, Self::Push { failure, .. }
            if matches!(*failure.cause, EndpointError::Damaged))
    }

    /// The failure that a person should see: of several endpoints, one that refused us before one
    /// that sent wrong content, that before one that is not there, and that before one that merely
    /// does not have it.
    fn decisive(failures: &[EndpointFailure]) -> Option<&EndpointFailure> {
        let order = [
            FailureKind::Access,
            FailureKind::Content,
            FailureKind::Network,
            FailureKind::NotFound,
        ];
        order.iter().find_map(|kind| {
            failures
                .iter()
                .rev()
                .find(|failure| failure.cause.kind() == *kind)
        })
    }
}

impl Failure for RegistryError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Fetch { failures, .. } => Self::decisive(failures)
                .map_or(FailureKind::Internal, |failure| failure.cause.kind()),
            Self::Delete { failure, .. } if quirks::cannot_delete(&failure.cause) => {
                FailureKind::Access
            }
            Self::Push { failure, .. } | Self::Delete { failure, .. } => failure.cause.write_kind(),
            Self::Login { failure } => failure.cause.kind(),
            Self::Web { failure, .. } | Self::Catalog { failure, .. } => failure.cause.kind(),
            Self::TooLarge { .. } => FailureKind::Content,
            Self::Net(error) => error.kind(),
            Self::RegistriesFile(error) => error.kind(),
            Self::AuthFile(error) => error.kind(),
            Self::PlainMirror { .. } => FailureKind::Input,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Fetch { failures, .. } => Self::decisive(failures).and_then(|failure| {
                let lacks_it = |other: &&EndpointFailure| {
                    other.is_mirror && other.cause.kind() == FailureKind::NotFound
                };
                let is_unreachable =
                    !failure.is_mirror && matches!(*failure.cause, EndpointError::Transport { .. });
                match failures.iter().find(lacks_it).filter(|_| is_unreachable) {
                    Some(mirror) => Some(advice::about_lacking_mirror(
                        &mirror.endpoint,
                        &failure.endpoint,
                    )),
                    None if self.is_missing_digest() => advice::about_missing_digest(failure),
                    None => advice::about(failure),
                }
            }),
            Self::Push { name, failure, .. } => advice::about_write(failure, name),
            Self::Delete { name, failure, .. } => advice::about_deletion(failure, name),
            Self::Catalog { failure, .. } => advice::about_catalog(failure),
            Self::Web { failure, .. } => advice::about_web(failure),
            Self::Login { failure } => advice::about_login(failure),
            Self::TooLarge { .. } => None,
            Self::Net(error) => error.help(),
            Self::RegistriesFile(error) => error.help(),
            Self::AuthFile(error) => error.help(),
            Self::PlainMirror { host, .. } => Some(format!(
                "write https:// in the file, or allow it with --plain-http={host}"
            )),
        }
    }
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint, cause, ..
        } = self;
        match (self.is_mirror, &self.asked_for) {
            (true, Some(repository)) => write!(
                formatter,
                "the mirror `{endpoint}`, asked for `{repository}`, {cause}"
            )?,
            (true, None) => write!(formatter, "the mirror `{endpoint}` {cause}")?,
            (false, _) => write!(formatter, "`{endpoint}` {cause}")?,
        }
        if self.attempts > 1 {
            write!(formatter, " after {} attempts", self.attempts)
        } else {
            Ok(())
        }
    }
}

fn listed(failures: &[EndpointFailure]) -> String {
    failures
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
