//! What a registry has about a manifest: its list of referrers, and manifests that may be under a
//! tag.
//!
//! Only 404 says that there is nothing. A mirror that answers speaks for its registry, as for
//! everything else. A list is whole or an error.
//!
//! Source: OCI distribution specification 1.1, "Listing Referrers".

use std::collections::BTreeSet;

use http::{HeaderValue, Method, StatusCode, header};

use super::{
    Client, EndpointError, EndpointFailure, RegistryError, RepositoryName, RepositoryWriter,
    api_client::{ApiClient, Head},
    api_request::{Access, ApiRequest, Place, Query},
    client::{MANIFEST_TYPES, MAX_MANIFEST_BYTES},
    hosts::Endpoint,
    manifest_body,
    pages::Listing,
    retry::Attempts,
};
use crate::oci::{Descriptor, Manifest, ManifestKind, media_type};
use rune_core::digest::Digest;

/// By what a registry says that it left out what was not asked for.
const FILTERS_APPLIED: &str = "oci-filters-applied";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReferrerList {
    pub(crate) manifests: Vec<Descriptor>,
    /// Digests of an algorithm other than SHA-256.
    pub(crate) unsupported: Vec<String>,
}

impl ReferrerList {
    /// The tag of the list, where the registry does not keep one itself.
    pub(crate) fn tag(subject: Digest) -> String {
        format!("sha256-{}", subject.hex())
    }

    /// Reads a list out of the image index that it is; nothing when it is another manifest.
    pub(crate) fn of(manifest: &Manifest) -> Option<Self> {
        match manifest.kind() {
            ManifestKind::Index {
                manifests,
                unsupported,
            } => Some(Self {
                manifests: manifests.clone(),
                unsupported: unsupported.clone(),
            }),
            ManifestKind::Image { .. } => None,
        }
    }

    fn append(&mut self, other: Self) {
        self.manifests.extend(other.manifests);
        self.unsupported.extend(other.unsupported);
    }
}

impl Client {
    /// What the registry lists as referrers of a manifest; nothing when it does not keep such
    /// lists.
    pub(crate) async fn referrers(
        &self,
        name: &RepositoryName,
        subject: Digest,
    ) -> Result<Option<ReferrerList>, RegistryError> {
        let mut failures = Vec::new();
        for endpoint in self.api_client.hosts.endpoints(name) {
            match list_at(&self.api_client, &endpoint, subject, Access::Pull).await {
                Ok(list) => return Ok(list),
                Err(failure) => failures.push(failure),
            }
        }
        Err(failed(
            format!("the referrers of `{name}@{subject}`"),
            failures,
        ))
    }

    /// Fetches the manifest under a tag that may not exist. First the registry is asked whether it
    /// does, which does not count as a download.
    pub(crate) async fn manifest_if_tagged(
        &self,
        name: &RepositoryName,
        tag: &str,
    ) -> Result<Option<Manifest>, RegistryError> {
        let path = format!("manifests/{tag}");
        let place = Place::Below {
            path: path.clone(),
            query: Query::new(),
        };
        let head = ApiRequest::new(Method::HEAD, place, Access::Pull)
            .with(header::ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
        let get = ApiRequest::get(path, MANIFEST_TYPES);
        let mut failures = Vec::new();
        for endpoint in self.api_client.hosts.endpoints(name) {
            let exists = self
                .api_client
                .ask_at(&endpoint, &head, 0, |_, _| Ok(()))
                .await;
            let fetched = match exists {
                Ok(()) => {
                    self.api_client
                        .ask_at(&endpoint, &get, MAX_MANIFEST_BYTES, read)
                        .await
                }
                Err(failure) if is_not_found(&failure.cause) => return Ok(None),
                Err(failure) => Err(failure),
            };
            match fetched {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(failure) => failures.push(failure),
            }
        }
        Err(failed(format!("the manifest of `{name}:{tag}`"), failures))
    }
}

impl RepositoryWriter {
    /// What the registry lists as referrers of a manifest; nothing when it does not keep such
    /// lists.
    pub(crate) async fn referrers(
        &self,
        subject: Digest,
    ) -> Result<Option<ReferrerList>, RegistryError> {
        let listed = list_at(&self.api_client, &self.endpoint, subject, Access::Push).await;
        let what = || format!("the referrers of `{}@{subject}`", self.name());
        listed.map_err(|failure| failed(what(), vec![failure]))
    }

    /// Fetches the list of referrers of a manifest again. A registry that does not list all of
    /// these yet is asked again.
    pub(crate) async fn check_referrers(
        &self,
        subject: Digest,
        expected: &BTreeSet<Digest>,
    ) -> Result<(), RegistryError> {
        let mut attempts = Attempts::new(&self.api_client.retry, 0);
        loop {
            let listed = self.referrers(subject).await?.unwrap_or_default();
            let listed: BTreeSet<Digest> =
                listed.manifests.iter().map(|entry| entry.digest).collect();
            let Some(missing) = expected.difference(&listed).next() else {
                return Ok(());
            };
            let paused = self
                .api_client
                .pause_if(
                    true,
                    &self.endpoint,
                    &mut attempts,
                    EndpointError::MissingAfterPush,
                )
                .await;
            paused.map_err(|failure| {
                self.error(format!("the referrer `{missing}` of `{subject}`"), failure)
            })?;
        }
    }
}

fn failed(what: String, failures: Vec<EndpointFailure>) -> RegistryError {
    RegistryError::Fetch {
        what,
        is_by_digest: false,
        failures,
    }
}

fn is_not_found(cause: &EndpointError) -> bool {
    cause.answered() == Some(StatusCode::NOT_FOUND)
}

/// The whole list of one endpoint; nothing when it does not keep any.
async fn list_at(
    api_client: &ApiClient,
    endpoint: &Endpoint,
    subject: Digest,
    access: Access,
) -> Result<Option<ReferrerList>, EndpointFailure> {
    let listing = Listing {
        place: |query| Place::Below {
            path: format!("referrers/{subject}"),
            query,
        },
        access,
        accept: media_type::INDEX,
    };
    let pages = listing
        .pages(api_client, endpoint, |head, body| {
            if !head.text(FILTERS_APPLIED).is_empty() {
                return Err(EndpointError::ProtocolViolation(
                    "filtered the list of referrers, which nobody asked for",
                ));
            }
            ReferrerList::of(&read(head, body)?).ok_or(EndpointError::ProtocolViolation(
                "answered with something else than a list of referrers",
            ))
        })
        .await?;
    Ok(pages.map(|pages| {
        pages
            .into_iter()
            .fold(ReferrerList::default(), |mut list, page| {
                list.append(page);
                list
            })
    }))
}

fn read(head: &Head, body: Option<Vec<u8>>) -> Result<Manifest, EndpointError> {
    let bytes = body.ok_or(EndpointError::TooLarge {
        max: MAX_MANIFEST_BYTES,
    })?;
    manifest_body::read(head, bytes, None, None)
}
