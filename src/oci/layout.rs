//! The files of an OCI image layout that are not blobs: what `index.json` lists, and under which
//! names.
//!
//! Source: OCI image specification 1.1, `image-layout.md`; the annotation for whole names is
//! containerd's.

use serde::Serialize;

use super::{Descriptor, media_type};
use crate::canonical_json::{self, CanonicalJsonError};

pub(crate) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The annotation under which an OCI layout names an image.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation by which containerd names an imported image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexDocument<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: &'a [Descriptor],
}

/// An OCI image index as this program writes it.
pub(crate) fn index_document(manifests: &[Descriptor]) -> Result<Vec<u8>, CanonicalJsonError> {
    canonical_json::to_bytes(&IndexDocument {
        schema_version: 2,
        media_type: media_type::INDEX,
        manifests,
    })
}

impl Descriptor {
    /// The same under a name that tools of OCI layouts and containerd understand.
    #[must_use]
    pub(crate) fn named(&self, name: &str) -> Self {
        let annotations = [REF_NAME, CONTAINERD_NAME].map(|key| (key.to_owned(), name.to_owned()));
        Self {
            annotations: annotations.into(),
            ..self.clone()
        }
    }
}
