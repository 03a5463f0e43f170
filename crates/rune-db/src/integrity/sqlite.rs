//! Checking a SQLite file, in one snapshot.

use camino::Utf8Path;
use rusqlite::{Connection, OptionalExtension as _, types::ValueRef};
use sha2::{Digest as _, Sha256};

use super::{
    ARTIFACTS, EVENTS, OF_A_JOB, can_be_read, check_is_rune,
    findings::{Ledger, Soundness},
    is_json, json_problem,
};
use crate::transfer::{Cell, RowCheck, TransferError};
use rune_core::{
    failure::{Failure as _, FailureKind},
    progress::Progress,
};
use rune_storage::{
    SqliteError,
    migrations::{Dialect, Migrations},
    retry_while_busy,
    schema::{Assessment, Catalog, Column, ColumnKind, Need, TABLES, Table, on_sqlite},
};

const CHUNK_BYTES: usize = 256 << 10;

/// Damage that SQLite can read around is a finding; what is not a database of RUNE is an error.
pub(crate) fn check_file(
    connection: &Connection,
    path: &Utf8Path,
    migrations: &Migrations,
    progress: &dyn Progress,
) -> Result<Soundness, TransferError> {
    let transaction = connection
        .unchecked_transaction()
        .map_err(SqliteError::on(path))?;
    // The first read takes the snapshot, so it can be tried again.
    let found = retry_while_busy(connection, || on_sqlite::read(connection))
        .map_err(SqliteError::on(path))?;
    check_is_rune(&found, path.as_str())?;
    let mut ledger = Ledger::default();
    ledger.schema(
        &Assessment::of(&found, migrations, Dialect::Sqlite),
        Dialect::Sqlite,
    );
    let site = on_sqlite::look_around(connection).map_err(SqliteError::on(path))?;
    ledger.site(&site);
    let file = File {
        connection,
        progress,
    };
    // A view or a virtual table may give anything, and has no rows of its own. That it is one is a
    // finding.
    let mut found = found;
    found.tables.retain(|table, _| !site.is_replaced(table));
    let checks = [
        File::whole,
        File::pages,
        File::rows,
        File::ids,
        File::orphans,
    ];
    for check in checks {
        match check(&file, &found, &mut ledger).map_err(SqliteError::on(path)) {
            Ok(()) => {}
            // A page that cannot be read stops one check, not all of them.
            Err(error) if error.kind() == FailureKind::Input => ledger.whole(
                &format!("cannot be read to the end: {}", error.source),
                None,
            ),
            Err(error) => return Err(error.into()),
        }
    }
    drop(transaction);
    Ok(ledger.finish())
}

struct File<'a> {
    connection: &'a Connection,
    progress: &'a dyn Progress,
}

