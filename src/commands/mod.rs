//! One verb per file: options in, domain calls, a report or an error out.
//!
//! Nothing here prints or reads the environment; `cli` turns command lines into options and reports into
//! text or JSON.

mod error;
mod report;
mod runtime;

pub mod bundle;
pub mod db;
pub mod registry_access;

pub use error::CommandError;
pub use report::Report;
use report::counted;
pub(crate) use runtime::{block_on, block_on_to_the_end};
