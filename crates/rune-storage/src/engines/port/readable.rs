//! Lists in which a row that cannot be read does not hide the others.

use serde::Serialize;

use super::{error::StoreError, session::Row};

/// A row with a value that RUNE never writes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The table.
    pub table: &'static str,
    /// The key of the row, when that can be read.
    pub key: Option<String>,
    /// The column.
    pub column: String,
    /// What belongs there.
    pub expected: &'static str,
}

impl From<Unreadable> for StoreError {
    fn from(row: Unreadable) -> Self {
        Self::Cell {
            column: row.column,
            expected: row.expected,
        }
    }
}

/// A row of a list, or why there is none.
pub type Listed<T> = Result<T, Unreadable>;

/// Reads every row by itself.
pub(super) fn each<T>(
    table: &'static str,
    key: &'static str,
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<Listed<T>>, StoreError> {
    let listed = |row: &Row| match read(row) {
        Ok(value) => Ok(Ok(value)),
        Err(StoreError::Cell { column, expected }) => Ok(Err(Unreadable {
            table,
            key: row.key(key),
            column,
            expected,
        })),
        Err(error) => Err(error),
    };
    rows.iter().map(listed).collect()
}
