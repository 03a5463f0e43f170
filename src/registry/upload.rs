//! A blob on its way into a repository.
//!
//! Mounted from another repository when the registry does that; else sent in one request, and in
//! several when the registry takes no large ones or it was asked for. What breaks is continued
//! where the registry says it is, or begun again.

use std::sync::{Arc, atomic::Ordering};

use http::{HeaderValue, Method, StatusCode, header};

use super::{
    EndpointError, Pieces, RegistryError, RepositoryWriter,
    api_client::ApiResponse,
    api_request::{Access, ApiRequest, Place},
    pieces::{Cursor, Meter, Outcome, Part},
    quirks::{is_about_upload, refuses_mount, refuses_whole_blob, wants_smaller_requests},
    retry::Attempts,
    session::Session,
};
use crate::{net::RequestBody, oci::Descriptor};
use rune_core::digest::Digest;

const UPLOADS: &str = "blobs/uploads/";

/// After this many bytes that arrived, earlier failures are forgotten.
const FORGIVING_BYTES: u64 = 1 << 20;
/// The size of a part once a registry showed that it takes no large requests.
const CHUNK_BYTES: u64 = 8 << 20;
/// Below this no smaller parts are tried.
const MIN_CHUNK_BYTES: u64 = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Mounted,
    Uploaded,
}

pub(super) struct Upload<'a, P> {
    writer: &'a RepositoryWriter,
    blob: &'a Descriptor,
    mount_from: Option<String>,
    start: Cursor<P>,
    /// At a byte that the registry has not confirmed, or before it.
    cursor: Cursor<P>,
    /// The most bytes in one request, when that was asked for.
    chunk_bytes: Option<u64>,
    meter: Meter,
    session: Option<Session>,
    /// Whether it is unknown how much of the session arrived.
    is_unsure: bool,
    failed_attempts: u32,
    last_bytes: u64,
    /// Whether the last request was to take all bytes and end the upload.
    was_whole: bool,
}

