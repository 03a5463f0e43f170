//! The verbs of `rune-bundle`.

pub mod build;
mod chart_check;
pub mod diff;
pub mod doctor;
pub mod inspect;
pub mod keygen;
mod keys;
pub mod lock;
mod open;
pub mod policy;
mod project;
pub mod render;
pub mod serve;
pub mod report;
pub mod unpack;
pub mod verify;
mod view;

pub use crate::{bundle::ComponentChoice, oci::Digest};
pub use build::BuildOptions;
pub use chart_check::ChartCheck;
pub use diff::DiffOptions;
pub use doctor::{DoctorBuildOptions, DoctorReceiveOptions};
pub use inspect::InspectOptions;
pub use keygen::KeygenOptions;
pub use lock::{LockMode, LockOptions};
pub use open::BundleOptions;
pub use policy::PolicyOptions;
pub use project::ProjectOptions;
pub use render::{RenderForm, RenderMode, RenderOptions};
pub use serve::ServeOptions;
pub use report::ReportOptions;
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
pub use view::ViewOptions;
