//! The port on PostgreSQL.
//!
//! A pool of sessions on a runtime of its own; every call blocks its thread until the server has
//! answered, and so must not come from asynchronous code. Statements are unnamed: nothing stays
//! behind in a session. Time limits are those of SR-Q-007.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use deadpool::{
    Runtime as PoolRuntime,
    managed::{
        Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, TimeoutType,
    },
};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, error::SqlState, types::Type};

use super::{
    encoding::{AS_IT_IS, Encoding},
    error::StoreError,
    guard::{Guard, Reached},
    session::{Cell, Engine, PieceSink, Purpose, Row, Session, Value},
    store::{Clock, PoolLimits, Store},
};
use crate::{
    Access, ConnectError, Locking, PostgresUrl, RawText, Refusal, SeenTables, ServerError,
    begin_locked, commit,
    engines::open_session::{Canceller, OpenSession, Traffic},
    engines::postgres::open,
    for_each_piece,
};
use rune_core::interrupt::Interrupt;

/// How long taking leave of the server may take (SR-Q-033).
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

const NAMES: [&str; 7] = [
    "audit_artifact",
    "chain_state",
    "idempotency_keys",
    "jobs",
    "schema_version",
    "settings",
    "workflow_events",
];

/// RUNE's database on a PostgreSQL server.
pub type PostgresStore = Store<PostgresEngine>;

impl PostgresStore {
    /// Connects, and opens the least number of sessions.
    ///
    /// # Errors
    /// When the server does not let us in, or the database is not one that the port knows.
    pub fn open(
        url: &PostgresUrl,
        limits: PoolLimits,
        clock: Clock,
        guard: Arc<dyn Guard>,
    ) -> Result<Self, StoreError> {
        Self::over(PostgresEngine::open(url, limits)?, clock, guard)
    }
}

/// PostgreSQL as an engine of the port.
pub struct PostgresEngine {
    pool: Pool<Sessions>,
    limits: PoolLimits,
    location: String,
    /// Whether the program was asked to end, if that is to end the work.
    interrupt: Option<Interrupt>,
    /// What the last transaction locked.
    seen: Mutex<Option<SeenTables>>,
    /// Only none while it is being dropped.
    runtime: Option<Runtime>,
}

struct Sessions {
    url: PostgresUrl,
}

struct Connected {
    client: Client,
    traffic: Traffic,
    canceller: Canceller,
    /// Whether a transaction was begun and its end not seen.
    is_in_transaction: bool,
}

impl Manager for Sessions {
    type Type = Connected;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connected, ConnectError> {
        let OpenSession {
            client,
            traffic,
            canceller,
            ..
        } = open(&self.url).await?;
        Ok(Connected {
            client,
            traffic,
            canceller,
            is_in_transaction: false,
        })
    }

    async fn recycle(&self, session: &mut Connected, _: &Metrics) -> RecycleResult<ConnectError> {
        if session.client.is_closed() || session.is_in_transaction {
            return Err(RecycleError::message("the session is broken"));
        }
        Ok(())
    }
}

