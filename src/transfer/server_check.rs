//! The look at the values on a server that a SQLite file cannot hold exactly.

use super::{
    error::TransferError,
    finding::{Finding, FindingKind, shown},
    layout,
    server::ServerTables,
};
use crate::schema::{Column, ColumnKind, TABLES, Table};

/// Looks at every row of every table; the server does the looking.
///
/// # Errors
/// When something cannot be carried exactly, with everything that was found.
pub(super) async fn check(server: &ServerTables<'_>) -> Result<(), TransferError> {
    let mut findings = Vec::new();
    for table in TABLES.iter().filter(|table| server.has(table)) {
        let suspects: Vec<(&Column, FindingKind, String)> = table.columns.iter().flat_map(suspects).collect();
        if suspects.is_empty() {
            continue;
        }
        let counts: Vec<String> = suspects.iter().map(|(_, _, condition)| format!("count(*) FILTER (WHERE {condition})")).collect();
        let sql = format!("SELECT {} FROM {}", counts.join(", "), server.name(table));
        let row = server.client.query_typed_one(&sql, &[]).await?;
        for (position, (column, kind, condition)) in suspects.iter().enumerate() {
            let count = u64::try_from(row.try_get::<_, i64>(position)?).unwrap_or(0);
            if count > 0 {
                let keys = keys(server, table, condition).await?;
                findings.push(Finding { table: table.name, column: column.name, kind: *kind, count, keys });
            }
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(TransferError::CannotCarry(findings)) }
}

/// What could be wrong with a column, in SQL.
fn suspects(column: &'static Column) -> Vec<(&'static Column, FindingKind, String)> {
    let name = column.name;
    match column.kind {
        ColumnKind::Float => vec![
            (column, FindingKind::NotANumber, format!("{name} = 'NaN'")),
            (column, FindingKind::NegativeZero, format!("float8send({name}::float8) = '\\x8000000000000000'::bytea")),
        ],
        ColumnKind::Bytes => vec![(column, FindingKind::TooLarge, format!("octet_length({name}) > 500000000"))],
        ColumnKind::Text | ColumnKind::Id | ColumnKind::Integer => Vec::new(),
    }
}

async fn keys(server: &ServerTables<'_>, table: &Table, condition: &str) -> Result<Vec<String>, TransferError> {
    let key: Vec<String> = layout::key(table).iter().map(|column| format!("{}::text", column.name)).collect();
    let sql = format!("SELECT concat_ws('/', {}) FROM {} WHERE {condition} LIMIT 5", key.join(", "), server.name(table));
    let rows = server.client.query_typed(&sql, &[]).await?;
    rows.iter().map(|row| Ok(shown(row.try_get(0)?))).collect()
}
