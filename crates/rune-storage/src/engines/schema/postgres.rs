//! The schema of a PostgreSQL database: reading it, and bringing it up to date.
//!
//! All statements are unnamed, so that a pooler which hands the session to others between
//! transactions does no harm.

use std::time::Duration;

use tokio_postgres::{Client, types::Type};

use super::{
    MigrateSettings, Migrated,
    assessment::Assessment,
    catalog::{Catalog, CatalogColumn, CatalogIndex, LedgerRow, Origin, RepairRow},
    error::SchemaError,
    inspection::{self, Inspection, Verb},
    roles::{RoleContext, RoleError, quoted},
    shape,
};
use crate::migrations::{Dialect, Migration, Migrations};
use crate::{Access, Locking, ServerError, begin, begin_locked, commit, roll_back};

/// What all who migrate RUNE's database lock: "rune-db" as a number.
const LOCK: i64 = 0x0072_756e_652d_6462;
/// How often others who take no lock may be quicker than we before it is an error.
const ATTEMPTS: u32 = 20;
/// How long is waited for others who migrate, and for those who use a table.
const LOCK_TIMEOUT: Duration = Duration::from_mins(10);
const TABLE_LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// Reads what a database has, and in which schema, without changing anything.
///
/// # Errors
/// When the server cannot be asked, the role cannot be taken on, or no schema is there to look
/// into.
pub async fn inspect(
    client: &Client,
    owner: Option<&str>,
) -> Result<(String, Catalog), SchemaError> {
    // Only what is read: the catalog says what the other tables are like, whoever holds them.
    snapshot(
        client,
        &[shape::VERSIONS, shape::LEDGER, shape::REPAIRS],
        owner,
    )
    .await?;
    let outcome = look_within(client).await;
    roll_back(client).await;
    outcome
}

/// The same, with what the site has put on RUNE's tables.
///
/// # Errors
/// As [`inspect`].
pub async fn inspect_site(
    client: &Client,
    owner: Option<&str>,
) -> Result<(String, Catalog, Inspection), SchemaError> {
    snapshot(
        client,
        &[shape::VERSIONS, shape::LEDGER, shape::REPAIRS],
        owner,
    )
    .await?;
    let outcome = async {
        let (schema, found) = look_within(client).await?;
        Ok((schema, found, inspection::look_around(client).await?))
    };
    let outcome = outcome.await;
    roll_back(client).await;
    outcome
}

/// Begins a transaction that sees all of RUNE's tables as they were at one moment, and reads what
/// there is.
///
/// # Errors
/// As [`inspect`]; when a table may not be read.
pub async fn begin_snapshot(
    client: &Client,
    owner: Option<&str>,
) -> Result<(String, Catalog), SchemaError> {
    let names: Vec<&str> = shape::names().collect();
    snapshot(client, &names, owner).await?;
    let outcome = look_within(client).await;
    if outcome.is_err() {
        roll_back(client).await;
    }
    outcome
}

async fn snapshot(client: &Client, names: &[&str], role: Option<&str>) -> Result<(), SchemaError> {
    let locking = Locking {
        access: Access::Reading,
        names,
        role,
        needs_all: true,
        statement_timeout: Duration::ZERO,
    };
    begin_locked(client, &locking, None)
        .await
        .map_err(not_begun)?;
    Ok(())
}

/// The same within a transaction of the caller.
///
/// # Errors
/// As [`inspect`].
pub async fn look_within(client: &Client) -> Result<(String, Catalog), SchemaError> {
    let standing = RoleContext::read(client).await??;
    let found = read(client, &standing.schema).await?;
    Ok((standing.schema, found))
}

/// Begins a transaction that changes something, perhaps as another role.
pub(super) async fn begin_writing(client: &Client, owner: Option<&str>) -> Result<(), SchemaError> {
    begin(client, Access::Writing, owner, Duration::ZERO)
        .await
        .map_err(not_begun)
}

/// Why there is no transaction: the role is the caller's, everything else the server's.
pub(super) fn not_begun(error: ServerError) -> SchemaError {
    match error {
        ServerError::Role { role, source } => RoleError::owner(&role, &source).into(),
        error => error.into(),
    }
}

