//! The file that is being filled.

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{
    Connection, MAIN_DB, ToSql,
    types::{ToSqlOutput, ValueRef},
};
use tokio::sync::mpsc;

use crate::{
    schema::{ColumnKind, MigrateSettings, Migrations, Table, on_sqlite},
    storage::SqliteError,
    transfer::{decode::Tuples, error::TransferError, layout, sealed, server::ServerTables},
};

/// A SQLite file with RUNE's schema, in the one transaction that fills it.
#[derive(Debug)]
pub(super) struct NewFile {
    path: Utf8PathBuf,
    connection: Connection,
}

/// A content that stands in the file as zeros so far.
#[derive(Debug)]
pub(super) struct LargeContent {
    row: i64,
    pub(super) key: String,
    pub(super) column: &'static str,
    pub(super) bytes: u64,
}

/// A value on its way into a cell.
enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    Zeros(u64),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text)),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Zeros(length) => ToSqlOutput::ZeroBlob(*length),
        })
    }
}

impl NewFile {
    /// Gives an empty file RUNE's schema and begins to fill it. It has no other name yet, so it needs no journal.
    pub(super) fn make(path: &Utf8Path, migrations: &Migrations) -> Result<Self, TransferError> {
        let connection = Connection::open(path).map_err(SqliteError::on(path))?;
        on_sqlite::migrate(&connection, path, migrations, &MigrateSettings::default())?;
        connection
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000; BEGIN EXCLUSIVE")
            .map_err(SqliteError::on(path))?;
        Ok(Self { path: path.to_owned(), connection })
    }

    fn failed(&self, error: rusqlite::Error) -> TransferError {
        SqliteError::on(&self.path)(error).into()
    }

    /// Inserts the rows of a binary COPY.
    pub(super) fn insert(
        self,
        table: &'static Table,
        mut messages: mpsc::Receiver<Bytes>,
    ) -> Result<(Self, Vec<LargeContent>), TransferError> {
        let marks = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", table.name, layout::column_list(table));
        let contents = table.columns.iter().filter(|column| column.kind == ColumnKind::Bytes).count();
        let mut large = Vec::new();
        let mut statement = self.connection.prepare(&sql).map_err(|error| self.failed(error))?;
        let mut tuples = Tuples::new(table.columns.len() + contents);
        while let Some(bytes) = messages.blocking_recv() {
            tuples.push(&bytes);
            while let Some(fields) = tuples.next()? {
                let mut lengths = fields.iter().skip(table.columns.len());
                let mut content = None;
                for (position, (column, field)) in table.columns.iter().zip(&fields).enumerate() {
                    let mut value = value(column.kind, *field)?;
                    if column.kind == ColumnKind::Bytes {
                        let length = number(lengths.next().copied().flatten())?;
                        if field.is_none() {
                            content = Some((column.name, length));
                            value = Value::Zeros(u64::try_from(length).map_err(|_| TransferError::Protocol)?);
                        }
                    }
                    statement.raw_bind_parameter(position + 1, &value).map_err(|error| self.failed(error))?;
                }
                statement.raw_execute().map_err(|error| self.failed(error))?;
                if let Some((column, bytes)) = content {
                    let key = String::from_utf8_lossy(fields.first().copied().flatten().unwrap_or_default()).into_owned();
                    let bytes = u64::try_from(bytes).map_err(|_| TransferError::Protocol)?;
                    large.push(LargeContent { row: self.connection.last_insert_rowid(), key, column, bytes });
                }
            }
        }
        tuples.finish()?;
        drop(statement);
        Ok((self, large))
    }

    /// Writes a piece of a content in its place.
    pub(super) fn write(&mut self, table: &Table, content: &LargeContent, offset: usize, piece: &[u8]) -> Result<(), TransferError> {
        let failed = |error| SqliteError::on(&self.path)(error);
        let mut blob = self.connection.blob_open(MAIN_DB, table.name, content.column, content.row, false).map_err(failed)?;
        Ok(blob.write_all_at(piece, offset).map_err(failed)?)
    }

    /// Lets the next id be above every one that the server gave out.
    pub(super) async fn set_sequence(&self, server: &ServerTables<'_>) -> Result<(), TransferError> {
        const SET: &str = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
        const ADD: &str = "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ?2 WHERE ?2 > 0
            AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)";
        let (table, column) = layout::numbered().ok_or(TransferError::Lost)?;
        if !server.has(table) {
            return Ok(());
        }
        let Some(sequence) = server.sequence(table, column).await? else { return Ok(()) };
        for sql in [SET, ADD] {
            self.connection.execute(sql, (table.name, sequence.last)).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Ends the transaction and closes the file.
    pub(super) fn finish(self) -> Result<(), TransferError> {
        self.connection.execute_batch("COMMIT").map_err(|error| self.failed(error))?;
        sealed::without_wal(&self.connection, &self.path)
    }
}

fn value(kind: ColumnKind, field: Option<&[u8]>) -> Result<Value<'_>, TransferError> {
    let Some(bytes) = field else { return Ok(Value::Null) };
    Ok(match kind {
        ColumnKind::Text => Value::Text(bytes),
        ColumnKind::Float => Value::Real(f64::from_be_bytes(bytes.try_into().map_err(|_| TransferError::Protocol)?)),
        ColumnKind::Id | ColumnKind::Integer => Value::Integer(number(field)?),
        ColumnKind::Bytes => Value::Blob(bytes),
    })
}

fn number(field: Option<&[u8]>) -> Result<i64, TransferError> {
    let bytes = field.and_then(|bytes| bytes.try_into().ok()).ok_or(TransferError::Protocol)?;
    Ok(i64::from_be_bytes(bytes))
}
