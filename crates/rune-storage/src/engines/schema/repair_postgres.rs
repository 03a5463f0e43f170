//! Repairs on PostgreSQL.

use std::time::{Duration, Instant};

use tokio_postgres::{Client, types::Type};

use super::{
    assessment::Assessment,
    id_source::{IdSource, Mending},
    inspection::{Verb, inspect},
    postgres::{begin_snapshot, begin_writing, lock, read, set_lock_timeout},
    repair::{NarrowColumn, Plan, Repair, RepairError, Repaired, lost_precision},
    roles::{RoleContext, quoted},
    shape::{ColumnKind, TABLES, Table},
};
use crate::migrations::{Dialect, Migrations};
use crate::{ServerError, commit, roll_back, schema::SchemaError};

/// How long a try may wait for its locks altogether: whoever reads queues behind the lock that is
/// waited for.
const LOCK_BUDGET: Duration = Duration::from_secs(1);

/// Repairs a database in one transaction, or says what would be repaired. Waits a second for its
/// locks and no longer; the caller pauses and tries again, so that readers get their turn.
///
/// # Errors
/// When it must not be touched, is in use, or is not right afterwards; then everything is as it
/// was.
pub async fn repair(
    client: &Client,
    migrations: &Migrations,
    owner: Option<&str>,
    is_dry_run: bool,
) -> Result<Repaired, RepairError> {
    if is_dry_run {
        return Ok(transaction(client, migrations, owner, &Step::Plan)
            .await?
            .repaired);
    }
    let look = transaction(client, migrations, owner, &Step::Look).await?;
    if look.tables.is_empty() {
        return Ok(look.repaired);
    }
    Ok(
        transaction(client, migrations, owner, &Step::Change(look.tables))
            .await?
            .repaired,
    )
}

/// What a transaction is for.
enum Step {
    /// To say what would be repaired, and how many values are in it.
    Plan,
    /// To find out which tables have to be locked.
    Look,
    /// To change these tables.
    Change(Vec<TableLock>),
}

/// A table that is to be changed, and whether even readers have to wait meanwhile.
type TableLock = (&'static str, &'static str);

/// What was repaired, and what had to be locked for it.
struct Outcome {
    repaired: Repaired,
    tables: Vec<TableLock>,
}

async fn transaction(
    client: &Client,
    migrations: &Migrations,
    owner: Option<&str>,
    step: &Step,
) -> Result<Outcome, RepairError> {
    match step {
        // It reads the tables.
        Step::Plan => drop(begin_snapshot(client, owner).await?),
        // A server that only reads is said to, even where there is nothing to repair.
        Step::Look | Step::Change(_) => begin_writing(client, owner).await?,
    }
    let outcome = within(client, migrations, owner, step).await;
    if outcome.is_ok() {
        commit(client).await?;
    } else {
        roll_back(client).await;
    }
    outcome
}