impl File<'_> {
    /// What is true of the file as a whole and keeps it from being transferred.
    fn whole(&self, found: &Catalog, ledger: &mut Ledger) -> rusqlite::Result<()> {
        const OTHERS: &str = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND \
                              name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let encoding: String = self
            .connection
            .query_row("PRAGMA encoding", [], |row| row.get(0))?;
        if encoding != "UTF-8" {
            ledger.whole(
                &format!("the file holds its texts as {encoding}, and RUNE's files as UTF-8"),
                None,
            );
        }
        let mut statement = self.connection.prepare(OTHERS)?;
        let names = statement
            .query_map([], |row| Ok(lossy(row.get_ref(0)?)))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        let others: Vec<String> = names
            .into_iter()
            .filter(|name| {
                !found
                    .tables
                    .keys()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
            .collect();
        if !others.is_empty() {
            ledger.note(format!(
                "tables that are not RUNE's, which `rune-db migrate-to-postgres` refuses: {}",
                others.join(", ")
            ));
        }
        Ok(())
    }

    /// What SQLite itself finds: pages, order, indexes that lack rows.
    fn pages(&self, _found: &Catalog, ledger: &mut Ledger) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check(100)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let said: String = row.get(0)?;
            if said != "ok" {
                ledger.whole(&format!("SQLite says: {said}"), None);
            }
        }
        Ok(())
    }

    /// The type of every cell, every JSON text, every artifact.
    fn rows(&self, found: &Catalog, ledger: &mut Ledger) -> rusqlite::Result<()> {
        for table in TABLES.iter().filter(|table| can_be_read(table, found)) {
            let columns: Vec<&Column> = table
                .columns
                .iter()
                .filter(|column| column.kind != ColumnKind::Bytes)
                .collect();
            let names = columns
                .iter()
                .map(|column| column.name)
                .collect::<Vec<_>>()
                .join(", ");
            let mut statement = self.connection.prepare(&format!(
                "SELECT {}, {names} FROM {}",
                key(table),
                table.name
            ))?;
            let mut rows = statement.query([])?;
            let mut count = 0_u64;
            while let Some(row) = rows.next()? {
                count = count.saturating_add(1);
                let mut check = RowCheck::of(table);
                for (index, column) in columns.iter().enumerate() {
                    let value = row.get_ref(index + 1)?;
                    let refused = check
                        .cell(column, Cell::from(value))
                        .into_iter()
                        .flatten()
                        .map(|kind| format!("holds {}", kind.text()));
                    // What is wrong by itself is said in its own words; what a move would refuse
                    // beside that, in the move's.
                    let problems = cell_problem(column, value)
                        .map_or_else(|| refused.collect(), |problem| vec![problem]);
                    for problem in problems {
                        ledger.row(&problem, table.name, column.name, &lossy(row.get_ref(0)?));
                    }
                }
            }
            ledger.table(table.name, count);
            if table.name == ARTIFACTS {
                self.artifacts(table, ledger)?;
            }
        }
        Ok(())
    }

    fn artifacts(&self, table: &'static Table, ledger: &mut Ledger) -> rusqlite::Result<()> {
        let bytes: i64 = self.connection.query_row(
            "SELECT coalesce(sum(length(content)), 0) FROM audit_artifact",
            [],
            |row| row.get(0),
        )?;
        self.progress
            .begin("artifacts", u64::try_from(bytes).unwrap_or_default());
        let columns = "rowid, CAST(coalesce(artifact_id, 'NULL') AS TEXT), typeof(content), \
                       CAST(size_bytes AS INTEGER), CAST(sha256 AS TEXT)";
        let mut statement = self
            .connection
            .prepare(&format!("SELECT {columns} FROM audit_artifact"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (rowid, id, kind): (i64, String, String) =
                (row.get(0)?, lossy(row.get_ref(1)?), row.get(2)?);
            if kind != "blob" {
                ledger.row(
                    &format!("holds {kind}, not bytes"),
                    ARTIFACTS,
                    "content",
                    &id,
                );
                continue;
            }
            let (length, hash) = self.artifact(rowid)?;
            let content = Cell::Large {
                is_blob: true,
                bytes: length as u64,
            };
            let column = table
                .columns
                .iter()
                .find(|column| column.kind == ColumnKind::Bytes);
            for kind in column
                .into_iter()
                .flat_map(|column| RowCheck::of(table).cell(column, content))
                .flatten()
            {
                ledger.row(&format!("holds {}", kind.text()), ARTIFACTS, "content", &id);
            }
            if row.get::<_, Option<i64>>(3)? != i64::try_from(length).ok() {
                ledger.row(
                    "is not the size of the content",
                    ARTIFACTS,
                    "size_bytes",
                    &id,
                );
            }
            if lossy(row.get_ref(4)?) != hash {
                ledger.row("is not the hash of the content", ARTIFACTS, "sha256", &id);
            }
        }
        self.progress.end();
        Ok(())
    }

    fn artifact(&self, rowid: i64) -> rusqlite::Result<(usize, String)> {
        let blob = self
            .connection
            .blob_open("main", ARTIFACTS, "content", rowid, true)?;
        let mut buffer = vec![0; CHUNK_BYTES.min(blob.len())];
        let (mut hasher, mut offset) = (Sha256::new(), 0);
        while offset < blob.len() {
            let read = blob.read_at(&mut buffer, offset)?;
            hasher.update(buffer.get(..read).unwrap_or_default());
            offset += read;
            self.progress
                .advance(u64::try_from(read).unwrap_or_default());
            if read == 0 {
                break;
            }
        }
        let hash = hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok((blob.len(), hash))
    }

    /// The next event must get an id above all others: readers ask for what came after an id.
    fn ids(&self, found: &Catalog, ledger: &mut Ledger) -> rusqlite::Result<()> {
        const IS_AUTOMATIC: &str = "SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_schema WHERE \
                                    type = 'table' AND name = 'workflow_events'";
        const IS_BEHIND: &str = "SELECT coalesce((SELECT max(id) FROM workflow_events), 0)
            > coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'workflow_events'), 0)";
        const IS_AT_END: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = \
                                 'workflow_events' AND seq = 9223372036854775807)";
        if !found.tables.contains_key(EVENTS) {
            return Ok(());
        }
        if self
            .connection
            .query_row(IS_AUTOMATIC, [], |row| row.get::<_, bool>(0))
            .optional()?
            != Some(true)
        {
            ledger.whole(
                "gives out ids of removed events again (no AUTOINCREMENT)",
                Some(EVENTS),
            );
            return Ok(());
        }
        if self.connection.query_row(IS_BEHIND, [], |row| row.get(0))? {
            ledger.whole("`sqlite_sequence` is behind the highest id", Some(EVENTS));
        }
        if self.connection.query_row(IS_AT_END, [], |row| row.get(0))? {
            ledger.whole("has given out the last id that there is", Some(EVENTS));
        }
        Ok(())
    }

    fn orphans(&self, found: &Catalog, ledger: &mut Ledger) -> rusqlite::Result<()> {
        let readable = |name: &str| {
            TABLES
                .iter()
                .find(|table| table.name == name)
                .filter(|table| can_be_read(table, found))
        };
        if readable("jobs").is_none() {
            return Ok(());
        }
        for table in OF_A_JOB.iter().filter_map(|name| readable(name)) {
            let sql = format!(
                "SELECT {} FROM {} AS one WHERE job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM \
                 jobs j WHERE j.job_id = one.job_id)",
                key(table),
                table.name
            );
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                ledger.orphan(table.name, &lossy(row.get_ref(0)?));
            }
        }
        Ok(())
    }
}

