//! The file that is being filled.

use std::collections::BTreeMap;

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{
    Connection, MAIN_DB, ToSql,
    blob::Blob,
    types::{ToSqlOutput, ValueRef},
};
use tokio::sync::mpsc;

use super::retyped::{Place, retype};
use crate::transfer::{
    decode::Tuples, error::TransferError, layout, new_database::connect_new, sealed,
    server::ServerTables,
};
use rune_core::fsx::TemporaryFile;
use rune_storage::{
    SqliteError,
    migrations::Migrations,
    schema::{ColumnKind, MigrateSettings, Migrated, Table, on_sqlite},
};

/// A SQLite file with RUNE's schema, in the one transaction that fills it.
#[derive(Debug)]
pub(super) struct NewFile {
    path: Utf8PathBuf,
    connection: Connection,
    /// Floats that stand as blobs in a table, because a large content stands before them.
    disguised: Vec<(&'static str, Place)>,
}

/// A value that is in the file as zeros so far.
#[derive(Debug)]
pub(super) struct LargeContent {
    row: i64,
    pub(super) key: String,
    pub(super) column: &'static str,
}

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
    /// Gives an empty file RUNE's schema and begins to fill it. It has no other name yet, so it
    /// needs no journal.
    pub(super) fn make(path: &Utf8Path, migrations: &Migrations) -> Result<Self, TransferError> {
        let connection = connect_new(path)?;
        on_sqlite::migrate(
            &connection,
            path,
            migrations,
            &MigrateSettings::default(),
            &mut Migrated::default(),
        )?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000; \
                 BEGIN EXCLUSIVE",
            )
            .map_err(SqliteError::on(path))?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            disguised: Vec::new(),
        })
    }

    pub(super) fn failed(&self, error: rusqlite::Error) -> TransferError {
        SqliteError::on(&self.path)(error).into()
    }

    /// Inserts the rows of a binary COPY. Large values, which did not come with them, are zeros in
    /// the file so far.
    pub(super) fn insert(
        mut self,
        table: &'static Table,
        mut messages: mpsc::Receiver<Bytes>,
    ) -> Result<(Self, Vec<LargeContent>), TransferError> {
        let marks = vec!["?"; table.columns.len()].join(", ");
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({marks})",
            table.name,
            layout::column_list(table)
        );
        let contents = table
            .columns
            .iter()
            .filter(|column| column.kind == ColumnKind::Bytes)
            .count();
        let mut large = Vec::new();
        let mut disguised = Vec::new();
        let mut statement = self
            .connection
            .prepare(&sql)
            .map_err(|error| self.failed(error))?;
        let mut tuples = Tuples::new(table.columns.len() + contents);
        while let Some(bytes) = messages.blocking_recv() {
            tuples.push(&bytes);
            while let Some(fields) = tuples.next()? {
                let mut lengths = fields.iter().skip(table.columns.len());
                let mut content = None;
                let mut behind = Vec::new();
                for (position, (column, field)) in table.columns.iter().zip(&fields).enumerate() {
                    let mut value = value(column.kind, *field)?;
                    if column.kind == ColumnKind::Bytes {
                        let length = lengths.next().copied().flatten();
                        if let (None, Some(_)) = (field, length) {
                            let bytes = u64::try_from(number(length)?)
                                .map_err(|_| TransferError::Protocol)?;
                            content = Some(column.name);
                            value = Value::Zeros(bytes);
                        }
                    }
                    if let (Some(_), Value::Real(float)) = (content, &value) {
                        behind.push((position, column.name, *float));
                        value = Value::Zeros(8);
                    }
                    statement
                        .raw_bind_parameter(position + 1, &value)
                        .map_err(|error| self.failed(error))?;
                }
                statement
                    .raw_execute()
                    .map_err(|error| self.failed(error))?;
                let row = self.connection.last_insert_rowid();
                if let Some(column) = content {
                    let key = String::from_utf8_lossy(
                        fields.first().copied().flatten().unwrap_or_default(),
                    )
                    .into_owned();
                    large.push(LargeContent { row, key, column });
                }
                for (position, column, float) in behind {
                    let mut blob = self.blob(table, column, row)?;
                    blob.write_all_at(&float.to_be_bytes(), 0)
                        .map_err(|error| self.failed(error))?;
                    disguised.push((
                        table.name,
                        Place {
                            row,
                            column: position,
                        },
                    ));
                }
            }
        }
        tuples.finish()?;
        drop(statement);
        self.disguised.append(&mut disguised);
        Ok((self, large))
    }

    /// Opens a content, to be written from its first byte to its last.
    pub(super) fn content(
        &self,
        table: &Table,
        content: &LargeContent,
    ) -> Result<Blob<'_>, TransferError> {
        self.blob(table, content.column, content.row)
    }

    fn blob(&self, table: &Table, column: &str, row: i64) -> Result<Blob<'_>, TransferError> {
        self.connection
            .blob_open(MAIN_DB, table.name, column, row, false)
            .map_err(|error| self.failed(error))
    }

    /// Lets the next id be above every one that the server gave out.
    pub(super) async fn set_sequence(
        &self,
        server: &ServerTables<'_>,
    ) -> Result<(), TransferError> {
        const SET: &str = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
        const ADD: &str = "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ?2 WHERE ?2 > 0
            AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)";
        let (table, _) = layout::numbered().ok_or(TransferError::Lost)?;
        let ids = server.ids().await?;
        let Some(sequence) = ids.as_ref().and_then(|ids| ids.sequence()) else {
            return Ok(());
        };
        // A sequence may step by more than one.
        let before_next = sequence.last.max(sequence.next.saturating_sub(1));
        for sql in [SET, ADD] {
            self.connection
                .execute(sql, (table.name, before_next))
                .map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Ends the transaction, closes the file, and gives every float its type.
    pub(super) fn finish(self, file: &TemporaryFile) -> Result<(), TransferError> {
        self.connection
            .execute_batch("COMMIT")
            .map_err(|error| self.failed(error))?;
        sealed::without_wal(&self.connection, &self.path)?;
        let mut by_root: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
        for (table, place) in &self.disguised {
            let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?1";
            let root = self
                .connection
                .query_row(sql, [table], |row| row.get(0))
                .map_err(|error| self.failed(error))?;
            by_root.entry(root).or_default().push(*place);
        }
        drop(self.connection);
        by_root
            .into_iter()
            .try_for_each(|(root, places)| retype(file, root, &places))
    }
}

fn value(kind: ColumnKind, field: Option<&[u8]>) -> Result<Value<'_>, TransferError> {
    let Some(bytes) = field else {
        return Ok(Value::Null);
    };
    Ok(match kind {
        ColumnKind::Text => Value::Text(bytes),
        ColumnKind::Float => Value::Real(f64::from_be_bytes(
            bytes.try_into().map_err(|_| TransferError::Protocol)?,
        )),
        ColumnKind::Id | ColumnKind::Integer => Value::Integer(number(field)?),
        ColumnKind::Bytes => Value::Blob(bytes),
    })
}

fn number(field: Option<&[u8]>) -> Result<i64, TransferError> {
    let bytes = field
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(TransferError::Protocol)?;
    Ok(i64::from_be_bytes(bytes))
}