impl PostgresEngine {
    fn open(url: &PostgresUrl, limits: PoolLimits) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("rune-db-store")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| StoreError::Machine(format!("threads ({error})")))?;
        let interrupt = limits
            .ends_on_signals
            .then(|| runtime.block_on(async { Interrupt::listen() }))
            .transpose();
        let interrupt =
            interrupt.map_err(|error| StoreError::Machine(format!("signals ({error})")))?;
        let sessions = Sessions { url: url.clone() };
        let pool = Pool::builder(sessions)
            .max_size(limits.max)
            .wait_timeout(Some(limits.connect_timeout))
            .create_timeout(Some(limits.connect_timeout))
            .recycle_timeout(Some(limits.connect_timeout))
            .runtime(PoolRuntime::Tokio1)
            .build()
            .map_err(|error| StoreError::Machine(error.to_string()))?;
        let engine = Self {
            pool,
            limits,
            location: url.to_string(),
            interrupt,
            seen: Mutex::new(None),
            runtime: Some(runtime),
        };
        engine.warm()?;
        engine.close_idle_sessions();
        Ok(engine)
    }

    /// Opens as many sessions as there are always to be.
    fn warm(&self) -> Result<(), StoreError> {
        self.block_on(async {
            let mut sessions = Vec::new();
            for _ in 0..self.limits.min {
                sessions.push(self.session().await?);
            }
            Ok(())
        })
    }

    /// Starts closing sessions that nobody has needed for long, down to the least number.
    fn close_idle_sessions(&self) {
        let (pool, limits) = (self.pool.weak(), self.limits);
        let watch = async move {
            loop {
                tokio::time::sleep(limits.idle_timeout / 4).await;
                let Some(pool) = pool.upgrade() else { return };
                let mut spare = pool.status().size.saturating_sub(limits.min);
                let closed = pool.retain(|_, metrics| {
                    let is_needed = spare == 0 || metrics.last_used() < limits.idle_timeout;
                    spare -= usize::from(!is_needed);
                    is_needed
                });
                drop(closed);
            }
        };
        if let Some(runtime) = &self.runtime {
            runtime.spawn(watch);
        }
    }

    fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let runtime = self.runtime.as_ref().ok_or(StoreError::Closed)?;
        let Some(interrupt) = &self.interrupt else {
            return runtime.block_on(work);
        };
        runtime.block_on(async {
            tokio::select! {
                outcome = work => outcome,
                () = interrupt.asked() => Err(StoreError::Interrupted),
            }
        })
    }

    /// Cancels what a session is doing, and takes leave of the server when it has stopped.
    fn cancel(&self, session: Object<Sessions>) {
        let Connected {
            client,
            traffic,
            canceller,
            ..
        } = Object::take(session);
        if let Some(runtime) = &self.runtime {
            runtime.block_on(async {
                canceller.send().await;
                drop(client);
                let _ = tokio::time::timeout(GOODBYE_TIMEOUT, traffic).await;
            });
        }
    }

    async fn begin(
        &self,
        client: &Client,
        purpose: Purpose,
        guard: &dyn Guard,
    ) -> Result<(Reached, Encoding), StoreError> {
        let access = match purpose {
            Purpose::Reading => Access::Reading,
            Purpose::Writing => Access::Writing,
            Purpose::Counting => Access::Counting,
        };
        // A table that the role may not use is an error of the operation that uses it.
        let statement_timeout = self.limits.statement_timeout;
        let locking = Locking {
            access,
            names: &NAMES,
            role: None,
            needs_all: false,
            statement_timeout,
        };
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let seen = begin_locked(client, &locking, seen).await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        let reached = guard.check_server(client).await?;
        if purpose != Purpose::Reading {
            // What a deferred trigger or key does is to be seen and counted too, before it is
            // committed.
            client
                .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
                .await
                .map_err(said)?;
        }
        let row = client.query_typed_one(AS_IT_IS, &[]).await.map_err(said)?;
        Ok((reached, Encoding::of(row.try_get(1).map_err(said)?)))
    }

    async fn session(&self) -> Result<Object<Sessions>, StoreError> {
        Box::pin(self.pool.get())
            .await
            .map_err(|error| self.no_session(error))
    }

    fn no_session(&self, error: PoolError<ConnectError>) -> StoreError {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Closed => StoreError::Closed,
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                ConnectError::Server {
                    location: self.location.clone(),
                    source: Refusal::Silence(self.limits.connect_timeout),
                }
                .into()
            }
            PoolError::Timeout(TimeoutType::Wait) => StoreError::PoolExhausted {
                seconds: self.limits.connect_timeout.as_secs(),
                max: self.limits.max,
            },
            other @ (PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                StoreError::Machine(other.to_string())
            }
        }
    }
}

