//! The verbs of `rune-bundle`.

pub mod attach;
pub mod build;
pub mod cat;
mod chart_check;
mod cosign;
pub mod diff;
pub mod doctor;
pub mod fingerprint;
pub mod init;
pub mod inspect;
pub mod install;
pub mod keygen;
mod keys;
pub mod load;
pub mod lock;
pub mod login;
pub mod mirror;
mod open;
pub mod policy;
mod project;
pub mod push;
mod receipt_place;
pub mod receipts;
pub mod render;
pub mod report;
pub mod serve;
pub mod sign;
mod site;
pub mod suggest;
mod trust_source;
pub mod unpack;
pub mod verify;
mod view;

pub use crate::install::{ClusterOptions, POST_RENDERER, map_rendered};
pub use crate::{
    bundle::{ComponentChoice, HelmOptions},
    oci::Platform,
};
pub use attach::AttachOptions;
pub use build::BuildOptions;
pub use chart_check::ChartCheck;
pub use diff::DiffOptions;
pub use doctor::{DoctorBuildOptions, DoctorReceiveOptions};
pub use init::InitOptions;
pub use inspect::InspectOptions;
pub use install::{InstallOptions, MapMode, Permissions, Pushed};
pub use keygen::KeygenOptions;
pub use load::{ContainerdOptions, LoadDestination, LoadOptions};
pub use lock::{LockMode, LockOptions};
pub use mirror::{MirrorDestination, MirrorFormat, MirrorOptions};
pub use open::{BundleOptions, Origin, SignerOptions};
pub use policy::PolicyOptions;
pub use project::ProjectOptions;
pub use push::PushOptions;
pub use receipt_place::{RECEIPTS_BEFORE, ReceiptPlace};
pub use receipts::ReceiptsOptions;
pub use render::{RenderForm, RenderMode, RenderOptions};
pub use report::ReportOptions;
pub use rune_core::digest::Digest;
pub use serve::ServeOptions;
pub use sign::SignOptions;
pub use site::SiteFile;
pub use suggest::SuggestOptions;
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
pub use view::ViewOptions;
