//! Transferring RUNE's rows from one database into another, and proving that they arrived.
//!
//! Rows are transferred exactly or not at all: what the other engine cannot hold is found before
//! anything is kept, and nothing is kept before both sides have the same digests. Bookkeeping
//! tables are not transferred; the destination has its own. No value is interpreted, and no message
//! holds the content of a row, only its table, key and column. How a database is reached belongs to
//! `storage`, what its tables look like to `schema`.

mod characters;
mod check;
mod compare;
mod copied;
mod decode;
mod digest;
mod encode;
mod error;
mod file;
mod file_digest;
mod finding;
mod into_file;
mod into_server;
mod keys;
mod layout;
mod new_database;
mod rows;
mod sealed;
mod server;
mod server_check;
mod server_digest;

pub(crate) use check::RowCheck;
pub(crate) use compare::{Comparison, Side, compare};
pub(crate) use copied::into_empty_file;
pub use copied::into_new_file;

pub(crate) use error::TransferError;
pub use file::{FileSnapshot, SourceTrust};
pub(crate) use finding::Finding;
pub(crate) use into_file::into_file;
pub(crate) use into_server::{
    CheckedSource, MoveSettings, Moved, MovedTable, into_server, plan_into_server,
};
pub(crate) use rows::Cell;
pub(crate) use sealed::CarriedTable;
pub(crate) use server_check::findings as server_findings;
