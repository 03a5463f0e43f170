//! Test equipment: real servers started for one test, an OCI registry with scripted faults, a
//! sample image.
//!
//! Nothing here is part of the product, and nothing of the product is used here: what these tools
//! say is an independent word. They fail by panicking, like the tests that use them.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test equipment fails like a test and looks at the world directly"
)]

pub mod browser;
pub mod certificates;
pub mod cluster;
mod digest;
mod lock;
pub mod pgbouncer;
pub mod poll;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod registry;
pub mod rows;
pub mod sample;
mod scale;
pub mod tool;
mod unique;
pub mod web;

pub use digest::sha256;
pub use scale::sized;
pub use unique::unique;
