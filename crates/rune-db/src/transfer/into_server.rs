//! The move: every row of a SQLite file into an empty PostgreSQL database, in one transaction of
//! the server.
//!
//! Schema, rows, sequence and proof belong to that transaction, so a run that ends in any other way
//! than with its COMMIT leaves the target as it was. The source is read in one snapshot and never
//! changed.

use std::{
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures_util::SinkExt as _;
use serde::Serialize;
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_postgres::Client;

use super::{
    characters::Characters,
    check::{self, Volume},
    digest::TableDigest,
    encode::{CHUNKS_AHEAD, encode},
    error::TransferError,
    file::FileSnapshot,
    file_digest,
    finding::{Finding, FindingKind},
    keys::Keys,
    layout,
    server::{ServerTables, in_snapshot},
    server_digest,
};
use rune_core::{fsx, progress::Progress};
use rune_storage::{
    ServerError, commit,
    migrations::{Dialect, Migrations},
    roll_back,
    schema::{Assessment, Drift, MigrateSettings, Migrated, TABLES, Table, Verb, on_postgres},
};

#[derive(Debug, Clone)]
pub(crate) struct MoveSettings {
    pub(crate) migrate: MigrateSettings,
    /// After how many rows at the latest what is there goes to the server.
    pub(crate) batch_rows: u64,
    /// Whether a source that is written to meanwhile is fine: what was there at the start is
    /// transferred.
    pub(crate) allow_live_source: bool,
}

/// A source whose every cell can be transferred.
#[derive(Debug)]
pub(crate) struct CheckedSource {
    rows: CheckedRows,
    integrity: IntegrityCheck,
}

#[derive(Debug)]
struct CheckedRows {
    source: FileSnapshot,
    volumes: Vec<Volume>,
    characters: Characters,
    took: Duration,
}

/// The check of every page and index of a source, which goes on while rows are read.
///
/// SQLite gives rows of a damaged file without a word, and the digests of both sides would be of
/// the same wrong rows.
#[derive(Debug)]
struct IntegrityCheck(thread::JoinHandle<Result<(), TransferError>>);

impl IntegrityCheck {
    fn begin(source: &FileSnapshot) -> Result<Self, TransferError> {
        Ok(Self(thread::spawn(source.integrity_check()?)))
    }

    /// Waits for its end. Damage explains every other outcome, so it comes first.
    fn end<T>(self, outcome: Result<T, TransferError>) -> Result<T, TransferError> {
        self.0.join().unwrap_or(Err(TransferError::Lost))?;
        outcome
    }
}

/// How long the parts of a move took, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Phases {
    pub(crate) check: f64,
    /// Copying alone, from the first byte sent to the server's answer.
    pub(crate) copy: f64,
    /// Computing and comparing the digests of both sides.
    pub(crate) verification: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MovedTable {
    pub(crate) table: &'static str,
    pub(crate) source_rows: u64,
    pub(crate) bytes: u64,
    /// How many rows the server took; none when nothing was moved.
    pub(crate) migrated_rows: Option<u64>,
    /// The digest that both sides have; none when nothing was moved.
    pub(crate) digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Moved {
    pub(crate) schema: String,
    /// Versions that were applied to the target, or would be.
    pub(crate) applied: Vec<u32>,
    pub(crate) tables: Vec<MovedTable>,
    /// The id of the next workflow event; none when nothing was moved.
    pub(crate) next_event_id: Option<i64>,
    /// Whether the source was written to meanwhile.
    pub(crate) source_changed: bool,
    /// What of the site's the rows met, or would meet.
    pub(crate) warnings: Vec<String>,
    pub(crate) seconds: Phases,
}

impl CheckedSource {
    pub(crate) fn check(
        source: FileSnapshot,
        migrations: &Migrations,
        progress: &dyn Progress,
    ) -> Result<Self, TransferError> {
        source.check_is_rune(migrations)?;
        source.check_is_known(migrations)?;
        let started = Instant::now();
        progress.begin("check", fsx::file_size(source.path())?);
        let tables: Vec<&'static Table> = TABLES.iter().collect();
        let integrity = IntegrityCheck::begin(&source)?;
        let (volumes, characters) = match check::check(&source, &tables, progress) {
            Ok(checked) => checked,
            Err(error) => return integrity.end(Err(error)),
        };
        progress.end();
        let rows = CheckedRows {
            source,
            volumes,
            characters,
            took: started.elapsed(),
        };
        Ok(Self { rows, integrity })
    }
}

impl CheckedRows {
    async fn check_encoding(&self, server: &ServerTables<'_>) -> Result<(), TransferError> {
        let Some((encoding, without)) = self.characters.without_like(server).await? else {
            return Ok(());
        };
        let tables: Vec<&'static Table> = TABLES.iter().collect();
        let findings = check::cells_with(&without, &self.source, &tables)?;
        Err(TransferError::NotEncodable { encoding, findings })
    }

    fn tables(&self) -> impl Iterator<Item = (&'static Table, Volume)> {
        TABLES.iter().zip(self.volumes.iter().copied())
    }

    fn report(&self) -> Vec<MovedTable> {
        let table = |(table, volume): (&'static Table, Volume)| MovedTable {
            table: table.name,
            source_rows: volume.rows,
            bytes: volume.bytes,
            migrated_rows: None,
            digest: None,
        };
        self.tables().map(table).collect()
    }
}

/// Says what a move would do; changes nothing on either side.
pub(crate) async fn plan_into_server(
    client: &Client,
    location: &str,
    checked: CheckedSource,
    migrations: &Migrations,
    settings: &MoveSettings,
) -> Result<Moved, TransferError> {
    let planned = plan(client, location, &checked.rows, migrations, settings).await;
    checked.integrity.end(planned)
}

async fn plan(
    client: &Client,
    location: &str,
    checked: &CheckedRows,
    migrations: &Migrations,
    settings: &MoveSettings,
) -> Result<Moved, TransferError> {
    let owner = settings.migrate.owner.as_deref();
    let look = async |server: &ServerTables<'_>| {
        let assessment = Assessment::of(&server.found, migrations, Dialect::Postgres);
        assessment.check(Dialect::Postgres, settings.migrate.is_strict)?;
        let warnings = check_target(server, migrations, location).await?;
        checked.check_encoding(server).await?;
        Ok((
            server.schema.clone(),
            assessment
                .pending
                .iter()
                .map(|migration| migration.version())
                .collect(),
            warnings,
        ))
    };
    let (schema, applied, warnings) = in_snapshot(client, owner, look).await?;
    on_postgres::check_roles(client, owner).await?;
    Ok(Moved {
        schema,
        applied,
        tables: checked.report(),
        next_event_id: None,
        source_changed: false,
        warnings,
        seconds: Phases {
            check: checked.took.as_secs_f64(),
            ..Phases::default()
        },
    })
}

/// After a failure the target is as it was before.
pub(crate) async fn into_server(
    client: &Client,
    location: &str,
    checked: CheckedSource,
    migrations: &Migrations,
    settings: &MoveSettings,
    progress: &Arc<dyn Progress>,
) -> Result<Moved, TransferError> {
    let lock = async |done: Migrated| Ok((done.applied, lock(client).await?));
    let (applied, server) = on_postgres::begin_migrated(
        client,
        migrations,
        &settings.migrate,
        lock,
        TransferError::is_race,
    )
    .await?;
    let CheckedSource { rows, integrity } = checked;
    let moved = carry(
        server, location, rows, migrations, settings, &applied, progress,
    )
    .await;
    match integrity.end(moved) {
        Ok(moved) => {
            commit(client).await.map_err(|error| match error {
                error @ ServerError::Uncertain(_) => TransferError::Uncertain(error),
                error => error.into(),
            })?;
            Ok(Moved { applied, ..moved })
        }
        Err(error) => {
            roll_back(client).await;
            Err(error)
        }
    }
}

/// Locks the tables, then looks: what they were like before may have changed while the lock was
/// waited for.
async fn lock(client: &Client) -> Result<ServerTables<'_>, TransferError> {
    let server = ServerTables::look(client).await?;
    let names: Vec<String> = TABLES
        .iter()
        .filter(|table| server.has(table))
        .map(|table| server.name(table))
        .collect();
    client
        .batch_execute(&format!(
            "LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
            names.join(", ")
        ))
        .await?;
    ServerTables::look(client).await
}

