//! What a registry has: its repositories, and the tags of a repository.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    Client, EndpointError, RegistryError, RepositoryName, RepositoryWriter,
    api_request::{Access, Place},
    client::MAX_MANIFEST_BYTES,
    pages::Listing,
};

const JSON: &str = "application/json";

#[derive(Deserialize)]
struct Catalog {
    /// distribution says `null` when it has none.
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Client {
    /// The paths of all repositories of a registry.
    pub(crate) async fn repositories(
        &self,
        registry: &str,
    ) -> Result<BTreeSet<String>, RegistryError> {
        let endpoint = self
            .api_client
            .hosts
            .own_endpoint(&RepositoryName::new(registry, ""));
        let listing = Listing {
            place: |query| Place::Root {
                path: "_catalog".to_owned(),
                query,
            },
            access: Access::Catalog,
            accept: JSON,
        };
        let failed = |failure| RegistryError::Catalog {
            registry: registry.to_owned(),
            failure: Box::new(failure),
        };
        let pages = listing
            .pages(&self.api_client, &endpoint, |_, body| {
                let catalog: Catalog = read(body)?;
                Ok(catalog.repositories.unwrap_or_default())
            })
            .await
            .map_err(failed)?;
        let Some(pages) = pages else {
            return Err(failed(endpoint.failure(
                1,
                EndpointError::ProtocolViolation("has no list of its repositories"),
            )));
        };
        Ok(pages.into_iter().flatten().collect())
    }
}

impl RepositoryWriter {
    pub(crate) async fn tags(&self) -> Result<BTreeSet<String>, RegistryError> {
        let listing = Listing {
            place: |query| Place::Below {
                path: "tags/list".to_owned(),
                query,
            },
            access: Access::Pull,
            accept: JSON,
        };
        let pages = listing
            .pages(&self.api_client, &self.endpoint, |_, body| {
                let tags: Tags = read(body)?;
                Ok(tags.tags.unwrap_or_default())
            })
            .await
            .map_err(|failure| RegistryError::Fetch {
                what: format!("the tags of `{}`", self.name()),
                is_by_digest: false,
                failures: vec![failure],
            })?;
        Ok(pages.into_iter().flatten().flatten().collect())
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: Option<Vec<u8>>) -> Result<T, EndpointError> {
    let body = body.ok_or(EndpointError::TooLarge {
        max: MAX_MANIFEST_BYTES,
    })?;
    serde_json::from_slice(&body)
        .map_err(|_| EndpointError::ProtocolViolation("sent a list that cannot be read"))
}
