//! Deleting manifests and tags.
//!
//! Source: OCI distribution specification 1.1, "Deleting Manifests" and "Deleting Tags".

use http::{Method, StatusCode};

use super::{
    RegistryError, RepositoryWriter,
    api_request::{Access, ApiRequest, Place, Query},
};

impl RepositoryWriter {
    /// Deletes a manifest by its digest, or a tag. `false` when it does not exist.
    pub(crate) async fn delete_manifest(&self, tag_or_digest: &str) -> Result<bool, RegistryError> {
        let place = Place::Below {
            path: format!("manifests/{tag_or_digest}"),
            query: Query::new(),
        };
        let api_request = ApiRequest::new(Method::DELETE, place, Access::Delete);
        let deleted = self
            .api_client
            .ask_at(&self.endpoint, &api_request, 0, |_, _| Ok(()))
            .await;
        match deleted {
            Ok(()) => Ok(true),
            Err(failure) if failure.cause.answered() == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(failure) => Err(RegistryError::Delete {
                what: tag_or_digest.to_owned(),
                name: self.name().clone(),
                failure: Box::new(failure),
            }),
        }
    }
}
