//! Logging in and out: credentials are tried at the registry, and then kept in a docker
//! `config.json`.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    AuthFile, AuthFileError, ClientConfig, EndpointError, RegistryError, RepositoryName,
    api_client::ApiClient,
    auth::{self, Refusal},
    auth_file::AuthDocument,
    challenge::challenges,
    credential_store::{MAX_AUTH_FILE_BYTES, Source},
    credentials::basic_value,
    hosts::{Endpoint, wire_authority},
    quirks::names_of,
};
use crate::net::{Reach, Request, RequestOrigin, Response};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError, ReplaceableFile},
    secret::Secret,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginProof {
    /// The registry refuses anonymous requests and accepts the credentials.
    Accepted,
    /// The registry accepts anonymous requests too, and does not say whether they are right.
    NotAsked,
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum LoginError {
    #[error(
        "{place} keeps the credentials of `{host}` in the helper `{helper}`, and nothing is \
         written past it"
    )]
    #[failure(Conflict: "pass a file without a helper for it with --authfile, and use that option \
        afterwards")]
    Helper {
        host: String,
        place: String,
        helper: String,
    },
    #[error("{place} has credentials of `{host}`, and is read before `{file}`")]
    #[failure(Conflict: "remove them first (`rune-bundle logout {host}`, or unset the variable), \
        or name another file with --authfile")]
    Shadowed {
        host: String,
        place: String,
        file: Utf8PathBuf,
    },
    #[error("the name of a user is empty, or has a colon or a control character")]
    #[failure(Usage)]
    User,
    #[error("the password is empty")]
    #[failure(Usage)]
    Empty,
    #[error(transparent)]
    File(#[from] AuthFileError),
    #[error(transparent)]
    Path(#[from] PathError),
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum LogoutError {
    #[error("there are no credentials of `{host}` in {places}")]
    #[failure(NotFound: "check the spelling of the host, or name the file with --authfile")]
    None { host: String, places: String },
    #[error("{place} has credentials of `{host}`")]
    #[failure(Conflict: "remove them there: {place}")]
    Fixed { host: String, place: String },
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// Tries the credentials of `config.login` at its registry: once, at nobody but the registry and
/// the token server that it names, and without following a redirect.
pub(crate) async fn try_login(config: ClientConfig) -> Result<LoginProof, RegistryError> {
    let registry = config
        .login
        .as_ref()
        .map(|login| login.registry.clone())
        .unwrap_or_default();
    let api_client = ApiClient::new(config)?;
    let endpoint = api_client
        .hosts
        .own_endpoint(&RepositoryName::new(&registry, ""));
    let tried = knock(&api_client, &endpoint).await;
    tried.map_err(|cause| RegistryError::Login {
        failure: endpoint.failure(1, cause),
    })
}

async fn knock(api_client: &ApiClient, endpoint: &Endpoint) -> Result<LoginProof, EndpointError> {
    let is_tls = api_client.is_https(endpoint).await?;
    let anonymous = send(endpoint, is_tls, None).await?;
    if anonymous.status() == StatusCode::UNAUTHORIZED && !challenges(anonymous.headers()).is_empty()
    {
        let refusal = Refusal {
            endpoint,
            is_tls,
            response: &anonymous,
            used: None,
        };
        let fresh = auth::answer(
            &api_client.hosts,
            &api_client.credentials,
            refusal,
            &BTreeSet::new(),
        )
        .await?;
        evaluated(
            endpoint,
            &send(endpoint, is_tls, Some(fresh.value)).await?,
            fresh.user,
        )?;
        return Ok(LoginProof::Accepted);
    }
    evaluated(endpoint, &anonymous, None)?;
    // Some check credentials only when they get some.
    let (user, password) = api_client
        .credentials
        .login()
        .ok_or(EndpointError::UnknownChallenge)?;
    evaluated(
        endpoint,
        &send(endpoint, is_tls, Some(basic_value(user, password))).await?,
        Some(user.to_owned()),
    )?;
    Ok(LoginProof::NotAsked)
}

async fn send(
    endpoint: &Endpoint,
    is_tls: bool,
    authorization: Option<HeaderValue>,
) -> Result<Response, EndpointError> {
    let not_a_url = || EndpointError::Redirect {
        to: endpoint.label(),
        problem: "which is not the URL of a registry",
    };
    let url = endpoint
        .root(if is_tls { "https" } else { "http" })
        .ok_or_else(not_a_url)?;
    let headers: HeaderMap = authorization
        .map(|value| (header::AUTHORIZATION, value))
        .into_iter()
        .collect();
    let request = Request {
        method: Method::GET,
        url: url.clone(),
        headers,
        body: None,
        origin: RequestOrigin::default(),
    };
    let response = endpoint
        .host
        .transport
        .send(request, Reach::Anywhere)
        .await
        .map_err(EndpointError::transport)?;
    endpoint.host.first_seen.get_or_init(|| response.origin());
    if response.status().is_redirection() {
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok());
        let to = location
            .and_then(|location| url.join(location).ok())
            .map(|url| url.origin().ascii_serialization());
        return Err(EndpointError::Redirect {
            to: to.unwrap_or_default(),
            problem: "and a password is shown to the registry itself only",
        });
    }
    Ok(response)
}

fn evaluated(
    endpoint: &Endpoint,
    response: &Response,
    user: Option<String>,
) -> Result<(), EndpointError> {
    match response.status() {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED => Err(EndpointError::CredentialsRefused {
            host: endpoint.host.authority.clone(),
            user,
            detail: None,
        }),
        status => Err(EndpointError::status(status)),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredLogin {
    /// Repositories that have credentials of their own in the same file, as its keys name them.
    pub(crate) own: Vec<String>,
}

/// Keeps credentials in a file, after `try_it` said that they are good. `others` are the files that
/// are read, in their order. After a failure the file is as it was.
pub(crate) fn store_login<E: From<LoginError>>(
    file: &Utf8Path,
    others: &[AuthFile],
    registry: &str,
    (user, password): (&str, &Secret),
    try_it: impl FnOnce() -> Result<(), E>,
) -> Result<StoredLogin, E> {
    let host = wire_authority(registry);
    if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
        return Err(LoginError::User.into());
    }
    if password.is_empty() {
        return Err(LoginError::Empty.into());
    }
    check_readers(file, others, &host)?;
    // Nothing is shown to a registry that could not be kept.
    let replaceable = ReplaceableFile::open(file, MAX_AUTH_FILE_BYTES).map_err(LoginError::from)?;
    replaceable
        .check_keeps_private()
        .map_err(LoginError::from)?;
    let broken = |error: serde_json::Error| {
        LoginError::from(AuthFileError::syntax(&format!("`{file}`"), &error))
    };
    let mut document = AuthDocument::parse(replaceable.content()).map_err(broken)?;
    document.set(&host, user, password).map_err(broken)?;
    try_it()?;
    replaceable
        .replace(&document.to_bytes())
        .map_err(LoginError::from)?;
    Ok(StoredLogin {
        own: document.below(&host).map_err(broken)?,
    })
}

/// Checks that what is written will be what is read.
fn check_readers(file: &Utf8Path, others: &[AuthFile], host: &str) -> Result<(), LoginError> {
    let at = |other: &AuthFile| {
        matches!(other, AuthFile::Named(path) | AuthFile::Usual(path)
        if path == file)
    };
    let before = others.iter().take_while(|other| !at(other));
    for other in before.chain([&AuthFile::Usual(file.to_owned())]) {
        let Some(source) = Source::load(other)? else {
            continue;
        };
        if let Some(helper) = source.helper(&names_of(host)) {
            return Err(LoginError::Helper {
                host: host.to_owned(),
                place: source.place.clone(),
                helper: helper.to_owned(),
            });
        }
        if !at(other) && source.has(host) {
            return Err(LoginError::Shadowed {
                host: host.to_owned(),
                place: source.place,
                file: file.to_owned(),
            });
        }
    }
    Ok(())
}

/// Removes the credentials of a registry from every file that is read; gives the files that had
/// some. When some are where they cannot be removed, nothing is changed.
pub(crate) fn forget_login(
    files: &[AuthFile],
    registry: &str,
) -> Result<Vec<Utf8PathBuf>, LogoutError> {
    let host = wire_authority(registry);
    for file in files {
        let Some(source) = Source::load(file).map_err(LoginError::from)? else {
            continue;
        };
        if let Some(helper) = source.helper(&names_of(&host)) {
            return Err(LoginError::Helper {
                host,
                place: source.place.clone(),
                helper: helper.to_owned(),
            }
            .into());
        }
        if let AuthFile::Text { .. } = file
            && source.has(&host)
        {
            return Err(LogoutError::Fixed {
                host,
                place: source.place,
            });
        }
    }
    let mut changed = Vec::new();
    let mut places = Vec::new();
    for file in files {
        let (AuthFile::Named(path) | AuthFile::Usual(path)) = file else {
            continue;
        };
        places.push(format!("`{path}`"));
        if !fsx::exists(path) {
            continue;
        }
        let replaceable =
            ReplaceableFile::open(path, MAX_AUTH_FILE_BYTES).map_err(LoginError::from)?;
        let broken = |error: serde_json::Error| {
            LoginError::from(AuthFileError::syntax(&format!("`{path}`"), &error))
        };
        let mut document = AuthDocument::parse(replaceable.content()).map_err(broken)?;
        if document.remove(&host).map_err(broken)? > 0 {
            replaceable
                .replace(&document.to_bytes())
                .map_err(LoginError::from)?;
            changed.push(path.clone());
        }
    }
    if changed.is_empty() {
        Err(LogoutError::None {
            host,
            places: places.join(", "),
        })
    } else {
        Ok(changed)
    }
}
