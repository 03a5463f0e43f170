//! What every verb is made of: an error, a report, a runtime.

mod error;
mod report;
mod runtime;

pub use error::CommandError;
pub use report::{Report, counted};
pub use runtime::{block_on, block_on_to_the_end};
