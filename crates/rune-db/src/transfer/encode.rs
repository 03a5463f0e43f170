//! A table of a SQLite file as the stream of a binary COPY.
//!
//! The format is that of PostgreSQL's manual, "COPY", section "Binary Format". A field begins with
//! its length, and the length of a content is known before the content is read, so the stream is
//! made in chunks whatever the size of a value.

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::sync::mpsc;

use super::{
    error::TransferError,
    file::FileSnapshot,
    rows::{Cell, INLINE_BYTES, RowView, for_each_row},
};
use rune_storage::schema::{ColumnKind, Table};

/// Signature, flags, length of the header's extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const CHUNK_BYTES: usize = 128 << 10;
/// How many chunks may wait for the server.
pub(super) const CHUNKS_AHEAD: usize = 8;

pub(super) type Chunks = mpsc::Sender<Bytes>;

/// Makes the stream of one table and gives the number of rows in it. Ends early when nobody takes
/// the chunks any more; whoever took them knows why.
pub(super) fn encode(
    source: &FileSnapshot,
    table: &'static Table,
    batch_rows: u64,
    chunks: Chunks,
) -> Result<u64, TransferError> {
    let fields = i16::try_from(table.columns.len()).map_err(|_| TransferError::Lost)?;
    let mut stream = Stream {
        chunk: BytesMut::with_capacity(2 * CHUNK_BYTES),
        chunks,
    };
    stream.chunk.put_slice(HEADER);
    let mut rows = 0_u64;
    for_each_row(source, table, INLINE_BYTES, "", |row| {
        stream.chunk.put_i16(fields);
        for (position, column) in table.columns.iter().enumerate() {
            stream.field(row, position, column.name, column.kind)?;
        }
        rows = rows.saturating_add(1);
        stream.hand_over_if(stream.chunk.len() >= CHUNK_BYTES || rows.is_multiple_of(batch_rows))
    })?;
    stream.chunk.put_i16(-1);
    stream.hand_over_if(true)?;
    Ok(rows)
}

struct Stream {
    chunk: BytesMut,
    chunks: Chunks,
}

impl Stream {
    fn hand_over_if(&mut self, is_due: bool) -> Result<(), TransferError> {
        if !is_due || self.chunk.is_empty() {
            return Ok(());
        }
        let whole = std::mem::replace(&mut self.chunk, BytesMut::with_capacity(2 * CHUNK_BYTES));
        self.chunks
            .blocking_send(whole.freeze())
            .map_err(|_| TransferError::Lost)
    }

    fn field(
        &mut self,
        row: &mut RowView<'_, '_>,
        position: usize,
        column: &str,
        kind: ColumnKind,
    ) -> Result<(), TransferError> {
        match (kind, row.cell(position)?) {
            (_, Cell::Null) => self.chunk.put_i32(-1),
            (ColumnKind::Text, Cell::Text(bytes)) | (ColumnKind::Bytes, Cell::Blob(bytes)) => {
                self.length(bytes.len() as u64)?;
                for piece in bytes.chunks(CHUNK_BYTES) {
                    self.chunk.put_slice(piece);
                    self.hand_over_if(self.chunk.len() >= CHUNK_BYTES)?;
                }
            }
            (ColumnKind::Float, Cell::Real(number)) => {
                self.chunk.put_i32(8);
                self.chunk.put_f64(number);
            }
            (ColumnKind::Id, Cell::Integer(number)) => {
                self.chunk.put_i32(8);
                self.chunk.put_i64(number);
            }
            (ColumnKind::Integer, Cell::Integer(number)) => {
                self.chunk.put_i32(4);
                self.chunk
                    .put_i32(i32::try_from(number).map_err(|_| TransferError::Lost)?);
            }
            (
                ColumnKind::Bytes,
                Cell::Large {
                    is_blob: true,
                    bytes,
                },
            ) => {
                self.length(bytes)?;
                row.read_content(column, |piece| {
                    self.chunk.put_slice(piece);
                    self.hand_over_if(self.chunk.len() >= CHUNK_BYTES)
                })?;
            }
            // The check has read the same snapshot.
            _ => return Err(TransferError::Lost),
        }
        Ok(())
    }

    fn length(&mut self, bytes: u64) -> Result<(), TransferError> {
        self.chunk
            .put_i32(i32::try_from(bytes).map_err(|_| TransferError::Lost)?);
        Ok(())
    }
}
