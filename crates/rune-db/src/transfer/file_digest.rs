//! The digests of the tables in a SQLite file, computed here.

use super::{
    digest::{RowDigest, RowHasher, TableDigest},
    error::TransferError,
    file::FileSnapshot,
    rows::{Cell, INLINE_BYTES, RowView, for_each_row},
};
use rune_core::{
    digest::{Digest, Sha256},
    progress::Progress,
};
use rune_storage::schema::{ColumnKind, Table};

/// Computes the digest of a table. Progress is told in bytes of values.
pub(super) fn table_digest(
    source: &FileSnapshot,
    table: &'static Table,
    progress: &dyn Progress,
) -> Result<TableDigest, TransferError> {
    let mut digest = TableDigest::default();
    for_each_row(source, table, INLINE_BYTES, "", |row| {
        let (row, bytes) = row_digest(row, table)?;
        digest.add(&row);
        progress.advance(bytes);
        Ok(())
    })?;
    Ok(digest)
}

pub(super) fn row_digest(
    row: &mut RowView<'_, '_>,
    table: &Table,
) -> Result<(RowDigest, u64), TransferError> {
    let mut hasher = RowHasher::new();
    let mut bytes = 0_u64;
    for (position, column) in table.columns.iter().enumerate() {
        let cell = row.cell(position)?;
        let length = match (column.kind, cell) {
            (_, Cell::Null) => {
                hasher.null();
                0
            }
            (ColumnKind::Text, Cell::Text(text)) => {
                hasher.value(text);
                text.len() as u64
            }
            (ColumnKind::Float, Cell::Real(number)) => {
                hasher.value(&number.to_be_bytes());
                8
            }
            (ColumnKind::Id | ColumnKind::Integer, Cell::Integer(number)) => {
                hasher.value(&number.to_be_bytes());
                8
            }
            (ColumnKind::Bytes, Cell::Blob(content)) => {
                hasher.value(Digest::of(content).as_bytes());
                content.len() as u64
            }
            (ColumnKind::Bytes, Cell::Large { is_blob, bytes }) => {
                let mut content = Sha256::new();
                row.read_content(column.name, |piece| {
                    content.update(piece);
                    Ok(())
                })?;
                if is_blob {
                    hasher.value(content.finish().as_bytes());
                } else {
                    hasher.misplaced(b't', content.finish().as_bytes());
                }
                bytes
            }
            (kind, misplaced) => misplaced_value(&mut hasher, kind, misplaced),
        };
        bytes = bytes.saturating_add(length);
    }
    Ok((hasher.finish(), bytes))
}

fn misplaced_value(hasher: &mut RowHasher, kind: ColumnKind, cell: Cell<'_>) -> u64 {
    match cell {
        Cell::Integer(number) => hasher.misplaced(b'i', &number.to_be_bytes()),
        Cell::Real(number) => hasher.misplaced(b'r', &number.to_be_bytes()),
        // As in pieces: whatever stands in the place of a content is hashed on its own.
        Cell::Text(text) if kind == ColumnKind::Bytes => {
            hasher.misplaced(b't', Digest::of(text).as_bytes());
        }
        Cell::Text(text) => hasher.misplaced(b't', text),
        Cell::Blob(bytes) => hasher.misplaced(b'b', bytes),
        Cell::Null | Cell::Large { .. } => hasher.null(),
    }
    8
}
