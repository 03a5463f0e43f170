//! One request, one response.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use url::{Host, Url};

use super::{
    AddressClass, NetError, ProxySettings, Reach, RequestBody, Tls, TransportError, TransportFault,
    body::Watch, proxy::Proxies, resolver::GuardedResolver,
};
use rune_core::text::{shown, without_error_numbers};

/// Room for what is on its way on one HTTP/2 stream; with a smaller window the delay to the server,
/// not the line, would decide how fast a blob arrives.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    /// For the next bytes.
    pub(crate) idle: Duration,
    /// For an answer after a body was sent whole: a server may have much to put away before it says
    /// so.
    pub(crate) commit: Duration,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<RequestBody>,
    pub(crate) origin: RequestOrigin,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RequestOrigin {
    /// The number of the attempt, from 1; 0 for a request that is not repeated.
    pub(crate) attempt: u32,
    pub(crate) mirror_of: Option<String>,
    pub(crate) credentials: Option<String>,
}

impl Request {
    /// The request without its query and headers, which may hold secrets.
    fn log_line(&self) -> String {
        let Self {
            method,
            url,
            origin,
            ..
        } = self;
        let mut line = format!(
            "{method} {}{}",
            url.origin().ascii_serialization(),
            url.path()
        );
        if origin.attempt > 1 {
            line.push_str(&format!(", attempt {}", origin.attempt));
        }
        if let Some(registry) = &origin.mirror_of {
            line.push_str(&format!(", mirror of {registry}"));
        }
        if let Some(place) = &origin.credentials {
            line.push_str(&format!(", credentials from {place}"));
        }
        line
    }
}

#[derive(Debug)]
pub(crate) struct Response {
    inner: reqwest::Response,
    origin: AddressClass,
    idle: Duration,
}

/// Connections of one set of TLS settings, kept apart by how far they may reach.
pub(crate) struct Transport {
    tls: Tls,
    proxies: Arc<Proxies>,
    timeouts: Timeouts,
    /// By reach, and by whether the library below watches the time itself.
    clients: Mutex<HashMap<(Reach, bool), reqwest::Client>>,
}

impl std::fmt::Debug for Transport {
    /// Leaves out the libraries below: they print the URLs of proxies, with their passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Transport")
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(
        tls: Tls,
        proxy: &ProxySettings,
        timeouts: Timeouts,
    ) -> Result<Self, NetError> {
        let proxies = Arc::new(Proxies::new(proxy)?);
        let transport = Self {
            tls,
            proxies,
            timeouts,
            clients: Mutex::default(),
        };
        // Made now, so that settings which the libraries refuse are found before the first request.
        transport
            .client(Reach::Anywhere, true)
            .map_err(NetError::Client)?;
        Ok(transport)
    }

    fn client(&self, reach: Reach, is_timed: bool) -> Result<reqwest::Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(reach, is_timed)) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("rune-bundle/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.tls.config())
            .dns_resolver(Arc::new(GuardedResolver {
                reach,
                proxies: Arc::clone(&self.proxies),
            }))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.timeouts.connect)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        if is_timed {
            builder = builder.read_timeout(self.timeouts.idle);
        }
        let client = self.proxies.add_to(builder).build()?;
        clients.insert((reach, is_timed), client.clone());
        Ok(client)
    }

    /// Sends a request within `reach` and waits for the head of the response.
    pub(crate) async fn send(
        &self,
        request: Request,
        reach: Reach,
    ) -> Result<Response, TransportError> {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return self.send_unlogged(request, reach).await;
        }
        let line = request.log_line();
        let answered = self.send_unlogged(request, reach).await;
        match &answered {
            Ok(response) => tracing::debug!("{line}: {}", response.log_words()),
            Err(error) => tracing::debug!("{line}: {}", without_error_numbers(&error.to_string())),
        }
        answered
    }

    async fn send_unlogged(
        &self,
        request: Request,
        reach: Reach,
    ) -> Result<Response, TransportError> {
        let is_proxied = self.proxies.intercept(&request.url);
        self.check_literal(&request.url, reach, is_proxied)?;
        // The library measures from the beginning of the request to the answer, and a body may take
        // longer than any silence.
        let is_timed = !matches!(request.body, Some(RequestBody::Stream { .. }));
        let client = self
            .client(reach, is_timed)
            .map_err(TransportError::from_reqwest)?;
        let mut builder = client
            .request(request.method, request.url)
            .headers(request.headers);
        let inner = match request.body {
            None => builder.send().await,
            Some(RequestBody::Whole(bytes)) => builder.body(bytes).send().await,
            Some(RequestBody::Stream { bytes, stream }) => {
                let watch = Watch::new(self.timeouts.idle, self.timeouts.commit);
                builder = builder
                    .header(header::CONTENT_LENGTH, bytes)
                    .body(reqwest::Body::wrap_stream(watch.over(stream, bytes)));
                tokio::select! {
                    sent = builder.send() => sent,
                    () = watch.silence() => return Err(TransportError::of(TransportFault::Timeout)),
                }
            }
        };
        let inner = inner.map_err(TransportError::from_reqwest)?;
        // Behind a proxy nobody here knows the address; the strictest assumption is that it is
        // public.
        let origin = inner
            .remote_addr()
            .filter(|_| !is_proxied)
            .map_or(AddressClass::Public, |peer| AddressClass::of(peer.ip()));
        Ok(Response {
            inner,
            origin,
            idle: self.timeouts.idle,
        })
    }

    /// Checks what the resolver never sees: addresses in the URL itself, and, behind a proxy, names
    /// that can only mean this machine or the proxy.
    fn check_literal(
        &self,
        url: &Url,
        reach: Reach,
        is_proxied: bool,
    ) -> Result<(), TransportError> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name))
                if is_loopback_name(name) || (is_proxied && self.proxies.is_proxy(name)) =>
            {
                IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
            }
            _ => return Ok(()),
        };
        if reach.allows(AddressClass::of(address)) {
            Ok(())
        } else {
            Err(TransportError::forbidden(address))
        }
    }
}

fn is_loopback_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

impl Response {
    /// The status, and an encoding that nobody asked for: a proxy on the way may have put it there.
    fn log_words(&self) -> String {
        let status = self.inner.status().as_u16();
        let encoding = self.inner.headers().get(header::CONTENT_ENCODING);
        match encoding.and_then(|encoding| encoding.to_str().ok()) {
            Some(encoding) => format!("{status}, Content-Encoding {}", shown(encoding)),
            None => status.to_string(),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    pub(crate) fn origin(&self) -> AddressClass {
        self.origin
    }

    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        let chunk = tokio::time::timeout(self.idle, self.inner.chunk()).await;
        chunk
            .map_err(|_| TransportError::of(TransportFault::Timeout))?
            .map_err(TransportError::from_reqwest)
    }

    /// The rest of the body, if it has at most `max_bytes` bytes; `None` if it has more.
    pub(crate) async fn whole(
        &mut self,
        max_bytes: u64,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if (bytes.len() as u64).saturating_add(chunk.len() as u64) > max_bytes {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    }
}
