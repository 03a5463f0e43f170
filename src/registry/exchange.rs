//! One question to one endpoint: authentication, redirects, and what an error means.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use url::Url;

use super::{
    Cause, ClientConfig, CredentialStore, EndpointFailure, RegistryError, RepositoryName, RetryPolicy,
    auth::{self, Authorization, Refusal},
    gate::Pass,
    hosts::{Endpoint, Hosts, Speech},
    retry::{Attempts, retry_after},
};
use crate::net::{Reach, Request, Response, TransportFault};

const MAX_REDIRECTS: usize = 5;
const MAX_ERROR_BYTES: u64 = 64 << 10;
const MAX_DETAIL_CHARACTERS: usize = 200;

/// What is asked below a repository.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// `manifests/<tag>`, `blobs/<digest>`.
    pub(super) path: String,
    pub(super) accept: &'static str,
    /// First and last byte, both included.
    pub(super) range: Option<(u64, u64)>,
}

/// A good answer whose body is still to be read. The host counts as busy until it is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    _pass: Pass,
}

/// Everything that questions share.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) hosts: Hosts,
    pub(super) retry: RetryPolicy,
    credentials: CredentialStore,
}

impl Exchange {
    pub(super) fn new(config: ClientConfig) -> Result<Self, RegistryError> {
        let credentials = CredentialStore::load(config.auth_file.as_ref(), config.run_credential_helpers)?;
        Ok(Self { hosts: Hosts::new(&config)?, retry: config.retry, credentials })
    }

    /// Asks one endpoint after the other, each as often as the policy has it, and reads an answer of at most
    /// `max_bytes` bytes. `accept` gets its headers and its body, or no body if there was more, and decides.
    pub(super) async fn ask<T>(
        &self,
        name: &RepositoryName,
        what: String,
        question: &Question,
        max_bytes: u64,
        accept: impl Fn(&HeaderMap, Option<Vec<u8>>) -> Result<T, Cause>,
    ) -> Result<T, RegistryError> {
        let mut failures = Vec::new();
        for endpoint in self.hosts.endpoints(name) {
            let mut attempts = Attempts::new(&self.retry, 0);
            loop {
                let answered = self.ask_whole(&endpoint, question, max_bytes).await;
                let accepted = answered.and_then(|(headers, body)| accept(&headers, body));
                let cause = match accepted {
                    Ok(accepted) => return Ok(accepted),
                    Err(cause) => cause,
                };
                if let Err(failure) = self.pause(&endpoint, &mut attempts, cause).await {
                    failures.push(failure);
                    break;
                }
            }
        }
        Err(RegistryError::Fetch { what, failures })
    }

    async fn ask_whole(&self, endpoint: &Endpoint, question: &Question, max_bytes: u64) -> Result<(HeaderMap, Option<Vec<u8>>), Cause> {
        let mut answer = self.ask_once(endpoint, question).await?;
        let body = answer.response.whole(max_bytes).await.map_err(Cause::transport)?;
        Ok((answer.response.headers().clone(), body))
    }

    /// Waits before the next attempt, or gives up.
    pub(super) async fn pause(&self, endpoint: &Endpoint, attempts: &mut Attempts<'_>, cause: Cause) -> Result<(), EndpointFailure> {
        let is_overload = matches!(cause, Cause::Status { status: StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, .. });
        let pause = attempts.failed(&endpoint.label(), cause)?;
        if is_overload {
            // Everybody else who wants something from this host waits too.
            endpoint.host.gate.slow_down(pause);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Asks one endpoint once.
    pub(super) async fn ask_once(&self, endpoint: &Endpoint, question: &Question) -> Result<Answer, Cause> {
        let pass = endpoint.host.gate.enter().await;
        let is_tls = self.speaks_tls(endpoint).await?;
        let Some(url) = endpoint.url(if is_tls { "https" } else { "http" }, &question.path) else {
            return Err(Cause::Redirect { to: endpoint.label(), problem: "which is not the URL of a registry" });
        };
        let scopes = BTreeSet::from([format!("repository:{}:pull", endpoint.repository)]);
        let known = endpoint.host.authorizations.lock().await.get(&scopes).cloned();
        let mut response = send(endpoint, &url, question, known.as_ref()).await?;
        let mut authorization = known;
        if response.status() == StatusCode::UNAUTHORIZED {
            let refusal = Refusal { endpoint, is_tls, response: &response, used: authorization.as_ref().map(|own| &own.value) };
            let fresh = auth::answer(&self.hosts, &self.credentials, refusal, &scopes).await?;
            response = send(endpoint, &url, question, Some(&fresh)).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                // Not kept: another attempt starts afresh.
                endpoint.host.authorizations.lock().await.remove(&scopes);
                let detail = detail(&mut response, Some(&fresh)).await;
                return Err(Cause::CredentialsRefused { host: endpoint.host.authority.clone(), user: fresh.user, detail });
            }
            authorization = Some(fresh);
        }
        let (mut response, redirected_to) = self.follow(endpoint, url, question, response, authorization.as_ref()).await?;
        if response.status().is_success() {
            endpoint.host.gate.succeeded();
            return Ok(Answer { response, _pass: pass });
        }
        let detail = detail(&mut response, authorization.as_ref()).await;
        Err(Cause::Status { status: response.status(), detail, redirected_to, retry_after: retry_after(response.headers()) })
    }

    /// Follows redirects by hand: credentials stay with the origin they belong to, TLS is never given up, and a
    /// server may not send us nearer to ourselves than it is.
    async fn follow(
        &self,
        endpoint: &Endpoint,
        mut url: Url,
        question: &Question,
        mut response: Response,
        authorization: Option<&Authorization>,
    ) -> Result<(Response, Option<String>), Cause> {
        let home = url.origin();
        let mut redirected_to = None;
        for _ in 0..MAX_REDIRECTS {
            if !response.status().is_redirection() {
                return Ok((response, redirected_to));
            }
            let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            let refused = |to: String, problem| Cause::Redirect { to, problem };
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| refused(String::new(), "which is not a URL"))?;
            let label = next.origin().ascii_serialization();
            match (url.scheme(), next.scheme()) {
                (_, "https") | ("http", "http") => {}
                ("https", "http") => return Err(refused(label, "which is not encrypted, as it is itself")),
                _ => return Err(refused(label, "which is neither http nor https")),
            }
            if next.origin() == home {
                response = send(endpoint, &next, question, authorization).await?;
                redirected_to = None;
            } else {
                let request = request(&next, question, None);
                let sent = self.hosts.foreign(&next).send(request, Reach::From(response.origin())).await;
                response = sent.map_err(|error| Cause::Transport { error, redirected_to: Some(label.clone()) })?;
                redirected_to = Some(label);
            }
            url = next;
        }
        Err(Cause::Redirect { to: url.origin().ascii_serialization(), problem: "which redirects again and again" })
    }

