//! The verbs of `rune-bundle`.

pub mod build;
mod chart_check;
pub mod inspect;
pub mod keygen;
mod keys;
pub mod load;
pub mod lock;
pub mod mirror;
mod open;
pub mod policy;
mod project;
pub mod render;
pub mod unpack;
pub mod verify;

pub use crate::{
    bundle::ComponentChoice,
    oci::{Digest, Platform},
};
pub use build::BuildOptions;
pub use chart_check::ChartCheck;
pub use inspect::InspectOptions;
pub use keygen::KeygenOptions;
pub use load::{ContainerdOptions, LoadDestination, LoadOptions};
pub use lock::{LockMode, LockOptions};
pub use mirror::{Destination, MirrorFormat, MirrorOptions};
pub use open::BundleOptions;
pub use policy::PolicyOptions;
pub use project::ProjectOptions;
pub use render::{RenderForm, RenderMode, RenderOptions};
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
