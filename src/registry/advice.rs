//! What a person can do about a failure. Each sentence names an option, a file or a command.

use http::StatusCode;

use super::{
    EndpointError, EndpointFailure, RepositoryName, TokenProblem,
    endpoint_error::is_transient,
    quirks::{cannot_delete, credential_key, is_about_immutable_tag},
};
use crate::{
    net::{TransportError, TransportFault},
    oci::ManifestError,
};
use rune_core::failure::Failure as _;

/// Why a redirect from https to http is not followed.
pub(super) const NOT_ENCRYPTED: &str = "which is not encrypted, as it is itself";

pub(super) fn about(failure: &EndpointFailure) -> Option<String> {
    let (cause, host) = (&*failure.cause, failure.host());
    Some(match cause {
        EndpointError::NoCredentials { .. } => format!(
            "run {}, or pass a file that has them with --authfile",
            login(host)
        ),
        EndpointError::CredentialsRefused { user: Some(_), .. } => {
            format!(
                "check the entry for `{host}` in the docker config.json (--authfile) and what its \
                 user may read"
            )
        }
        EndpointError::CredentialsRefused { user: None, .. } => {
            format!(
                "check the name; if it is not public, run {} or pass a file with credentials with \
                 --authfile",
                login(host)
            )
        }
        EndpointError::Credentials(error) => return error.help(),
        EndpointError::TokenServer {
            server,
            problem: TokenProblem::OutOfBounds,
        } => allow(server),
        EndpointError::TokenServer { problem, .. } => return about_token(problem, failure),
        EndpointError::Redirect { .. } => suspicious(host),
        EndpointError::Transport { error, .. } => about_transport(error, failure),
        EndpointError::Status {
            status,
            redirected_to,
            ..
        } => return about_status(*status, redirected_to.as_deref(), host),
        EndpointError::WrongDigest { .. }
        | EndpointError::WrongSize { .. }
        | EndpointError::WrongRange { .. } => {
            format!(
                "something between here and `{host}` changes content, or `{host}` is damaged; try \
                 without proxy or mirror"
            )
        }
        EndpointError::OutOfBounds { to } => allow(to),
        EndpointError::PlainHttp { host, .. } => {
            format!("write https://, or allow it with --plain-http={host}")
        }
        EndpointError::MissingAfterPush => again(),
        EndpointError::DigestMismatch { .. } => {
            format!(
                "`{host}`, or something before it, rewrites manifests; signatures would not fit \
                 any more: ask its operators"
            )
        }
        EndpointError::NoManifest { is_page: true, .. } => {
            format!(
                "check what `{host}` is: a page answers for it, such as that of a login or of a \
                 proxy; open it in a browser"
            )
        }
        EndpointError::NoManifest {
            error: ManifestError::SchemaVersion(1),
            ..
        } => "push the image again with a current program: this format is from before 2016"
            .to_owned(),
        EndpointError::NoManifest { .. } => {
            format!("try without proxy or mirror, or tell the operators of `{host}` what it sends")
        }
        EndpointError::Damaged
        | EndpointError::ProtocolViolation(_)
        | EndpointError::UnknownChallenge
        | EndpointError::TooLarge { .. } => {
            return None;
        }
    })
}

pub(super) fn about_web(failure: &EndpointFailure) -> Option<String> {
    let (cause, host) = (&*failure.cause, failure.host());
    let entry = || format!("add an entry for `{host}` to the docker config.json (--authfile)");
    Some(match cause {
        EndpointError::NoCredentials { .. } => entry(),
        EndpointError::Status {
            status: StatusCode::NOT_FOUND,
            redirected_to: None,
            ..
        } => {
            format!(
                "check the address; some servers also say this to those who may not read it: {}",
                entry()
            )
        }
        EndpointError::Redirect { .. } | EndpointError::OutOfBounds { .. } => {
            format!(
                "check that `{host}` is the server that is meant; or download the file and give \
                 its `path`"
            )
        }
        EndpointError::TooLarge { .. } => "download it and give its `path`".to_owned(),
        _ => return about(failure),
    })
}

pub(super) fn about_missing_digest(failure: &EndpointFailure) -> Option<String> {
    match &*failure.cause {
        EndpointError::Status {
            redirected_to: None,
            ..
        } => {
            let host = failure.host();
            Some(format!(
                "`{host}` may have deleted it, as many registries do with what no tag names any \
                 more: have the image pushed again; some registries also say this to those who \
                 may not read it ({})",
                login(host)
            ))
        }
        _ => about(failure),
    }
}

