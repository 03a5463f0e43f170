//! Lock, then look: a transaction whose tables nobody can empty or change under its look.
//!
//! `TRUNCATE` and most of `ALTER TABLE` put a table into a new file, and a snapshot that is older
//! than that finds the new file empty. So the tables are locked before the snapshot exists. Until
//! then only statements run that take none: `BEGIN`, `SET LOCAL` and one `LOCK TABLE`. The names
//! come from an earlier transaction, and are read again under the lock.
//!
//! A transaction that writes locks its tables as its statements would. Nobody can put a trigger,
//! rule, foreign key or policy on a table between the check of it and the statement that would meet
//! it.

use std::{fmt::Write as _, time::Duration};

use tokio_postgres::{Client, error::SqlState, types::Type};

use super::{
    server_error::ServerError,
    transaction::{
        Access, CHECK_INTERVAL, FIX_SEARCH_PATH, WRITABILITY, begin, check_is_writable, postlude,
        prelude, roll_back, set_role,
    },
};

/// How often tables may change between the two looks.
const ATTEMPTS: u32 = 20;
/// How long is waited for whoever rewrites a table.
const LOCK_TIMEOUT: &str = "10min";

/// Which tables a transaction is for, and as whom and for what it is begun.
#[derive(Debug, Clone, Copy)]
pub struct Locking<'a> {
    /// What it is for.
    pub access: Access,
    /// The names of tables; those that exist are locked.
    pub names: &'a [&'a str],
    /// The role to act as.
    pub role: Option<&'a str>,
    /// Whether a table that the role may not read is an error. It is not locked otherwise; one that
    /// it may only read is locked for that.
    pub(crate) needs_all: bool,
    /// The limit of each statement; zero means no limit.
    pub statement_timeout: Duration,
}

/// Tables as one transaction saw them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenTables {
    major: Option<u32>,
    /// Whether the server can check whether we are still there.
    is_linux: bool,
    /// In the order in which all of us lock.
    tables: Vec<SeenTable>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenTable {
    /// In SQL.
    name: String,
    oid: i64,
    is_writable: bool,
}

/// Begins a transaction with all tables locked before its first snapshot. Gives what it saw, which
/// saves the next transaction a look. Fails when a table may not be read, stays locked, or is
/// replaced again and again; when the server cannot be asked, or only reads and the transaction is
/// to write.
pub(crate) async fn begin_locked(
    client: &Client,
    locking: &Locking<'_>,
    known: Option<SeenTables>,
) -> Result<SeenTables, ServerError> {
    let mut known = known;
    for _ in 0..ATTEMPTS {
        let seen = match known.take() {
            Some(seen) => seen,
            None => look_first(client, locking).await?,
        };
        match lock_and_look(client, locking, &seen).await {
            Ok(true) => return Ok(seen),
            Ok(false) => roll_back(client).await,
            Err(error) => {
                roll_back(client).await;
                if !is_worth_another_look(&error) {
                    return Err(error);
                }
            }
        }
        tracing::debug!("the tables changed before they were locked");
    }
    Err(ServerError::Unsteady)
}

/// Whether the tables are not those that were seen, or two who lock waited for each other.
fn is_worth_another_look(error: &ServerError) -> bool {
    const CODES: [SqlState; 4] = [
        SqlState::UNDEFINED_TABLE,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::WRONG_OBJECT_TYPE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| CODES.contains(code))
}

/// Reads the names in a transaction of its own.
async fn look_first(client: &Client, locking: &Locking<'_>) -> Result<SeenTables, ServerError> {
    begin(
        client,
        locking.access,
        locking.role,
        locking.statement_timeout,
    )
    .await?;
    let seen = look(client, locking).await;
    roll_back(client).await;
    seen
}

/// Begins, locks, and says whether the tables are those that were seen.
async fn lock_and_look(
    client: &Client,
    locking: &Locking<'_>,
    seen: &SeenTables,
) -> Result<bool, ServerError> {
    let mut sql = prelude(locking.access, locking.statement_timeout, seen.major);
    if let Some(role) = locking.role {
        sql.push_str(&set_role(role));
    }
    if seen.is_linux {
        let _ = write!(
            sql,
            " SET LOCAL client_connection_check_interval = '{CHECK_INTERVAL}';"
        );
    }
    if !seen.tables.is_empty() {
        let _ = write!(sql, "SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';");
        for table in &seen.tables {
            let mode = if locking.access != Access::Reading && table.is_writable {
                "ROW EXCLUSIVE"
            } else {
                "ACCESS SHARE"
            };
            let _ = write!(sql, " LOCK TABLE {} IN {mode} MODE;", table.name);
        }
    }
    client.batch_execute(&sql).await?;
    let messages = client
        .simple_query(&format!(
            "{FIX_SEARCH_PATH}; {} {WRITABILITY}",
            postlude(locking.access)
        ))
        .await?;
    if locking.access != Access::Reading {
        check_is_writable(&messages)?;
    }
    Ok(look(client, locking).await?.tables == seen.tables)
}

/// Reads which tables there are, and refuses those that may not be read: them, or the sequences
/// that belong to them.
async fn look(client: &Client, locking: &Locking<'_>) -> Result<SeenTables, ServerError> {
    const SQL: &str = "WITH found AS (
            SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = current_schema() AND c.relname = ANY($1) AND c.relkind IN ('r', 'p')
        ), owned AS (
            SELECT s.oid FROM found JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass
                AND d.refobjid = found.oid
            JOIN pg_class s ON d.classid = 'pg_class'::regclass AND s.oid = d.objid
                WHERE s.relkind = 'S' AND d.deptype IN ('a', 'i')
        )
        SELECT format('%I.%I', n.nspname, c.relname), c.oid::int8,
            has_table_privilege(c.oid, 'SELECT'), c.relkind = 'S',
            current_setting('server_version_num')::int4 / 10000, quote_ident(current_user), version() ~ 'linux',
            c.relkind <> 'S' AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid IN (SELECT oid FROM found UNION ALL SELECT oid FROM owned) ORDER BY c.relname";
    let mut seen = SeenTables::default();
    let mut denied = Vec::new();
    let mut role = String::new();
    for row in client
        .query_typed(SQL, &[(&locking.names, Type::TEXT_ARRAY)])
        .await?
    {
        let (name, oid, is_readable, is_sequence): (String, i64, bool, bool) = (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
        );
        seen.major = u32::try_from(row.try_get::<_, i32>(4)?).ok();
        role = row.try_get(5)?;
        seen.is_linux = row.try_get(6)?;
        match (is_readable, is_sequence) {
            (false, true) => denied.push(format!("SEQUENCE {name}")),
            (false, false) => denied.push(format!("TABLE {name}")),
            (true, true) => {}
            (true, false) => seen.tables.push(SeenTable {
                name,
                oid,
                is_writable: row.try_get(7)?,
            }),
        }
    }
    if locking.needs_all && !denied.is_empty() {
        return Err(ServerError::Denied {
            role,
            relations: denied,
        });
    }
    Ok(seen)
}
