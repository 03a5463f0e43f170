//! RUNE's database: connection URLs, the schema and its migrations, and the storage port on SQLite
//! and PostgreSQL.
//!
//! URLs in every spelling that has one safe meaning, the choice between several of them, opening
//! SQLite files, connecting to PostgreSQL with TLS. The invariant: no `Display`, `Debug` or error
//! of this crate contains a password, or a piece of a URL that could be one.
//!
//! Without the feature `engines` only [`migrations`] remains.

#![warn(missing_docs)]

#[cfg(feature = "engines")]
mod engines;
pub mod migrations;

#[cfg(feature = "engines")]
pub use engines::*;