impl<'a, P: Pieces> Upload<'a, P> {
    pub(super) fn new(
        writer: &'a RepositoryWriter,
        blob: &'a Descriptor,
        mount_from: Option<String>,
        pieces: P,
        chunk_bytes: Option<u64>,
        meter: Meter,
    ) -> Self {
        let start = Cursor::new(pieces);
        let cursor = start.clone();
        Self {
            writer,
            blob,
            mount_from,
            start,
            cursor,
            chunk_bytes,
            meter,
            session: None,
            is_unsure: false,
            failed_attempts: 0,
            last_bytes: 0,
            was_whole: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<Delivery, RegistryError> {
        let (api_client, endpoint) = (&self.writer.api_client, &self.writer.endpoint);
        let mut failed_at = 0;
        loop {
            let had_session = self.session.is_some();
            let cause = match self.step().await {
                Ok(Some(delivery)) => return Ok(delivery),
                Ok(None) => continue,
                Err(cause) => cause,
            };
            if self.makes_smaller(&cause) || self.sends_before_end(&cause) {
                continue;
            }
            let is_lost = had_session && is_about_upload(&cause);
            if is_lost {
                self.session = None;
            }
            self.is_unsure = self.session.is_some();
            let offset = self.session.as_ref().map_or(0, |session| session.offset);
            if offset >= FORGIVING_BYTES.saturating_add(failed_at) {
                self.failed_attempts = 0;
            }
            failed_at = offset;
            let mut attempts = Attempts::new(&api_client.retry, self.failed_attempts);
            let may_help = is_lost || cause.is_transient();
            let paused = api_client
                .pause_if(may_help, endpoint, &mut attempts, cause)
                .await;
            self.failed_attempts = attempts.made();
            paused.map_err(|failure| {
                self.writer
                    .error(format!("blob `{}`", self.blob.digest), failure)
            })?;
        }
    }

    async fn step(&mut self) -> Result<Option<Delivery>, EndpointError> {
        let Some(session) = self.session.clone() else {
            return self.begin().await;
        };
        if self.is_unsure {
            return self.ask_how_far(session).await;
        }
        let size = self.blob.size;
        let takes_whole = !self
            .writer
            .endpoint
            .host
            .refuses_whole_blobs
            .load(Ordering::Relaxed);
        match self.most_bytes(&session) {
            most if session.offset == 0 && most >= size && takes_whole => {
                self.was_whole = size > 0;
                self.put(&session, size).await.map(Some)
            }
            _ if session.offset == size => self.put(&session, 0).await.map(Some),
            most => {
                let end = session.offset.saturating_add(most).min(size);
                self.patch(session, end).await?;
                Ok(None)
            }
        }
    }

    async fn begin(&mut self) -> Result<Option<Delivery>, EndpointError> {
        self.is_unsure = false;
        if let Some(from) = self.mount_from.clone() {
            match self.send(mount_request(self.blob.digest, from)).await {
                Ok(answer) if answer.response.status() == StatusCode::CREATED => {
                    return Ok(Some(Delivery::Mounted));
                }
                Ok(answer) => self.session = Some(Session::started(&answer)?),
                Err(cause) if refuses_mount(&cause) => {
                    tracing::debug!(blob = %self.blob.digest, "not mounted: {cause}");
                }
                Err(cause) => return Err(cause),
            }
            self.mount_from = None;
        }
        if self.session.is_none() {
            self.session = Some(Session::started(&self.post().await?)?);
        }
        Ok(None)
    }

    async fn post(&self) -> Result<ApiResponse, EndpointError> {
        let api_request = ApiRequest::new(
            Method::POST,
            Place::Below {
                path: UPLOADS.to_owned(),
                query: Vec::new(),
            },
            Access::Push,
        );
        self.send(api_request.with_body(&empty)).await
    }

    async fn ask_how_far(
        &mut self,
        mut session: Session,
    ) -> Result<Option<Delivery>, EndpointError> {
        let place = Place::Given {
            url: session.url.clone(),
            from: session.from,
        };
        let asked = self
            .send(ApiRequest::new(Method::GET, place, Access::Push))
            .await;
        match asked {
            Ok(answer) => {
                session.update(&answer, 0)?;
                if session.offset > self.blob.size {
                    return Err(EndpointError::ProtocolViolation(
                        "has more of an upload than was sent",
                    ));
                }
                self.session = Some(session);
            }
            Err(cause) if cause.is_transient() => return Err(cause),
            // It does not know the upload any more: perhaps because it is finished, and only the
            // answer was lost.
            Err(_) => {
                self.session = None;
                if self.writer.is_blob_there(self.blob.digest).await? {
                    return Ok(Some(Delivery::Uploaded));
                }
            }
        }
        self.is_unsure = false;
        Ok(None)
    }

    async fn put(&mut self, session: &Session, bytes: u64) -> Result<Delivery, EndpointError> {
        let place = Place::Given {
            url: session.end(&self.blob.digest.to_string()),
            from: session.from,
        };
        let api_request = ApiRequest::new(Method::PUT, place, Access::Push);
        let answer = self
            .send_part(api_request, self.blob.size.saturating_sub(bytes), bytes)
            .await?;
        self.writer.check_stated(&answer, self.blob.digest)?;
        Ok(Delivery::Uploaded)
    }

    /// Sends what comes next of the upload, up to `end`.
    async fn patch(&mut self, mut session: Session, end: u64) -> Result<(), EndpointError> {
        let (from, last) = (session.offset, end.saturating_sub(1));
        let place = Place::Given {
            url: session.url.clone(),
            from: session.from,
        };
        let api_request = ApiRequest::new(Method::PATCH, place, Access::Push)
            .with_text(header::CONTENT_RANGE, &format!("{from}-{last}"));
        let answer = self
            .send_part(api_request, from, end.saturating_sub(from))
            .await?;
        session.update(&answer, end)?;
        if session.offset <= from || session.offset > end {
            return Err(EndpointError::ProtocolViolation(
                "took a part of an upload and says that another arrived",
            ));
        }
        self.session = Some(session);
        Ok(())
    }

    async fn send_part(
        &mut self,
        api_request: ApiRequest<'_>,
        from: u64,
        bytes: u64,
    ) -> Result<ApiResponse, EndpointError> {
        self.last_bytes = bytes;
        let api_request = api_request.with(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        if bytes == 0 {
            return self.send(api_request.with_body(&empty)).await;
        }
        if self.cursor.position() > from {
            self.cursor = self.start.clone();
        }
        let outcome = Arc::new(Outcome::default());
        let part = Part {
            cursor: self.cursor.clone(),
            from,
            bytes,
            meter: Arc::clone(&self.meter),
            outcome: Arc::clone(&outcome),
        };
        let answer = self.send(api_request.with_body(&|| part.body())).await;
        if outcome.is_damaged() {
            return Err(EndpointError::Damaged);
        }
        if let (Ok(_), Some(end)) = (&answer, outcome.take_end()) {
            self.cursor = end;
        }
        answer
    }

    async fn send(&self, api_request: ApiRequest<'_>) -> Result<ApiResponse, EndpointError> {
        let api_request = ApiRequest {
            attempt: self.failed_attempts.saturating_add(1),
            ..api_request
        };
        self.writer
            .api_client
            .ask_once(&self.writer.endpoint, &api_request)
            .await
    }

    /// Whether it is worth trying with the bytes before the request that ends the upload, as it
    /// took none with it.
    fn sends_before_end(&mut self, cause: &EndpointError) -> bool {
        let is_worth_it = std::mem::take(&mut self.was_whole) && refuses_whole_blob(cause);
        if is_worth_it {
            self.writer
                .endpoint
                .host
                .refuses_whole_blobs
                .store(true, Ordering::Relaxed);
            self.session = None;
        }
        is_worth_it
    }

    fn most_bytes(&self, session: &Session) -> u64 {
        let shown = self
            .writer
            .endpoint
            .host
            .max_request_bytes
            .load(Ordering::Relaxed);
        let most =
            self.chunk_bytes
                .unwrap_or(u64::MAX)
                .min(if shown == 0 { u64::MAX } else { shown });
        most.max(session.min_chunk_bytes)
    }

    /// Whether it is worth trying with smaller requests, because the last was too large.
    fn makes_smaller(&mut self, cause: &EndpointError) -> bool {
        let is_too_large = wants_smaller_requests(cause);
        let smaller = if self.last_bytes > CHUNK_BYTES {
            CHUNK_BYTES
        } else {
            self.last_bytes / 2
        };
        let least = self
            .session
            .as_ref()
            .map_or(0, |session| session.min_chunk_bytes)
            .max(MIN_CHUNK_BYTES);
        if !is_too_large || smaller < least {
            return false;
        }
        // Everything else that goes to this host has the same way to go.
        self.writer
            .endpoint
            .host
            .max_request_bytes
            .store(smaller, Ordering::Relaxed);
        self.is_unsure = self.session.is_some();
        true
    }
}

pub(super) fn mount_request(digest: Digest, from: String) -> ApiRequest<'static> {
    let query = vec![
        ("mount".into(), digest.to_string()),
        ("from".into(), from.clone()),
    ];
    let place = Place::Below {
        path: UPLOADS.to_owned(),
        query,
    };
    ApiRequest::new(Method::POST, place, Access::Mount { from }).with_body(&empty)
}

fn empty() -> RequestBody {
    RequestBody::Whole(bytes::Bytes::new())
}
