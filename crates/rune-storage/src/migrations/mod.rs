//! The SQL files that make RUNE's schema, read and divided into statements.

mod dialect;
mod embedded;
mod files;
mod splitter;

pub use dialect::Dialect;
#[cfg(feature = "engines")]
pub(crate) use embedded::LAST;
pub use files::{Migration, MigrationFileError, Migrations};
pub use splitter::{SplitError, Statement, split};
