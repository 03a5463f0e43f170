//! Charts: rendering what carries a pin, packaging, and the form that a registry stores.
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

pub use archive::{package_from_bytes, read_package, unpack_package};
pub use artifact::{Blob, ChartArtifact, is_archive_type, is_config_type, is_provenance_type};
pub use context::{
    BinaryContext, BundleContext, ChartContext, Context, ImageContext, PlatformContext,
    ProfileContext, ReleaseContext,
};
pub use discover::{
    ImagePlace, Named, Obstacle, ObstacleReason, Replacement, discover, documents,
    has_digest_in_name_or_label, replace_images,
};
pub use error::ChartError;
pub use files::{OutOfStep, compare, load_templates, output_path, render_below};
pub use helm::{Helm, HelmError, Occasion, RenderFailure};
pub use kubernetes::fits_kubernetes;
pub use metadata::{ChartMetadata, Dependency, Maintainer};
pub use package::{Package, package};
pub use provenance::{ChartKey, ProvenanceError};
pub use render::Renderer;
pub use template_error::TemplateError;
pub use tree::{ChartTree, MAX_CHART_BYTES, MAX_CHART_FILES, MAX_FILE_BYTES};
pub use value_keys::value_keys;
pub use values_table::readme_with_values;
pub use version::{ChartVersion, NotAVersion};
pub use version_range::{NotARange, VersionRange};
pub use versions::{ChartState, RELEASED_VERSIONS, ReleasedVersions, VersionsNotRaised};
