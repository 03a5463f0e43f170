//! Files, archives and documents from web servers that are not registries.
//!
//! Credentials go to the server that a person named, to that alone, and without being asked for:
//! many servers hide what they have from strangers. A server that an index or a redirect names gets
//! none, whatever the files with credentials have for it, and has to be within the reach of the one
//! that named it. Nothing is plain HTTP but hosts that a person allowed by name.

use http::{StatusCode, header};
use url::{Origin, Url};

use super::{
    BlobStream, Client, Credentials, EndpointError, EndpointFailure, RegistryError,
    advice::NOT_ENCRYPTED,
    api_client::{ApiClient, ApiResponse, Head, MAX_REDIRECTS, request},
    api_request::{ApiRequest, Place},
    auth::credentials_for,
    credential_store::Lookup,
    credentials::{Authorization, basic_value},
    hosts::Endpoint,
    retry::{Attempts, retry_after},
};
use crate::net::{AddressClass, Reach, Response, WebUrl};
use rune_core::digest::{Digest, Sha256};

/// Something on a web server, and who named it.
#[derive(Debug, Clone)]
pub(crate) struct WebSource {
    url: WebUrl,
    home: Origin,
    /// How far away the server is that named the URL; nothing when a person did.
    named_from: Option<AddressClass>,
}

#[derive(Debug, Clone)]
pub(crate) struct WebDocument {
    pub(crate) bytes: Vec<u8>,
    home: Origin,
    origin: AddressClass,
}

impl WebSource {
    pub(crate) fn named(url: WebUrl) -> Self {
        let home = url.url().origin();
        Self {
            url,
            home,
            named_from: None,
        }
    }

    pub(crate) const fn url(&self) -> &WebUrl {
        &self.url
    }
}

impl WebDocument {
    pub(crate) fn source(&self, url: WebUrl) -> WebSource {
        WebSource {
            url,
            home: self.home.clone(),
            named_from: Some(self.origin),
        }
    }
}

impl Client {
    /// Fetches a document of at most `max_bytes` bytes; `what` is what messages call it.
    pub(crate) async fn web_document(
        &self,
        source: &WebSource,
        what: &str,
        max_bytes: u64,
    ) -> Result<WebDocument, RegistryError> {
        let accept = |head: &Head, body: Option<Vec<u8>>| {
            let bytes = body.ok_or(EndpointError::TooLarge { max: max_bytes })?;
            Ok(WebDocument {
                bytes,
                home: source.home.clone(),
                origin: head.origin,
            })
        };
        let endpoint = self.api_client.endpoint_of(source);
        let asked = self
            .api_client
            .ask_at(&endpoint, &api_request(source), max_bytes, accept)
            .await;
        asked.map_err(|failure| web_error(what, failure))
    }

    /// Reads a file of at most `max_bytes` bytes once, keeps nothing of it, and tells digest and
    /// size.
    pub(crate) async fn web_digest(
        &self,
        source: &WebSource,
        what: &str,
        max_bytes: u64,
    ) -> Result<(Digest, u64), RegistryError> {
        let endpoint = self.api_client.endpoint_of(source);
        let mut attempts = Attempts::new(&self.api_client.retry, 0);
        loop {
            match self.api_client.hash(&endpoint, source, max_bytes).await {
                Ok(hashed) => return Ok(hashed),
                Err(cause) => {
                    self.api_client
                        .pause(&endpoint, &mut attempts, cause)
                        .await
                        .map_err(|failure| web_error(what, failure))?;
                }
            }
        }
    }

    /// Opens a file of a known size at `offset`. The stream yields exactly the bytes from there on;
    /// the caller hashes them.
    pub(crate) async fn web_stream(
        &self,
        source: &WebSource,
        what: &str,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, RegistryError> {
        let endpoint = self.api_client.endpoint_of(source);
        BlobStream::open_web(
            std::sync::Arc::clone(&self.api_client),
            endpoint,
            source.clone(),
            what.to_owned(),
            size,
            offset,
        )
        .await
    }
}

pub(super) fn web_error(what: &str, failure: EndpointFailure) -> RegistryError {
    RegistryError::Web {
        what: what.to_owned(),
        failure: Box::new(failure),
    }
}

fn api_request(source: &WebSource) -> ApiRequest<'static> {
    ApiRequest::get_at(Place::Web(Box::new(source.clone())), "*/*")
}

impl WebSource {
    fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.home
    }
}

impl ApiClient {
    fn endpoint_of(&self, source: &WebSource) -> Endpoint {
        self.hosts
            .web_endpoint(&source.url, source.is_home(source.url.url()))
    }

    async fn hash(
        &self,
        endpoint: &Endpoint,
        source: &WebSource,
        max_bytes: u64,
    ) -> Result<(Digest, u64), EndpointError> {
        let mut answer = self.ask_once(endpoint, &api_request(source)).await?;
        let (mut hasher, mut bytes) = (Sha256::new(), 0_u64);
        while let Some(chunk) = answer
            .response
            .chunk()
            .await
            .map_err(EndpointError::transport)?
        {
            bytes = bytes.saturating_add(chunk.len() as u64);
            if bytes > max_bytes {
                return Err(EndpointError::TooLarge { max: max_bytes });
            }
            hasher.update(&chunk);
        }
        Ok((hasher.finish(), bytes))
    }