/// The work of [`migrate`] within a transaction that is open; keeps everybody else who migrates out
/// until it ends.
async fn migrate_within(
    client: &Client,
    migrations: &Migrations,
    settings: &MigrateSettings,
) -> Result<Migrated, SchemaError> {
    lock(client, LOCK_TIMEOUT).await?;
    set_lock_timeout(client, TABLE_LOCK_TIMEOUT).await?;
    let standing = RoleContext::read(client).await??;
    standing.check(client, settings.owner.is_some()).await??;
    let mut done = Migrated::default();
    let mut is_inspected = false;
    loop {
        let found = read(client, &standing.schema).await?;
        let assessment = Assessment::of(&found, migrations, Dialect::Postgres);
        assessment.check(Dialect::Postgres, settings.is_strict)?;
        if assessment.is_up_to_date() {
            return Ok(done);
        }
        if !is_inspected {
            inspection::inspect(client, &standing)
                .await?
                .check(Verb::Migrate)?;
            is_inspected = true;
        }
        done.applied
            .extend(step(client, &standing, &assessment).await?);
        done.is_changed = true;
    }
}

/// Says whether RUNE could use what would be made now, without making it.
///
/// # Errors
/// When it could not, or the server cannot be asked.
pub async fn check_roles(client: &Client, owner: Option<&str>) -> Result<(), SchemaError> {
    begin(client, Access::Reading, owner, Duration::ZERO)
        .await
        .map_err(not_begun)?;
    let outcome = async {
        Ok(RoleContext::read(client)
            .await??
            .check(client, owner.is_some())
            .await??)
    };
    let outcome = outcome.await;
    roll_back(client).await;
    outcome
}

/// Brings a database up to date in one transaction for all pending migrations, so that RUNE, which
/// starts beside it and takes no lock, finds all tables or none.
///
/// # Errors
/// When it must not be touched, or a migration fails; then everything is as it was.
pub async fn migrate(
    client: &Client,
    migrations: &Migrations,
    settings: &MigrateSettings,
) -> Result<Migrated, SchemaError> {
    // A look without any lock, for the many starts that find nothing to do; also on servers that
    // only read.
    let (_, found) = inspect(client, settings.owner.as_deref()).await?;
    let assessment = Assessment::of(&found, migrations, Dialect::Postgres);
    assessment.check(Dialect::Postgres, settings.is_strict)?;
    if assessment.is_up_to_date() {
        return Ok(Migrated::default());
    }
    let done = begin_migrated(
        client,
        migrations,
        settings,
        async |done| Ok::<_, SchemaError>(done),
        SchemaError::is_race,
    )
    .await?;
    commit(client).await?;
    Ok(done)
}

/// Begins a transaction, brings the database up to date in it, and does what else has to come
/// first. RUNE's own starters take no lock: where one of them was quicker, the transaction is
/// rolled back whole and begun anew, and sees what they created.
///
/// # Errors
/// As [`migrate`], and those of `then`; no transaction is open after that.
pub async fn begin_migrated<T, E: From<SchemaError> + std::fmt::Display>(
    client: &Client,
    migrations: &Migrations,
    settings: &MigrateSettings,
    then: impl AsyncFn(Migrated) -> Result<T, E>,
    is_race: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut attempt = 0;
    loop {
        begin_writing(client, settings.owner.as_deref()).await?;
        let outcome = match migrate_within(client, migrations, settings).await {
            Ok(done) => then(done).await,
            Err(error) => Err(error.into()),
        };
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        roll_back(client).await;
        if !is_race(&error) || attempt >= ATTEMPTS {
            return Err(error);
        }
        attempt += 1;
        tracing::debug!(%error, attempt, "another process was quicker");
        tokio::time::sleep(Duration::from_millis(25) * attempt).await;
    }
}

