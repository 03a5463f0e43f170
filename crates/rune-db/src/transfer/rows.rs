//! The rows of a table in a SQLite file, cell by cell, with large values read in pieces.

use std::io::Read as _;

use camino::Utf8Path;
use rusqlite::{Connection, MAIN_DB, Row, blob::Blob, types::ValueRef};

use super::{error::TransferError, file::FileSnapshot, finding::shown, layout};
use rune_core::fsx::{Action, PathError};
use rune_storage::{
    SqliteError,
    schema::{ColumnKind, Table},
};

/// Values up to this size come with their row, in bytes.
pub(super) const INLINE_BYTES: i64 = 64 << 10;
const PIECE_BYTES: usize = 128 << 10;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    Real(f64),
    /// The bytes of a text, which may be no UTF-8.
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// A text or blob that is read in pieces.
    Large {
        is_blob: bool,
        bytes: u64,
    },
}

impl<'a> From<ValueRef<'a>> for Cell<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text),
            ValueRef::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

pub(super) struct RowView<'r, 'c> {
    row: &'r Row<'r>,
    table: &'static Table,
    path: &'r Utf8Path,
    connection: &'c Connection,
    blob: &'r mut Option<Blob<'c>>,
    buffer: &'r mut Vec<u8>,
}

/// Reads every row of a table; values of more than `inline_bytes` are given as [`Cell::Large`]. A
/// table that is not there has no rows.
pub(super) fn for_each_row(
    source: &FileSnapshot,
    table: &'static Table,
    inline_bytes: i64,
    order: &str,
    mut act: impl FnMut(&mut RowView<'_, '_>) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    if !source.has(table) {
        return Ok(());
    }
    let (connection, path) = (source.connection(), source.path());
    let mut statement = connection
        .prepare(&select(table, inline_bytes, order))
        .map_err(SqliteError::on(path))?;
    let mut rows = statement.query([]).map_err(SqliteError::on(path))?;
    let (mut blob, mut buffer) = (None, Vec::new());
    while let Some(row) = rows.next().map_err(|error| SqliteError::on(path)(error))? {
        act(&mut RowView {
            row,
            table,
            path,
            connection,
            blob: &mut blob,
            buffer: &mut buffer,
        })?;
    }
    Ok(())
}

/// The columns in order; for values, then: length, class, row.
fn select(table: &Table, inline_bytes: i64, order: &str) -> String {
    let mut columns: Vec<String> = Vec::new();
    let mut contents: Vec<String> = Vec::new();
    for column in table.columns {
        let name = column.name;
        if column.kind == ColumnKind::Bytes {
            columns.push(format!(
                "CASE WHEN octet_length({name}) <= {inline_bytes} THEN {name} END"
            ));
            contents.extend([
                format!("octet_length({name})"),
                format!("typeof({name})"),
                "rowid".to_owned(),
            ]);
        } else {
            columns.push(name.to_owned());
        }
    }
    columns.append(&mut contents);
    format!("SELECT {} FROM {}{order}", columns.join(", "), table.name)
}

impl RowView<'_, '_> {
    // Not made in advance: this is asked for with every cell.
    fn failed(&self, error: rusqlite::Error) -> TransferError {
        SqliteError::on(self.path)(error).into()
    }

    pub(super) fn cell(&self, position: usize) -> Result<Cell<'_>, TransferError> {
        let cell = Cell::from(
            self.row
                .get_ref(position)
                .map_err(|error| self.failed(error))?,
        );
        let is_content = self
            .table
            .columns
            .get(position)
            .is_some_and(|column| column.kind == ColumnKind::Bytes);
        if cell != Cell::Null || !is_content {
            return Ok(cell);
        }
        let after = self.table.columns.len();
        let bytes: Option<i64> = self.row.get(after).map_err(|error| self.failed(error))?;
        let class: String = self
            .row
            .get(after + 1)
            .map_err(|error| self.failed(error))?;
        Ok(match (bytes, class.as_str()) {
            (Some(bytes), "blob" | "text") => Cell::Large {
                is_blob: class == "blob",
                bytes: u64::try_from(bytes).unwrap_or(0),
            },
            (Some(_), "integer") => Cell::Integer(0),
            (Some(_), _) => Cell::Real(0.0),
            (None, _) => Cell::Null,
        })
    }

    pub(super) fn read_content(
        &mut self,
        column: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), TransferError>,
    ) -> Result<(), TransferError> {
        let row: i64 = self
            .row
            .get(self.table.columns.len() + 2)
            .map_err(|error| self.failed(error))?;
        let failed = SqliteError::on(self.path);
        let blob = match self.blob {
            Some(blob) => {
                blob.reopen(row).map_err(failed)?;
                blob
            }
            None => self.blob.insert(
                self.connection
                    .blob_open(MAIN_DB, self.table.name, column, row, true)
                    .map_err(failed)?,
            ),
        };
        self.buffer.resize(PIECE_BYTES, 0);
        loop {
            let length = blob
                .read(self.buffer)
                .map_err(|error| PathError::of(Action::Read, self.path)(error))?;
            match self.buffer.get(..length) {
                None | Some([]) => return Ok(()),
                Some(piece) => each(piece)?,
            }
        }
    }

    pub(super) fn key(&self) -> String {
        let part = |position: usize| match self.cell(position) {
            Ok(Cell::Text(text)) => shown(&String::from_utf8_lossy(text)),
            Ok(Cell::Integer(number)) => number.to_string(),
            Ok(Cell::Null) => "NULL".to_owned(),
            Ok(_) | Err(_) => "(no text)".to_owned(),
        };
        (0..layout::key(self.table).len())
            .map(part)
            .collect::<Vec<_>>()
            .join("/")
    }
}
