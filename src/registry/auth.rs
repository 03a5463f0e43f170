//! Proving who we are, once per refusal.
//!
//! Where credentials may go is decided here and nowhere else: to the host they belong to, and to
//! the token server that this very host names in a 401: over https when the host itself is spoken
//! to with TLS; when it is not (loopback, or allowed by name), to a server whose address is of the
//! same class as the host's. A server that a person named is where it is: only a name without TLS
//! could mean another address than before. The token goes to the host alone.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::{Url, form_urlencoded};

use super::{
    CredentialError, CredentialStore, Credentials, EndpointError, TokenProblem,
    api_client::MAX_REDIRECTS,
    challenge::{Challenge, challenges},
    credential_store::Lookup,
    credentials::{Authorization, basic_value, bearer_value},
    hosts::{Endpoint, Hosts},
    quirks,
    retry::retry_after,
};
use crate::net::{Reach, Request, RequestBody, RequestOrigin, Response, Transport, TransportError};
use rune_core::secret::Secret;

const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// Whom a 401 came from, and how it was reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) is_tls: bool,
    pub(super) response: &'a Response,
    pub(super) used: Option<&'a HeaderValue>,
}

/// Answers a 401: what to put into `Authorization`.
pub(super) async fn answer(
    hosts: &Hosts,
    store: &CredentialStore,
    refusal: Refusal<'_>,
    scopes: &BTreeSet<String>,
) -> Result<Authorization, EndpointError> {
    let host = &refusal.endpoint.host;
    // Held until there is an answer: whoever was refused at the same time waits for it instead of
    // asking too.
    let mut authorizations = host.authorizations.lock().await;
    if let Some(other) = authorizations
        .get(scopes)
        .filter(|known| Some(&known.value) != refusal.used)
    {
        return Ok(other.clone());
    }
    let found = credentials_for(store, refusal.endpoint)
        .await
        .map_err(EndpointError::Credentials)?;
    let (credentials, place) = found.map(|found| (found.credentials, found.place)).unzip();
    let offered = challenges(refusal.response.headers());
    let bearer = offered
        .iter()
        .find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    let value = match (bearer, &credentials) {
        (Some(_), Some(Credentials::RegistryToken(token))) => bearer_value(token.expose()),
        (Some(challenge), _) => {
            let shown = credentials.as_ref().zip(place.as_deref());
            Some(token(hosts, refusal, challenge, shown, scopes).await?)
        }
        (None, Some(Credentials::Basic { user, password }))
            if offered.contains(&Challenge::Basic) =>
        {
            Some(basic_value(user, password))
        }
        (None, None) if offered.contains(&Challenge::Basic) => {
            return Err(EndpointError::NoCredentials {
                host: host.authority.clone(),
            });
        }
        _ => return Err(EndpointError::UnknownChallenge),
    };
    let value = value.ok_or(EndpointError::UnknownChallenge)?;
    let authorization = Authorization {
        value,
        user: credentials.as_ref().map(Credentials::user),
        place,
    };
    authorizations.insert(scopes.clone(), authorization.clone());
    Ok(authorization)
}

/// The credentials for a repository at a host: the user of the command goes before everything else,
/// and what the registries file says before the other files.
pub(super) async fn credentials_for(
    store: &CredentialStore,
    endpoint: &Endpoint,
) -> Result<Option<Lookup>, CredentialError> {
    let host = &endpoint.host;
    Ok(match (store.given(&host.authority), &host.credentials) {
        (Some(credentials), _) => Some(Lookup {
            credentials: credentials.clone(),
            place: "--username".to_owned(),
        }),
        (None, Some(credentials)) => Some(Lookup {
            credentials: credentials.clone(),
            place: "the file of --registry-config".to_owned(),
        }),
        (None, None) => store.find(&host.authority, &endpoint.repository).await?,
    })
}

/// What the root of the API answers to a stranger, when it is a challenge and there are credentials
/// for this very host. It is asked once; a redirect is not an answer.
pub(super) async fn challenge_at_root(
    store: &CredentialStore,
    endpoint: &Endpoint,
    is_tls: bool,
) -> Option<Response> {
    // A helper that fails has nothing at hand, and what was answered stays the answer.
    credentials_for(store, endpoint).await.ok().flatten()?;
    let host = &endpoint.host;
    if host.has_no_challenge.load(Ordering::Relaxed) {
        return None;
    }
    let url = endpoint.root(if is_tls { "https" } else { "http" })?;
    let request = Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        origin: RequestOrigin::default(),
    };
    let response = host.transport.send(request, Reach::Anywhere).await.ok()?;
    let is_challenge =
        response.status() == StatusCode::UNAUTHORIZED && !challenges(response.headers()).is_empty();
    host.has_no_challenge
        .store(!is_challenge, Ordering::Relaxed);
    is_challenge.then_some(response)
}

