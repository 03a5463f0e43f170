//! What templates may name: plain data, made by whoever has a manifest and perhaps a lock.
//!
//! Without a lock the digests are empty, which is the development form; with one, every image is
//! pinned. There is no clock, no path of the building machine and no environment in here, and so
//! none in the output.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::oci::{Platform, Reference, media_type};
use rune_core::digest::Digest;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Context {
    pub bundle: BundleContext,
    /// The schema version that the packed migrations reach; 0 without migrations.
    pub schema_version: u32,
    pub images: BTreeMap<String, ImageContext>,
    /// Packed charts. Empty while the charts themselves are rendered.
    pub charts: Vec<ChartContext>,
    pub profiles: Vec<ProfileContext>,
    /// What is installed together, in this order; empty when one chart is, and while the charts
    /// themselves are rendered.
    pub releases: Vec<ReleaseContext>,
    pub binaries: Vec<BinaryContext>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct BundleContext {
    pub name: String,
    pub version: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct ImageContext {
    /// `docker.io`.
    pub(crate) registry: String,
    /// `library/postgres`.
    pub repository: String,
    /// `17-alpine`; empty for a reference that has only a digest.
    pub tag: String,
    /// Digest of the image index, or of the manifest where there is no index; empty without a lock.
    pub(crate) digest: String,
    /// The reference as the manifest writes it, which is the image's name in the bundle.
    pub(crate) reference: String,
    /// The reference with the digest, when it is known.
    pub(crate) pinned: String,
    /// The platforms that the bundle includes; empty without a lock.
    pub(crate) platforms: Vec<PlatformContext>,
    /// Whether the bundle includes every platform of the image index, so that any tool can copy it
    /// as a whole.
    pub(crate) complete: bool,
    /// Whether the image index or manifest has Docker's media types, which not every tool finds in
    /// an OCI layout.
    pub(crate) docker_format: bool,
    /// Its licence; empty when not stated.
    pub(crate) license: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlatformContext {
    /// `linux/arm64/v8`.
    pub(crate) platform: String,
    /// `linux`.
    pub(crate) os: String,
    /// `arm64`.
    pub(crate) architecture: String,
    /// `v8`; empty when there is none.
    pub(crate) variant: String,
    pub(crate) digest: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct ChartContext {
    pub name: String,
    pub version: String,
    pub file: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProfileContext {
    pub name: String,
    /// Names of the charts that it installs. Empty while the charts themselves are rendered.
    pub charts: Vec<String>,
    /// Paths of its values in the bundle, `values/airgap.yaml`, in the order in which Helm takes
    /// them.
    pub files: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ReleaseContext {
    pub name: String,
    pub chart: String,
    /// Its profile; empty when the chart has none.
    pub profile: String,
    /// Its namespace; empty when whoever installs it chooses.
    pub namespace: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct BinaryContext {
    pub name: String,
    pub platform: String,
    pub path: String,
}

impl ImageContext {
    /// Describes an image by its reference; `digest` is what the lock says, if there is one.
    pub fn new(reference: &Reference, digest: Option<Digest>) -> Self {
        let digest = digest.or_else(|| reference.digest());
        let pinned =
            digest.map_or_else(|| reference.clone(), |digest| reference.with_digest(digest));
        Self {
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
            tag: reference.tag().unwrap_or_default().to_owned(),
            digest: digest.map(|digest| digest.to_string()).unwrap_or_default(),
            reference: reference.to_string(),
            pinned: pinned.to_string(),
            platforms: Vec::new(),
            complete: true,
            docker_format: false,
            license: String::new(),
        }
    }

    /// Says which platforms the bundle includes, and whether these are all that the image index
    /// has.
    #[must_use]
    pub fn with_platforms(
        mut self,
        platforms: impl IntoIterator<Item = (Platform, Digest)>,
        complete: bool,
    ) -> Self {
        self.platforms = platforms
            .into_iter()
            .map(|(platform, digest)| PlatformContext::new(&platform, digest))
            .collect();
        self.complete = complete;
        self
    }

    /// Says of which media type the image index or manifest is.
    #[must_use]
    pub(crate) fn with_media_type(mut self, media_type: &str) -> Self {
        self.docker_format = matches!(
            media_type,
            media_type::DOCKER_LIST | media_type::DOCKER_MANIFEST
        );
        self
    }

    #[must_use]
    pub fn with_license(mut self, license: impl Into<String>) -> Self {
        self.license = license.into();
        self
    }
}

impl PlatformContext {
    fn new(platform: &Platform, digest: Digest) -> Self {
        Self {
            platform: platform.to_string(),
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone().unwrap_or_default(),
            digest: digest.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ImageContext;
    use rune_core::digest::Digest;

    #[test]
    fn an_image_without_a_lock_has_empty_digests_and_with_one_is_pinned() {
        let reference = "docker.io/library/postgres:17-alpine".parse().unwrap();
        let loose = ImageContext::new(&reference, None);
        assert_eq!(
            (loose.digest.as_str(), loose.pinned.as_str()),
            ("", "docker.io/library/postgres:17-alpine")
        );
        let digest = Digest::of(b"index");
        let pinned = ImageContext::new(&reference, Some(digest));
        assert_eq!(
            pinned.pinned,
            format!("docker.io/library/postgres:17-alpine@{digest}")
        );
        assert_eq!(pinned.reference, "docker.io/library/postgres:17-alpine");
        assert_eq!(
            (
                pinned.registry.as_str(),
                pinned.repository.as_str(),
                pinned.tag.as_str()
            ),
            ("docker.io", "library/postgres", "17-alpine")
        );
    }
}
