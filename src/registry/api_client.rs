//! One request to one endpoint: authentication, redirects, and what an error means.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{
    ClientConfig, CredentialStore, EndpointError, EndpointFailure, RegistryError, RepositoryName,
    RetryPolicy,
    advice::NOT_ENCRYPTED,
    api_request::{ApiRequest, Place},
    auth::{self, Refusal},
    credentials::Authorization,
    error_body::ErrorBody,
    hosts::{Endpoint, Hosts, Scheme},
    limiter::Permit,
    quirks::may_hide,
    retry::{Attempts, retry_after},
};
use crate::net::{
    AddressClass, Reach, Request, RequestOrigin, Response, TransportError, TransportFault,
};

pub(super) const MAX_REDIRECTS: usize = 5;

/// A good answer whose body is still to be read. The host counts as busy until it is dropped.
#[derive(Debug)]
pub(super) struct ApiResponse {
    pub(super) response: Response,
    pub(super) url: Url,
    pub(super) _permit: Permit,
}

impl ApiResponse {
    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    }
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) origin: AddressClass,
}

impl Head {
    /// A header, if it is text; empty when it is not there.
    pub(super) fn text(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
            .unwrap_or_default()
    }
}

/// A request that was answered, after redirects.
struct Followed {
    response: Response,
    url: Url,
    /// Who it is when it is not the endpoint itself.
    redirected_to: Option<String>,
}

#[derive(Debug)]
pub(super) struct ApiClient {
    pub(super) hosts: Hosts,
    pub(super) retry: RetryPolicy,
    pub(super) credentials: CredentialStore,
}

impl ApiClient {
    pub(super) fn new(config: ClientConfig) -> Result<Self, RegistryError> {
        let credentials = CredentialStore::load(&config.auth_files, config.run_credential_helpers)?
            .with_login(config.login.as_ref())?;
        Ok(Self {
            hosts: Hosts::new(&config)?,
            retry: config.retry,
            credentials,
        })
    }

    /// Asks one endpoint after the other, each as often as the policy has it, and reads an answer
    /// of at most `max_bytes` bytes. `accept` gets its headers and its body, or no body if there
    /// was more, and decides.
    pub(super) async fn send<T>(
        &self,
        name: &RepositoryName,
        what: String,
        api_request: &ApiRequest<'_>,
        max_bytes: u64,
        accept: impl Fn(&Head, Option<Vec<u8>>) -> Result<T, EndpointError>,
    ) -> Result<T, RegistryError> {
        let mut failures = Vec::new();
        for endpoint in self.hosts.endpoints(name) {
            match self
                .ask_at(&endpoint, api_request, max_bytes, &accept)
                .await
            {
                Ok(accepted) => return Ok(accepted),
                Err(failure) => failures.push(failure),
            }
        }
        Err(RegistryError::Fetch {
            what,
            is_by_digest: api_request.is_by_digest(),
            failures,
        })
    }

    pub(super) async fn ask_at<T>(
        &self,
        endpoint: &Endpoint,
        api_request: &ApiRequest<'_>,
        max_bytes: u64,
        accept: impl Fn(&Head, Option<Vec<u8>>) -> Result<T, EndpointError>,
    ) -> Result<T, EndpointFailure> {
        let mut attempts = Attempts::new(&self.retry, 0);
        loop {
            let api_request = api_request.at_attempt(&attempts);
            let answered = self.ask_whole(endpoint, &api_request, max_bytes).await;
            match answered.and_then(|(head, body)| accept(&head, body)) {
                Ok(accepted) => return Ok(accepted),
                Err(cause) => self.pause(endpoint, &mut attempts, cause).await?,
            }
        }
    }

    async fn ask_whole(
        &self,
        endpoint: &Endpoint,
        api_request: &ApiRequest<'_>,
        max_bytes: u64,
    ) -> Result<(Head, Option<Vec<u8>>), EndpointError> {
        let mut answer = self.ask_once(endpoint, api_request).await?;
        let body = answer
            .response
            .whole(max_bytes)
            .await
            .map_err(EndpointError::transport)?;
        let response = &answer.response;
        Ok((
            Head {
                status: response.status(),
                headers: response.headers().clone(),
                origin: response.origin(),
            },
            body,
        ))
    }

    /// Waits before the next attempt, or gives up.
    pub(super) async fn pause(
        &self,
        endpoint: &Endpoint,
        attempts: &mut Attempts<'_>,
        cause: EndpointError,
    ) -> Result<(), EndpointFailure> {
        self.pause_if(cause.is_transient(), endpoint, attempts, cause)
            .await
    }