async fn within(
    client: &Client,
    migrations: &Migrations,
    owner: Option<&str>,
    step: &Step,
) -> Result<Outcome, RepairError> {
    let standing = RoleContext::read(client)
        .await?
        .map_err(SchemaError::from)?;
    standing
        .check(client, owner.is_some())
        .await?
        .map_err(SchemaError::from)?;
    let is_dry_run = !matches!(step, Step::Change(_));
    let place = Place {
        client,
        schema: quoted(&standing.schema),
        is_dry_run,
    };
    if let Step::Change(tables) = step {
        place.lock(tables).await?;
    }
    // What counts is what is there once nobody else can change it.
    let found = read(client, &standing.schema).await?;
    let assessment = Assessment::of(&found, migrations, Dialect::Postgres);
    assessment.check(Dialect::Postgres, false)?;
    let plan = Plan::of(&assessment, Dialect::Postgres);
    let ids = match found.tables.get("workflow_events") {
        Some(columns) if columns.iter().any(|column| column.name == "id") => {
            Some(IdSource::read(client, &standing.schema).await?)
        }
        _ => None,
    };
    let ids = ids.as_ref();
    let tables = place.tables(&plan, ids).await?;
    let site = inspect(client, &standing).await?;
    if !tables.is_empty() {
        site.check(Verb::Repair).map_err(SchemaError::from)?;
        let columns = plan
            .columns
            .iter()
            .flat_map(|(table, columns)| columns.iter().map(|column| (table.name, column.name)));
        site.check_altered(&columns.collect::<Vec<_>>())
            .map_err(SchemaError::from)?;
    }
    let mut repaired = Repaired {
        repairs: Vec::new(),
        left: plan.left.clone(),
        notes: site.notes(Verb::Repair),
    };
    let unmendable = ids.map(IdSource::unmendable).unwrap_or_default();
    repaired.left.extend(
        unmendable
            .into_iter()
            .map(|problem| format!("workflow_events.id {problem}")),
    );
    match step {
        Step::Look => return Ok(Outcome { repaired, tables }),
        Step::Change(locked) if tables.iter().any(|table| !locked.contains(table)) => {
            return Err(RepairError::Moved);
        }
        Step::Plan | Step::Change(_) => {}
    }
    for (table, columns) in &plan.columns {
        repaired.repairs.extend(place.widen(table, columns).await?);
    }
    repaired.repairs.extend(place.mend_sequence(ids).await?);
    for (table, index, column, _) in &plan.indexes {
        // One that exists and is not valid has the name and is of no use.
        place
            .run(&format!("DROP INDEX IF EXISTS {}.{index}", place.schema))
            .await?;
        place
            .run(&format!(
                "CREATE INDEX {index} ON {}.{table} ({column})",
                place.schema
            ))
            .await?;
    }
    repaired.repairs.extend(plan.index_repairs());
    if !is_dry_run && !repaired.repairs.is_empty() {
        let after = read(client, &standing.schema).await?;
        if let Some(subject) =
            plan.unrepaired(&Assessment::of(&after, migrations, Dialect::Postgres))
        {
            return Err(RepairError::Unrepaired(subject));
        }
        place.log(&repaired.repairs).await?;
    }
    Ok(Outcome { repaired, tables })
}

struct Place<'a> {
    client: &'a Client,
    /// Quoted.
    schema: String,
    is_dry_run: bool,
}

/// The values of a column: number of values, the sum of their hashes, the greatest size.
#[derive(PartialEq)]
struct Content {
    rows: i64,
    hashes: String,
    greatest: Option<f64>,
}