/// Refuses a target that rows cannot go into exactly, or that has some.
async fn check_target(
    server: &ServerTables<'_>,
    migrations: &Migrations,
    location: &str,
) -> Result<Vec<String>, TransferError> {
    let notes = server.check_site(Verb::Fill).await?;
    server.check_is_known(migrations, location)?;
    let drift = Assessment::of(&server.found, migrations, Dialect::Postgres).drift;
    if !drift.is_empty() {
        let text = drift.iter().map(ToString::to_string).collect();
        let is_repaired = drift.iter().all(Drift::is_lossy);
        return Err(if is_repaired {
            TransferError::TargetDrift(text)
        } else {
            TransferError::TargetTables(text)
        });
    }
    let problems = server
        .ids()
        .await?
        .map(|ids| ids.problems())
        .unwrap_or_default();
    if !problems.is_empty() {
        return Err(TransferError::TargetIds(problems));
    }
    let tables = server.tables_with_rows().await?;
    if tables.is_empty() {
        Ok(notes)
    } else {
        Err(TransferError::NotEmpty {
            location: location.to_owned(),
            tables,
        })
    }
}

async fn carry(
    server: ServerTables<'_>,
    location: &str,
    checked: CheckedRows,
    migrations: &Migrations,
    settings: &MoveSettings,
    applied: &[u32],
    progress: &Arc<dyn Progress>,
) -> Result<Moved, TransferError> {
    let warnings = check_target(&server, migrations, location).await?;
    checked.check_encoding(&server).await?;
    let keys = Keys::take_away(&server, applied).await?;

    let mut tables = checked.report();
    let mut seconds = Phases {
        check: checked.took.as_secs_f64(),
        ..Phases::default()
    };
    let CheckedRows {
        mut source,
        volumes,
        ..
    } = checked;
    let started = Instant::now();
    for ((table, volume), report) in TABLES.iter().zip(&volumes).zip(&mut tables) {
        let overhead = volume
            .rows
            .saturating_mul(2 + 4 * table.columns.len() as u64);
        progress.begin(table.name, volume.bytes.saturating_add(overhead));
        let rows;
        (source, rows) = copy(&server, source, table, settings.batch_rows, progress).await?;
        progress.end();
        report.migrated_rows = Some(rows);
    }
    keys.make_again(&server).await?;
    // What a site deferred to the COMMIT happens now, before the proof and not after it.
    server
        .client
        .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
        .await?;
    let next_event_id = restart_sequence(&server, &source, &volumes).await?;
    seconds.copy = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let digests;
    (source, digests) = verify(&server, source, &volumes, progress).await?;
    for (report, digest) in tables.iter_mut().zip(digests) {
        report.digest = Some(digest.hex());
    }
    seconds.verification = started.elapsed().as_secs_f64();

    let source_changed = source.has_changed()?;
    if source_changed && !settings.allow_live_source {
        return Err(TransferError::SourceChanged(source.location().to_owned()));
    }
    Ok(Moved {
        schema: server.schema,
        applied: Vec::new(),
        tables,
        next_event_id: Some(next_event_id),
        source_changed,
        warnings,
        seconds,
    })
}

