//! How talking to a registry fails.

use std::fmt;

use http::StatusCode;

use crate::{
    failure::{Failure, FailureKind},
    oci::{Digest, ManifestError},
};

/// Why a registry could not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No endpoint of the registry gave it.
    #[error("cannot fetch {what}: {}", listed(.failures))]
    Fetch {
        /// What was asked for, in words.
        what: String,
        /// What each endpoint that was tried said, in the order they were tried.
        failures: Vec<EndpointFailure>,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
}

/// Why one endpoint did not give what was asked for.
#[derive(Debug)]
pub struct EndpointFailure {
    /// The endpoint, as a URL without path.
    pub endpoint: String,
    /// Why.
    pub cause: Cause,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The server answered with an error.
    #[error("it answered {status}{}", after(*.attempts))]
    Status {
        /// The status code.
        status: StatusCode,
        /// How often it was tried.
        attempts: u32,
    },
    /// There was no usable answer at all.
    #[error("{problem}{}", after(*.attempts))]
    Transport {
        /// What happened, in words.
        problem: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The content is not what its digest says.
    #[error("it sent content with the digest {actual} instead of {expected}")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The content does not have the size that its descriptor says.
    #[error("it sent {actual} bytes instead of {expected}")]
    WrongSize {
        /// What the descriptor says.
        expected: u64,
        /// What came, or was announced.
        actual: u64,
    },
    /// The content is larger than what is accepted.
    #[error("it sent more than the {max} bytes that are accepted")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// The document is not a manifest.
    #[error("it sent something that is not a manifest: {0}")]
    Manifest(#[source] ManifestError),
}

impl Failure for RegistryError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Setup(_) => FailureKind::Internal,
            Self::Fetch { failures, .. } => failures.last().map_or(FailureKind::Internal, |failure| failure.cause.kind()),
        }
    }
}

impl Cause {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Status { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => FailureKind::Access,
            Self::Status { status: StatusCode::NOT_FOUND, .. } => FailureKind::NotFound,
            Self::Status { .. } | Self::Transport { .. } => FailureKind::Network,
            Self::WrongDigest { .. } | Self::WrongSize { .. } | Self::TooLarge { .. } | Self::Manifest(_) => FailureKind::Content,
        }
    }
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "asked `{}`, {}", self.endpoint, self.cause)
    }
}

fn listed(failures: &[EndpointFailure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn after(attempts: u32) -> String {
    if attempts > 1 { format!(" after {attempts} attempts") } else { String::new() }
}
