//! The check of every cell of a SQLite file before the first is transferred to PostgreSQL.
//!
//! All findings of all tables are collected in one pass. Values are checked by type and size alone.

use super::{
    characters::Characters,
    error::TransferError,
    file::FileSnapshot,
    finding::{Finding, FindingKind, Findings},
    layout,
    rows::{Cell, RowView, for_each_row},
};
use rune_core::progress::Progress;
use rune_storage::schema::{Column, ColumnKind, Table};

/// The size of the largest value that is transferred, in bytes: PostgreSQL's own limit is a
/// gigabyte for the whole row.
const MAX_VALUE_BYTES: u64 = 500_000_000;
/// An entry of a PostgreSQL index has 2704 bytes for its header and all its columns.
const MAX_KEY_BYTES: usize = 2600;
/// How often progress is told, in bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) highest_id: i64,
}

/// Checks every row of every table; gives what each holds, and the characters of all.
pub(super) fn check(
    source: &FileSnapshot,
    tables: &[&'static Table],
    progress: &dyn Progress,
) -> Result<(Vec<Volume>, Characters), TransferError> {
    let mut findings = Findings::default();
    let mut characters = Characters::default();
    let mut volumes = Vec::new();
    for table in tables {
        let mut volume = Volume::default();
        let mut told = 0;
        for_each_row(source, table, -1, "", |row| {
            check_row(row, table, &mut volume, &mut characters, &mut findings)?;
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
    if findings.is_empty() {
        Ok((volumes, characters))
    } else {
        Err(TransferError::CannotCarry(findings))
    }
}

pub(super) fn cells_with(
    characters: &Characters,
    source: &FileSnapshot,
    tables: &[&'static Table],
) -> Result<Vec<Finding>, TransferError> {
    let mut findings = Findings::default();
    for table in tables {
        for_each_row(source, table, -1, "", |row| {
            for (position, column) in table.columns.iter().enumerate() {
                if matches!(row.cell(position)?, Cell::Text(text) if characters.are_in(text)) {
                    findings.add(table, column, FindingKind::NoLike, || row.key());
                }
            }
            Ok(())
        })?;
    }
    Ok(findings.into_list())
}

fn check_row(
    row: &RowView<'_, '_>,
    table: &'static Table,
    volume: &mut Volume,
    characters: &mut Characters,
    findings: &mut Findings,
) -> Result<(), TransferError> {
    let mut check = RowCheck::of(table);
    for (position, column) in table.columns.iter().enumerate() {
        let cell = row.cell(position)?;
        for kind in check.cell(column, cell).into_iter().flatten() {
            findings.add(table, column, kind, || row.key());
        }
        let bytes = match cell {
            Cell::Null => 0,
            Cell::Integer(_) | Cell::Real(_) => 8,
            Cell::Text(bytes) => {
                characters.add(bytes);
                bytes.len() as u64
            }
            Cell::Blob(bytes) => bytes.len() as u64,
            Cell::Large { bytes, .. } => bytes,
        };
        if let (ColumnKind::Id, Cell::Integer(id)) = (column.kind, cell) {
            volume.highest_id = volume.highest_id.max(id);
        }
        volume.bytes = volume.bytes.saturating_add(bytes);
    }
    volume.rows = volume.rows.saturating_add(1);
    Ok(())
}

/// The check of one row, cell by cell in the order of its columns.
#[derive(Debug)]
pub(crate) struct RowCheck {
    table: &'static Table,
    key: &'static [Column],
    key_bytes: usize,
}

impl RowCheck {
    pub(crate) fn of(table: &'static Table) -> Self {
        Self {
            table,
            key: layout::key(table),
            key_bytes: 0,
        }
    }

    pub(crate) fn cell(&mut self, column: &Column, cell: Cell<'_>) -> [Option<FindingKind>; 2] {
        let is_key = self.key.iter().any(|key| key.name == column.name);
        let Cell::Text(text) = cell else {
            return [finding(self.table, column, cell, is_key), None];
        };
        if is_key {
            self.key_bytes = self.key_bytes.saturating_add(text.len());
        }
        let indexed = if is_key { self.key_bytes } else { text.len() };
        let is_long = indexed > MAX_KEY_BYTES && (is_key || layout::is_indexed(self.table, column));
        [
            finding(self.table, column, cell, is_key),
            is_long.then_some(FindingKind::KeyTooLong),
        ]
    }
}

fn finding(table: &Table, column: &Column, cell: Cell<'_>, is_key: bool) -> Option<FindingKind> {
    match (column.kind, cell) {
        (_, Cell::Null) if is_key => Some(FindingKind::NullKey),
        (_, Cell::Null) => {
            (!layout::is_nullable(table, column)).then_some(FindingKind::MissingValue)
        }
        (ColumnKind::Text, Cell::Text(text)) => text_finding(text),
        // The next id must exist.
        (ColumnKind::Id, Cell::Integer(id)) => (id == i64::MAX).then_some(FindingKind::OutOfRange),
        (ColumnKind::Integer, Cell::Integer(number)) => i32::try_from(number)
            .is_err()
            .then_some(FindingKind::OutOfRange),
        (ColumnKind::Float, Cell::Real(_)) => None,
        (
            ColumnKind::Bytes,
            Cell::Large {
                is_blob: true,
                bytes,
            },
        ) => (bytes > MAX_VALUE_BYTES).then_some(FindingKind::TooLarge),
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