/// Advice about a registry that cannot be reached, when a mirror of it was asked and does not have
/// it.
pub(super) fn about_lacking_mirror(mirror: &str, registry: &str) -> String {
    let host = |endpoint: &str| endpoint.split("://").nth(1).unwrap_or(endpoint).to_owned();
    format!(
        "copy it to the mirror `{}`, or check that `{}` can be reached from here; proxies are set \
         with HTTPS_PROXY",
        host(mirror),
        host(registry)
    )
}

pub(super) fn about_login(failure: &EndpointFailure) -> Option<String> {
    let (cause, host) = (&*failure.cause, failure.host());
    match cause {
        EndpointError::CredentialsRefused { .. }
        | EndpointError::TokenServer {
            problem: TokenProblem::Status { .. },
            ..
        } => Some("check user and password; nothing was written".to_owned()),
        EndpointError::Status {
            status: StatusCode::NOT_FOUND,
            ..
        } => Some(format!("check that `{host}` is a registry: it has no /v2/")),
        EndpointError::Redirect { to, .. } => Some(format!(
            "if `{to}` is the registry that is meant, log in there; nothing was written"
        )),
        _ => about(failure),
    }
}

/// Advice about what an endpoint did when something was to be written to a repository.
pub(super) fn about_write(failure: &EndpointFailure, name: &RepositoryName) -> Option<String> {
    let (cause, host) = (&*failure.cause, failure.host());
    let repository = name.repository();
    Some(match cause {
        EndpointError::Status {
            status,
            code,
            is_about_space,
            detail,
            ..
        } => match (*status, code.as_deref()) {
            _ if *is_about_space => full(host),
            (StatusCode::INSUFFICIENT_STORAGE, _) => full(host),
            (StatusCode::PAYLOAD_TOO_LARGE, _) => {
                format!(
                    "a proxy before `{host}` takes no requests of this size, not even small ones: \
                     have its limit raised (nginx: client_max_body_size)"
                )
            }
            (StatusCode::METHOD_NOT_ALLOWED, _) => {
                format!(
                    "`{host}` takes nothing at all: it is read-only, or a cache of another \
                     registry; ask its operators"
                )
            }
            (_, Some("NAME_INVALID")) => {
                format!(
                    "`{host}` has other rules for names than `{repository}` keeps to: try another \
                     prefix, or --flatten"
                )
            }
            (StatusCode::NOT_FOUND, None | Some("NAME_UNKNOWN" | "NOT_FOUND")) => {
                format!(
                    "make the repository `{repository}` (or the project it is in) at `{host}` \
                     first, and run the same command again; `rune-bundle push --dry-run` lists \
                     every repository"
                )
            }
            (StatusCode::FORBIDDEN, _) => {
                format!(
                    "check that the user for `{host}` may push to `{repository}`, and that its \
                     project exists"
                )
            }
            _ if detail.as_deref().is_some_and(is_about_immutable_tag) => {
                format!(
                    "tags of `{repository}` cannot be moved at `{host}`: delete the tag there, or \
                     push to another prefix"
                )
            }
            _ => return about(failure),
        },
        EndpointError::CredentialsRefused { user: Some(_), .. } => {
            format!(
                "check the entry for `{host}` in the docker config.json (--authfile), and that \
                 its user may push to `{repository}`"
            )
        }
        EndpointError::CredentialsRefused { user: None, .. } => {
            format!(
                "run {}, or pass a file with credentials with --authfile",
                login(host)
            )
        }
        EndpointError::Redirect {
            problem: NOT_ENCRYPTED,
            ..
        } => format!(
            "`{host}` does not know its own address: whoever runs the proxy before it has to pass \
             X-Forwarded-Proto, or set `relativeurls` in distribution"
        ),
        EndpointError::Transport {
            error,
            redirected_to: None,
        } if error.fault == TransportFault::Interrupted => {
            format!(
                "run the same command again, what was finished is kept; if a proxy before \
                 `{host}` limits requests, use `rune-bundle push --chunk-size 8MiB`"
            )
        }
        _ => return about(failure),
    })
}

/// The same when something was to be deleted.
pub(super) fn about_deletion(failure: &EndpointFailure, name: &RepositoryName) -> Option<String> {
    let (cause, host) = (&*failure.cause, failure.host());
    if cannot_delete(cause) {
        return Some(format!(
            "`{host}` does not delete manifests: have `storage.delete.enabled` set where it is \
             distribution, or delete there by its own means"
        ));
    }
    match cause {
        EndpointError::Status {
            status: StatusCode::FORBIDDEN,
            ..
        }
        | EndpointError::CredentialsRefused { user: Some(_), .. } => Some(format!(
            "check that the user for `{host}` may delete from `{}`",
            name.repository()
        )),
        _ => about_write(failure, name),
    }
}