async fn copy(
    server: &ServerTables<'_>,
    source: FileSnapshot,
    table: &'static Table,
    batch_rows: u64,
    progress: &Arc<dyn Progress>,
) -> Result<(FileSnapshot, u64), TransferError> {
    let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
    let sql = format!(
        "COPY {} ({}) FROM STDIN (FORMAT BINARY)",
        server.name(table),
        layout::column_list(table)
    );
    let mut sink = pin!(server.client.copy_in(&sql).await?);
    let reading = spawn_blocking(move || {
        let rows = encode(&source, table, batch_rows, sender);
        (source, rows)
    });
    let rows = TransferError::rows(table);
    let mut refusal = None;
    while let Some(chunk) = chunks.recv().await {
        let bytes = chunk.len() as u64;
        if let Err(error) = sink.feed(chunk).await {
            refusal = Some(error);
            break;
        }
        progress.advance(bytes);
    }
    drop(chunks);
    let (source, encoded) = reading.await.map_err(|_| TransferError::Lost)?;
    if let Some(error) = refusal {
        // Why the server takes no more, it says in its answer.
        return Err(rows(sink.finish().await.err().unwrap_or(error)));
    }
    // The stream counts as whole only when the reader says so; otherwise the sink is dropped, which
    // fails the COPY.
    let expected = encoded?;
    let rows = sink.finish().await.map_err(rows)?;
    if rows == expected {
        return Ok((source, rows));
    }
    Err(TransferError::Mismatch {
        table: table.name,
        expected: format!("{expected} rows"),
        actual: format!("{rows} rows"),
    })
}

