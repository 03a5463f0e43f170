//! The schema of a SQLite file: reading it, and bringing it up to date.

use camino::Utf8Path;
use rusqlite::{Connection, params};

use super::{
    MigrateSettings, Migrated,
    assessment::Assessment,
    catalog::{Catalog, CatalogColumn, CatalogIndex, LedgerRow, Origin, RepairRow},
    error::SchemaError,
    inspection::{Inspection, Verb, look_around_file},
    shape,
};
use crate::migrations::{Dialect, Migration, Migrations};
use crate::{SqliteError, adopt_log, retry_while_busy, switch_to_wal};

const BOOKKEEPING: &str = "
    CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL);
    CREATE TABLE IF NOT EXISTS rune_db_ledger (
        version INTEGER PRIMARY KEY,
        file TEXT NOT NULL,
        sha256 TEXT,
        origin TEXT NOT NULL,
        tool TEXT NOT NULL,
        applied_at REAL NOT NULL
    );";
const RECORD: &str =
    "INSERT INTO schema_version (version, applied_at) VALUES (?1, unixepoch('now', 'subsec'))";
const NOTE: &str =
    "INSERT OR REPLACE INTO rune_db_ledger (version, file, sha256, origin, tool, applied_at)
    SELECT version, ?2, ?3, ?4, ?5, applied_at FROM schema_version WHERE version = ?1";

/// Reads what a database has, and what the site has put on RUNE's tables, as of one moment.
///
/// # Errors
/// When SQLite cannot read it.
pub fn inspect_site(
    connection: &Connection,
    path: &Utf8Path,
) -> Result<(Catalog, Inspection), SqliteError> {
    let read = || {
        let transaction = connection.unchecked_transaction()?;
        Ok((read(&transaction)?, look_around_file(&transaction)?))
    };
    retry_while_busy(connection, read).map_err(SqliteError::on(path))
}

/// Brings a database up to date, one transaction per migration, and adds each to what is done when
/// it is committed.
///
/// # Errors
/// When it must not be touched, or a migration fails; what was applied before that stays.
pub fn migrate(
    connection: &Connection,
    path: &Utf8Path,
    migrations: &Migrations,
    settings: &MigrateSettings,
    done: &mut Migrated,
) -> Result<(), SchemaError> {
    let evaluate = |found: &Catalog| -> Result<bool, SchemaError> {
        let assessment = Assessment::of(found, migrations, Dialect::Sqlite);
        assessment.check(Dialect::Sqlite, settings.is_strict)?;
        Ok(assessment.is_up_to_date())
    };
    let (found, site) = inspect_site(connection, path)?;
    if evaluate(&found)? {
        return Ok(());
    }
    // Not even its mode of logging is changed before.
    site.check(Verb::Migrate)?;
    if !switch_to_wal(connection, path)? {
        tracing::debug!("the file system does not let SQLite use write-ahead logging");
    }
    let run = |sql: &str| {
        retry_while_busy(connection, || connection.execute_batch(sql))
            .map_err(SqliteError::on(path))
    };
    loop {
        run("BEGIN IMMEDIATE")?;
        let step = step(connection, path, migrations, settings).and_then(|step| {
            run("COMMIT")?;
            adopt_log(connection, path)?;
            Ok(step)
        });
        match step {
            Ok(step) => {
                done.adopted.extend(step.adopted);
                done.applied.extend(step.applied);
                if step.is_last {
                    return Ok(());
                }
            }
            Err(error) => {
                let _ = connection.execute_batch("ROLLBACK");
                return Err(error);
            }
        }
    }
}

/// What one transaction did.
struct Step {
    adopted: Vec<u32>,
    applied: Option<u32>,
    is_last: bool,
}

/// One transaction's work: adopting what RUNE created, then the lowest pending migration.
fn step(
    connection: &Connection,
    path: &Utf8Path,
    migrations: &Migrations,
    settings: &MigrateSettings,
) -> Result<Step, SchemaError> {
    let on_path = || SqliteError::on(path);
    let found = read(connection).map_err(on_path())?;
    let assessment = Assessment::of(&found, migrations, Dialect::Sqlite);
    assessment.check(Dialect::Sqlite, settings.is_strict)?;
    if assessment.is_up_to_date() {
        return Ok(Step {
            adopted: Vec::new(),
            applied: None,
            is_last: true,
        });
    }
    look_around_file(connection)
        .map_err(on_path())?
        .check(Verb::Migrate)?;
    connection.execute_batch(BOOKKEEPING).map_err(on_path())?;
    for (table, index, column) in assessment.untended_indexes() {
        connection
            .execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS {index} ON {table} ({column})"
            ))
            .map_err(on_path())?;
    }
    let mut adopted = Vec::new();
    for table in &assessment.unrecorded {
        let Some(migration) = migrations.get(table.version) else {
            continue;
        };
        record(connection, migration, Origin::Legacy).map_err(on_path())?;
        adopted.push(table.version);
    }
    for migration in &assessment.unledgered {
        note(connection, migration, Origin::Recorded).map_err(on_path())?;
    }
    let next = assessment.pending.first();
    if let Some(migration) = next {
        apply(connection, path, migration)?;
        record(connection, migration, Origin::Applied).map_err(on_path())?;
    }
    Ok(Step {
        adopted,
        applied: next.map(|migration| migration.version()),
        is_last: assessment.pending.len() <= 1,
    })
}

