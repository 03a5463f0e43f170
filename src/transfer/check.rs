//! The look at every cell of a SQLite file before the first is carried to PostgreSQL.
//!
//! All findings of all tables are collected in one pass. Contents are judged by type and size alone.

use super::{
    error::TransferError,
    file::FileSnapshot,
    finding::{FindingKind, Findings},
    layout,
    rows::{Cell, RowView, for_each_row},
};
use crate::{
    progress::Progress,
    schema::{Column, ColumnKind, Table},
};

/// The size of the largest value that is carried, in bytes: PostgreSQL's own limit is a gigabyte for the whole row.
const MAX_VALUE_BYTES: u64 = 500_000_000;
/// An entry of a PostgreSQL index has 2704 bytes for its header and all its columns.
const MAX_KEY_BYTES: usize = 2600;
/// How often progress is told, in bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What a table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) rows: u64,
    /// The bytes of all values.
    pub(super) bytes: u64,
    /// The highest id.
    pub(super) highest_id: i64,
}

/// Looks at every row of every table.
///
/// # Errors
/// When something cannot be carried exactly, with everything that was found.
pub(super) fn check(source: &FileSnapshot, tables: &[&'static Table], progress: &dyn Progress) -> Result<Vec<Volume>, TransferError> {
    let mut findings = Findings::default();
    let mut volumes = Vec::new();
    for table in tables {
        let mut volume = Volume::default();
        let mut told = 0;
        for_each_row(source, table, -1, "", |row| {
            check_row(row, table, &mut volume, &mut findings)?;
            if volume.bytes.saturating_sub(told) > PROGRESS_BYTES {
                progress.advance(volume.bytes.saturating_sub(told));
                told = volume.bytes;
            }
            Ok(())
        })?;
        progress.advance(volume.bytes.saturating_sub(told));
        volumes.push(volume);
    }
    let findings = findings.into_list();
    if findings.is_empty() { Ok(volumes) } else { Err(TransferError::CannotCarry(findings)) }
}

fn check_row(row: &RowView<'_, '_>, table: &'static Table, volume: &mut Volume, findings: &mut Findings) -> Result<(), TransferError> {
    let key_columns = layout::key(table).len();
    let mut key_bytes = 0;
    for (position, column) in table.columns.iter().enumerate() {
        let cell = row.cell(position)?;
        let is_key = position < key_columns;
        if let Some(kind) = finding(table, column, cell, is_key) {
            findings.add(table, column, kind, || row.key());
        }
        let bytes = match cell {
            Cell::Null => 0,
            Cell::Integer(_) | Cell::Real(_) => 8,
            Cell::Text(bytes) | Cell::Blob(bytes) => bytes.len() as u64,
            Cell::Large { bytes, .. } => bytes,
        };
        if let (ColumnKind::Id, Cell::Integer(id)) = (column.kind, cell) {
            volume.highest_id = volume.highest_id.max(id);
        }
        if let Cell::Text(text) = cell {
            if is_key {
                key_bytes += text.len();
            }
            let indexed = if is_key { key_bytes } else { text.len() };
            if (is_key || layout::is_indexed(table, column)) && indexed > MAX_KEY_BYTES {
                findings.add(table, column, FindingKind::KeyTooLong, || row.key());
            }
        }
        volume.bytes = volume.bytes.saturating_add(bytes);
    }
    volume.rows = volume.rows.saturating_add(1);
    Ok(())
}

/// What is wrong with one cell.
fn finding(table: &Table, column: &Column, cell: Cell<'_>, is_key: bool) -> Option<FindingKind> {
    match (column.kind, cell) {
        (_, Cell::Null) if is_key => Some(FindingKind::NullKey),
        (_, Cell::Null) => (!layout::is_nullable(table, column)).then_some(FindingKind::MissingValue),
        (ColumnKind::Text, Cell::Text(text)) => text_finding(text),
        // The next id must exist.
        (ColumnKind::Id, Cell::Integer(id)) => (id == i64::MAX).then_some(FindingKind::OutOfRange),
        (ColumnKind::Integer, Cell::Integer(number)) => i32::try_from(number).is_err().then_some(FindingKind::OutOfRange),
        (ColumnKind::Float, Cell::Real(_)) => None,
        (ColumnKind::Bytes, Cell::Large { is_blob: true, bytes }) => (bytes > MAX_VALUE_BYTES).then_some(FindingKind::TooLarge),
        _ => Some(FindingKind::WrongType),
    }
}

fn text_finding(text: &[u8]) -> Option<FindingKind> {
    if text.len() as u64 > MAX_VALUE_BYTES {
        Some(FindingKind::TooLarge)
    } else if std::str::from_utf8(text).is_err() {
        Some(FindingKind::InvalidUtf8)
    } else if text.contains(&0) {
        Some(FindingKind::Nul)
    } else {
        None
    }
}
