//! A blob on its way: exactly the bytes that its descriptor announces, or an error.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};

use super::{
    EndpointError, EndpointFailure, RegistryError, RepositoryName, WebSource,
    api_client::{ApiClient, ApiResponse},
    api_request::{ApiRequest, Place},
    hosts::Endpoint,
    quirks::bytes_to_drop,
    retry::Attempts,
    web::web_error,
};
use crate::oci::Descriptor;

/// After this many good bytes, earlier failures are forgotten.
const FORGIVING_BYTES: u64 = 1 << 20;

/// The bytes of a blob, from the offset that was asked for to its end.
///
/// A connection that breaks is made again and continued where it broke. Whoever consumes the bytes
/// hashes them; the stream only promises their number.
#[derive(Debug)]
pub struct BlobStream {
    api_client: Arc<ApiClient>,
    what: String,
    place: Place,
    size: u64,
    position: u64,
    source: Option<Source>,
    endpoint: Endpoint,
    /// Endpoints not tried yet, the next one last.
    others: Vec<Endpoint>,
    failures: Vec<EndpointFailure>,
    failed_attempts: u32,
    failed_at: u64,
}

#[derive(Debug)]
struct Source {
    answer: ApiResponse,
    /// Bytes to drop first: the server sent everything although a range was asked for.
    skip: u64,
}

impl BlobStream {
    pub(super) async fn open(
        api_client: Arc<ApiClient>,
        name: &RepositoryName,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<Self, RegistryError> {
        let what = format!("blob `{}` of `{name}`", descriptor.digest);
        let place = Place::Below {
            path: format!("blobs/{}", descriptor.digest),
            query: Vec::new(),
        };
        let mut others = api_client.hosts.endpoints(name);
        others.reverse();
        let Some(endpoint) = others.pop() else {
            return Err(RegistryError::Fetch {
                what,
                is_by_digest: true,
                failures: Vec::new(),
            });
        };
        Self {
            others,
            ..Self::new(api_client, endpoint, place, what, descriptor.size, offset)
        }
        .opened()
        .await
    }

    /// The same of a file at a web server.
    pub(super) async fn open_web(
        api_client: Arc<ApiClient>,
        endpoint: Endpoint,
        source: WebSource,
        what: String,
        size: u64,
        offset: u64,
    ) -> Result<Self, RegistryError> {
        Self::new(
            api_client,
            endpoint,
            Place::Web(Box::new(source)),
            what,
            size,
            offset,
        )
        .opened()
        .await
    }

    fn new(
        api_client: Arc<ApiClient>,
        endpoint: Endpoint,
        place: Place,
        what: String,
        size: u64,
        offset: u64,
    ) -> Self {
        Self {
            api_client,
            what,
            place,
            size,
            position: offset.min(size),
            source: None,
            endpoint,
            others: Vec::new(),
            failures: Vec::new(),
            failed_attempts: 0,
            failed_at: 0,
        }
    }

    async fn opened(mut self) -> Result<Self, RegistryError> {
        if self.position < self.size {
            self.reopen().await?;
        }
        Ok(self)
    }

    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let Some(source) = self.source.as_mut() else {
                if self.position == self.size {
                    return Ok(None);
                }
                self.reopen().await?;
                continue;
            };
            match source.answer.response.chunk().await {
                Ok(Some(bytes)) => {
                    let bytes = source.skipped(bytes);
                    let position = self.position.saturating_add(bytes.len() as u64);
                    if position > self.size {
                        return Err(self.give_up(EndpointError::WrongSize {
                            expected: self.size,
                            actual: position,
                        }));
                    }
                    self.position = position;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) => {
                    self.source = None;
                    if self.position < self.size {
                        // A proper end, but too early: the server has something else than the
                        // descriptor says.
                        return Err(self.give_up(EndpointError::WrongSize {
                            expected: self.size,
                            actual: self.position,
                        }));
                    }
                }
                Err(error) => {
                    self.source = None;
                    self.failed(EndpointError::transport(error)).await?;
                }
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), RegistryError> {
        loop {
            let range = (self.position > 0).then(|| (self.position, self.size.saturating_sub(1)));
            let mut api_request = ApiRequest::get_at(self.place.clone(), "*/*").with_range(range);
            api_request.attempt = self.failed_attempts.saturating_add(1);
            let opened = match self.api_client.ask_once(&self.endpoint, &api_request).await {
                Ok(answer) => self.source_of(answer, range),
                Err(cause) => Err(cause),
            };
            match opened {
                Ok(source) => {
                    self.source = Some(source);
                    return Ok(());
                }
                Err(cause) => self.failed(cause).await?,
            }
        }
    }

    fn source_of(
        &self,
        answer: ApiResponse,
        range: Option<(u64, u64)>,
    ) -> Result<Source, EndpointError> {
        let headers = answer.response.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (skip, expected) = match (answer.response.status(), range) {
            (StatusCode::PARTIAL_CONTENT, Some((first, last))) => {
                let sent = text(header::CONTENT_RANGE).unwrap_or_default();
                let asked = format!("bytes {first}-{last}/{}", self.size);
                let is_asked = sent == asked || sent == format!("bytes {first}-{last}/*");
                if !is_asked {
                    return Err(EndpointError::WrongRange {
                        asked,
                        sent: sent.escape_debug().to_string(),
                    });
                }
                (0, self.size.saturating_sub(first))
            }
            (StatusCode::OK, range) => (bytes_to_drop(range), self.size),
            (status, _) => return Err(EndpointError::status(status)),
        };
        let announced = text(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        match announced.filter(|announced| *announced != expected) {
            Some(actual) => Err(EndpointError::WrongSize { expected, actual }),
            None => Ok(Source { answer, skip }),
        }
    }

    /// Counts a failure; waits, moves on to the next endpoint, or gives up.
    async fn failed(&mut self, cause: EndpointError) -> Result<(), RegistryError> {
        if self.position.saturating_sub(self.failed_at) >= FORGIVING_BYTES {
            self.failed_attempts = 0;
        }
        self.failed_at = self.position;
        let mut attempts = Attempts::new(&self.api_client.retry, self.failed_attempts);
        let paused = self
            .api_client
            .pause(&self.endpoint, &mut attempts, cause)
            .await;
        self.failed_attempts = attempts.made();
        if let Err(failure) = paused {
            self.failures.push(failure);
            self.failed_attempts = 0;
            let Some(next) = self.others.pop() else {
                return Err(self.error());
            };
            self.endpoint = next;
        }
        Ok(())
    }

    /// Gives up at once: what came cannot be undone, so another endpoint does not help.
    fn give_up(&mut self, cause: EndpointError) -> RegistryError {
        self.source = None;
        self.failures.push(self.endpoint.failure(1, cause));
        self.error()
    }

    fn error(&mut self) -> RegistryError {
        let (what, mut failures) = (self.what.clone(), std::mem::take(&mut self.failures));
        match (&self.place, failures.pop()) {
            (Place::Web(_), Some(failure)) => web_error(&what, failure),
            (_, last) => {
                failures.extend(last);
                RegistryError::Fetch {
                    what,
                    is_by_digest: true,
                    failures,
                }
            }
        }
    }
}

impl Source {
    /// What is left of a chunk after the bytes to drop.
    fn skipped(&mut self, mut bytes: Bytes) -> Bytes {
        let skip = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.skip = self.skip.saturating_sub(skip as u64);
        bytes.split_off(skip)
    }
}
