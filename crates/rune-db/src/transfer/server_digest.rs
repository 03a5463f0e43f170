//! The digests of the tables on a PostgreSQL server.
//!
//! The server computes the digest of each row; the rows themselves stay where they are.

use std::pin::pin;

use futures_util::TryStreamExt as _;

use super::{
    decode::Tuples,
    digest::{RowDigest, TableDigest},
    error::TransferError,
    layout,
    server::ServerTables,
};
use rune_storage::schema::{Column, ColumnKind, Table};

pub(super) async fn table_digest(
    server: &ServerTables<'_>,
    table: &Table,
) -> Result<TableDigest, TransferError> {
    let mut digest = TableDigest::default();
    if !server.has(table) {
        return Ok(digest);
    }
    let sql = format!(
        "COPY (SELECT {} FROM {}) TO STDOUT (FORMAT BINARY)",
        row_digest_sql(server, table),
        server.name(table)
    );
    let mut stream = pin!(
        server
            .client
            .copy_out(&sql)
            .await
            .map_err(TransferError::rows(table))?
    );
    let mut tuples = Tuples::new(1);
    while let Some(bytes) = stream
        .try_next()
        .await
        .map_err(TransferError::rows(table))?
    {
        tuples.push(&bytes);
        while let Some(fields) = tuples.next()? {
            digest.add(&row_digest(fields.first().copied().flatten())?);
        }
    }
    tuples.finish()?;
    Ok(digest)
}

/// What asks for the key and the digest of every row in the order of the keys' bytes.
pub(super) fn keyed_digests_sql(server: &ServerTables<'_>, table: &Table) -> String {
    let key = layout::key(table);
    let names = key
        .iter()
        .map(|column| column.name)
        .collect::<Vec<_>>()
        .join(", ");
    let order: Vec<String> = key
        .iter()
        .map(|column| {
            if column.kind == ColumnKind::Id {
                column.name.to_owned()
            } else {
                format!("{} COLLATE \"C\"", column.name)
            }
        })
        .collect();
    let shown: Vec<String> = key
        .iter()
        .map(|column| {
            if column.kind == ColumnKind::Id {
                format!("{}::int8", column.name)
            } else {
                column.name.to_owned()
            }
        })
        .collect();
    // The digests are computed before the rows are sorted, so that the server sorts nothing else.
    format!(
        "COPY (SELECT {}, digest FROM (SELECT {names}, {} AS digest FROM {} OFFSET 0) AS rows \
         ORDER BY {}) TO STDOUT (FORMAT BINARY)",
        shown.join(", "),
        row_digest_sql(server, table),
        server.name(table),
        order.join(", ")
    )
}

pub(super) fn row_digest(field: Option<&[u8]>) -> Result<RowDigest, TransferError> {
    field
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(TransferError::Protocol)
}

fn row_digest_sql(server: &ServerTables<'_>, table: &Table) -> String {
    let value = |column: &Column, name: &str| match column.kind {
        ColumnKind::Text => format!(
            "int8send(octet_length(convert_to({name}, 'UTF8'))) || convert_to({name}, 'UTF8')"
        ),
        ColumnKind::Float => format!(
            "'\\x0000000000000008'::bytea || float8send({})",
            server.float(table, column)
        ),
        ColumnKind::Id | ColumnKind::Integer => {
            format!("'\\x0000000000000008'::bytea || int8send({name}::int8)")
        }
        ColumnKind::Bytes => format!("'\\x0000000000000020'::bytea || sha256({name})"),
    };
    let column = |column: &Column| {
        let (name, value) = (column.name, value(column, column.name));
        format!("CASE WHEN {name} IS NULL THEN '\\x00'::bytea ELSE '\\x01'::bytea || {value} END")
    };
    format!(
        "sha256({})",
        table
            .columns
            .iter()
            .map(column)
            .collect::<Vec<_>>()
            .join(" || ")
    )
}
