//! The verbs of `rune-bundle`.

pub mod inspect;
mod open;
pub mod unpack;
pub mod verify;

pub use inspect::InspectOptions;
pub use open::BundleOptions;
pub use unpack::UnpackOptions;
pub use verify::{Expectation, VerifyOptions};