/// The same when the repositories were to be listed.
pub(super) fn about_catalog(failure: &EndpointFailure) -> Option<String> {
    let (cause, host) = (&*failure.cause, failure.host());
    match cause {
        EndpointError::Transport { .. }
        | EndpointError::NoCredentials { .. }
        | EndpointError::Credentials(_) => about(failure),
        _ => Some(format!(
            "use an account that may list every repository of `{host}`; a registry that lists \
             none to anybody cannot be pruned"
        )),
    }
}

fn full(host: &str) -> String {
    format!(
        "make room at `{host}`, or have the quota raised, and run the same command again; what \
         was finished is kept"
    )
}

fn allow(url: &str) -> String {
    let host = url.split("://").nth(1).unwrap_or(url);
    format!("if it belongs to the registry, allow it with --allow-host {host}")
}

fn about_token(problem: &TokenProblem, failure: &EndpointFailure) -> Option<String> {
    let host = failure.host();
    Some(match problem {
        TokenProblem::NotAllowed(_) => suspicious(host),
        TokenProblem::Transport(error) => about_transport(error, failure),
        TokenProblem::Status { status, .. } if is_transient(*status) => again(),
        TokenProblem::Status { user: Some(_), .. } => {
            format!("check the entry for `{host}` in the docker config.json (--authfile)")
        }
        TokenProblem::Status { user: None, .. } => {
            format!(
                "check the name; if it is not public, run {} or pass a file with credentials with \
                 --authfile",
                login(host)
            )
        }
        TokenProblem::OutOfBounds | TokenProblem::NoToken => return None,
    })
}

fn about_status(status: StatusCode, redirected_to: Option<&str>, host: &str) -> Option<String> {
    Some(match (status, redirected_to) {
        (status, _) if is_transient(status) => again(),
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, _) => {
            "put user and password of the proxy into HTTPS_PROXY or HTTP_PROXY, \
             http://user:password@proxy:port"
                .to_owned()
        }
        (_, Some(storage)) => {
            format!(
                "tell the operators of `{host}` about their storage `{storage}`, or use a mirror \
                 (--registry-config)"
            )
        }
        (StatusCode::NOT_FOUND, None) => format!(
            "check the spelling of repository and tag; some registries also say this to those who \
             may not read it ({})",
            login(host)
        ),
        (StatusCode::UNAUTHORIZED, None) => format!(
            "run {}, or pass a file with credentials with --authfile",
            login(host)
        ),
        (StatusCode::FORBIDDEN, None) => {
            format!("check what the credentials for `{host}` may read")
        }
        _ => return None,
    })
}

fn about_transport(error: &TransportError, failure: &EndpointFailure) -> String {
    let host = failure.host();
    match error.fault {
        TransportFault::Certificate => error.certificate().map_or_else(
            || suspicious(host),
            |problem| problem.advice("the file of --ca-file"),
        ),
        TransportFault::ClientCertificate => {
            format!(
                "name the certificate that `{host}` knows us by with --client-cert and --client-key"
            )
        }
        TransportFault::Tls => {
            format!(
                "let `{host}` offer TLS 1.2 or 1.3, and a certificate with a key on P-256, P-384, \
                 P-521, Ed25519 or RSA of 2048 to 8192 bits"
            )
        }
        TransportFault::NotTls => {
            format!("if `{host}` is meant to be reached by plain HTTP, add --plain-http={host}")
        }
        TransportFault::Forbidden(_) => suspicious(host),
        TransportFault::UnknownHost if failure.is_confined => {
            format!("check the spelling of `{host}`, and that this machine can resolve it")
        }
        TransportFault::UnknownHost => format!(
            "check the spelling of `{host}`; a mirror for it can be set with --registry-config"
        ),
        _ if failure.is_confined => {
            format!("check that `{host}` can be reached from here; no proxy is used")
        }
        TransportFault::Resolve
        | TransportFault::Connect
        | TransportFault::Handshake
        | TransportFault::Timeout
        | TransportFault::Interrupted => {
            format!(
                "check that `{host}` can be reached from here; proxies are set with HTTPS_PROXY, \
                 mirrors with --registry-config"
            )
        }
    }
}

fn suspicious(host: &str) -> String {
    format!("check that `{host}` is the registry that is meant; it may be misconfigured or hostile")
}

fn again() -> String {
    "run the same command again later; what was finished is kept".to_owned()
}

fn login(host: &str) -> String {
    // Docker Hub by the name that people know.
    let host = if credential_key(host) == host {
        host
    } else {
        "docker.io"
    };
    format!("`rune-bundle login {host} -u USER`")
}
