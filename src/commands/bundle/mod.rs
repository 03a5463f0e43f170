//! The verbs of `rune-bundle`.

pub mod inspect;
pub mod lock;
mod open;
pub mod policy;
mod project;
pub mod unpack;
pub mod verify;

pub use inspect::InspectOptions;
pub use lock::{LockMode, LockOptions};
pub use open::BundleOptions;
pub use policy::PolicyOptions;
pub use project::ProjectOptions;
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
