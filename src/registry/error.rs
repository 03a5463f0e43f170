//! How talking to a registry fails.
//!
//! A [`Cause`] is what one endpoint did; a [`RegistryError`] is what was wanted and what every endpoint that was
//! tried did. No message holds a query (it may be a signature), a password or a token.

use std::{fmt, time::Duration};

use http::StatusCode;

use super::{AuthFileError, HelperError, RegistriesFileError, RepositoryName, advice};
use crate::{
    failure::{Failure, FailureKind},
    net::{NetError, TransportError, TransportFault},
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
        /// What each endpoint that was tried did, in the order they were tried.
        failures: Vec<EndpointFailure>,
    },
    /// The registry did not take what was to be written to it.
    #[error("cannot push {what} to `{name}`: {failure}")]
    Push {
        /// What was to be written, in words.
        what: String,
        /// Where.
        name: RepositoryName,
        /// What happened.
        failure: Box<EndpointFailure>,
    },
    /// A descriptor announces more than is accepted in memory.
    #[error("{what} has {bytes} bytes, and at most {max_bytes} are accepted")]
    TooLarge {
        /// What was asked for, in words.
        what: String,
        /// What the descriptor says.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The `registries.yaml` cannot be used.
    #[error(transparent)]
    RegistriesFile(#[from] RegistriesFileError),
    /// The file with credentials cannot be used.
    #[error(transparent)]
    AuthFile(#[from] AuthFileError),
    /// A mirror is to be spoken to without TLS and nobody allowed it.
    #[error("the mirror `{endpoint}` is neither on loopback nor named by --plain-http")]
    PlainMirror {
        /// The endpoint.
        endpoint: String,
        /// What to name.
        host: String,
    },
}

/// Why one endpoint did not give what was asked for.
#[derive(Debug)]
pub struct EndpointFailure {
    /// The endpoint, as a URL.
    pub endpoint: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What happened the last time.
    pub cause: Cause,
}

/// What an endpoint did instead of giving what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It, or the server it redirected to, answered with an error.
    #[error("{}answered {status}{}", via(.redirected_to.as_deref()), in_parentheses(.detail.as_deref()))]
    Status {
        /// The status code.
        status: StatusCode,
        /// What the distribution specification calls it, such as `NAME_UNKNOWN`.
        code: Option<String>,
        /// What the server says about it.
        detail: Option<String>,
        /// Whether what it says is that there is no room.
        is_about_space: bool,
        /// The server it redirected to, when that one answered.
        redirected_to: Option<String>,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// There was no whole answer.
    #[error("{}failed: {error}", via(.redirected_to.as_deref()))]
    Transport {
        /// What happened.
        error: TransportError,
        /// The server it redirected to, when that one failed.
        redirected_to: Option<String>,
    },
    /// It wants credentials, and there are none.
    #[error("asks for credentials, and there are none for `{host}`")]
    NoCredentials {
        /// The host.
        host: String,
    },
    /// It refused the credentials that there are, or nobody may do this.
    #[error("refused {}{}", whose(.user.as_deref()), in_parentheses(.detail.as_deref()))]
    CredentialsRefused {
        /// The host.
        host: String,
        /// Whose credentials they were.
        user: Option<String>,
        /// What the server says about it.
        detail: Option<String>,
    },
    /// It wants to be convinced in a way that this client does not know.
    #[error("asks for authentication of a kind that is not supported")]
    UnknownChallenge,
    /// Getting a token from its token server failed.
    #[error("wants a token from `{server}`, {problem}")]
    TokenServer {
        /// The token server: scheme, host and port.
        server: String,
        /// Why there is no token.
        problem: TokenProblem,
    },
    /// A credential helper failed.
    #[error("asks for credentials: {0}")]
    Helper(#[source] HelperError),
    /// It sent us somewhere where we do not go.
    #[error("redirects to `{to}`, {problem}")]
    Redirect {
        /// Where to: scheme, host and port.
        to: String,
        /// Why not.
        problem: &'static str,
    },
    /// It sent us to a host that we may not contact.
    #[error("sends us to `{to}`, a host that was not named")]
    OutOfBounds {
        /// Where to: scheme, host and port.
        to: String,
    },
    /// It answered a write in a way that makes no sense.
    #[error("{0}")]
    Nonsense(&'static str),
    /// What was to be written is damaged where it came from; nothing of the kind was finished there.
    #[error("was not sent to its end, because the content is damaged here")]
    Damaged,
    /// It took a manifest and has another one in its place.
    #[error("was given {expected} and has {actual} instead")]
    Changed {
        /// What was written.
        expected: Digest,
        /// What is there.
        actual: Digest,
    },
    /// It took something and does not have it.
    #[error("took it and does not have it")]
    Lost,
    /// The content is not what its digest says.
    #[error("sent content with the digest {actual} instead of {expected}")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The content does not have the size that its descriptor says.
    #[error("sent, or announced, {actual} bytes instead of {expected}")]
    WrongSize {
        /// What the descriptor says.
        expected: u64,
        /// What came, or was announced.
        actual: u64,
    },
    /// Another part of the content came than the one asked for.
    #[error("was asked for `{asked}` and sent `{sent}`")]
    WrongRange {
        /// The range that was asked for.
        asked: String,
        /// The `Content-Range` of the answer.
        sent: String,
    },
    /// The content is larger than what is accepted.
    #[error("offers more than the {max} bytes that are accepted")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// The document is not a manifest.
    #[error("sent something else than a manifest: {0}")]
    Manifest(#[source] ManifestError),
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenProblem {
    /// Credentials are not taken there.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// No whole answer.
    #[error("which failed: {0}")]
    Transport(#[source] TransportError),
    /// An error as answer.
    #[error("which answered {status} to {}", whose(.user.as_deref()))]
    Status {
        /// The status code.
        status: StatusCode,
        /// Whose credentials were shown.
        user: Option<String>,
        /// How long the server asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It is on a host that we may not contact.
    #[error("a host that was not named")]
    OutOfBounds,
    /// An answer without a token.
    #[error("whose answer holds no usable token")]
    NoToken,
}

impl Cause {
    pub(super) fn transport(error: TransportError) -> Self {
        Self::Transport { error, redirected_to: None }
    }

    /// An answer with a status that says it all.
    pub(super) fn status(status: StatusCode) -> Self {
        Self::Status { status, code: None, detail: None, is_about_space: false, redirected_to: None, retry_after: None }
    }

    /// The kind when something was to be written.
    fn write_kind(&self) -> FailureKind {
        let Self::Status { status, code, detail, is_about_space, .. } = self else { return self.kind() };
        let is_immutable = detail.as_ref().is_some_and(|detail| detail.to_lowercase().contains("immutable"));
        match (*status, code.as_deref()) {
            _ if *is_about_space => FailureKind::Space,
            (StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE, _) => FailureKind::Space,
            (StatusCode::CONFLICT, _) => FailureKind::Conflict,
            _ if is_immutable => FailureKind::Conflict,
            (StatusCode::METHOD_NOT_ALLOWED, _) => FailureKind::Access,
            (_, Some("NAME_INVALID")) => FailureKind::Usage,
            (_, Some("DIGEST_INVALID" | "SIZE_INVALID")) => FailureKind::Content,
            (_, Some("BLOB_UPLOAD_UNKNOWN" | "BLOB_UPLOAD_INVALID")) => FailureKind::Network,
            (status, _) => status_kind(status),
        }
    }

    /// The status that was answered.
    pub(super) const fn answered(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Status { status, .. } => status_kind(*status),
            Self::Transport { error, .. } | Self::TokenServer { problem: TokenProblem::Transport(error), .. } => match error.fault {
                TransportFault::Forbidden(_) | TransportFault::ClientCertificate => FailureKind::Access,
                _ => FailureKind::Network,
            },
            Self::TokenServer { problem, .. } => match problem {
                TokenProblem::Status { status, .. } if is_transient(*status) => FailureKind::Network,
                TokenProblem::NoToken => FailureKind::Network,
                _ => FailureKind::Access,
            },
            Self::NoCredentials { .. }
            | Self::CredentialsRefused { .. }
            | Self::UnknownChallenge
            | Self::Helper(_)
            | Self::OutOfBounds { .. }
            | Self::Redirect { .. } => FailureKind::Access,
            Self::Nonsense(_) | Self::Lost => FailureKind::Network,
            Self::Damaged
            | Self::Changed { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::WrongRange { .. }
            | Self::TooLarge { .. }
            | Self::Manifest(_) => FailureKind::Content,
        }
    }

    /// Whether asking again may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { error, .. } | Self::TokenServer { problem: TokenProblem::Transport(error), .. } => error.fault.is_transient(),
            Self::Status { status, is_about_space, .. } => is_transient(*status) && !is_about_space,
            Self::TokenServer { problem: TokenProblem::Status { status, .. }, .. } => is_transient(*status),
            _ => false,
        }
    }

    /// How long the server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } | Self::TokenServer { problem: TokenProblem::Status { retry_after, .. }, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Whether a server may answer otherwise later.
pub(super) fn is_transient(status: StatusCode) -> bool {
    (status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE)
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn status_kind(status: StatusCode) -> FailureKind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => FailureKind::Access,
        StatusCode::NOT_FOUND | StatusCode::GONE => FailureKind::NotFound,
        StatusCode::RANGE_NOT_SATISFIABLE => FailureKind::Content,
        _ => FailureKind::Network,
    }
}

impl RegistryError {
    /// Whether the registry looked at what was to be written and does not want it as it is.
    pub fn is_refusal(&self) -> bool {
        let Self::Push { failure, .. } = self else { return false };
        matches!(failure.cause.answered().map(|status| status.as_u16()), Some(400 | 404 | 409 | 412 | 415 | 422))
    }

    /// Whether what was to be written is damaged where it came from.
    pub fn is_about_source(&self) -> bool {
        matches!(self, Self::Push { failure, .. } if matches!(failure.cause, Cause::Damaged))
    }

    /// The failure that a person should look at: of several endpoints, one that refused us before one that sent
    /// wrong content, that before one that is not there, and that before one that merely does not have it.
    fn decisive(failures: &[EndpointFailure]) -> Option<&EndpointFailure> {
        let order = [FailureKind::Access, FailureKind::Content, FailureKind::Network, FailureKind::NotFound];
        order.iter().find_map(|kind| failures.iter().rev().find(|failure| failure.cause.kind() == *kind))
    }
}

impl Failure for RegistryError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Fetch { failures, .. } => Self::decisive(failures).map_or(FailureKind::Internal, |failure| failure.cause.kind()),
            Self::Push { failure, .. } => failure.cause.write_kind(),
            Self::TooLarge { .. } => FailureKind::Content,
            Self::Net(error) => error.kind(),
            Self::RegistriesFile(error) => error.kind(),
            Self::AuthFile(error) => error.kind(),
            Self::PlainMirror { .. } => FailureKind::Input,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Fetch { failures, .. } => Self::decisive(failures).and_then(|failure| advice::about(&failure.cause, &failure.endpoint)),
            Self::Push { name, failure, .. } => advice::about_write(&failure.cause, &failure.endpoint, name),
            Self::TooLarge { .. } => None,
            Self::Net(error) => error.help(),
            Self::RegistriesFile(error) => error.help(),
            Self::AuthFile(error) => error.help(),
            Self::PlainMirror { host, .. } => Some(format!("write https:// in the file, or allow it with --plain-http {host}")),
        }
    }
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` {}", self.endpoint, self.cause)?;
        if self.attempts > 1 { write!(formatter, " after {} attempts", self.attempts) } else { Ok(()) }
    }
}

fn listed(failures: &[EndpointFailure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn via(redirected_to: Option<&str>) -> String {
    redirected_to.map(|to| format!("redirected to `{to}`, which ")).unwrap_or_default()
}

fn in_parentheses(detail: Option<&str>) -> String {
    detail.map(|detail| format!(" ({detail})")).unwrap_or_default()
}

fn whose(user: Option<&str>) -> String {
    user.map_or_else(|| "a request without credentials".to_owned(), |user| format!("the credentials of `{user}`"))
}