    /// The same where the caller knows whether another attempt may help.
    pub(super) async fn pause_if(
        &self,
        may_help: bool,
        endpoint: &Endpoint,
        attempts: &mut Attempts<'_>,
        cause: EndpointError,
    ) -> Result<(), EndpointFailure> {
        let is_overload = matches!(
            cause.answered(),
            Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        );
        let pause = attempts.failed(endpoint, cause, may_help)?;
        if is_overload {
            // Everybody else who wants something from this host waits too.
            endpoint.host.limiter.slow_down(pause);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    pub(super) async fn ask_once(
        &self,
        endpoint: &Endpoint,
        api_request: &ApiRequest<'_>,
    ) -> Result<ApiResponse, EndpointError> {
        if let Place::Web(source) = &api_request.place {
            return self.ask_web(endpoint, source, api_request).await;
        }
        let permit = endpoint.host.limiter.enter().await;
        let is_tls = self.is_https(endpoint).await?;
        let (path, query) = api_request.below();
        let scheme = if is_tls { "https" } else { "http" };
        let url = match &api_request.place {
            Place::Root { .. } => endpoint.root(scheme).and_then(|root| root.join(path).ok()),
            _ => endpoint.url(scheme, path),
        };
        let Some(mut url) = url else {
            return Err(EndpointError::Redirect {
                to: endpoint.label(),
                problem: "which is not the URL of a registry",
            });
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut authorization = None;
        let mut followed = match &api_request.place {
            Place::Given { url: given, from } if given.origin() != url.origin() => {
                self.leave(&url, given, *from, api_request).await?
            }
            place => {
                if let Place::Given { url: given, .. } = place {
                    url = given.clone();
                }
                let (response, used) = self.ask_home(endpoint, is_tls, &url, api_request).await?;
                authorization = used;
                self.follow(endpoint, url, api_request, response, authorization.as_ref())
                    .await?
            }
        };
        let status = followed.response.status();
        if status.is_success() || (api_request.keeps_redirects && status.is_redirection()) {
            endpoint.host.limiter.succeeded();
            return Ok(ApiResponse {
                response: followed.response,
                url: followed.url,
                _permit: permit,
            });
        }
        let ErrorBody {
            code,
            text,
            is_about_space,
        } = ErrorBody::read(&mut followed.response, authorization.as_ref()).await;
        // A quota of requests is not room on a disk.
        let is_about_space = is_about_space && status != StatusCode::TOO_MANY_REQUESTS;
        let retry_after = retry_after(followed.response.headers());
        Err(EndpointError::Status {
            status,
            code,
            detail: text,
            is_about_space,
            redirected_to: followed.redirected_to,
            retry_after,
        })
    }

    async fn ask_home(
        &self,
        endpoint: &Endpoint,
        is_tls: bool,
        url: &Url,
        api_request: &ApiRequest<'_>,
    ) -> Result<(Response, Option<Authorization>), EndpointError> {
        let scopes = api_request.access.scopes(&endpoint.repository);
        let known = endpoint
            .host
            .authorizations
            .lock()
            .await
            .get(&scopes)
            .cloned();
        let mut response = send(endpoint, url, api_request, known.as_ref()).await?;
        if known.is_none() && may_hide(response.status(), response.headers()) {
            match auth::challenge_at_root(&self.credentials, endpoint, is_tls).await {
                Some(challenge) => response = challenge,
                None => return Ok((response, known)),
            }
        }
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok((response, known));
        }
        let refusal = Refusal {
            endpoint,
            is_tls,
            response: &response,
            used: known.as_ref().map(|own| &own.value),
        };
        let fresh = auth::answer(&self.hosts, &self.credentials, refusal, &scopes).await?;
        let mut response = send(endpoint, url, api_request, Some(&fresh)).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // Not kept: another attempt starts afresh.
            endpoint.host.authorizations.lock().await.remove(&scopes);
            let detail = ErrorBody::read(&mut response, Some(&fresh)).await.text;
            return Err(EndpointError::CredentialsRefused {
                host: endpoint.host.authority.clone(),
                user: fresh.user,
                detail,
            });
        }
        Ok((response, Some(fresh)))
    }

    /// Follows redirects by hand: credentials stay with the origin they belong to, TLS is never
    /// given up, and a server may not send us nearer to ourselves than it is.
    async fn follow(
        &self,
        endpoint: &Endpoint,
        mut url: Url,
        api_request: &ApiRequest<'_>,
        mut response: Response,
        authorization: Option<&Authorization>,
    ) -> Result<Followed, EndpointError> {
        let home = url.origin();
        let mut redirected_to = None;
        for _ in 0..MAX_REDIRECTS {
            if api_request.keeps_redirects || !response.status().is_redirection() {
                return Ok(Followed {
                    response,
                    url,
                    redirected_to,
                });
            }
            let location = response
                .headers()
                .get(header::LOCATION)
                .and_then(|location| location.to_str().ok());
            let refused = |to: String, problem| EndpointError::Redirect { to, problem };
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| refused(String::new(), "which is not a URL"))?;
            let is_repeatable = matches!(
                response.status(),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
            );
            if !is_repeatable
                && api_request.method != Method::GET
                && api_request.method != Method::HEAD
            {
                return Err(refused(
                    next.origin().ascii_serialization(),
                    "with a status that does not allow a write",
                ));
            }
            if next.origin() == home {
                check_step(&url, &next)?;
                response = send(endpoint, &next, api_request, authorization).await?;
                redirected_to = None;
            } else {
                let left = self
                    .leave(&url, &next, response.origin(), api_request)
                    .await?;
                (response, redirected_to) = (left.response, left.redirected_to);
            }
            url = next;
        }
        Err(EndpointError::Redirect {
            to: url.origin().ascii_serialization(),
            problem: "which redirects again and again",
        })
    }