impl Engine for PostgresEngine {
    fn transaction<T>(
        &self,
        purpose: Purpose,
        guard: &dyn Guard,
        act: &mut dyn FnMut(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut session = self.block_on(self.session())?;
        session.is_in_transaction = true;
        let run = |client: &Client, sql: &str| {
            self.block_on(async { client.batch_execute(sql).await.map_err(said) })
        };
        let outcome = self
            .block_on(self.begin(&session.client, purpose, guard))
            .and_then(|(reached, encoding)| {
                act(&mut PostgresSession {
                    engine: self,
                    client: &session.client,
                    reached,
                    encoding,
                })
            })
            .and_then(|value| {
                self.block_on(async { Ok(commit(&session.client).await?) })
                    .map(|()| value)
            });
        if matches!(outcome, Err(StoreError::Interrupted)) {
            self.cancel(session);
            return outcome;
        }
        let is_ended = outcome.is_ok() || run(&session.client, "ROLLBACK").is_ok();
        session.is_in_transaction = !is_ended;
        outcome
    }

    fn missing_table(
        session: &mut dyn Session,
        tables: &[&'static str],
    ) -> Result<Option<&'static str>, StoreError> {
        const MISSING: &str = "SELECT place
            FROM unnest(string_to_array(?1, ',')) WITH ORDINALITY AS one (name, place)
            WHERE to_regclass(name) IS NULL ORDER BY place LIMIT 1";
        let rows = session.query(MISSING, &[Value::Text(&tables.join(","))])?;
        let place = rows.first().map(|row| row.integer("place")).transpose()?;
        Ok(place
            .and_then(|place| usize::try_from(place - 1).ok())
            .and_then(|place| tables.get(place).copied()))
    }

    fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        let goodbye = async {
            for Connected {
                client, traffic, ..
            } in idle
            {
                // A session that just breaks off leaves a line in the server's log.
                drop(client);
                let _ = traffic.await;
            }
        };
        let _ = self.block_on(async {
            let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await;
            Ok(())
        });
    }
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        if !self.pool.is_closed() {
            self.close();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct PostgresSession<'a> {
    engine: &'a PostgresEngine,
    client: &'a Client,
    reached: Reached,
    encoding: Encoding,
}

impl Session for PostgresSession<'_> {
    fn execute(&mut self, sql: &str, parameters: &[Value<'_>]) -> Result<u64, StoreError> {
        let (sql, parameters) = self.encoding.statement(sql, parameters);
        self.engine.block_on(async {
            self.client
                .execute_typed(&sql, &parameters)
                .await
                .map_err(said)
        })
    }

    fn query(&mut self, sql: &str, parameters: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let (sql, parameters) = self.encoding.statement(sql, parameters);
        self.engine.block_on(async {
            let rows = self
                .client
                .query_typed(&sql, &parameters)
                .await
                .map_err(said)?;
            let mut read: Vec<Row> = rows.iter().map(row).collect::<Result<_, _>>()?;
            let (mut places, mut texts) = (Vec::new(), Vec::new());
            for (from, to) in rows.iter().zip(&mut read) {
                for (index, (_, cell)) in to
                    .cells
                    .iter_mut()
                    .enumerate()
                    .filter(|(_, (_, cell))| *cell == Cell::Other)
                {
                    if let Ok(Some(text)) = from.try_get::<_, Option<RawText<'_>>>(index) {
                        places.push(cell);
                        texts.push(text.0);
                    }
                }
            }
            for (cell, text) in places
                .into_iter()
                .zip(self.encoding.decode(self.client, &texts).await?)
            {
                *cell = text.map_or(Cell::Other, Cell::Text);
            }
            Ok(read)
        })
    }

    fn reached(&self) -> &[String] {
        &self.reached
    }

    fn read_content(&mut self, artifact_id: &str, sink: PieceSink<'_>) -> Result<(), StoreError> {
        let mut read = 0;
        let each = |position: usize, piece: &[u8]| {
            if position != read {
                return Err(Interruption::Store(StoreError::Machine(
                    "pieces of a content in their order".to_owned(),
                )));
            }
            read += piece.len();
            if piece.is_empty() {
                Ok(())
            } else {
                sink(piece).map_err(Interruption::Store)
            }
        };
        let reading = for_each_piece(
            self.client,
            "audit_artifact",
            ("artifact_id", "content"),
            artifact_id,
            each,
        );
        self.engine.block_on(async {
            reading.await.map_err(|interruption| match interruption {
                Interruption::Server(error) => said(error),
                Interruption::Store(error) => error,
            })
        })
    }
}

/// Why a content was not read to its end.
enum Interruption {
    Server(tokio_postgres::Error),
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Interruption {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

fn said(error: tokio_postgres::Error) -> StoreError {
    let error = ServerError::from(error);
    match error.code() {
        Some(code) if *code == SqlState::UNDEFINED_TABLE => {
            StoreError::NotMigrated(error.to_string())
        }
        _ => error.into(),
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let cell = |(index, column): (usize, &tokio_postgres::Column)| {
        Ok((column.name().to_owned(), cell(row, index, column.type_())?))
    };
    Ok(Row {
        cells: row
            .columns()
            .iter()
            .enumerate()
            .map(cell)
            .collect::<Result<_, StoreError>>()?,
    })
}

fn cell(row: &tokio_postgres::Row, index: usize, kind: &Type) -> Result<Cell, StoreError> {
    let cell = match *kind {
        Type::TEXT | Type::VARCHAR | Type::NAME => {
            let text = row.try_get::<_, Option<RawText<'_>>>(index).map_err(said)?;
            // What is more than ASCII has to be decoded.
            text.map(|text| {
                if text.0.is_ascii() {
                    Cell::Text(text.lossy().into_owned())
                } else {
                    Cell::Other
                }
            })
        }
        Type::INT8 => row
            .try_get::<_, Option<i64>>(index)
            .map_err(said)?
            .map(Cell::Integer),
        Type::INT4 => row
            .try_get::<_, Option<i32>>(index)
            .map_err(said)?
            .map(|number| Cell::Integer(number.into())),
        Type::FLOAT8 => row
            .try_get::<_, Option<f64>>(index)
            .map_err(said)?
            .map(Cell::Float),
        _ => Some(Cell::Other),
    };
    Ok(cell.unwrap_or(Cell::Null))
}
