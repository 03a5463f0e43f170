//! From a verified bundle to a running release: what the cluster lacks, what would change, the real
//! Helm, and the way back.
//!
//! The release is Helm's: this module asks the cluster beforehand, calls Helm, and on failure goes
//! back to the revision before. What is installed is kept in the cluster beside the release
//! ([`InstallRecord`]), because a local file can be deleted and another administrator has none.
//! Nothing is contacted but the API server and the registry that was named. It knows neither
//! bundles nor receipts; `commands` passes what it needs.

mod backup;
mod checks;
mod cluster;
mod conflict;
mod definitions;
mod difference;
mod drift;
mod error;
mod health;
mod helm;
mod inspect;
mod install_record;
mod namespace;
mod objects;
mod pins;
mod pods;
mod post_renderer;
mod rollout;
mod running;
mod schema;
mod value_pins;
mod workloads;

pub(crate) use backup::{BackupError, back_up};
pub(crate) use checks::{Check, Problems, Requirements, Verdict, check_access, check_cluster};
pub(crate) use cluster::{Cluster, ClusterError, ClusterOptions};
pub use conflict::Conflict;
pub(crate) use definitions::{Definitions, missing_versions, plan_definitions};
pub(crate) use difference::{Change, ObjectChange, differences};
pub(crate) use drift::{Drift, DriftKind};
pub(crate) use error::InstallError;
pub(crate) use health::{Workload, WorkloadState};
pub(crate) use helm::{ReleaseHelm, Revision};
pub(crate) use inspect::{Inspection, deployed_objects, inspect};
pub(crate) use install_record::{
    Attempt, InstallKind, InstallRecord, InstallRecordError, Installed, SetMember,
};
pub(crate) use namespace::{NamespacePlan, NamespaceSettings};
pub(crate) use objects::{Object, parse_objects};
pub(crate) use pins::{PinError, Replaced, destination_values};
pub use post_renderer::{ImageMap, POST_RENDERER};
pub(crate) use post_renderer::{PostRenderer, map_rendered};
pub(crate) use rollout::{
    RolledOut, RolloutError, State, Wanted, check_pending, return_to, revision_before, roll_out,
    take_back, take_over,
};
pub(crate) use running::{RunningImage, RunningImages};
pub(crate) use schema::{DatabaseSchema, ask_schema};
pub(crate) use value_pins::{PlacedImage, ValuePins, value_pins};
