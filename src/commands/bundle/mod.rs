//! The verbs of `rune-bundle`.

pub mod apply;
pub mod attach;
mod base;
pub mod build;
pub mod cat;
mod chart_check;
mod cluster_access;
mod cosign;
pub mod delta;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod fetch;
pub mod fingerprint;
pub mod have;
pub mod init;
pub mod inspect;
pub mod install;
pub mod join;
mod key_kind;
pub mod keygen;
mod keys;
pub mod load;
pub mod lock;
pub mod login;
pub mod mirror;
mod open;
pub mod policy;
mod project;
pub mod prune;
pub mod publish;
pub mod push;
mod receipt_place;
pub mod receipts;
mod remarks;
pub mod render;
pub mod report;
pub mod rollback;
pub mod serve;
pub mod sign;
mod site;
pub mod split;
pub mod status;
pub mod suggest;
pub mod support;
mod trust_source;
pub mod unpack;
pub mod verify;
mod view;
mod volumes;

pub use crate::install::{ClusterOptions, POST_RENDERER, map_rendered};
pub use crate::{
    bundle::{
        ComponentChoice, FORMAT as BUNDLE_FORMAT, HelmOptions, ImageSignatureChoice, VerifiedFiles,
        VolumeSize,
    },
    manifest::LOCK_FORMAT_VERSION,
    oci::{Platform, Reference},
};
pub use apply::ApplyOptions;
pub use attach::AttachOptions;
pub use base::BaseSource;
pub use build::{BuildOptions, ImageSigning};
pub use chart_check::ChartCheck;
pub use cluster_access::ClusterAccessOptions;
pub use delta::{DeltaOptions, HeldOptions};
pub use diff::DiffOptions;
pub use doctor::{DoctorBuildOptions, DoctorReceiveOptions};
pub use export::{ExportFormat, ExportOptions};
pub use fetch::FetchOptions;
pub use have::HaveOptions;
pub use init::InitOptions;
pub use inspect::InspectOptions;
pub use install::{InstallOptions, MapMode, Permissions, Pushed};
pub use join::JoinOptions;
pub use keygen::KeygenOptions;
pub use keys::Passphrase;
pub use load::{ContainerdOptions, LoadDestination, LoadOptions};
pub use lock::{LockMode, LockOptions};
pub use mirror::{MirrorDestination, MirrorFormat, MirrorOptions};
pub use open::{BundleOptions, Origin, Parts, SignerOptions};
pub use policy::PolicyOptions;
pub use project::{ManifestChoice, ProjectOptions};
pub use prune::PruneOptions;
pub use push::PushOptions;
pub use receipt_place::{RECEIPTS_BEFORE, ReceiptPlace};
pub use receipts::ReceiptsOptions;
pub use render::{RenderForm, RenderMode, RenderOptions};
pub use report::ReportOptions;
pub use rollback::RollbackOptions;
pub use rune_core::digest::Digest;
pub use serve::ServeOptions;
pub use sign::SignOptions;
pub use site::SiteFile;
pub use split::SplitOptions;
pub use status::StatusOptions;
pub use suggest::SuggestOptions;
pub use support::SupportOptions;
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
pub use view::ViewOptions;
