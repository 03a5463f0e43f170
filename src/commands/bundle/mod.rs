//! The verbs of `rune-bundle`.

pub mod attach;
pub mod build;
mod chart_check;
mod cosign;
pub mod inspect;
pub mod keygen;
mod keys;
pub mod lock;
mod open;
pub mod policy;
mod project;
pub mod render;
pub mod sign;
pub mod unpack;
pub mod verify;

pub use crate::{bundle::ComponentChoice, oci::Digest};
pub use attach::AttachOptions;
pub use build::BuildOptions;
pub use chart_check::ChartCheck;
pub use inspect::InspectOptions;
pub use keygen::KeygenOptions;
pub use lock::{LockMode, LockOptions};
pub use open::BundleOptions;
pub use policy::PolicyOptions;
pub use project::ProjectOptions;
pub use render::{RenderForm, RenderMode, RenderOptions};
pub use sign::SignOptions;
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
