//! Manifests and blobs of a registry.

use std::sync::Arc;

use http::{StatusCode, header};

use super::{BlobStream, Cause, ClientConfig, EndpointFailure, RegistryError, RepositoryName};
use crate::oci::{Descriptor, Digest, Manifest, Reference, media_type};

/// The most bytes a manifest may have; the limit of distribution and of most registries.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// A client for any number of registries. Cheap to clone: clones share connections, tokens and limits.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    http: reqwest::Client,
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, RegistryError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("rune-bundle/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::limited(5))
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.idle_timeout)
            .build()
            .map_err(RegistryError::Setup)?;
        Ok(Self { inner: Arc::new(Inner { config, http }) })
    }

    /// Fetches the manifest that a reference means: by its digest if it has one, else by its tag.
    ///
    /// # Errors
    /// When no endpoint has it, it is not a manifest, or does not have the digest.
    pub async fn resolve(&self, reference: &Reference) -> Result<Manifest, RegistryError> {
        let name = RepositoryName::from(reference);
        match (reference.digest(), reference.tag()) {
            (Some(digest), _) => self.manifest(&name, digest, None).await,
            (None, tag) => self.any_manifest(&name, tag.unwrap_or_default(), &format!("manifest of `{reference}`"), None, None).await,
        }
    }

    /// Fetches a manifest by digest. `media_type` is what a descriptor says about it.
    ///
    /// # Errors
    /// When no endpoint has it, it is not a manifest, or does not have the digest.
    pub async fn manifest(&self, name: &RepositoryName, digest: Digest, media_type: Option<&str>) -> Result<Manifest, RegistryError> {
        let what = format!("manifest `{digest}` of `{name}`");
        self.any_manifest(name, &digest.to_string(), &what, Some(digest), media_type).await
    }

    async fn any_manifest(
        &self,
        name: &RepositoryName,
        tag_or_digest: &str,
        what: &str,
        expected: Option<Digest>,
        expected_type: Option<&str>,
    ) -> Result<Manifest, RegistryError> {
        const ACCEPT: [&str; 4] = [media_type::INDEX, media_type::MANIFEST, media_type::DOCKER_LIST, media_type::DOCKER_MANIFEST];
        let endpoint = self.endpoint(name);
        let fail = |cause| fetch_error(what, &endpoint, cause);
        let url = format!("{endpoint}/v2/{}/manifests/{tag_or_digest}", name.repository());
        let response = self.get(&url, &ACCEPT.join(", "), None).await.map_err(fail)?;
        let stated = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = whole_body(response, MAX_MANIFEST_BYTES).await.map_err(fail)?;
        let actual = Digest::of(&bytes);
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(fail(Cause::WrongDigest { expected, actual }));
        }
        let stated = expected_type.or(stated.as_deref());
        Manifest::parse(bytes, stated).map_err(|error| fail(Cause::Manifest(error)))
    }

    /// Opens a blob at `offset`. The stream yields exactly the bytes from there to the size in the descriptor;
    /// the caller hashes them.
    ///
    /// # Errors
    /// When no endpoint has it, or announces another size.
    pub async fn blob(&self, name: &RepositoryName, descriptor: &Descriptor, offset: u64) -> Result<BlobStream, RegistryError> {
        let endpoint = self.endpoint(name);
        let what = format!("blob `{}` of `{name}`", descriptor.digest);
        let url = format!("{endpoint}/v2/{}/blobs/{}", name.repository(), descriptor.digest);
        let range = (offset > 0).then(|| format!("bytes={offset}-{}", descriptor.size.saturating_sub(1)));
        let response = self.get(&url, "*/*", range.as_deref()).await.map_err(|cause| fetch_error(&what, &endpoint, cause))?;
        Ok(BlobStream { response, what, endpoint, size: descriptor.size, position: offset })
    }

    /// Fetches a blob of at most `max_bytes` into memory and checks its digest.
    ///
    /// # Errors
    /// When no endpoint has it, it is too large, or does not have the digest.
    pub async fn blob_bytes(&self, name: &RepositoryName, descriptor: &Descriptor, max_bytes: u64) -> Result<Vec<u8>, RegistryError> {
        let mut stream = self.blob(name, descriptor, 0).await?;
        let fail = |cause| fetch_error(&format!("blob `{}` of `{name}`", descriptor.digest), &self.endpoint(name), cause);
        if descriptor.size > max_bytes {
            return Err(fail(Cause::TooLarge { max: max_bytes }));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        let actual = Digest::of(&bytes);
        if actual != descriptor.digest {
            return Err(fail(Cause::WrongDigest { expected: descriptor.digest, actual }));
        }
        Ok(bytes)
    }

    fn endpoint(&self, name: &RepositoryName) -> String {
        let host = if name.registry() == "docker.io" { "registry-1.docker.io" } else { name.registry() };
        let without_port = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let is_plain = matches!(without_port, "localhost" | "127.0.0.1" | "[::1]") || self.inner.config.plain_http.contains(host);
        format!("{}://{host}", if is_plain { "http" } else { "https" })
    }

    async fn get(&self, url: &str, accept: &str, range: Option<&str>) -> Result<reqwest::Response, Cause> {
        let mut request = self.inner.http.get(url).header(header::ACCEPT, accept);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let response = request.send().await.map_err(|error| Cause::Transport { problem: error.without_url().to_string(), attempts: 1 })?;
        let wanted = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        if response.status() == wanted { Ok(response) } else { Err(Cause::Status { status: response.status(), attempts: 1 }) }
    }
}

async fn whole_body(mut response: reqwest::Response, max_bytes: u64) -> Result<Vec<u8>, Cause> {
    let mut bytes = Vec::new();
    let failed = |error: reqwest::Error| Cause::Transport { problem: error.without_url().to_string(), attempts: 1 };
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > max_bytes {
            return Err(Cause::TooLarge { max: max_bytes });
        }
    }
    Ok(bytes)
}

pub(super) fn fetch_error(what: &str, endpoint: &str, cause: Cause) -> RegistryError {
    RegistryError::Fetch { what: what.to_owned(), failures: vec![EndpointFailure { endpoint: endpoint.to_owned(), cause }] }
}