impl Place<'_> {
    /// The locks that a plan needs, in the order of the tables. A table whose columns or indexes go
    /// away is closed to readers too; one that gets an index, or whose sequence is altered, only to
    /// writers.
    async fn tables(
        &self,
        plan: &Plan,
        ids: Option<&IdSource>,
    ) -> Result<Vec<TableLock>, ServerError> {
        const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($1))";
        let mut locks = Vec::new();
        for table in TABLES {
            let has_columns = plan.columns.iter().any(|(one, _)| one.name == table.name);
            let mut mode = has_columns.then_some("ACCESS EXCLUSIVE");
            for (_, index, ..) in plan.indexes.iter().filter(|(one, ..)| *one == table.name) {
                let name = format!("{}.{index}", self.schema);
                let replaces: bool = self
                    .client
                    .query_typed_one(EXISTS, &[(&name, Type::TEXT)])
                    .await?
                    .try_get(0)?;
                mode = if replaces {
                    Some("ACCESS EXCLUSIVE")
                } else {
                    mode.or(Some("SHARE"))
                };
            }
            if mode.is_none()
                && table.name == "workflow_events"
                && ids.is_some_and(|ids| ids.mending().is_some())
            {
                mode = Some("SHARE ROW EXCLUSIVE");
            }
            locks.extend(mode.map(|mode| (table.name, mode)));
        }
        Ok(locks)
    }

    /// Takes all locks before the first change, within one budget for all of them. What is altered
    /// beside the tables later waits no longer than that either.
    async fn lock(&self, tables: &[TableLock]) -> Result<(), ServerError> {
        let end = Instant::now() + LOCK_BUDGET;
        let left = || {
            end.saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1))
        };
        lock(self.client, left()).await?;
        for (table, mode) in tables {
            set_lock_timeout(self.client, left()).await?;
            self.run(&format!(
                "LOCK TABLE {}.{table} IN {mode} MODE",
                self.schema
            ))
            .await?;
        }
        set_lock_timeout(self.client, LOCK_BUDGET).await
    }

    async fn run(&self, sql: &str) -> Result<(), ServerError> {
        if self.is_dry_run {
            return Ok(());
        }
        self.client
            .batch_execute(sql)
            .await
            .map_err(ServerError::OfObject)
    }

    /// Gives the columns of a table their 64 bits, and proves that rounded to 32 they are what they
    /// were.
    async fn widen(
        &self,
        table: &Table,
        columns: &[NarrowColumn],
    ) -> Result<Vec<Repair>, RepairError> {
        let name = format!("{}.{}", self.schema, table.name);
        let mut before = Vec::new();
        for column in columns {
            before.push(self.content(&name, *column).await?);
        }
        let changes = columns.iter().map(|column| match column.kind {
            ColumnKind::Id => format!("ALTER COLUMN {} TYPE bigint", column.name),
            // A direct cast shows 12.3 as 12.300000190734863.
            _ => format!(
                "ALTER COLUMN {0} TYPE double precision USING {0}::text::double precision",
                column.name
            ),
        });
        self.run(&format!(
            "ALTER TABLE {name} {}",
            changes.collect::<Vec<_>>().join(", ")
        ))
        .await?;
        let mut repairs = Vec::new();
        for (column, before) in columns.iter().zip(before) {
            let subject = format!("{}.{}", table.name, column.name);
            let after = self.content(&name, *column).await?;
            if (after.rows, &after.hashes) != (before.rows, &before.hashes) {
                return Err(RepairError::Changed(subject));
            }
            let is_float = column.kind == ColumnKind::Float;
            let became = column.kind.type_name(Dialect::Postgres).to_owned();
            let lost_precision = lost_precision(before.greatest).filter(|_| is_float);
            repairs.push(Repair {
                subject,
                was: column.narrow_type().to_owned(),
                became,
                rows: Some(before.rows),
                lost_precision,
            });
        }
        Ok(repairs)
    }

    async fn content(&self, table: &str, column: NarrowColumn) -> Result<Content, ServerError> {
        let (name, narrow) = (column.name, column.narrow_type());
        let sql = format!(
            "SELECT count({name}), coalesce(sum(hashtextextended({name}::{narrow}::text,
                0)::numeric), 0)::text,
                (max(abs({name})) FILTER (WHERE {name}::text NOT IN ('NaN', 'Infinity',
                    '-Infinity')))::double precision FROM {table}"
        );
        let row = self.client.query_typed_one(&sql, &[]).await?;
        Ok(Content {
            rows: row.try_get(0)?,
            hashes: row.try_get(1)?,
            greatest: row.try_get(2)?,
        })
    }

    /// Lets the sequence of the event ids rise to the end of 64 bits, above every id in use.
    async fn mend_sequence(&self, ids: Option<&IdSource>) -> Result<Option<Repair>, ServerError> {
        let Some(Mending {
            subject,
            sql,
            was,
            became,
        }) = ids.and_then(IdSource::mending)
        else {
            return Ok(None);
        };
        self.run(&sql).await?;
        Ok(Some(Repair {
            subject: subject.to_owned(),
            was,
            became,
            rows: None,
            lost_precision: None,
        }))
    }

    async fn log(&self, repairs: &[Repair]) -> Result<(), ServerError> {
        let table = format!("{}.rune_db_repairs", self.schema);
        self.run(&format!(
            "CREATE TABLE IF NOT EXISTS {table} (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                subject text NOT NULL,
                was text NOT NULL,
                became text NOT NULL,
                rows bigint,
                tool text NOT NULL,
                repaired_at double precision NOT NULL
            )"
        ))
        .await?;
        let sql = format!(
            "INSERT INTO {table} (subject, was, became, rows, tool, repaired_at)
            VALUES ($1, $2, $3, $4, $5, extract(epoch FROM clock_timestamp())::float8)"
        );
        for repair in repairs {
            let Repair {
                subject,
                was,
                became,
                rows,
                ..
            } = repair;
            let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
                (subject, Type::TEXT),
                (was, Type::TEXT),
                (became, Type::TEXT),
                (rows, Type::INT8),
                (&super::TOOL, Type::TEXT),
            ];
            self.client.execute_typed(&sql, &values).await?;
        }
        Ok(())
    }
}
