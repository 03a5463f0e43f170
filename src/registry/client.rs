//! Manifests and blobs of a registry.

use std::sync::Arc;

use super::{
    BlobStream, ClientConfig, EndpointError, RegistryError, RepositoryName, RepositoryWriter,
    api_client::{ApiClient, Head},
    api_request::ApiRequest,
    manifest_body,
};
use crate::oci::{Descriptor, Manifest, Reference};
use rune_core::digest::Digest;

/// The most bytes a manifest may have; the limit of distribution and of most registries.
pub(super) const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// The manifests this project supports, all of them in every request: a registry that is not
/// offered the type it has converts it, and the digest is then another.
pub(super) const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
                                         application/vnd.oci.image.manifest.v1+json, \
                                         application/vnd.docker.distribution.manifest.list.v2+json, \
                                         application/vnd.docker.distribution.manifest.v2+json";

/// A client for any number of registries. Cheap to clone: clones share connections, tokens and
/// limits.
///
/// ```no_run
/// # async fn example() -> Result<(), rune_bundle::registry::RegistryError> {
/// use rune_bundle::registry::{Client, ClientConfig};
/// let client = Client::new(ClientConfig::default())?;
/// let index = client.resolve(&"docker.io/library/postgres:17-alpine".parse().unwrap()).await?;
/// println!("{} is {}", index.media_type(), index.digest());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) api_client: Arc<ApiClient>,
}

impl Client {
    pub fn new(config: ClientConfig) -> Result<Self, RegistryError> {
        Ok(Self {
            api_client: Arc::new(ApiClient::new(config)?),
        })
    }

    /// Fetches the manifest that a reference means: by its digest if it has one, else by its tag.
    pub async fn resolve(&self, reference: &Reference) -> Result<Manifest, RegistryError> {
        let name = RepositoryName::from(reference);
        let what = format!("the manifest of `{reference}`");
        let wanted = reference.digest().map_or_else(
            || reference.tag().unwrap_or_default().to_owned(),
            |digest| digest.to_string(),
        );
        self.any_manifest(&name, &wanted, what, reference.digest(), None)
            .await
    }

    /// Fetches a manifest by digest. `media_type` is what a descriptor says about it.
    pub async fn manifest(
        &self,
        name: &RepositoryName,
        digest: Digest,
        media_type: Option<&str>,
    ) -> Result<Manifest, RegistryError> {
        let what = format!("the manifest `{name}@{digest}`");
        self.any_manifest(name, &digest.to_string(), what, Some(digest), media_type)
            .await
    }

    async fn any_manifest(
        &self,
        name: &RepositoryName,
        tag_or_digest: &str,
        what: String,
        expected: Option<Digest>,
        expected_type: Option<&str>,
    ) -> Result<Manifest, RegistryError> {
        let api_request = ApiRequest::get(format!("manifests/{tag_or_digest}"), MANIFEST_TYPES);
        let accept = |head: &Head, body: Option<Vec<u8>>| {
            let bytes = body.ok_or(EndpointError::TooLarge {
                max: MAX_MANIFEST_BYTES,
            })?;
            manifest_body::read(head, bytes, expected, expected_type)
        };
        self.api_client
            .send(name, what, &api_request, MAX_MANIFEST_BYTES, accept)
            .await
    }

    /// The way to write to a repository. It leads to the registry itself: mirrors are for reading.
    pub(crate) fn writer(&self, name: &RepositoryName) -> RepositoryWriter {
        RepositoryWriter::new(Arc::clone(&self.api_client), name)
    }

    /// Opens a blob at `offset`. The stream yields exactly the bytes from there to the size in the
    /// descriptor; the caller hashes them.
    pub async fn blob(
        &self,
        name: &RepositoryName,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, RegistryError> {
        BlobStream::open(Arc::clone(&self.api_client), name, descriptor, offset).await
    }

    /// Fetches a blob of at most `max_bytes` into memory and checks its size and digest.
    pub async fn blob_bytes(
        &self,
        name: &RepositoryName,
        descriptor: &Descriptor,
        max_bytes: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let what = format!("blob `{}` of `{name}`", descriptor.digest);
        if descriptor.size > max_bytes {
            return Err(RegistryError::TooLarge {
                what,
                bytes: descriptor.size,
                max_bytes,
            });
        }
        let api_request = ApiRequest::get(format!("blobs/{}", descriptor.digest), "*/*");
        let accept = |_: &Head, body: Option<Vec<u8>>| {
            let bytes = body.ok_or(EndpointError::TooLarge {
                max: descriptor.size,
            })?;
            if bytes.len() as u64 != descriptor.size {
                return Err(EndpointError::WrongSize {
                    expected: descriptor.size,
                    actual: bytes.len() as u64,
                });
            }
            check_digest(&bytes, Some(descriptor.digest))?;
            Ok(bytes)
        };
        self.api_client
            .send(name, what, &api_request, descriptor.size, accept)
            .await
    }

    /// Fetches a blob of which only the digest is known, of at most `max_bytes`; nothing when
    /// nobody has it.
    pub(crate) async fn blob_if_there(
        &self,
        name: &RepositoryName,
        digest: Digest,
        max_bytes: u64,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        let api_request = ApiRequest::get(format!("blobs/{digest}"), "*/*");
        let accept = |_: &Head, body: Option<Vec<u8>>| {
            let bytes = body.ok_or(EndpointError::TooLarge { max: max_bytes })?;
            check_digest(&bytes, Some(digest))?;
            Ok(bytes)
        };
        let what = format!("blob `{digest}` of `{name}`");
        match self
            .api_client
            .send(name, what, &api_request, max_bytes, accept)
            .await
        {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_missing_digest() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn check_digest(bytes: &[u8], expected: Option<Digest>) -> Result<(), EndpointError> {
    let actual = Digest::of(bytes);
    match expected.filter(|expected| *expected != actual) {
        Some(expected) => Err(EndpointError::WrongDigest { expected, actual }),
        None => Ok(()),
    }
}
