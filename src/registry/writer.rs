//! One repository that is written to.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::{
    Delivery, EndpointError, EndpointFailure, Pieces, RegistryError, RepositoryName,
    api_client::{ApiClient, ApiResponse, Head},
    api_request::{Access, ApiRequest, Place},
    client::{MANIFEST_TYPES, MAX_MANIFEST_BYTES},
    hosts::Endpoint,
    pieces::Meter,
    quirks::{lacks_a_part, leaves_blob_open, refuses_mount},
    retry::Attempts,
    upload::{Upload, mount_request},
};
use crate::{net::RequestBody, oci::Descriptor};
use rune_core::digest::Digest;

/// By what a registry says that it keeps the list of referrers of a manifest itself.
const OCI_SUBJECT: &str = "oci-subject";
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A repository that is written to, at the registry itself: mirrors are for reading.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryWriter {
    pub(super) api_client: Arc<ApiClient>,
    pub(super) endpoint: Endpoint,
    name: RepositoryName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Whether it puts the manifest into the list of referrers of its subject.
    pub(crate) lists_referrer: bool,
}

impl RepositoryWriter {
    pub(super) fn new(api_client: Arc<ApiClient>, name: &RepositoryName) -> Self {
        let endpoint = api_client.hosts.own_endpoint(name);
        Self {
            api_client,
            endpoint,
            name: name.clone(),
        }
    }

    pub(crate) const fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Whether the registry says that the repository has a blob. A hint: nobody has seen its bytes.
    pub(crate) async fn has_blob(&self, digest: Digest) -> Result<bool, RegistryError> {
        let mut attempts = Attempts::new(&self.api_client.retry, 0);
        loop {
            match self.is_blob_there(digest).await {
                Ok(is_there) => return Ok(is_there),
                Err(cause) => {
                    self.pause(&mut attempts, cause, &format!("blob `{digest}`"))
                        .await?;
                }
            }
        }
    }

    pub(super) async fn is_blob_there(&self, digest: Digest) -> Result<bool, EndpointError> {
        let mut api_request = Self::api_request(Method::HEAD, format!("blobs/{digest}"));
        // The storage that it would send us to has it.
        api_request.keeps_redirects = true;
        match self.api_client.ask_once(&self.endpoint, &api_request).await {
            Ok(_) => Ok(true),
            // Whoever may not ask may be able to write, and else hears of it there.
            Err(cause) if leaves_blob_open(&cause) => Ok(false),
            Err(cause) => Err(cause),
        }
    }

    /// Brings a blob into the repository: mounted from another one that has it, or sent, in
    /// requests of at most `chunk_bytes`. After a failure nothing under its digest was finished.
    pub(crate) async fn put_blob<P: Pieces>(
        &self,
        blob: &Descriptor,
        mount_from: Option<String>,
        pieces: P,
        chunk_bytes: Option<u64>,
        meter: Meter,
    ) -> Result<Delivery, RegistryError> {
        Upload::new(self, blob, mount_from, pieces, chunk_bytes, meter)
            .run()
            .await
    }

    /// Mounts a blob out of another repository of the registry, and says whether that was done.
    pub(crate) async fn mount_blob(
        &self,
        digest: Digest,
        from: &str,
    ) -> Result<bool, RegistryError> {
        let request = mount_request(digest, from.to_owned());
        let mut attempts = Attempts::new(&self.api_client.retry, 0);
        loop {
            match self.api_client.ask_once(&self.endpoint, &request).await {
                Ok(answer) => return Ok(answer.response.status() == StatusCode::CREATED),
                Err(cause) if refuses_mount(&cause) => return Ok(false),
                Err(cause) => {
                    self.pause(&mut attempts, cause, &format!("blob `{digest}`"))
                        .await?;
                }
            }
        }
    }