/// Lets the next id be above every one that was ever given out, in the source or the target. Unlike
/// `setval`, this is undone with the transaction.
async fn restart_sequence(
    server: &ServerTables<'_>,
    source: &FileSnapshot,
    volumes: &[Volume],
) -> Result<i64, TransferError> {
    let (table, column) = layout::numbered().ok_or(TransferError::Lost)?;
    let ids = server.ids().await?;
    let sequence = ids
        .as_ref()
        .and_then(|ids| ids.sequence())
        .ok_or(TransferError::Lost)?;
    let highest = volumes
        .iter()
        .map(|volume| volume.highest_id)
        .max()
        .unwrap_or_default();
    let last = highest.max(source.last_sequence(table)?).max(sequence.last);
    let Some(next) = last.checked_add(1) else {
        let finding = Finding {
            table: table.name,
            column: column.name,
            kind: FindingKind::OutOfRange,
            count: 1,
            keys: vec![last.to_string()],
        };
        return Err(TransferError::CannotCarry(vec![finding]));
    };
    server
        .client
        .batch_execute(&format!(
            "ALTER SEQUENCE {} RESTART WITH {next}",
            sequence.name
        ))
        .await
        .map_err(ServerError::OfObject)?;
    Ok(next)
}

async fn verify(
    server: &ServerTables<'_>,
    source: FileSnapshot,
    volumes: &[Volume],
    progress: &Arc<dyn Progress>,
) -> Result<(FileSnapshot, Vec<TableDigest>), TransferError> {
    progress.begin(
        "verification",
        volumes
            .iter()
            .fold(0, |bytes, volume| bytes.saturating_add(volume.bytes)),
    );
    let reporter = Arc::clone(progress);
    let reading = spawn_blocking(move || {
        let digests: Result<Vec<_>, _> = TABLES
            .iter()
            .map(|table| file_digest::table_digest(&source, table, reporter.as_ref()))
            .collect();
        (source, digests)
    });
    let mut arrived = Vec::new();
    for table in TABLES {
        arrived.push(server_digest::table_digest(server, table).await?);
    }
    let (source, digests) = reading.await.map_err(|_| TransferError::Lost)?;
    let digests = digests?;
    progress.end();
    for ((table, expected), actual) in TABLES.iter().zip(&digests).zip(&arrived) {
        if expected != actual {
            return Err(TransferError::Mismatch {
                table: table.name,
                expected: expected.to_string(),
                actual: actual.to_string(),
            });
        }
    }
    Ok((source, digests))
}