    /// Whether to speak TLS; a host on loopback about which nobody said anything is asked once.
    async fn speaks_tls(&self, endpoint: &Endpoint) -> Result<bool, Cause> {
        match endpoint.host.speech {
            Speech::Tls => Ok(true),
            Speech::Plain => Ok(false),
            Speech::TlsIfSpoken => endpoint.host.speaks_tls.get_or_try_init(|| probe(endpoint)).await.copied(),
        }
    }
}

/// Tries TLS without credentials. A certificate that is not trusted is TLS too, and an error in its own right later.
async fn probe(endpoint: &Endpoint) -> Result<bool, Cause> {
    let Ok(url) = Url::parse(&format!("https://{}/v2/", endpoint.host.authority)) else { return Ok(true) };
    let request = Request { method: Method::GET, url, headers: HeaderMap::new(), body: None };
    match endpoint.host.transport.send(request, Reach::Anywhere).await {
        Ok(_) => Ok(true),
        Err(error) => match error.fault {
            TransportFault::Certificate | TransportFault::ClientCertificate => Ok(true),
            TransportFault::Tls | TransportFault::Handshake => Ok(false),
            _ => Err(Cause::transport(error)),
        },
    }
}

async fn send(endpoint: &Endpoint, url: &Url, question: &Question, authorization: Option<&Authorization>) -> Result<Response, Cause> {
    let request = request(url, question, authorization);
    endpoint.host.transport.send(request, Reach::Anywhere).await.map_err(Cause::transport)
}

fn request(url: &Url, question: &Question, authorization: Option<&Authorization>) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(question.accept));
    // What has a digest must arrive as it is.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(range) = question.range.and_then(|(first, last)| HeaderValue::try_from(format!("bytes={first}-{last}")).ok()) {
        headers.insert(header::RANGE, range);
    }
    if let Some(authorization) = authorization {
        headers.insert(header::AUTHORIZATION, authorization.value.clone());
    }
    Request { method: Method::GET, url: url.clone(), headers, body: None }
}

#[derive(Deserialize)]
struct ErrorDocument {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What the registry says about its error, made harmless for a terminal. Left out if it repeats our credentials.
async fn detail(response: &mut Response, authorization: Option<&Authorization>) -> Option<String> {
    let body = response.whole(MAX_ERROR_BYTES).await.ok()??;
    let document: ErrorDocument = serde_json::from_slice(&body).ok()?;
    let first = document.errors.into_iter().next()?;
    let text = if first.message.is_empty() { first.code } else { first.message };
    let secret = authorization.and_then(|own| own.value.to_str().ok()).and_then(|value| value.split_once(' ')).map(|(_, secret)| secret);
    if text.is_empty() || secret.is_some_and(|secret| text.contains(secret)) {
        return None;
    }
    let harmless = text.chars().map(|character| if is_harmless(character) { character } else { '\u{fffd}' });
    Some(harmless.take(MAX_DETAIL_CHARACTERS).collect())
}

/// Neither a control character nor one that changes the direction of text.
fn is_harmless(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
