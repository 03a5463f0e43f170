//! The way back: every row of a PostgreSQL database into one new SQLite file that RUNE can open.
//!
//! The server is read in one snapshot and not changed. The file gets its name when it was proved to
//! be whole. A large content comes in pieces and is written in its place, so memory stays flat
//! whatever its size.

mod insert;
mod retyped;

use std::{pin::pin, sync::Arc};

use camino::Utf8Path;
use futures_util::TryStreamExt as _;
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_postgres::Client;

use super::{
    digest::TableDigest,
    error::TransferError,
    layout,
    new_database::NewDatabase,
    sealed::{self, CarriedTable},
    server::{ServerTables, in_snapshot},
    server_check, server_digest,
};
use insert::{LargeContent, NewFile};
use rune_core::{fsx::FileMode, progress::Progress};
use rune_storage::{
    for_each_piece,
    migrations::Migrations,
    schema::{ColumnKind, TABLES, Table, Verb},
};

/// Values up to this size come with their row, in bytes.
const INLINE_BYTES: u64 = 1 << 20;
const MESSAGES_AHEAD: usize = 4;

/// Writes every row of a database into a new file.
pub(crate) async fn into_file(
    client: &Client,
    location: &str,
    destination: &Utf8Path,
    mode: FileMode,
    migrations: &Migrations,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<CarriedTable>, TransferError> {
    let file = NewDatabase::beside(destination, mode)?;
    let read = async |server: &ServerTables<'_>| {
        for note in server.check_site(Verb::Read).await? {
            progress.announce(&format!("note: {note}"));
        }
        server.check_is_rune(migrations, location)?;
        server.check_is_known(migrations, location)?;
        server_check::check(server).await?;
        let mut new = NewFile::make(file.path(), migrations)?;
        for table in TABLES.iter().filter(|table| server.has(table)) {
            progress.begin(table.name, server.bytes(table).await?);
            new = fetch(server, new, table, progress).await?;
            progress.end();
        }
        new.set_sequence(server).await?;
        new.finish(file.file())?;
        digests(server, progress).await
    };
    let expected = in_snapshot(client, None, read).await?;
    let path = file.path().to_owned();
    let reporter = Arc::clone(progress);
    let proving = spawn_blocking(move || sealed::verify(&path, &expected, reporter.as_ref()));
    let tables = proving.await.map_err(|_| TransferError::Lost)??;
    progress.end();
    file.publish()?;
    Ok(tables)
}

async fn digests(
    server: &ServerTables<'_>,
    progress: &Arc<dyn Progress>,
) -> Result<Vec<TableDigest>, TransferError> {
    let mut bytes = 0_u64;
    let mut digests = Vec::new();
    for table in TABLES {
        bytes = bytes.saturating_add(if server.has(table) {
            server.bytes(table).await?
        } else {
            0
        });
    }
    progress.begin("verification", bytes);
    for table in TABLES {
        digests.push(server_digest::table_digest(server, table).await?);
    }
    Ok(digests)
}

async fn fetch(
    server: &ServerTables<'_>,
    new: NewFile,
    table: &'static Table,
    progress: &Arc<dyn Progress>,
) -> Result<NewFile, TransferError> {
    let (sender, messages) = mpsc::channel(MESSAGES_AHEAD);
    let writing = spawn_blocking(move || new.insert(table, messages));
    let mut stream = pin!(
        server
            .client
            .copy_out(&select(server, table))
            .await
            .map_err(TransferError::rows(table))?
    );
    while let Some(bytes) = stream
        .try_next()
        .await
        .map_err(TransferError::rows(table))?
    {
        progress.advance(bytes.len() as u64);
        if sender.send(bytes).await.is_err() {
            break;
        }
    }
    drop(sender);
    let (new, large) = writing.await.map_err(|_| TransferError::Lost)??;
    for content in large {
        fetch_content(server, &new, table, &content, progress).await?;
    }
    Ok(new)
}

async fn fetch_content(
    server: &ServerTables<'_>,
    new: &NewFile,
    table: &Table,
    content: &LargeContent,
    progress: &Arc<dyn Progress>,
) -> Result<(), TransferError> {
    let key = layout::key(table).first().ok_or(TransferError::Lost)?.name;
    let mut blob = new.content(table, content)?;
    let each = |position: usize, piece: &[u8]| {
        blob.write_all_at(piece, position)
            .map_err(|error| new.failed(error))?;
        progress.advance(piece.len() as u64);
        Ok(())
    };
    for_each_piece(
        server.client,
        &server.name(table),
        (key, content.column),
        &content.key,
        each,
    )
    .await
}

/// What asks for the rows: every column in its widest type, then for values their length.
fn select(server: &ServerTables<'_>, table: &Table) -> String {
    let mut columns = Vec::new();
    let mut lengths = Vec::new();
    for column in table.columns {
        let name = column.name;
        columns.push(match column.kind {
            ColumnKind::Text => name.to_owned(),
            ColumnKind::Float => server.float(table, column),
            ColumnKind::Id | ColumnKind::Integer => format!("{name}::int8"),
            ColumnKind::Bytes => {
                format!("CASE WHEN octet_length({name}) <= {INLINE_BYTES} THEN {name} END")
            }
        });
        if column.kind == ColumnKind::Bytes {
            lengths.push(format!("octet_length({name})::int8"));
        }
    }
    columns.append(&mut lengths);
    format!(
        "COPY (SELECT {} FROM {}) TO STDOUT (FORMAT BINARY)",
        columns.join(", "),
        server.name(table)
    )
}