    /// The bytes of the manifest under a tag or digest; `None` when there is none.
    pub(crate) async fn manifest(
        &self,
        tag_or_digest: &str,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let api_request = Self::api_request(Method::GET, format!("manifests/{tag_or_digest}"));
        let api_request =
            api_request.with(header::ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
        let accept = |_: &Head, body: Option<Vec<u8>>| {
            body.ok_or(EndpointError::TooLarge {
                max: MAX_MANIFEST_BYTES,
            })
        };
        match self
            .api_client
            .ask_at(&self.endpoint, &api_request, MAX_MANIFEST_BYTES, accept)
            .await
        {
            Ok(bytes) => Ok(Some(bytes)),
            Err(failure) if failure.cause.answered() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(failure) => Err(RegistryError::Fetch {
                what: format!("the manifest `{}:{tag_or_digest}`", self.name),
                is_by_digest: api_request.is_by_digest(),
                failures: vec![failure],
            }),
        }
    }

    /// Writes a manifest under a tag or its digest. `is_whole` says that everything it refers to
    /// was written before: a registry that does not know of it yet is then asked again.
    pub(crate) async fn put_manifest(
        &self,
        tag_or_digest: &str,
        media_type: &str,
        bytes: &Bytes,
        is_whole: bool,
    ) -> Result<Accepted, RegistryError> {
        let digest = Digest::of(bytes);
        let make = || RequestBody::Whole(bytes.clone());
        let api_request = Self::api_request(Method::PUT, format!("manifests/{tag_or_digest}"));
        let api_request = api_request
            .with_text(header::CONTENT_TYPE, media_type)
            .with_body(&make);
        let what = format!(
            "the manifest `{}`",
            if tag_or_digest.contains(':') {
                tag_or_digest.to_owned()
            } else {
                format!(":{tag_or_digest}")
            }
        );
        let mut attempts = Attempts::new(&self.api_client.retry, 0);
        loop {
            let api_request = api_request.at_attempt(&attempts);
            let answered = self.api_client.ask_once(&self.endpoint, &api_request).await;
            match answered.and_then(|answer| self.check_stated(&answer, digest).map(|()| answer)) {
                Ok(answer) => {
                    return Ok(Accepted {
                        lists_referrer: answer.header(OCI_SUBJECT).is_some(),
                    });
                }
                Err(cause) => {
                    let may_help = cause.is_transient() || (is_whole && lacks_a_part(&cause));
                    let paused = self
                        .api_client
                        .pause_if(may_help, &self.endpoint, &mut attempts, cause)
                        .await;
                    paused.map_err(|failure| self.error(what.clone(), failure))?;
                }
            }
        }
    }

    /// Fetches a manifest again and compares it. A registry that does not have it yet, or has what
    /// was present before, is asked again.
    pub(crate) async fn check_manifest(
        &self,
        tag_or_digest: &str,
        expected: Digest,
    ) -> Result<(), RegistryError> {
        let mut attempts = Attempts::new(&self.api_client.retry, 0);
        loop {
            let cause = match self
                .manifest(tag_or_digest)
                .await?
                .map(|bytes| Digest::of(&bytes))
            {
                Some(actual) if actual == expected => return Ok(()),
                Some(actual) => EndpointError::DigestMismatch { expected, actual },
                None => EndpointError::MissingAfterPush,
            };
            let paused = self
                .api_client
                .pause_if(true, &self.endpoint, &mut attempts, cause)
                .await;
            paused.map_err(|failure| {
                self.error(format!("the manifest `{tag_or_digest}`"), failure)
            })?;
        }
    }

    fn api_request(method: Method, path: String) -> ApiRequest<'static> {
        ApiRequest::new(
            method,
            Place::Below {
                path,
                query: Vec::new(),
            },
            Access::Push,
        )
    }

    async fn pause(
        &self,
        attempts: &mut Attempts<'_>,
        cause: EndpointError,
        what: &str,
    ) -> Result<(), RegistryError> {
        self.api_client
            .pause(&self.endpoint, attempts, cause)
            .await
            .map_err(|failure| self.error(what.to_owned(), failure))
    }

    #[expect(clippy::unused_self, reason = "reads as what it belongs to")]
    pub(super) fn check_stated(
        &self,
        answer: &ApiResponse,
        expected: Digest,
    ) -> Result<(), EndpointError> {
        let stated: Option<Digest> = answer
            .header(CONTENT_DIGEST)
            .and_then(|text| text.parse().ok());
        match stated.filter(|stated| *stated != expected) {
            Some(actual) => Err(EndpointError::DigestMismatch { expected, actual }),
            None => Ok(()),
        }
    }

    pub(super) fn error(&self, what: String, failure: EndpointFailure) -> RegistryError {
        RegistryError::Push {
            what,
            name: self.name.clone(),
            failure: Box::new(failure),
        }
    }
}