    /// Asks a web server once, and follows where it leads.
    pub(super) async fn ask_web(
        &self,
        endpoint: &Endpoint,
        source: &WebSource,
        api_request: &ApiRequest<'_>,
    ) -> Result<ApiResponse, EndpointError> {
        let permit = endpoint.host.limiter.enter().await;
        let (mut url, mut from) = (source.url.clone(), source.named_from);
        self.check_encryption(&url, from.is_none())?;
        for _ in 0..=MAX_REDIRECTS {
            let label = url.url().origin().ascii_serialization();
            let redirected_to = (url.url().origin() != source.url.url().origin()).then_some(label);
            let (response, used) = self
                .send_web(source, &url, from, api_request, redirected_to.clone())
                .await?;
            if response.status().is_redirection() {
                from = Some(response.origin());
                url = self.next_step(&url, &response)?;
                continue;
            }
            if response.status().is_success() {
                endpoint.host.limiter.succeeded();
                return Ok(ApiResponse {
                    response,
                    url: url.url().clone(),
                    _permit: permit,
                });
            }
            return Err(refusal(&response, &url, used, redirected_to, source));
        }
        Err(EndpointError::Redirect {
            to: url.url().origin().ascii_serialization(),
            problem: "which redirects again and again",
        })
    }

    async fn send_web(
        &self,
        source: &WebSource,
        url: &WebUrl,
        from: Option<AddressClass>,
        api_request: &ApiRequest<'_>,
        redirected_to: Option<String>,
    ) -> Result<(Response, Option<Authorization>), EndpointError> {
        let failed = |error| EndpointError::Transport {
            error,
            redirected_to: redirected_to.clone(),
        };
        if source.is_home(url.url()) {
            let endpoint = self.hosts.web_endpoint(url, true);
            let credentials = credentials_for(&self.credentials, &endpoint)
                .await
                .map_err(EndpointError::Credentials)?;
            let authorization = match credentials {
                Some(Lookup {
                    credentials: Credentials::Basic { user, password },
                    place,
                }) => Some(Authorization {
                    value: basic_value(&user, &password),
                    user: Some(user),
                    place: Some(place),
                }),
                // Tokens are for registries.
                _ => None,
            };
            let request = request(url.url(), api_request, authorization.as_ref(), None);
            let response = endpoint
                .host
                .transport
                .send(request, Reach::Anywhere)
                .await
                .map_err(failed)?;
            endpoint.host.first_seen.get_or_init(|| response.origin());
            return Ok((response, authorization));
        }
        let label = || url.url().origin().ascii_serialization();
        let transport = self
            .hosts
            .foreign(url.url())
            .ok_or_else(|| EndpointError::OutOfBounds { to: label() })?;
        let reach = self
            .hosts
            .reach_of_named(url.url())
            .unwrap_or(from.map_or(Reach::From(AddressClass::Public), Reach::From));
        let response = transport
            .send(request(url.url(), api_request, None, None), reach)
            .await
            .map_err(failed)?;
        Ok((response, None))
    }

    /// Where a redirect leads, if it may.
    fn next_step(&self, url: &WebUrl, response: &Response) -> Result<WebUrl, EndpointError> {
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok());
        let refused = |to: String, problem| EndpointError::Redirect { to, problem };
        let next = location.and_then(|location| url.url().join(location).ok());
        let next = next.ok_or_else(|| refused(String::new(), "which is not a URL"))?;
        let to = next.origin().ascii_serialization();
        let next = WebUrl::new(next).map_err(|_| {
            refused(
                to.clone(),
                "in a way that is not allowed: another scheme, a user or a password",
            )
        })?;
        if url.url().scheme() == "https" && next.url().scheme() == "http" {
            return Err(refused(to, NOT_ENCRYPTED));
        }
        if self.check_encryption(&next, false).is_err() {
            return Err(refused(to, "which is plain HTTP and was not allowed"));
        }
        Ok(next)
    }

    fn check_encryption(&self, url: &WebUrl, is_named: bool) -> Result<(), EndpointError> {
        let host = url.authority();
        let is_good = url.url().scheme() == "https" || self.hosts.may_be_plain(&host);
        if is_good {
            Ok(())
        } else {
            Err(EndpointError::PlainHttp { host, is_named })
        }
    }
}

/// What a response without success means. Nothing that the server writes is repeated: it may be our
/// own query.
fn refusal(
    response: &Response,
    url: &WebUrl,
    used: Option<Authorization>,
    redirected_to: Option<String>,
    source: &WebSource,
) -> EndpointError {
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED && source.is_home(url.url()) {
        let host = url.authority();
        return match used {
            Some(Authorization { user, .. }) => EndpointError::CredentialsRefused {
                host,
                user,
                detail: None,
            },
            None => EndpointError::NoCredentials { host },
        };
    }
    let retry_after = retry_after(response.headers());
    EndpointError::Status {
        status,
        code: None,
        detail: None,
        is_about_space: false,
        redirected_to,
        retry_after,
    }
}
