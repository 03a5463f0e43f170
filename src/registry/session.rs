//! An upload that a registry has begun to take.

use url::Url;

use super::{EndpointError, api_client::ApiResponse, quirks::received_bytes};
use crate::net::AddressClass;

/// The least that a registry wants in each part but the last.
const MIN_CHUNK: &str = "oci-chunk-min-length";

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) url: Url,
    /// How far away the server is that said where it goes on.
    pub(super) from: AddressClass,
    pub(super) offset: u64,
    /// The least that it wants in each part but the last.
    pub(super) min_chunk_bytes: u64,
}

impl Session {
    /// The upload that an answer says has begun.
    pub(super) fn started(answer: &ApiResponse) -> Result<Self, EndpointError> {
        let min = answer
            .header(MIN_CHUNK)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or_default();
        let url = location(answer)?.ok_or(EndpointError::ProtocolViolation(
            "began an upload and did not say where it goes on",
        ))?;
        Ok(Self {
            url,
            from: answer.response.origin(),
            offset: 0,
            min_chunk_bytes: min,
        })
    }

    /// Applies what a response says about it, and how much is there by now; `expected` when it does
    /// not say.
    pub(super) fn update(
        &mut self,
        answer: &ApiResponse,
        expected: u64,
    ) -> Result<(), EndpointError> {
        if let Some(url) = location(answer)? {
            (self.url, self.from) = (url, answer.response.origin());
        }
        self.offset = answer
            .header(http::header::RANGE)
            .and_then(received_bytes)
            .unwrap_or(expected);
        Ok(())
    }

    /// Where it is finished with this digest.
    pub(super) fn end(&self, digest: &str) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("digest", digest);
        url
    }
}

fn location(answer: &ApiResponse) -> Result<Option<Url>, EndpointError> {
    let Some(text) = answer.header(http::header::LOCATION) else {
        return Ok(None);
    };
    let url = answer
        .url
        .join(text)
        .map_err(|_| EndpointError::ProtocolViolation("continues the upload at an invalid URL"))?;
    Ok(Some(url))
}
