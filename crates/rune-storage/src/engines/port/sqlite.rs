//! The port on SQLite.
//!
//! One connection per thread that is at work, a few kept for the next. Writers of this process
//! queue up before SQLite is asked, and SQLite's own lock (`BEGIN IMMEDIATE`, with its busy
//! timeout) decides between processes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, types::ToSqlOutput, types::ValueRef};

use super::{
    error::StoreError,
    guard::Guard,
    session::{Cell, Engine, PieceSink, Purpose, Row, Session, Value},
    store::{Clock, Store},
};
use crate::{
    LOCK_TIMEOUT, SqliteError, adopt_log, open_existing, open_for_looking, retry_while_busy,
};

const MAX_IDLE: usize = 10;
/// How much of an artifact's content is in memory at a time.
const PIECE_BYTES: usize = 1 << 20;

/// RUNE's database in SQLite.
pub type SqliteStore = Store<SqliteEngine>;

/// SQLite as an engine of the port.
#[derive(Debug)]
pub struct SqliteEngine {
    path: Utf8PathBuf,
    connections: Connections,
    writer: Mutex<()>,
}

#[derive(Debug)]
enum Connections {
    /// The only one there can be: the database is in its memory.
    One(Mutex<Option<Connection>>),
    /// Connections to a file; nothing after it was closed.
    Many {
        idle: Mutex<Option<Vec<Connection>>>,
        is_read_only: bool,
    },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteStore {
    /// Opens an existing file, which is never made here.
    ///
    /// # Errors
    /// When it is missing, is not a SQLite database, or not one that the port knows.
    pub fn open(path: &Utf8Path, clock: Clock, guard: Arc<dyn Guard>) -> Result<Self, StoreError> {
        Self::on_file(path, open_existing(path)?, false, clock, guard)
    }

    /// Opens an existing file for reading; every operation that writes fails.
    ///
    /// # Errors
    /// When it is missing, is not a SQLite database, or not one that the port knows.
    pub fn open_for_looking(
        path: &Utf8Path,
        clock: Clock,
        guard: Arc<dyn Guard>,
    ) -> Result<Self, StoreError> {
        Self::on_file(
            path,
            open_for_looking(path, LOCK_TIMEOUT)?,
            true,
            clock,
            guard,
        )
    }

    fn on_file(
        path: &Utf8Path,
        connection: Connection,
        is_read_only: bool,
        clock: Clock,
        guard: Arc<dyn Guard>,
    ) -> Result<Self, StoreError> {
        let connections = Connections::Many {
            idle: Mutex::new(Some(vec![connection])),
            is_read_only,
        };
        Self::over(
            SqliteEngine {
                path: path.to_owned(),
                connections,
                writer: Mutex::new(()),
            },
            clock,
            guard,
        )
    }

    /// Makes a database in memory; `prepare` makes its tables, because the port makes none.
    ///
    /// # Errors
    /// When SQLite fails, `prepare` does, or it does not make the tables that the port knows.
    pub fn in_memory<E: From<StoreError>>(
        clock: Clock,
        guard: Arc<dyn Guard>,
        prepare: impl FnOnce(&Connection) -> Result<(), E>,
    ) -> Result<Self, E> {
        let path = Utf8Path::new(":memory:");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_in_memory_with_flags(flags)
            .map_err(SqliteError::on(path))
            .map_err(StoreError::from)?;
        prepare(&connection)?;
        let connections = Connections::One(Mutex::new(Some(connection)));
        Ok(Self::over(
            SqliteEngine {
                path: path.to_owned(),
                connections,
                writer: Mutex::new(()),
            },
            clock,
            guard,
        )?)
    }
}

impl SqliteEngine {
    /// Gives a connection to somebody, and keeps it afterwards.
    fn with_connection<T>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (idle, is_read_only) = match &self.connections {
            Connections::One(connection) => {
                return act(lock(connection).as_ref().ok_or(StoreError::Closed)?);
            }
            Connections::Many { idle, is_read_only } => (idle, *is_read_only),
        };
        let kept = lock(idle).as_mut().ok_or(StoreError::Closed)?.pop();
        let connection = match kept {
            Some(connection) => connection,
            None if is_read_only => open_for_looking(&self.path, LOCK_TIMEOUT)?,
            None => open_existing(&self.path)?,
        };
        let outcome = act(&connection);
        if let Some(idle) = lock(idle).as_mut()
            && idle.len() < MAX_IDLE
        {
            idle.push(connection);
        }
        outcome
    }

    fn said(&self, error: rusqlite::Error) -> StoreError {
        if let rusqlite::Error::SqliteFailure(failure, Some(text)) = &error
            && failure.code == ErrorCode::Unknown
            && text.starts_with("no such table")
        {
            return StoreError::NotMigrated(text.clone());
        }
        SqliteError::on(&*self.path)(error).into()
    }
}

