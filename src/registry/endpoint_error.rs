//! What an endpoint did instead of what was asked of it.

use std::time::Duration;

use http::StatusCode;

use super::{CredentialError, quirks::is_about_immutable_tag};
use crate::{
    net::{TransportError, TransportFault},
    oci::ManifestError,
};
use rune_core::{
    digest::Digest,
    failure::{Failure as _, FailureKind},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("{}answered {status}{}", via(.redirected_to.as_deref()),
        in_parentheses(.detail.as_deref()))]
    Status {
        status: StatusCode,
        /// What the distribution specification calls it, such as `NAME_UNKNOWN`.
        code: Option<String>,
        detail: Option<String>,
        /// Whether what it says is that there is no room.
        is_about_space: bool,
        /// The server it redirected to, when that one answered.
        redirected_to: Option<String>,
        retry_after: Option<Duration>,
    },
    #[error("{}failed: {error}", via(.redirected_to.as_deref()))]
    Transport {
        error: TransportError,
        /// The server it redirected to, when that one failed.
        redirected_to: Option<String>,
    },
    #[error("asks for credentials, and there are none for `{host}`")]
    NoCredentials { host: String },
    #[error("refused {}{}", whose(.user.as_deref()), in_parentheses(.detail.as_deref()))]
    CredentialsRefused {
        host: String,
        user: Option<String>,
        detail: Option<String>,
    },
    #[error("asks for authentication of a kind that is not supported")]
    UnknownChallenge,
    #[error("wants a token from `{server}`, {problem}")]
    TokenServer {
        server: String,
        problem: TokenProblem,
    },
    #[error("asks for credentials: {0}")]
    Credentials(#[source] CredentialError),
    #[error("redirects to `{to}`, {problem}")]
    Redirect { to: String, problem: &'static str },
    #[error("sends us to `{to}`, a host that was not named")]
    OutOfBounds { to: String },
    #[error("is plain HTTP, which was not allowed for `{host}`")]
    PlainHttp { host: String, is_named: bool },
    #[error("{0}")]
    ProtocolViolation(&'static str),
    #[error("was not sent to its end, because the content is damaged here")]
    Damaged,
    #[error("was given {expected} and has {actual} instead")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("took it and does not have it")]
    MissingAfterPush,
    #[error("sent content with the digest {actual} instead of {expected}")]
    WrongDigest { expected: Digest, actual: Digest },
    #[error("sent, or announced, {actual} bytes instead of {expected}")]
    WrongSize { expected: u64, actual: u64 },
    #[error("was asked for `{asked}` and sent `{sent}`")]
    WrongRange { asked: String, sent: String },
    #[error("offers more than the {max} bytes that are accepted")]
    TooLarge { max: u64 },
    #[error("sent something else than a manifest ({what}): {error}")]
    NoManifest {
        what: String,
        is_page: bool,
        #[source]
        error: ManifestError,
    },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenProblem {
    #[error("{0}")]
    NotAllowed(&'static str),
    #[error("which failed: {0}")]
    Transport(#[source] TransportError),
    #[error("which answered {status} to {}", whose(.user.as_deref()))]
    Status {
        status: StatusCode,
        user: Option<String>,
        retry_after: Option<Duration>,
    },
    #[error("a host that was not named")]
    OutOfBounds,
    #[error("whose answer holds no usable token")]
    NoToken,
}

impl EndpointError {
    pub(super) fn transport(error: TransportError) -> Self {
        Self::Transport {
            error,
            redirected_to: None,
        }
    }

    /// An answer with a status that says it all.
    pub(super) fn status(status: StatusCode) -> Self {
        Self::Status {
            status,
            code: None,
            detail: None,
            is_about_space: false,
            redirected_to: None,
            retry_after: None,
        }
    }

    /// The kind when something was to be written.
    pub(super) fn write_kind(&self) -> FailureKind {
        let Self::Status {
            status,
            code,
            detail,
            is_about_space,
            ..
        } = self
        else {
            return self.kind();
        };
        let is_immutable = detail
            .as_ref()
            .is_some_and(|detail| is_about_immutable_tag(detail));
        match (*status, code.as_deref()) {
            _ if *is_about_space => FailureKind::Space,
            (StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE, _) => {
                FailureKind::Space
            }
            (StatusCode::CONFLICT, _) => FailureKind::Conflict,
            _ if is_immutable => FailureKind::Conflict,
            (StatusCode::METHOD_NOT_ALLOWED, _) => FailureKind::Access,
            (_, Some("NAME_INVALID")) => FailureKind::Usage,
            (_, Some("DIGEST_INVALID" | "SIZE_INVALID")) => FailureKind::Content,
            (_, Some("BLOB_UPLOAD_UNKNOWN" | "BLOB_UPLOAD_INVALID")) => FailureKind::Network,
            (status, _) => status_kind(status),
        }
    }

    pub(super) const fn answered(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Status { status, .. } => status_kind(*status),
            Self::Transport { error, .. }
            | Self::TokenServer {
                problem: TokenProblem::Transport(error),
                ..
            } => match error.fault {
                TransportFault::Forbidden(_) | TransportFault::ClientCertificate => {
                    FailureKind::Access
                }
                _ => FailureKind::Network,
            },
            Self::TokenServer { problem, .. } => match problem {
                TokenProblem::Status { status, .. } if is_transient(*status) => {
                    FailureKind::Network
                }
                TokenProblem::NoToken => FailureKind::Network,
                _ => FailureKind::Access,
            },
            Self::NoCredentials { .. }
            | Self::CredentialsRefused { .. }
            | Self::UnknownChallenge
            | Self::Credentials(CredentialError::Helper(_))
            | Self::OutOfBounds { .. }
            | Self::PlainHttp {
                is_named: false, ..
            }
            | Self::Redirect { .. } => FailureKind::Access,
            Self::Credentials(error) => error.kind(),
            Self::PlainHttp { is_named: true, .. } => FailureKind::Input,
            Self::ProtocolViolation(_) | Self::MissingAfterPush => FailureKind::Network,
            Self::Damaged
            | Self::DigestMismatch { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::WrongRange { .. }
            | Self::TooLarge { .. }
            | Self::NoManifest { .. } => FailureKind::Content,
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Transport { error, .. }
            | Self::TokenServer {
                problem: TokenProblem::Transport(error),
                ..
            } => error.fault.is_transient(),
            Self::Status {
                status,
                is_about_space,
                ..
            } => is_transient(*status) && !is_about_space,
            Self::TokenServer {
                problem: TokenProblem::Status { status, .. },
                ..
            } => is_transient(*status),
            _ => false,
        }
    }

    /// How long the server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. }
            | Self::TokenServer {
                problem: TokenProblem::Status { retry_after, .. },
                ..
            } => *retry_after,
            _ => None,
        }
    }
}

/// Whether a server may answer otherwise later.
pub(super) fn is_transient(status: StatusCode) -> bool {
    (status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE)
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
}

fn status_kind(status: StatusCode) -> FailureKind {
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED => FailureKind::Access,
        StatusCode::NOT_FOUND | StatusCode::GONE => FailureKind::NotFound,
        StatusCode::RANGE_NOT_SATISFIABLE => FailureKind::Content,
        _ => FailureKind::Network,
    }
}

fn via(redirected_to: Option<&str>) -> String {
    redirected_to
        .map(|to| format!("redirected to `{to}`, which "))
        .unwrap_or_default()
}

fn in_parentheses(detail: Option<&str>) -> String {
    detail
        .map(|detail| format!(" ({detail})"))
        .unwrap_or_default()
}

fn whose(user: Option<&str>) -> String {
    user.map_or_else(
        || "a request without credentials".to_owned(),
        |user| format!("the credentials of `{user}`"),
    )
}