/// Adopts what RUNE created, then applies the lowest pending migration, if there is one.
async fn step(
    client: &Client,
    standing: &RoleContext,
    assessment: &Assessment<'_>,
) -> Result<Option<u32>, SchemaError> {
    let books = Bookkeeping::new(client, &standing.schema);
    books.make().await?;
    for (table, index, column) in assessment.untended_indexes() {
        let schema = quoted(&standing.schema);
        let sql = format!("CREATE INDEX IF NOT EXISTS {index} ON {schema}.{table} ({column})");
        client
            .batch_execute(&sql)
            .await
            .map_err(ServerError::WithoutRows)?;
    }
    for migration in &assessment.unledgered {
        books.note(migration, Origin::Recorded).await?;
    }
    let Some(migration) = assessment.pending.first() else {
        return Ok(None);
    };
    apply(client, migration).await?;
    books.record(migration).await?;
    Ok(Some(migration.version()))
}

/// Keeps everybody else who migrates or repairs out until the transaction ends.
pub(super) async fn lock(client: &Client, limit: Duration) -> Result<(), ServerError> {
    set_lock_timeout(client, limit).await?;
    client
        .query_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])
        .await?;
    Ok(())
}

/// Limits how long the transaction waits for each of its further locks.
pub(super) async fn set_lock_timeout(client: &Client, limit: Duration) -> Result<(), ServerError> {
    set(client, "lock_timeout", &format!("{}ms", limit.as_millis())).await
}

/// Sets a parameter until the transaction ends.
async fn set(client: &Client, name: &str, value: &str) -> Result<(), ServerError> {
    client
        .query_typed(
            "SELECT set_config($1, $2, true)",
            &[(&name, Type::TEXT), (&value, Type::TEXT)],
        )
        .await?;
    Ok(())
}

async fn apply(client: &Client, migration: &Migration) -> Result<(), SchemaError> {
    for statement in migration.statements(Dialect::Postgres)? {
        // A file of the caller's own may meet rows.
        let is_table = statement
            .leading_words
            .starts_with(&["CREATE".to_owned(), "TABLE".to_owned()]);
        let is_filled = statement
            .sql
            .split_whitespace()
            .any(|word| word.eq_ignore_ascii_case("as"));
        let said = if is_table && !is_filled {
            ServerError::WithoutRows
        } else {
            ServerError::Said
        };
        client
            .batch_execute(&statement.sql)
            .await
            .map_err(|source| SchemaError::Failed {
                version: migration.version(),
                file: migration.file().to_owned(),
                line: statement.line,
                source: Box::new(said(source).into()),
            })?;
    }
    tracing::debug!(
        version = migration.version(),
        file = migration.file(),
        "applied"
    );
    Ok(())
}

struct Bookkeeping<'a> {
    client: &'a Client,
    schema: String,
}

impl<'a> Bookkeeping<'a> {
    fn new(client: &'a Client, schema: &str) -> Self {
        Self {
            client,
            schema: quoted(schema),
        }
    }

    async fn make(&self) -> Result<(), ServerError> {
        let schema = &self.schema;
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {schema}.schema_version (version integer PRIMARY KEY, applied_at double precision NOT NULL);
            CREATE TABLE IF NOT EXISTS {schema}.rune_db_ledger (
                version integer PRIMARY KEY,
                file text NOT NULL,
                sha256 text,
                origin text NOT NULL,
                tool text NOT NULL,
                applied_at double precision NOT NULL
            )"
        );
        self.client
            .batch_execute(&sql)
            .await
            .map_err(ServerError::WithoutRows)
    }

    async fn record(&self, migration: &Migration) -> Result<(), ServerError> {
        let sql = format!(
            "INSERT INTO {}.schema_version (version, applied_at) VALUES ($1, extract(epoch FROM \
             clock_timestamp())::float8)",
            self.schema
        );
        self.client
            .execute_typed(&sql, &[(&i64::from(migration.version()), Type::INT8)])
            .await?;
        self.note(migration, Origin::Applied).await
    }

    async fn note(&self, migration: &Migration, origin: Origin) -> Result<(), ServerError> {
        let sql = format!(
            "INSERT INTO {0}.rune_db_ledger (version, file, sha256, origin, tool, applied_at)
            SELECT version, $2, $3, $4, $5, applied_at FROM {0}.schema_version WHERE version = $1
            ON CONFLICT (version) DO UPDATE SET file = excluded.file, sha256 = excluded.sha256,
                origin = excluded.origin,
                tool = excluded.tool, applied_at = excluded.applied_at",
            self.schema
        );
        let sha256 = (origin == Origin::Applied).then(|| migration.sha256().hex());
        let version = i64::from(migration.version());
        self.client
            .execute_typed(
                &sql,
                &[
                    (&version, Type::INT8),
                    (&migration.file(), Type::TEXT),
                    (&sha256, Type::TEXT),
                    (&origin.word(), Type::TEXT),
                    (&super::TOOL, Type::TEXT),
                ],
            )
            .await?;
        Ok(())
    }
}