/// A text as it is shown, whatever its bytes.
fn lossy(value: ValueRef<'_>) -> String {
    value
        .as_bytes_or_null()
        .ok()
        .flatten()
        .map_or_else(String::new, |bytes| {
            String::from_utf8_lossy(bytes).into_owned()
        })
}

/// What is wrong with a cell, if anything: SQLite takes any type anywhere.
fn cell_problem(column: &Column, cell: ValueRef<'_>) -> Option<String> {
    let expected = match column.kind {
        ColumnKind::Text => "text",
        ColumnKind::Float => "a number",
        ColumnKind::Id | ColumnKind::Integer => "a whole number",
        ColumnKind::Bytes => "bytes",
    };
    let found = match (cell, column.kind) {
        (ValueRef::Null, _) if column.need == Need::Optional => return None,
        (ValueRef::Text(bytes), ColumnKind::Text) => {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return Some("holds text that is not UTF-8".to_owned());
            };
            return if is_json(column) {
                json_problem(column, text)
            } else {
                None
            };
        }
        (ValueRef::Real(_) | ValueRef::Integer(_), ColumnKind::Float)
        | (ValueRef::Integer(_), ColumnKind::Id | ColumnKind::Integer) => {
            return None;
        }
        (ValueRef::Null, _) => "NULL",
        (ValueRef::Text(_), _) => "text",
        (ValueRef::Real(_), _) => "a fraction",
        (ValueRef::Integer(_), _) => "a whole number",
        (ValueRef::Blob(_), _) => "bytes",
    };
    Some(format!("holds {found}, not {expected}"))
}

fn key(table: &Table) -> String {
    let columns: Vec<String> = table
        .key()
        .map(|column| format!("coalesce(CAST({} AS TEXT), 'NULL')", column.name))
        .collect();
    columns.join(" || ', ' || ")
}