/// Gets a token from the server that a challenge names.
async fn token(
    hosts: &Hosts,
    refusal: Refusal<'_>,
    challenge: &Challenge,
    shown: Option<(&Credentials, &str)>,
    scopes: &BTreeSet<String>,
) -> Result<HeaderValue, EndpointError> {
    let (credentials, place) = shown.unzip();
    let Challenge::Bearer {
        realm,
        service,
        scopes: asked,
    } = challenge
    else {
        return Err(EndpointError::UnknownChallenge);
    };
    let (url, reach) = token_server(hosts, realm, refusal)?;
    let server = url.origin().ascii_serialization();
    let failed = |problem| EndpointError::TokenServer {
        server: server.clone(),
        problem,
    };
    let scopes: BTreeSet<&str> = asked
        .iter()
        .map(String::as_str)
        .chain(scopes.iter().map(String::as_str))
        .collect();
    let mut request = match credentials {
        Some(Credentials::IdentityToken(identity)) => {
            exchange_request(url, service.as_deref(), &scopes, identity)
        }
        Some(Credentials::Basic { user, password }) => {
            let mut request = token_request(url, service.as_deref(), &scopes);
            request
                .headers
                .insert(header::AUTHORIZATION, basic_value(user, password));
            request
        }
        _ => token_request(url, service.as_deref(), &scopes),
    };
    request.origin.credentials = place.map(str::to_owned);
    let own = refusal.endpoint.is_same_server(&request.url);
    let foreign = || {
        hosts
            .foreign(&request.url)
            .ok_or_else(|| failed(TokenProblem::OutOfBounds))
    };
    let transport = if own {
        &*refusal.endpoint.host.transport
    } else {
        foreign()?
    };
    let mut response = send(transport, reach, request)
        .await
        .map_err(|error| failed(TokenProblem::Transport(error)))?;
    if response.status().is_redirection() {
        return Err(failed(TokenProblem::NotAllowed(
            "which redirects to where nothing of ours is shown",
        )));
    }
    if response.status() != StatusCode::OK {
        let (user, retry_after) = (
            credentials.map(Credentials::user),
            retry_after(response.headers()),
        );
        return Err(failed(TokenProblem::Status {
            status: response.status(),
            user,
            retry_after,
        }));
    }
    let body = response
        .whole(MAX_TOKEN_BYTES)
        .await
        .map_err(|error| failed(TokenProblem::Transport(error)))?;
    let token = body.and_then(|body| quirks::token(&body));
    token
        .and_then(|token| bearer_value(&token))
        .ok_or_else(|| failed(TokenProblem::NoToken))
}

/// Asks a token server. A redirect to another place of the very same server is followed.
async fn send(
    transport: &Transport,
    reach: Reach,
    mut request: Request,
) -> Result<Response, TransportError> {
    for _ in 0..MAX_REDIRECTS {
        let (url, method, headers, origin) = (
            request.url.clone(),
            request.method.clone(),
            request.headers.clone(),
            request.origin.clone(),
        );
        let response = transport.send(request, reach).await?;
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok());
        let next = location.filter(|_| response.status().is_redirection() && method == Method::GET);
        match next
            .and_then(|location| url.join(location).ok())
            .filter(|next| next.origin() == url.origin())
        {
            Some(next) => {
                request = Request {
                    method,
                    url: next,
                    headers,
                    body: None,
                    origin,
                }
            }
            None => return Ok(response),
        }
    }
    transport.send(request, reach).await
}

fn token_server(
    hosts: &Hosts,
    realm: &str,
    refusal: Refusal<'_>,
) -> Result<(Url, Reach), EndpointError> {
    let refused = |server: String, reason| EndpointError::TokenServer {
        server,
        problem: TokenProblem::NotAllowed(reason),
    };
    let url = Url::parse(realm)
        .map_err(|_| refused("(not a URL)".to_owned(), "which is not a URL to ask"))?;
    let server = url.origin().ascii_serialization();
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(server, "with credentials in its URL"));
    }
    let otherwise = match (url.scheme(), refusal.is_tls) {
        ("https", true) => Reach::From(refusal.response.origin()),
        ("https" | "http", false) => Reach::Only(refusal.response.origin()),
        _ => return Err(refused(server, "and credentials are sent over https only")),
    };
    let reach = hosts.reach_of_named(&url).unwrap_or(otherwise);
    Ok((url, reach))
}

/// Asks as the distribution token specification has it.
fn token_request(mut url: Url, service: Option<&str>, scopes: &BTreeSet<&str>) -> Request {
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", *scope)));
    }
    Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        origin: RequestOrigin::default(),
    }
}

/// Asks as the OAuth 2 form of the same specification has it, which is the one that takes identity
/// tokens.
fn exchange_request(
    url: Url,
    service: Option<&str>,
    scopes: &BTreeSet<&str>,
    identity: &Secret,
) -> Request {
    let scopes = scopes.iter().copied().collect::<Vec<_>>().join(" ");
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("client_id", "rune-bundle")
        .append_pair("service", service.unwrap_or_default())
        .append_pair("scope", &scopes)
        .append_pair("refresh_token", identity.expose())
        .finish();
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form_type)]);
    Request {
        method: Method::POST,
        url,
        headers,
        body: Some(RequestBody::Whole(Bytes::from(form))),
        origin: RequestOrigin::default(),
    }
}