fn apply(
    connection: &Connection,
    path: &Utf8Path,
    migration: &Migration,
) -> Result<(), SchemaError> {
    for statement in migration.statements(Dialect::Sqlite)? {
        connection
            .execute_batch(&statement.sql)
            .map_err(|source| SchemaError::Failed {
                version: migration.version(),
                file: migration.file().to_owned(),
                line: statement.line,
                source: Box::new(SqliteError::on(path)(source).into()),
            })?;
    }
    tracing::debug!(
        version = migration.version(),
        file = migration.file(),
        "applied"
    );
    Ok(())
}

fn record(connection: &Connection, migration: &Migration, origin: Origin) -> rusqlite::Result<()> {
    connection.execute(RECORD, [migration.version()])?;
    note(connection, migration, origin)
}

fn note(connection: &Connection, migration: &Migration, origin: Origin) -> rusqlite::Result<()> {
    let sha256 = (origin == Origin::Applied).then(|| migration.sha256().hex());
    connection.execute(
        NOTE,
        params![
            migration.version(),
            migration.file(),
            sha256,
            origin.word(),
            super::TOOL
        ],
    )?;
    Ok(())
}

/// Generated columns are columns; those that a virtual table hides are not.
const COLUMNS: &str = "SELECT name, type, \"notnull\", nullif(pk, 0) FROM pragma_table_xinfo(?1) \
                       WHERE hidden <> 1 ORDER BY cid";

/// The same as [`inspect`], within a transaction of the caller.
///
/// # Errors
/// When SQLite cannot read it.
pub fn read(connection: &Connection) -> rusqlite::Result<Catalog> {
    let mut found = Catalog::default();
    let mut objects = connection.prepare("SELECT type, name, tbl_name FROM sqlite_schema")?;
    let mut rows = objects.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        if kind == "index" {
            let mut columns = connection
                .prepare("SELECT coalesce(name, '') FROM pragma_index_info(?1) ORDER BY seqno")?;
            let columns = columns
                .query_map([&name], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            found.indexes.insert(
                name,
                CatalogIndex {
                    table: row.get(2)?,
                    columns,
                },
            );
        } else if let Some(known) = shape::names().find(|known| name.eq_ignore_ascii_case(known)) {
            found.tables.insert(known.to_owned(), Vec::new());
        }
    }
    let mut columns = connection.prepare(COLUMNS)?;
    for (table, list) in &mut found.tables {
        let column = |row: &rusqlite::Row<'_>| {
            let kind: String = row.get(1)?;
            Ok(CatalogColumn {
                name: row.get(0)?,
                stored_as: kind.clone(),
                kind,
                is_required: row.get(2)?,
                key_place: row.get(3)?,
            })
        };
        *list = columns
            .query_map([table], column)?
            .collect::<rusqlite::Result<_>>()?;
    }
    if found.has_book(shape::VERSIONS) {
        let mut versions = connection.prepare("SELECT version, applied_at FROM schema_version")?;
        found.versions = versions
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
    }
    if found.has_book(shape::LEDGER) {
        let mut ledger =
            connection.prepare("SELECT version, file, sha256, origin, tool FROM rune_db_ledger")?;
        let rows = ledger.query_map([], |row| {
            Ok((
                row.get(0)?,
                LedgerRow {
                    file: row.get(1)?,
                    sha256: row.get(2)?,
                    origin: row.get(3)?,
                    tool: row.get(4)?,
                },
            ))
        })?;
        found.ledger = rows.collect::<rusqlite::Result<_>>()?;
    }
    if found.has_book(shape::REPAIRS) {
        let sql = "SELECT subject, was, became, rows, tool, repaired_at FROM rune_db_repairs \
                   ORDER BY number";
        let mut repairs = connection.prepare(sql)?;
        let rows = repairs.query_map([], |row| {
            let (subject, was, became, rows) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(RepairRow {
                subject,
                was,
                became,
                rows,
                tool: row.get(4)?,
                repaired_at: row.get(5)?,
            })
        })?;
        found.repairs = rows.collect::<rusqlite::Result<_>>()?;
    }
    Ok(found)
}