impl Engine for SqliteEngine {
    fn transaction<T>(
        &self,
        purpose: Purpose,
        guard: &dyn Guard,
        act: &mut dyn FnMut(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _turn = (purpose != Purpose::Reading).then(|| lock(&self.writer));
        self.with_connection(|connection| {
            let run = |sql: &str| {
                retry_while_busy(connection, || connection.execute_batch(sql))
                    .map_err(|error| self.said(error))
            };
            if !connection.is_autocommit() {
                // Somebody panicked in the middle.
                run("ROLLBACK")?;
            }
            run(if purpose == Purpose::Reading {
                "BEGIN"
            } else {
                "BEGIN IMMEDIATE"
            })?;
            let before = connection.total_changes();
            let mut within = || {
                let reached = guard.check_file(connection, &self.path)?;
                act(&mut SqliteSession {
                    connection,
                    engine: self,
                    reached,
                })
            };
            let outcome = within().and_then(|value| {
                run("COMMIT")?;
                if connection.total_changes() > before {
                    adopt_log(connection, &self.path)?;
                }
                Ok(value)
            });
            if outcome.is_err() && !connection.is_autocommit() {
                let _ = run("ROLLBACK");
            }
            outcome
        })
    }

    fn missing_table(
        session: &mut dyn Session,
        tables: &[&'static str],
    ) -> Result<Option<&'static str>, StoreError> {
        const TABLE: &str = "SELECT 1 AS found FROM sqlite_schema WHERE type IN ('table', 'view') \
                             AND lower(name) = ?1";
        for table in tables {
            if session.query(TABLE, &[Value::Text(table)])?.is_empty() {
                return Ok(Some(table));
            }
        }
        Ok(None)
    }

    fn close(&self) {
        match &self.connections {
            Connections::One(connection) => *lock(connection) = None,
            Connections::Many { idle, .. } => *lock(idle) = None,
        }
    }
}

struct SqliteSession<'a> {
    connection: &'a Connection,
    engine: &'a SqliteEngine,
    reached: Vec<String>,
}

impl Session for SqliteSession<'_> {
    fn execute(&mut self, sql: &str, parameters: &[Value<'_>]) -> Result<u64, StoreError> {
        let run = || {
            self.connection
                .prepare_cached(sql)?
                .execute(rusqlite::params_from_iter(parameters))
        };
        let count = run().map_err(|error| self.engine.said(error))?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn query(&mut self, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| {
                let cells = names
                    .iter()
                    .enumerate()
                    .map(|(index, name)| Ok((name.clone(), cell(row.get_ref(index)?))));
                Ok(Row {
                    cells: cells.collect::<rusqlite::Result<_>>()?,
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<Row>>>()
        };
        run().map_err(|error| self.engine.said(error))
    }

    fn reached(&self) -> &[String] {
        &self.reached
    }

    fn read_content(&mut self, artifact_id: &str, sink: PieceSink<'_>) -> Result<(), StoreError> {
        use std::io::Read as _;
        const ROW: &str =
            "SELECT rowid, typeof(content) FROM audit_artifact WHERE artifact_id = ?1";
        let said = |error| self.engine.said(error);
        let (row, kind): (i64, String) = self
            .connection
            .query_row(ROW, [artifact_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(said)?;
        // SQLite takes any type anywhere; RUNE writes bytes.
        let problem = match kind.as_str() {
            "blob" => None,
            "text" => Some("it is text, not bytes"),
            "null" => Some("it is NULL, not bytes"),
            _ => Some("it is a number, not bytes"),
        };
        if let Some(problem) = problem {
            return Err(StoreError::ArtifactDamaged {
                artifact_id: artifact_id.to_owned(),
                problem,
            });
        }
        let mut content = self
            .connection
            .blob_open("main", "audit_artifact", "content", row, true)
            .map_err(said)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = content
                .read(&mut piece)
                .map_err(|error| StoreError::Machine(format!("reading a BLOB ({error})")))?;
            match piece.get(..length) {
                None | Some([]) => return Ok(()),
                Some(bytes) => sink(bytes)?,
            }
        }
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Float(number),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_or(Cell::Other, Cell::Text),
        ValueRef::Blob(_) => Cell::Other,
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) | Self::OptionalText(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Integer(number) | Self::OptionalInteger(Some(number)) => {
                ValueRef::Integer(*number)
            }
            Self::Float(number) | Self::OptionalFloat(Some(number)) => ValueRef::Real(*number),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::OptionalText(None) | Self::OptionalInteger(None) | Self::OptionalFloat(None) => {
                ValueRef::Null
            }
        }))
    }
}
