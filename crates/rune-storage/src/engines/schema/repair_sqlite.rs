//! Repairs of SQLite files: indexes. Types of columns are advice there, and lose nothing.

use camino::Utf8Path;
use rusqlite::{Connection, params};

use super::{
    assessment::Assessment,
    error::SchemaError,
    inspection::{Verb, look_around_file},
    repair::{Plan, RepairError, Repaired},
    sqlite::read,
};
use crate::migrations::{Dialect, Migrations};
use crate::{SqliteError, adopt_log, retry_while_busy};

const LOG: &str = "CREATE TABLE IF NOT EXISTS rune_db_repairs (
        number INTEGER PRIMARY KEY,
        subject TEXT NOT NULL,
        was TEXT NOT NULL,
        became TEXT NOT NULL,
        rows INTEGER,
        tool TEXT NOT NULL,
        repaired_at REAL NOT NULL
    )";
const NOTE: &str = "INSERT INTO rune_db_repairs (subject, was, became, rows, tool, repaired_at)
    VALUES (?1, ?2, ?3, ?4, ?5, unixepoch('now', 'subsec'))";

/// Repairs a file in one transaction, or says what would be repaired.
///
/// # Errors
/// When it must not be touched, stays locked, or is not right afterwards; then everything is as it
/// was.
pub fn repair(
    connection: &Connection,
    path: &Utf8Path,
    migrations: &Migrations,
    is_dry_run: bool,
) -> Result<Repaired, RepairError> {
    let begin = if is_dry_run {
        "BEGIN"
    } else {
        "BEGIN IMMEDIATE"
    };
    let run = |sql: &str| {
        retry_while_busy(connection, || connection.execute_batch(sql))
            .map_err(SqliteError::on(path))
    };
    run(begin)?;
    let outcome = within(connection, path, migrations, is_dry_run).and_then(|repaired| {
        run("COMMIT")?;
        if !is_dry_run && !repaired.repairs.is_empty() {
            adopt_log(connection, path)?;
        }
        Ok(repaired)
    });
    if outcome.is_err() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    outcome
}

fn within(
    connection: &Connection,
    path: &Utf8Path,
    migrations: &Migrations,
    is_dry_run: bool,
) -> Result<Repaired, RepairError> {
    let on_path = || SqliteError::on(path);
    let found = read(connection).map_err(on_path())?;
    let assessment = Assessment::of(&found, migrations, Dialect::Sqlite);
    assessment.check(Dialect::Sqlite, false)?;
    let site = look_around_file(connection).map_err(on_path())?;
    site.check(Verb::Repair).map_err(SchemaError::from)?;
    let plan = Plan::of(&assessment, Dialect::Sqlite);
    let repairs: Vec<_> = plan.index_repairs().collect();
    if !is_dry_run && !repairs.is_empty() {
        for (table, index, column, found) in &plan.indexes {
            let drop = if found.is_some() {
                format!("DROP INDEX {index};")
            } else {
                String::new()
            };
            connection
                .execute_batch(&format!(
                    "{drop} CREATE INDEX {index} ON {table} ({column})"
                ))
                .map_err(on_path())?;
        }
        let after = read(connection).map_err(on_path())?;
        if let Some(subject) = plan.unrepaired(&Assessment::of(&after, migrations, Dialect::Sqlite))
        {
            return Err(RepairError::Unrepaired(subject));
        }
        connection.execute_batch(LOG).map_err(on_path())?;
        for repair in &repairs {
            let values = params![
                repair.subject,
                repair.was,
                repair.became,
                repair.rows,
                super::TOOL
            ];
            connection.execute(NOTE, values).map_err(on_path())?;
        }
    }
    Ok(Repaired {
        repairs,
        left: plan.left,
        notes: site.notes(Verb::Repair),
    })
}
