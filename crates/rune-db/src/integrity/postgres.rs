//! Checking a PostgreSQL database, in one snapshot.

use std::borrow::Cow;

use futures_util::{TryStreamExt as _, pin_mut};
use tokio_postgres::{Client, Row, types::Type};

use super::{
    ARTIFACTS, EVENTS, OF_A_JOB, can_be_read, check_is_rune, findings::Ledger, findings::Soundness,
    is_json, json_problem,
};
use crate::transfer::{self, TransferError};
use rune_core::progress::Progress;
use rune_storage::{
    ServerError,
    migrations::{Dialect, Migrations},
    roll_back,
    schema::{Assessment, Catalog, Column, TABLES, Table, on_postgres, quoted},
};

pub(crate) async fn check_server(
    client: &Client,
    location: &str,
    migrations: &Migrations,
    progress: &dyn Progress,
) -> Result<Soundness, TransferError> {
    let (schema, found) = on_postgres::begin_snapshot(client, None).await?;
    let outcome = check(client, location, (&schema, &found), migrations, progress).await;
    roll_back(client).await;
    outcome
}

async fn check(
    client: &Client,
    location: &str,
    (schema, found): (&str, &Catalog),
    migrations: &Migrations,
    progress: &dyn Progress,
) -> Result<Soundness, TransferError> {
    check_is_rune(found, location)?;
    let mut ledger = Ledger::default();
    let assessment = Assessment::of(found, migrations, Dialect::Postgres);
    ledger.schema(&assessment, Dialect::Postgres);
    // A column of a type that RUNE never uses is a finding; the rows of the other tables are read
    // all the same.
    let mut found = found.clone();
    found.tables.retain(|table, _| {
        !assessment
            .drift
            .iter()
            .any(|drift| drift.is_unreadable() && drift.table == table)
    });
    let found = &found;
    ledger.site(&on_postgres::look_around(client).await?);
    let place = Place {
        client,
        schema: quoted(schema),
    };
    let readable = |name: &str| {
        TABLES
            .iter()
            .any(|table| table.name == name && can_be_read(table, found))
    };
    for table in TABLES.iter().filter(|table| readable(table.name)) {
        let rows = place
            .number(&format!("SELECT count(*) FROM {}", place.table(table.name)))
            .await?;
        ledger.table(table.name, u64::try_from(rows).unwrap_or_default());
        if table.columns.iter().any(is_json) {
            place.texts(table, &mut ledger).await?;
        }
        if OF_A_JOB.contains(&table.name) && readable("jobs") {
            place.orphans(table, &mut ledger).await?;
        }
    }
    for finding in transfer::server_findings(client, schema, found).await? {
        ledger.carried(&finding);
    }
    if readable(EVENTS) {
        let ids = on_postgres::IdSource::read(client, schema).await?;
        for problem in ids.problems() {
            ledger.whole(&problem, Some(EVENTS));
        }
        if let Some(sequence) = ids.sequence().filter(|_| ids.is_behind()) {
            let name = &sequence.name;
            ledger.whole(
                &format!(
                    "the sequence {name} would give out an id that is in use already, or a lower \
                     one"
                ),
                Some(EVENTS),
            );
        }
    }
    if readable(ARTIFACTS) {
        place.artifacts(progress, &mut ledger).await?;
    }
    Ok(ledger.finish())
}

struct Place<'a> {
    client: &'a Client,
    schema: String,
}

impl Place<'_> {
    fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.schema)
    }

    async fn number(&self, sql: &str) -> Result<i64, ServerError> {
        Ok(self.client.query_typed_one(sql, &[]).await?.try_get(0)?)
    }

    async fn each(
        &self,
        sql: &str,
        mut act: impl FnMut(&Row) -> Result<(), tokio_postgres::Error>,
    ) -> Result<(), ServerError> {
        let rows = self
            .client
            .query_typed_raw(sql, std::iter::empty::<(&str, Type)>())
            .await?;
        pin_mut!(rows);
        while let Some(row) = rows.try_next().await? {
            act(&row)?;
        }
        Ok(())
    }

    async fn texts(&self, table: &'static Table, ledger: &mut Ledger) -> Result<(), ServerError> {
        let columns: Vec<&Column> = table
            .columns
            .iter()
            .filter(|column| is_json(column))
            .collect();
        let names = columns
            .iter()
            .map(|column| bytes_of(column.name))
            .collect::<Vec<_>>()
            .join(", ");
        let sql = format!(
            "SELECT {}, {names} FROM {}",
            key(table),
            self.table(table.name)
        );
        self.each(&sql, |row| {
            for (index, column) in columns.iter().enumerate() {
                let text: Option<&[u8]> = row.try_get(index + 1)?;
                if let Some(problem) =
                    text.and_then(|text| json_problem(column, &String::from_utf8_lossy(text)))
                {
                    ledger.row(&problem, table.name, column.name, &lossy(row.try_get(0)?));
                }
            }
            Ok(())
        })
        .await
    }

    async fn orphans(&self, table: &'static Table, ledger: &mut Ledger) -> Result<(), ServerError> {
        let sql = format!(
            "SELECT {} FROM {} one WHERE job_id IS NOT NULL AND NOT EXISTS (SELECT FROM {} j \
             WHERE j.job_id = one.job_id)",
            key(table),
            self.table(table.name),
            self.table("jobs"),
        );
        self.each(&sql, |row| {
            ledger.orphan(table.name, &lossy(row.try_get(0)?));
            Ok(())
        })
        .await
    }

    /// The server computes the hashes, so that no artifact comes this way.
    async fn artifacts(
        &self,
        progress: &dyn Progress,
        ledger: &mut Ledger,
    ) -> Result<(), ServerError> {
        let table = self.table(ARTIFACTS);
        let bytes = self
            .number(&format!(
                "SELECT coalesce(sum(octet_length(content)::int8), 0)::int8 FROM {table}"
            ))
            .await?;
        progress.begin("artifacts", u64::try_from(bytes).unwrap_or_default());
        let sql = format!(
            "SELECT {}, octet_length(content)::int8, size_bytes::int8, encode(sha256(content), \
             'hex') = sha256 FROM {table}",
            bytes_of("artifact_id")
        );
        let read = self.each(&sql, |row| {
            let (id, length, size): (_, i64, i64) =
                (lossy(row.try_get(0)?), row.try_get(1)?, row.try_get(2)?);
            if length != size {
                ledger.row(
                    "is not the size of the content",
                    ARTIFACTS,
                    "size_bytes",
                    &id,
                );
            }
            if !row.try_get::<_, bool>(3)? {
                ledger.row("is not the hash of the content", ARTIFACTS, "sha256", &id);
            }
            progress.advance(u64::try_from(length).unwrap_or_default());
            Ok(())
        });
        let outcome = read.await;
        progress.end();
        outcome
    }
}

/// A text as its bytes: whatever its encoding, one that has no like in UTF-8 does not hide the
/// others.
fn bytes_of(text: &str) -> String {
    format!("convert_to({text}, current_setting('server_encoding'))")
}

fn lossy(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}

/// The key of a row, as the bytes of one text.
fn key(table: &Table) -> String {
    let columns: Vec<String> = table
        .key()
        .map(|column| format!("{}::text", column.name))
        .collect();
    bytes_of(&format!("concat_ws(', ', {})", columns.join(", ")))
}
