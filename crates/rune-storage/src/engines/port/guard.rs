//! What has to be true of a database before an operation, checked within the operation's own
//! transaction.
//!
//! What a site may put on RUNE's tables is not known here; who opens a store says how it is
//! checked, once for both engines.

use std::{fmt, pin::Pin};

use camino::Utf8Path;
use rusqlite::Connection;
use tokio_postgres::Client;

use super::error::StoreError;

/// Tables that deletes of RUNE's rows reach by foreign keys; their names in SQL.
pub type Reached = Vec<String>;

/// Inspects a database in the transaction that is going to be used, after its locks, and refuses
/// what must not be done there.
pub trait Guard: fmt::Debug + Send + Sync {
    /// Inspects a SQLite file.
    ///
    /// # Errors
    /// When the operation must not be done, or the file cannot be read.
    fn check_file(&self, connection: &Connection, path: &Utf8Path) -> Result<Reached, StoreError>;

    /// Inspects a PostgreSQL database.
    fn check_server<'a>(
        &'a self,
        client: &'a Client,
    ) -> Pin<Box<dyn Future<Output = Result<Reached, StoreError>> + Send + 'a>>;
}
