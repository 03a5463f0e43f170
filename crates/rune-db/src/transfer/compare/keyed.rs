//! The rows of one side as keys and digests, in the order of the keys' bytes.

use std::{collections::VecDeque, pin::pin, sync::Arc};

use futures_util::TryStreamExt as _;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::Side;
use crate::transfer::{
    decode::Tuples,
    digest::RowDigest,
    error::TransferError,
    file::FileSnapshot,
    file_digest::row_digest,
    finding::shown,
    layout,
    rows::{Cell, INLINE_BYTES, for_each_row},
    server::{ServerTables, in_snapshot},
    server_digest,
};
use rune_core::progress::Progress;
use rune_storage::{
    migrations::Migrations,
    schema::{ColumnKind, TABLES, Table, Verb},
    with_session,
};

/// How many rows go from one side to the merge at once.
const BATCH_ROWS: usize = 256;
const BATCHES_AHEAD: usize = 4;

/// A part of a key, ordered as both engines order it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyPart {
    Null,
    Integer(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct KeyedRow {
    pub(super) key: Vec<KeyPart>,
    pub(super) digest: RowDigest,
}

#[derive(Debug)]
pub(super) enum Message {
    Rows(Vec<KeyedRow>),
    EndOfTable,
}

#[derive(Debug)]
pub(super) struct Reading {
    receiver: mpsc::Receiver<Message>,
    waiting: VecDeque<KeyedRow>,
}

pub(super) fn channel() -> (mpsc::Sender<Message>, Reading) {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    (
        sender,
        Reading {
            receiver,
            waiting: VecDeque::new(),
        },
    )
}

impl Reading {
    /// The next row of the table; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<KeyedRow>, TransferError> {
        loop {
            if let Some(row) = self.waiting.pop_front() {
                return Ok(Some(row));
            }
            match self.receiver.recv().await {
                Some(Message::Rows(rows)) => self.waiting.extend(rows),
                Some(Message::EndOfTable) => return Ok(None),
                // The side has failed and says why itself.
                None => std::future::pending().await,
            }
        }
    }
}

pub(super) async fn read(
    side: Side,
    migrations: &Migrations,
    progress: &Arc<dyn Progress>,
    sender: mpsc::Sender<Message>,
) -> Result<Option<String>, TransferError> {
    match side {
        Side::File(file) => {
            let progress = Arc::clone(progress);
            let reading = spawn_blocking(move || {
                TABLES
                    .iter()
                    .try_for_each(|table| read_file(&file, table, progress.as_ref(), &sender))
            });
            reading.await.map_err(|_| TransferError::Lost)??;
            Ok(None)
        }
        Side::Server(url) => {
            let location = url.to_string();
            let read = async |server: &ServerTables<'_>| {
                server.check_site(Verb::Read).await?;
                server.check_is_rune(migrations, &location)?;
                for table in TABLES {
                    read_server(server, table, &sender).await?;
                }
                let unknown = server.check_is_known(migrations, &location).err();
                Ok(unknown.map(|error| format!("{error}; that was not compared")))
            };
            with_session(&url, async |client| in_snapshot(client, None, read).await).await
        }
    }
}

fn read_file(
    file: &FileSnapshot,
    table: &'static Table,
    progress: &dyn Progress,
    sender: &mpsc::Sender<Message>,
) -> Result<(), TransferError> {
    let send = |message| {
        sender
            .blocking_send(message)
            .map_err(|_| TransferError::Lost)
    };
    let key = layout::key(table);
    let order: Vec<&str> = key.iter().map(|column| column.name).collect();
    let mut batch = Vec::with_capacity(BATCH_ROWS);
    for_each_row(
        file,
        table,
        INLINE_BYTES,
        &format!(" ORDER BY {}", order.join(", ")),
        |row| {
            let part = |position| {
                Ok(match row.cell(position)? {
                    Cell::Integer(number) => KeyPart::Integer(number),
                    Cell::Text(text) => KeyPart::Text(text.to_vec()),
                    Cell::Blob(bytes) => KeyPart::Blob(bytes.to_vec()),
                    Cell::Null | Cell::Real(_) | Cell::Large { .. } => KeyPart::Null,
                })
            };
            let key = (0..key.len())
                .map(part)
                .collect::<Result<Vec<_>, TransferError>>()?;
            let (digest, bytes) = row_digest(row, table)?;
            progress.advance(bytes);
            batch.push(KeyedRow { key, digest });
            if batch.len() >= BATCH_ROWS {
                send(Message::Rows(std::mem::take(&mut batch)))
            } else {
                Ok(())
            }
        },
    )?;
    send(Message::Rows(batch))?;
    send(Message::EndOfTable)
}

async fn read_server(
    server: &ServerTables<'_>,
    table: &Table,
    sender: &mpsc::Sender<Message>,
) -> Result<(), TransferError> {
    if server.has(table) {
        let key = layout::key(table);
        let mut stream = pin!(
            server
                .client
                .copy_out(&server_digest::keyed_digests_sql(server, table))
                .await
                .map_err(TransferError::rows(table))?
        );
        let mut tuples = Tuples::new(key.len() + 1);
        while let Some(bytes) = stream
            .try_next()
            .await
            .map_err(TransferError::rows(table))?
        {
            tuples.push(&bytes);
            let mut batch = Vec::new();
            while let Some(mut fields) = tuples.next()? {
                let digest = server_digest::row_digest(fields.pop().flatten())?;
                let parts = fields
                    .iter()
                    .zip(key)
                    .map(|(field, column)| key_part(*field, column.kind));
                batch.push(KeyedRow {
                    key: parts.collect::<Result<_, _>>()?,
                    digest,
                });
            }
            sender
                .send(Message::Rows(batch))
                .await
                .map_err(|_| TransferError::Lost)?;
        }
        tuples.finish()?;
    }
    sender
        .send(Message::EndOfTable)
        .await
        .map_err(|_| TransferError::Lost)
}

fn key_part(field: Option<&[u8]>, kind: ColumnKind) -> Result<KeyPart, TransferError> {
    Ok(match (field, kind) {
        (None, _) => KeyPart::Null,
        (Some(bytes), ColumnKind::Id) => KeyPart::Integer(i64::from_be_bytes(
            bytes.try_into().map_err(|_| TransferError::Protocol)?,
        )),
        (Some(bytes), _) => KeyPart::Text(bytes.to_vec()),
    })
}

pub(super) fn shown_key(key: &[KeyPart]) -> String {
    let part = |part: &KeyPart| match part {
        KeyPart::Null => "NULL".to_owned(),
        KeyPart::Integer(number) => number.to_string(),
        KeyPart::Text(bytes) | KeyPart::Blob(bytes) => shown(&String::from_utf8_lossy(bytes)),
    };
    key.iter().map(part).collect::<Vec<_>>().join("/")
}
