//! The proof that a SQLite file is whole and holds what it should.

use camino::Utf8Path;
use rusqlite::Connection;
use serde::Serialize;

use super::{
    digest::TableDigest,
    error::TransferError,
    file::{FileSnapshot, SourceTrust},
    file_digest,
};
use rune_core::progress::Progress;
use rune_storage::{SqliteError, schema::TABLES};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CarriedTable {
    pub(crate) table: &'static str,
    pub(crate) rows: u64,
    pub(crate) digest: String,
}

pub(super) fn digests(
    source: &FileSnapshot,
    progress: &dyn Progress,
) -> Result<Vec<TableDigest>, TransferError> {
    TABLES
        .iter()
        .map(|table| file_digest::table_digest(source, table, progress))
        .collect()
}

pub(super) fn verify(
    path: &Utf8Path,
    expected: &[TableDigest],
    progress: &dyn Progress,
) -> Result<Vec<CarriedTable>, TransferError> {
    let written = FileSnapshot::open(path, SourceTrust::Shared)?;
    check_integrity(written.connection(), path)?;
    let actual = digests(&written, progress)?;
    let mut tables = Vec::new();
    for ((table, expected), actual) in TABLES.iter().zip(expected).zip(&actual) {
        if expected != actual {
            return Err(TransferError::Mismatch {
                table: table.name,
                expected: expected.to_string(),
                actual: actual.to_string(),
            });
        }
        tables.push(CarriedTable {
            table: table.name,
            rows: actual.rows,
            digest: actual.hex(),
        });
    }
    Ok(tables)
}

/// Lets SQLite check every page and every index.
pub(super) fn check_integrity(
    connection: &Connection,
    path: &Utf8Path,
) -> Result<(), TransferError> {
    let first: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(SqliteError::on(path))?;
    if first == "ok" {
        Ok(())
    } else {
        Err(TransferError::Integrity {
            path: path.to_owned(),
            first,
        })
    }
}

/// Leaves a file in a form that can be read from read-only media too: without write-ahead logging.
pub(super) fn without_wal(connection: &Connection, path: &Utf8Path) -> Result<(), TransferError> {
    let mode: String = connection
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(SqliteError::on(path))?;
    if mode.eq_ignore_ascii_case("delete") {
        Ok(())
    } else {
        Err(TransferError::Lost)
    }
}