    /// Asks a host that somebody at an address of the class `from` named: nothing of ours is shown
    /// to it.
    async fn leave(
        &self,
        url: &Url,
        next: &Url,
        from: AddressClass,
        api_request: &ApiRequest<'_>,
    ) -> Result<Followed, EndpointError> {
        check_step(url, next)?;
        let label = next.origin().ascii_serialization();
        let transport = self.hosts.foreign(next);
        let transport =
            transport.ok_or_else(|| EndpointError::OutOfBounds { to: label.clone() })?;
        let reach = self.hosts.reach_of_named(next).unwrap_or(Reach::From(from));
        let sent = transport
            .send(request(next, api_request, None, None), reach)
            .await;
        let response = sent.map_err(|error| EndpointError::Transport {
            error,
            redirected_to: Some(label.clone()),
        })?;
        Ok(Followed {
            response,
            url: next.clone(),
            redirected_to: Some(label),
        })
    }

    /// Whether to speak TLS; a host on loopback about which nobody said anything is asked once.
    pub(super) async fn is_https(&self, endpoint: &Endpoint) -> Result<bool, EndpointError> {
        match endpoint.host.speech {
            Scheme::Tls => Ok(true),
            Scheme::Plain => Ok(false),
            Scheme::HttpsThenHttp => endpoint
                .host
                .is_https
                .get_or_try_init(|| probe(endpoint))
                .await
                .copied(),
        }
    }
}

/// Tries TLS without credentials. A handshake that fails is TLS too, and an error in its own right
/// later; only an answer that is not TLS, or none where plain HTTP gets one, means that the server
/// does not speak it.
async fn probe(endpoint: &Endpoint) -> Result<bool, EndpointError> {
    let Err(error) = knock(endpoint, "https").await else {
        return Ok(true);
    };
    match error.fault {
        TransportFault::Certificate | TransportFault::ClientCertificate | TransportFault::Tls => {
            Ok(true)
        }
        TransportFault::NotTls => Ok(false),
        // A server of TLS answers plain HTTP with 400, if at all.
        TransportFault::Handshake => match knock(endpoint, "http").await {
            Ok(status) if status != StatusCode::BAD_REQUEST => Ok(false),
            _ => Err(EndpointError::transport(error)),
        },
        _ => Err(EndpointError::transport(error)),
    }
}

async fn knock(endpoint: &Endpoint, scheme: &str) -> Result<StatusCode, TransportError> {
    let url = Url::parse(&format!("{scheme}://{}/v2/", endpoint.host.authority))
        .map_err(|_| TransportError::of(TransportFault::UnknownHost))?;
    let request = Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        origin: RequestOrigin::default(),
    };
    Ok(endpoint
        .host
        .transport
        .send(request, Reach::Anywhere)
        .await?
        .status())
}

/// Refuses a step from TLS to plain HTTP, and to other schemes.
fn check_step(url: &Url, next: &Url) -> Result<(), EndpointError> {
    let problem = match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => return Ok(()),
        ("https", "http") => NOT_ENCRYPTED,
        _ => "which is neither http nor https",
    };
    Err(EndpointError::Redirect {
        to: next.origin().ascii_serialization(),
        problem,
    })
}

async fn send(
    endpoint: &Endpoint,
    url: &Url,
    api_request: &ApiRequest<'_>,
    authorization: Option<&Authorization>,
) -> Result<Response, EndpointError> {
    let request = request(url, api_request, authorization, endpoint.mirror_of());
    let response = endpoint
        .host
        .transport
        .send(request, Reach::Anywhere)
        .await
        .map_err(EndpointError::transport)?;
    endpoint.host.first_seen.get_or_init(|| response.origin());
    Ok(response)
}

pub(super) fn request(
    url: &Url,
    api_request: &ApiRequest<'_>,
    authorization: Option<&Authorization>,
    mirror_of: Option<&str>,
) -> Request {
    let mut headers = api_request.headers.clone();
    // What has a digest must arrive as it is.
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    if let Some(authorization) = authorization {
        headers.insert(header::AUTHORIZATION, authorization.value.clone());
    }
    Request {
        method: api_request.method.clone(),
        url: url.clone(),
        headers,
        body: api_request.body.map(|make| make()),
        origin: RequestOrigin {
            attempt: api_request.attempt,
            mirror_of: mirror_of.map(str::to_owned),
            credentials: authorization.and_then(|own| own.place.clone()),
        },
    }
}
