//! The check of the values on a server that a SQLite file cannot hold exactly.

use tokio_postgres::{Client, types::Type};

use super::{
    error::TransferError,
    finding::{Finding, FindingKind, shown},
    layout,
    server::ServerTables,
};
use rune_storage::{
    RawText, ServerError,
    schema::{Catalog, Column, ColumnKind, TABLES, Table},
};

/// How many rows with bytes of another encoding are looked for in a table; there may be more.
const MOST_ROWS: usize = 100;
const NAMED_KEYS: usize = 5;

/// Checks every row of every table; the server does the work.
pub(super) async fn check(server: &ServerTables<'_>) -> Result<(), TransferError> {
    let findings = in_tables(server).await?;
    if findings.is_empty() {
        Ok(())
    } else {
        Err(TransferError::CannotCarry(findings))
    }
}

/// Everything in the tables of a schema that cannot be transferred exactly, within a transaction of
/// the caller.
pub(crate) async fn findings(
    client: &Client,
    schema: &str,
    found: &Catalog,
) -> Result<Vec<Finding>, TransferError> {
    in_tables(&ServerTables {
        client,
        schema: schema.to_owned(),
        found: found.clone(),
    })
    .await
}

async fn in_tables(server: &ServerTables<'_>) -> Result<Vec<Finding>, TransferError> {
    let mut findings = Vec::new();
    let row = server
        .client
        .query_typed_one("SELECT current_setting('server_encoding') <> 'UTF8'", &[])
        .await?;
    let may_have_other_bytes: bool = row.try_get(0)?;
    for table in TABLES.iter().filter(|table| server.has(table)) {
        if may_have_other_bytes {
            findings.extend(other_bytes(server, table).await?);
        }
        let suspects: Vec<(&Column, FindingKind, String)> =
            table.columns.iter().flat_map(suspects).collect();
        if suspects.is_empty() {
            continue;
        }
        let counts: Vec<String> = suspects
            .iter()
            .map(|(_, _, condition)| format!("count(*) FILTER (WHERE {condition})"))
            .collect();
        let sql = format!("SELECT {} FROM {}", counts.join(", "), server.name(table));
        let row = server.client.query_typed_one(&sql, &[]).await?;
        for (position, (column, kind, condition)) in suspects.iter().enumerate() {
            let count = u64::try_from(row.try_get::<_, i64>(position)?).unwrap_or(0);
            if count > 0 {
                let keys = keys(server, table, &format!("{condition} LIMIT {NAMED_KEYS}")).await?;
                findings.push(Finding {
                    table: table.name,
                    column: column.name,
                    kind: *kind,
                    count,
                    keys,
                });
            }
        }
    }
    Ok(findings)
}

/// What could be wrong with a column, in SQL.
fn suspects(column: &'static Column) -> Vec<(&'static Column, FindingKind, String)> {
    let name = column.name;
    match column.kind {
        ColumnKind::Float => vec![
            (column, FindingKind::NotANumber, format!("{name} = 'NaN'")),
            (
                column,
                FindingKind::NegativeZero,
                format!("float8send({name}::float8) = '\\x8000000000000000'::bytea"),
            ),
        ],
        ColumnKind::Bytes => vec![(
            column,
            FindingKind::TooLarge,
            format!("octet_length({name}) > 500000000"),
        )],
        ColumnKind::Text | ColumnKind::Id | ColumnKind::Integer => Vec::new(),
    }
}

/// The keys of rows as bytes, which need no encoding, with marks for what is not UTF-8.
async fn keys(
    server: &ServerTables<'_>,
    table: &Table,
    condition: &str,
) -> Result<Vec<String>, TransferError> {
    let key: Vec<String> = layout::key(table)
        .iter()
        .map(|column| format!("{}::text", column.name))
        .collect();
    let bytes = format!(
        "convert_to(concat_ws('/', {}), current_setting('server_encoding'))",
        key.join(", ")
    );
    let sql = format!(
        "SELECT {bytes} FROM {} WHERE {condition}",
        server.name(table)
    );
    let rows = server.client.query_typed(&sql, &[]).await?;
    rows.iter()
        .map(|row| Ok(shown(&RawText(row.try_get(0)?).lossy())))
        .collect()
}

/// The texts of a table that are not UTF-8, or have no like in it: databases of other encodings
/// hold what a client sent. The server only says that there is one, so rows are halved until it is
/// found.
async fn other_bytes(
    server: &ServerTables<'_>,
    table: &'static Table,
) -> Result<Vec<Finding>, TransferError> {
    let columns: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| column.kind == ColumnKind::Text)
        .collect();
    if is_convertible(server, table, &columns, None).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT ctid::text FROM {}", server.name(table));
    let rows = server.client.query_typed(&sql, &[]).await?;
    let places = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<String>, _>>()?;
    let mut findings: Vec<Finding> = Vec::new();
    let mut found = 0;
    let mut pending = vec![places.as_slice()];
    while let Some(places) = pending.pop().filter(|_| found < MOST_ROWS) {
        if is_convertible(server, table, &columns, Some(places)).await? {
            continue;
        }
        if let [place] = places {
            found += 1;
            for column in &columns {
                if !is_convertible(server, table, &[column], Some(places)).await? {
                    note(
                        &mut findings,
                        table,
                        column,
                        keys(server, table, &format!("ctid = '{place}'::tid")).await?,
                    );
                }
            }
            continue;
        }
        let (first, second) = places.split_at(places.len() / 2);
        pending.extend([second, first]);
    }
    Ok(findings)
}

fn note(findings: &mut Vec<Finding>, table: &'static Table, column: &Column, keys: Vec<String>) {
    let kind = FindingKind::InvalidUtf8;
    if let Some(finding) = findings
        .iter_mut()
        .find(|finding| finding.column == column.name)
    {
        finding.count = finding.count.saturating_add(1);
        finding.keys.extend(keys);
        finding.keys.truncate(NAMED_KEYS);
    } else {
        findings.push(Finding {
            table: table.name,
            column: column.name,
            kind,
            count: 1,
            keys,
        });
    }
}

/// Whether the texts of some rows, or of all, can be had as UTF-8.
async fn is_convertible(
    server: &ServerTables<'_>,
    table: &Table,
    columns: &[&Column],
    places: Option<&[String]>,
) -> Result<bool, TransferError> {
    let counts: Vec<String> = columns
        .iter()
        .map(|column| format!("count(convert_to({}, 'UTF8'))", column.name))
        .collect();
    let condition = if places.is_some() {
        " WHERE ctid = ANY($1::text[]::tid[])"
    } else {
        ""
    };
    let sql = format!(
        "SELECT {} FROM {}{condition}",
        counts.join(", "),
        server.name(table)
    );
    let places = places.unwrap_or_default();
    let parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = if condition.is_empty()
    {
        &[]
    } else {
        &[(&places, Type::TEXT_ARRAY)]
    };
    server.client.batch_execute("SAVEPOINT encoding").await?;
    let outcome = server.client.query_typed(&sql, parameters).await;
    server
        .client
        .batch_execute("ROLLBACK TO SAVEPOINT encoding; RELEASE SAVEPOINT encoding")
        .await?;
    match outcome.map_err(ServerError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_of_encoding() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
