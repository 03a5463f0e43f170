//! What a bundle is made of: the manifest that a person writes and the lock that pins it.
//!
//! Reading a manifest reports every mistake at once, each with its place and a hint. The lock is
//! written by this tool only and read strictly. Nothing here builds, renders or uploads.
//!
//! Invariant: a [`BundleManifest`] that exists is well formed, and a [`Lock`] that exists agrees
//! with itself.

mod change;
mod consistency;
mod evaluate;
mod evidence;
mod fetched;
mod gone;
mod lock;
mod locked_image;
mod locked_referrer;
mod locked_sbom;
mod model;
mod names;
mod platform_text;
mod problem;
mod project;
mod read;
mod resolve;
mod subjects;

pub(crate) use change::{Change, StaleLock};
pub(crate) use consistency::Contradiction;
pub(crate) use evidence::Evidence;
pub use fetched::FetchedCharts;

pub(crate) use evaluate::dependency_repository;
pub use evaluate::evaluate;
pub(crate) use gone::LockedImageGone;
pub use lock::Lock;
pub(crate) use lock::{
    BundleIdentity, LOCK_FORMAT_VERSION, LockError, LockedBinary, LockedChart, LockedChartSource,
    LockedFile, LockedMigration, LockedMigrations,
};
pub(crate) use locked_image::{
    Blob, BuiltBinary, BuiltImage, LockedArtifact, LockedAttestation, LockedContent, LockedImage,
    LockedIndex, LockedManifest, PulledImage,
};
pub(crate) use locked_referrer::LockedReferrer;
pub(crate) use locked_sbom::{LockedSbom, SbomFileError, sbom_path};
pub use model::ImageSource;
pub(crate) use model::{
    Advisory, Artifact, Binary, BuildImage, BundleManifest, Chart, ChartSource, Component,
    Direction, Download, ExtraFile, FileSource, Image, Namespace, Platforms, PodSecurity, Profile,
    Release,
};
pub(crate) use names::is_name;
pub use project::{ManifestError, Programs, Project};
pub(crate) use resolve::{
    Earlier, LockCheckError, Resolved, Subject, check_current, resolve, resolve_one,
};
pub(crate) use subjects::subjects;

use locked_image::carried;
