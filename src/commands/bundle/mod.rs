//! The verbs of `rune-bundle`.

pub mod attach;
pub mod build;
mod chart_check;
mod cosign;
pub mod diff;
pub mod doctor;
pub mod inspect;
pub mod install;
pub mod keygen;
mod keys;
pub mod load;
pub mod lock;
pub mod mirror;
mod open;
pub mod policy;
mod project;
pub mod push;
pub mod receipts;
pub mod render;
pub mod report;
pub mod serve;
pub mod sign;
pub mod unpack;
pub mod verify;
mod view;

pub use crate::install::ClusterOptions;
pub use crate::{
    bundle::ComponentChoice,
    oci::{Digest, Platform},
};
pub use attach::AttachOptions;
pub use build::BuildOptions;
pub use chart_check::ChartCheck;
pub use diff::DiffOptions;
pub use doctor::{DoctorBuildOptions, DoctorReceiveOptions};
pub use inspect::InspectOptions;
pub use install::{InstallOptions, Permissions};
pub use keygen::KeygenOptions;
pub use load::{ContainerdOptions, LoadDestination, LoadOptions};
pub use lock::{LockMode, LockOptions};
pub use mirror::{Destination, MirrorFormat, MirrorOptions};
pub use open::{BundleOptions, SignerOptions};
pub use policy::PolicyOptions;
pub use project::ProjectOptions;
pub use push::PushOptions;
pub use receipts::ReceiptsOptions;
pub use render::{RenderForm, RenderMode, RenderOptions};
pub use report::ReportOptions;
pub use serve::ServeOptions;
pub use sign::SignOptions;
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
pub use view::ViewOptions;
