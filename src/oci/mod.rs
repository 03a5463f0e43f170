//! The data types of the OCI image and distribution specifications.
//!
//! Digests, descriptors, platforms, references and manifests. No network and no files: bytes in,
//! values out. Manifests are kept as the bytes that came; what was parsed from them is a view
//! beside them.

mod artifact;
mod descriptor;
mod go_json;
mod image_builder;
mod image_layer;
mod layout;
mod manifest;
mod platform;
mod reference;
mod referrer;

pub(crate) use artifact::{ArtifactManifest, EMPTY_CONFIG};
pub use descriptor::Descriptor;
pub(crate) use descriptor::TITLE;
pub(crate) use image_builder::{BuiltImage, ImageBuilderError, ImageConfig, build_image};
pub(crate) use image_layer::{ImageFile, ImageLayerError};
pub use layout::REF_NAME;
pub(crate) use layout::{LAYOUT, index_document};
pub use manifest::{Manifest, ManifestKind, media_type};
pub(crate) use manifest::{ManifestError, PREDICATE_TYPE};
pub(crate) use platform::{Platform, PlatformError};
pub use reference::Reference;
pub(crate) use reference::ReferenceError;
use rune_core::digest::{Digest, DigestError, Sha256};
