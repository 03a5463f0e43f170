//! Whether two databases have the same rows, by the digests of their tables; and which rows differ.
//!
//! Each side is read in one snapshot. Rows are compared by a merge in the order of their keys, so
//! that memory does not grow with the tables.

mod keyed;

use std::{cmp::Ordering, sync::Arc};

use serde::Serialize;
use tokio::task::spawn_blocking;

use super::{
    digest::TableDigest,
    error::TransferError,
    file::FileSnapshot,
    file_digest, sealed,
    server::{ServerTables, in_snapshot},
    server_digest,
};
use keyed::{KeyedRow, Reading};
use rune_core::{fsx, progress::Progress};
use rune_storage::{
    PostgresUrl,
    migrations::Migrations,
    schema::{TABLES, Verb},
    with_session,
};

const LISTED: usize = 100;

#[derive(Debug)]
pub(crate) enum Side {
    File(Box<FileSnapshot>),
    Server(Box<PostgresUrl>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    #[serde(rename = "equal")]
    pub(crate) is_equal: bool,
    pub(crate) tables: Vec<TableComparison>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableComparison {
    pub(crate) table: &'static str,
    #[serde(rename = "equal")]
    pub(crate) is_equal: bool,
    pub(crate) left: TableDigest,
    pub(crate) right: TableDigest,
    pub(crate) rows: Option<RowDifferences>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowDifferences {
    pub(crate) only_left: u64,
    pub(crate) only_right: u64,
    pub(crate) changed: u64,
    /// The first of them, in the order of their keys.
    pub(crate) keys: Vec<Difference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) key: String,
    /// `onlyLeft`, `onlyRight` or `changed`.
    pub(crate) kind: &'static str,
}

impl Side {
    /// Refuses what is not a database of RUNE; says what a file has that is not compared.
    fn check(&self, migrations: &Migrations) -> Result<Option<String>, TransferError> {
        let Self::File(file) = self else {
            return Ok(None);
        };
        file.check_is_rune(migrations)?;
        sealed::check_integrity(file.connection(), file.path())?;
        Ok(file
            .check_is_known(migrations)
            .err()
            .map(|error| format!("{error}; that was not compared")))
    }

    fn bytes(&self) -> Result<u64, TransferError> {
        match self {
            Self::File(file) => Ok(fsx::file_size(file.path())?),
            Self::Server(_) => Ok(0),
        }
    }
}

pub(crate) async fn compare(
    left: Side,
    right: Side,
    list_rows: bool,
    migrations: &Migrations,
    progress: &Arc<dyn Progress>,
) -> Result<Comparison, TransferError> {
    let mut warnings: Vec<String> = Vec::new();
    warnings.extend(left.check(migrations)?);
    warnings.extend(right.check(migrations)?);
    progress.begin("compare", left.bytes()?.saturating_add(right.bytes()?));
    let tables = if list_rows {
        let (left_sender, left_reading) = keyed::channel();
        let (right_sender, right_reading) = keyed::channel();
        let (left, right, tables) = tokio::try_join!(
            keyed::read(left, migrations, progress, left_sender),
            keyed::read(right, migrations, progress, right_sender),
            merge(left_reading, right_reading)
        )?;
        warnings.extend([left, right].into_iter().flatten());
        tables
    } else {
        let ((left, first), (right, second)) = tokio::try_join!(
            digests(left, migrations, progress),
            digests(right, migrations, progress)
        )?;
        warnings.extend([first, second].into_iter().flatten());
        let table = |(table, (left, right)): (
            &'static rune_storage::schema::Table,
            (TableDigest, TableDigest),
        )| TableComparison {
            table: table.name,
            is_equal: left == right,
            left,
            right,
            rows: None,
        };
        TABLES
            .iter()
            .zip(left.into_iter().zip(right))
            .map(table)
            .collect()
    };
    progress.end();
    Ok(Comparison {
        is_equal: tables.iter().all(|table: &TableComparison| table.is_equal),
        tables,
        warnings,
    })
}

async fn digests(
    side: Side,
    migrations: &Migrations,
    progress: &Arc<dyn Progress>,
) -> Result<(Vec<TableDigest>, Option<String>), TransferError> {
    match side {
        Side::File(file) => {
            let progress = Arc::clone(progress);
            let reading = spawn_blocking(move || {
                TABLES
                    .iter()
                    .map(|table| file_digest::table_digest(&file, table, progress.as_ref()))
                    .collect::<Result<Vec<_>, _>>()
            });
            Ok((reading.await.map_err(|_| TransferError::Lost)??, None))
        }
        Side::Server(url) => {
            let location = url.to_string();
            let read = async |server: &ServerTables<'_>| {
                server.check_site(Verb::Read).await?;
                server.check_is_rune(migrations, &location)?;
                let mut digests = Vec::new();
                for table in TABLES {
                    digests.push(server_digest::table_digest(server, table).await?);
                }
                let unknown = server.check_is_known(migrations, &location).err();
                Ok((
                    digests,
                    unknown.map(|error| format!("{error}; that was not compared")),
                ))
            };
            with_session(&url, async |client| in_snapshot(client, None, read).await).await
        }
    }
}

/// Walks through both sides' rows in the order of their keys.
async fn merge(
    mut left: Reading,
    mut right: Reading,
) -> Result<Vec<TableComparison>, TransferError> {
    let mut tables = Vec::new();
    for table in TABLES {
        let mut comparison = TableComparison {
            table: table.name,
            is_equal: false,
            left: TableDigest::default(),
            right: TableDigest::default(),
            rows: None,
        };
        let mut rows = RowDifferences::default();
        let (mut one, mut other) = (left.next().await?, right.next().await?);
        loop {
            let order = match (&one, &other) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.key.cmp(&other.key),
            };
            rows.note(order, one.as_ref(), other.as_ref());
            if let (true, Some(row)) = (order.is_le(), &one) {
                comparison.left.add(&row.digest);
                one = left.next().await?;
            }
            if let (true, Some(row)) = (order.is_ge(), &other) {
                comparison.right.add(&row.digest);
                other = right.next().await?;
            }
        }
        comparison.is_equal = comparison.left == comparison.right;
        comparison.rows = Some(rows);
        tables.push(comparison);
    }
    Ok(tables)
}

impl RowDifferences {
    fn note(&mut self, order: Ordering, left: Option<&KeyedRow>, right: Option<&KeyedRow>) {
        let (count, kind, row) = match (order, left, right) {
            (Ordering::Less, Some(row), _) => (&mut self.only_left, "onlyLeft", row),
            (Ordering::Greater, _, Some(row)) => (&mut self.only_right, "onlyRight", row),
            (Ordering::Equal, Some(left), Some(right)) if left.digest != right.digest => {
                (&mut self.changed, "changed", left)
            }
            _ => return,
        };
        *count = count.saturating_add(1);
        if self.keys.len() < LISTED {
            self.keys.push(Difference {
                key: keyed::shown_key(&row.key),
                kind,
            });
        }
    }
}
