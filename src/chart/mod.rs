//! Charts: rendering files with pinned digests, packaging, and the form that a registry stores.
//!
//! Templates under `templates/` become `Chart.yaml`, `values.yaml` and the texts beside them; a
//! chart directory becomes a `.tgz` whose bytes depend on its content alone; a `.tgz` becomes an
//! OCI artifact as Helm pushes it. Helm's own templates inside a chart are opaque here. Everything
//! is a pure function of what is passed in, but for [`ChartTree::read`], [`load_templates`] and
//! [`Helm`], which runs the real one to see what a chart renders to; [`discover`] finds the images
//! in that.

mod archive;
mod artifact;
mod context;
mod discover;
mod error;
mod files;
mod helm;
mod ignore;
mod kubernetes;
mod metadata;
mod package;
mod provenance;
mod render;
mod template_error;
mod tree;
mod value_keys;
mod values_table;
mod version;
mod version_range;
mod versions;

pub use archive::read_package;
pub(crate) use archive::{package_from_bytes, unpack_package};
pub use artifact::ChartArtifact;
pub(crate) use artifact::{Blob, is_archive_type, is_config_type, is_provenance_type};

pub use context::{
    BinaryContext, BundleContext, ChartContext, Context, ImageContext, ProfileContext,
    ReleaseContext,
};
pub(crate) use discover::{ImagePlace, Obstacle, documents, has_digest_in_name_or_label};
pub use discover::{Named, discover, replace_images};
pub(crate) use error::ChartError;
pub(crate) use files::{OutOfStep, output_path};
pub use files::{compare, load_templates, render_below};
pub(crate) use helm::{Helm, HelmError, RenderFailure, RenderMode};
pub(crate) use kubernetes::fits_kubernetes;
pub(crate) use metadata::{ChartMetadata, Dependency, Maintainer};
pub use package::{Package, package};
pub use provenance::{ChartKey, ProvenanceError};
pub use render::Renderer;
pub(crate) use template_error::TemplateError;
pub use tree::ChartTree;
pub(crate) use tree::{MAX_CHART_BYTES, MAX_CHART_FILES, MAX_FILE_BYTES};
pub(crate) use value_keys::value_keys;
pub(crate) use values_table::readme_with_values;
pub use version::ChartVersion;

pub use version_range::VersionRange;
pub(crate) use versions::{ChartState, RELEASED_VERSIONS, ReleasedVersions};
