//! What a bundle is made of: the manifest that a person writes and the lock that pins it.
//!
//! Reading a manifest reports every mistake at once, each with its place and a hint. The lock is
//! written by this tool only and read strictly. Nothing here builds, renders or uploads.
//!
//! Invariant: a [`BundleManifest`] that exists is well formed, and a [`Lock`] that exists agrees
//! with itself.

mod change;
mod consistency;
mod evidence;
mod fetched;
mod gone;
mod judge;
mod lock;
mod locked_image;
mod locked_referrer;
mod model;
mod platform_text;
mod problem;
mod project;
mod read;
mod resolve;
mod subjects;
mod words;

pub use change::{Change, StaleLock};
pub use consistency::Contradiction;
pub use evidence::{Evidence, EvidenceError};
pub use fetched::{FetchedCharts, LockedChartError};
pub use gone::LockedImageGone;
pub use judge::{dependency_repository, judge};
pub use lock::{
    BundleIdentity, LOCK_FORMAT_VERSION, Lock, LockError, LockedBinary, LockedChart,
    LockedChartSource, LockedFile, LockedMigration, LockedMigrations,
};
pub use locked_image::{
    Blob, BuiltBinary, BuiltImage, LockedArtifact, LockedAttestation, LockedContent, LockedImage,
    LockedIndex, LockedManifest, ManifestContent, PulledImage,
};
pub use locked_referrer::LockedReferrer;
pub use model::{
    Advisory, Artifact, Binary, BuildImage, BundleManifest, Chart, ChartSource, Component,
    Direction, Download, ExtraFile, FileSource, Image, ImageSource, Namespace, Platforms,
    PodSecurity, Profile, Release,
};
pub use project::{ManifestError, Programs, Project};
pub use resolve::{
    Earlier, LockCheckError, ResolveError, ResolveFailures, ResolveProblem, Resolved, Subject,
    check_current, resolve, resolve_one,
};
pub use subjects::subjects;
pub use words::is_name;

use locked_image::carried;
