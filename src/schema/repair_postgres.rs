//! Repairs on PostgreSQL.

use tokio_postgres::{Client, types::Type};

use super::{
    assessment::Assessment,
    dialect::Dialect,
    migrations::Migrations,
    postgres::{begin_snapshot, begin_writing, lock, read},
    repair::{NarrowColumn, Plan, Repair, RepairError, Repaired, lost_precision},
    roles::{Standing, quoted},
    shape::{ColumnKind, Table},
};
use crate::{schema::SchemaError, storage::ServerError};

/// Repairs a database in one transaction, or says what would be repaired.
///
/// # Errors
/// When it must not be touched, is in use for too long, or is not right afterwards; then everything is as it was.
pub async fn repair(client: &Client, migrations: &Migrations, owner: Option<&str>, is_dry_run: bool) -> Result<Repaired, RepairError> {
    if is_dry_run {
        begin_snapshot(client, owner).await?;
    } else {
        begin_writing(client, owner).await?;
    }
    let outcome = within(client, migrations, owner, is_dry_run).await;
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(ServerError::from);
    let repaired = outcome?;
    ended?;
    Ok(repaired)
}

async fn within(client: &Client, migrations: &Migrations, owner: Option<&str>, is_dry_run: bool) -> Result<Repaired, RepairError> {
    if !is_dry_run {
        lock(client).await?;
    }
    let standing = Standing::read(client).await?.map_err(SchemaError::from)?;
    standing.check(client, owner.is_some()).await?.map_err(SchemaError::from)?;
    let found = read(client, &standing.schema).await?;
    let assessment = Assessment::of(&found, migrations, Dialect::Postgres);
    assessment.check(Dialect::Postgres, false)?;
    let plan = Plan::of(&assessment, Dialect::Postgres);
    let place = Place { client, schema: quoted(&standing.schema), schema_name: &standing.schema, is_dry_run };
    let mut repaired = Repaired::default();
    for (table, columns) in &plan.columns {
        repaired.repairs.extend(place.widen(table, columns).await?);
    }
    repaired.repairs.extend(place.widen_sequence().await?);
    for (table, index, column, _) in &plan.indexes {
        // One that is there and not valid has the name and is of no use.
        place.run(&format!("DROP INDEX IF EXISTS {}.{index}", place.schema)).await?;
        place.run(&format!("CREATE INDEX {index} ON {}.{table} ({column})", place.schema)).await?;
    }
    repaired.repairs.extend(plan.index_repairs());
    if !is_dry_run && !repaired.repairs.is_empty() {
        let after = read(client, &standing.schema).await?;
        if let Some(subject) = plan.unrepaired(&Assessment::of(&after, migrations, Dialect::Postgres)) {
            return Err(RepairError::Unrepaired(subject));
        }
        place.log(&repaired.repairs).await?;
    }
    repaired.left = plan.left;
    Ok(repaired)
}

struct Place<'a> {
    client: &'a Client,
    /// Quoted.
    schema: String,
    schema_name: &'a str,
    is_dry_run: bool,
}

/// What stands in a column: number of values, the sum of their hashes, the greatest size.
#[derive(PartialEq)]
struct Content {
    rows: i64,
    hashes: String,
    greatest: Option<f64>,
}

impl Place<'_> {
    async fn run(&self, sql: &str) -> Result<(), ServerError> {
        if self.is_dry_run {
            return Ok(());
        }
        self.client.batch_execute(sql).await.map_err(ServerError::OfObject)
    }

    /// Gives the columns of a table their 64 bits, and proves that rounded to 32 they are what they were.
    async fn widen(&self, table: &Table, columns: &[NarrowColumn]) -> Result<Vec<Repair>, RepairError> {
        let name = format!("{}.{}", self.schema, table.name);
        self.run(&format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")).await?;
        let mut before = Vec::new();
        for column in columns {
            before.push(self.content(&name, *column).await?);
        }
        let changes = columns.iter().map(|column| match column.kind {
            ColumnKind::Id => format!("ALTER COLUMN {} TYPE bigint", column.name),
            // A direct cast shows 12.3 as 12.300000190734863.
            _ => format!("ALTER COLUMN {0} TYPE double precision USING {0}::text::double precision", column.name),
        });
        self.run(&format!("ALTER TABLE {name} {}", changes.collect::<Vec<_>>().join(", "))).await?;
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
            repairs.push(Repair { subject, was: column.narrow_type().to_owned(), became, rows: Some(before.rows), lost_precision });
        }
        Ok(repairs)
    }

    async fn content(&self, table: &str, column: NarrowColumn) -> Result<Content, ServerError> {
        let (name, narrow) = (column.name, column.narrow_type());
        let sql = format!(
            "SELECT count({name}), coalesce(sum(hashtextextended({name}::{narrow}::text, 0)::numeric), 0)::text,
                (max(abs({name})) FILTER (WHERE {name}::text NOT IN ('NaN', 'Infinity', '-Infinity')))::double precision FROM {table}"
        );
        let row = self.client.query_typed_one(&sql, &[]).await?;
        Ok(Content { rows: row.try_get(0)?, hashes: row.try_get(1)?, greatest: row.try_get(2)? })
    }

    /// The sequence of the event ids has 32 bits where the column had.
    async fn widen_sequence(&self) -> Result<Option<Repair>, ServerError> {
        const SQL: &str = "SELECT s.relname::text, format_type(q.seqtypid, NULL) FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid
            JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
            JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
            WHERE n.nspname = $1 AND t.relname = 'workflow_events' AND a.attname = 'id' AND q.seqtypid <> 'bigint'::regtype";
        let rows = self.client.query_typed(SQL, &[(&self.schema_name, Type::TEXT)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (subject, was): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        self.run(&format!("ALTER SEQUENCE {}.{} AS bigint", self.schema, quoted(&subject))).await?;
        Ok(Some(Repair { subject, was, became: "bigint".to_owned(), rows: None, lost_precision: None }))
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
            let Repair { subject, was, became, rows, .. } = repair;
            let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] =
                [(subject, Type::TEXT), (was, Type::TEXT), (became, Type::TEXT), (rows, Type::INT8), (&super::TOOL, Type::TEXT)];
            self.client.execute_typed(&sql, &values).await?;
        }
        Ok(())
    }
}