pub(super) async fn read(client: &Client, schema: &str) -> Result<Catalog, ServerError> {
    const COLUMNS: &str = "SELECT c.relname::text, c.relkind = ANY('{r,p}'), a.attname::text,
        format_type(a.atttypid, a.atttypmod),
            a.attnotnull, array_position(i.indkey::int2[], a.attnum)::int8,
            (WITH RECURSIVE below AS (
                SELECT a.atttypid AS type
                UNION ALL SELECT typbasetype FROM below JOIN pg_type t ON t.oid = below.type
                    WHERE t.typtype = 'd'
            ) SELECT format_type(type, NULL) FROM below JOIN pg_type t ON t.oid = below.type
                WHERE t.typtype <> 'd')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
        WHERE n.nspname = $1 AND c.relname = ANY($2) ORDER BY c.relname, a.attnum";
    const INDEXES: &str = "SELECT c.relname::text, t.relname::text,
            ARRAY(SELECT coalesce(a.attname::text, '')
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                    ORDER BY place)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND i.indisvalid";
    let names: Vec<&str> = shape::names().collect();
    let mut found = Catalog::default();
    for row in client
        .query_typed(
            COLUMNS,
            &[(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)],
        )
        .await?
    {
        let columns = found.tables.entry(row.try_get(0)?).or_default();
        if let (true, Some(name), Some(kind)) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)
        {
            let (is_required, key_place, stored_as) =
                (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
            columns.push(CatalogColumn {
                name,
                kind,
                stored_as,
                is_required,
                key_place,
            });
        }
    }
    for row in client
        .query_typed(INDEXES, &[(&schema, Type::TEXT)])
        .await?
    {
        found.indexes.insert(
            row.try_get(0)?,
            CatalogIndex {
                table: row.try_get(1)?,
                columns: row.try_get(2)?,
            },
        );
    }
    let schema = quoted(schema);
    if found.has_book(shape::VERSIONS) {
        let sql = format!("SELECT version::int8, applied_at::float8 FROM {schema}.schema_version");
        for row in client.query_typed(&sql, &[]).await? {
            found.versions.insert(row.try_get(0)?, row.try_get(1)?);
        }
    }
    if found.has_book(shape::LEDGER) {
        let sql = format!(
            "SELECT version::int8, file, sha256, origin, tool FROM {schema}.rune_db_ledger"
        );
        for row in client.query_typed(&sql, &[]).await? {
            let ledger = LedgerRow {
                file: row.try_get(1)?,
                sha256: row.try_get(2)?,
                origin: row.try_get(3)?,
                tool: row.try_get(4)?,
            };
            found.ledger.insert(row.try_get(0)?, ledger);
        }
    }
    if found.has_book(shape::REPAIRS) {
        let columns = "subject, was, became, rows::int8, tool, repaired_at::float8";
        let sql = format!("SELECT {columns} FROM {schema}.rune_db_repairs ORDER BY number");
        for row in client.query_typed(&sql, &[]).await? {
            let (subject, was, became, rows) = (
                row.try_get(0)?,
                row.try_get(1)?,
                row.try_get(2)?,
                row.try_get(3)?,
            );
            found.repairs.push(RepairRow {
                subject,
                was,
                became,
                rows,
                tool: row.try_get(4)?,
                repaired_at: row.try_get(5)?,
            });
        }
    }
    Ok(found)
}
