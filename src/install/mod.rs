//! From a verified bundle to a running release: what the cluster lacks, what would change, the real
//! Helm, and the way back.
//!
//! The release is Helm's: this module asks the cluster beforehand, calls Helm, and on failure goes
//! back to the revision before. What is installed is kept in the cluster beside the release
//! ([`InstallRecord`]), because a local file can be deleted and another administrator has none. Nothing is
//! contacted but the API server and the registry that was named. It knows neither bundles nor
//! receipts; `commands` passes what it needs.

mod backup;
mod checks;
mod cluster;
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

pub use backup::{BackupError, back_up};
pub use checks::{Check, Problems, Requirements, Verdict, check_access, check_cluster};
pub use cluster::{Cluster, ClusterError, ClusterOptions};
pub use definitions::{Definitions, missing_versions, plan_definitions};
pub use difference::{Change, ObjectChange, differences};
pub use drift::{Drift, DriftKind};
pub use error::InstallError;
pub use health::{Workload, WorkloadState};
pub use helm::{ReleaseHelm, Revision};
pub use inspect::{Inspection, deployed_objects, inspect};
pub use install_record::{
    Attempt, Conflict, InstallKind, InstallRecord, InstallRecordError, Installed, SetMember,
};
pub use namespace::{NamespacePlan, NamespaceSettings};
pub use objects::{Object, parse_objects};
pub use pins::{PinError, Replaced, destination_values};
pub use post_renderer::{ImageMap, MapError, POST_RENDERER, PostRenderer, map_rendered};
pub use rollout::{
    RolledOut, RolloutError, State, Wanted, check_pending, return_to, revision_before, roll_out,
    take_back, take_over,
};
pub use running::{RunningImage, RunningImages};
pub use schema::{DatabaseSchema, ask_schema};
pub use value_pins::{PlacedImage, ValuePins, value_pins};
