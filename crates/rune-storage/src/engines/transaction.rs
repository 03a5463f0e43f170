//! How each of our transactions on PostgreSQL begins, so that a statement means the same whatever a
//! role, a database or a URL sets.
//!
//! Everything is set with `SET LOCAL`: it ends with the transaction, so a pooler that hands the
//! session to others passes nothing on.

use std::{fmt::Write as _, time::Duration};

use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::server_error::ServerError;

/// How long ending a transaction may take.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a server checks whether the program is still there while it works on a statement.
pub(super) const CHECK_INTERVAL: &str = "2s";

/// What is set in every transaction. A setting that a later major version brought is in [`NEWER`].
///
/// # What is left alone
///
/// - `search_path` says which schema is RUNE's. It is read and then fixed ([`FIX_SEARCH_PATH`]).
/// - `role` says as whom RUNE acts, and so who owns what is created.
/// - `default_tablespace`, `default_table_access_method`, `default_toast_compression`,
///   `temp_tablespaces`: where and how a site stores.
/// - `default_transaction_read_only` is a site's fence. It is never switched off; [`begin`] refuses
///   to write behind it.
/// - `synchronous_commit`, except `off`: how many servers a COMMIT waits for is the site's
///   decision.
/// - `session_replication_role`, `event_triggers`, `lc_messages`, `max_stack_depth` and other
///   settings that only a superuser changes. What fires and which language the server speaks is as
///   it is for RUNE; errors are recognised by their SQLSTATE.
/// - `idle_session_timeout` and the settings of the connection: they hold between transactions,
///   where `SET LOCAL` cannot reach.
/// - The planner (`enable_*`, `plan_cache_mode`), memory, parallelism and logging change how fast
///   an answer comes, not what it is.
const SETTINGS: &[(&str, &str)] = &[
    // The server refuses a query that a policy would filter, instead of hiding rows.
    ("row_security", "off"),
    // A GIN index of a site gives all rows, not a random part of them.
    ("gin_fuzzy_search_limit", "0"),
    // A rewritten or scanned table is read from its first page on: the same rows in the same order
    // each time.
    ("synchronize_seqscans", "off"),
    // Floats become the shortest text that gives the same number again. Below 1 digits are lost.
    ("extra_float_digits", "3"),
    // Text arrives as UTF-8 and is sent as UTF-8.
    ("client_encoding", "UTF8"),
    // What a backslash and a quote mean in a literal.
    ("standard_conforming_strings", "on"),
    ("escape_string_warning", "on"),
    ("backslash_quote", "safe_encoding"),
    // `x = NULL` is unknown, and `NULL` in an array literal is NULL.
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    // Names in generated SQL and in messages are quoted where they have to be.
    ("quote_all_identifiers", "off"),
    // The text form of bytes, times, amounts and documents, in statements of migrations too.
    ("bytea_output", "hex"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
    // A function in a migration is checked when it is created.
    ("check_function_bodies", "on"),
    // A deadlock or a table that somebody else created first is an error and not the end of the
    // session.
    ("exit_on_error", "off"),
    // A debugging level of a role would send a notice with every statement.
    ("client_min_messages", "warning"),
    // Work on large tables takes long. `statement_timeout` is set first, by `prelude`.
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];

/// Settings that the servers of later major versions have.
const NEWER: &[(u32, &str, &str)] = &[(17, "transaction_timeout", "0")];

/// Where the role may: pages that cannot be read are errors and not empty.
const PRIVILEGED: &[(&str, &str)] = &[
    ("zero_damaged_pages", "off"),
    ("ignore_checksum_failure", "off"),
];

/// Remembers whether the URL's own `options` say which schema is meant, then fixes the search path
/// to the schemas that exist in it. `pg_catalog` comes first, so that nothing in another schema can
/// pass for a function or operator of the server, and the session's temporary schema last, where
/// nothing can pass for a table of RUNE.
pub(super) const FIX_SEARCH_PATH: &str = "SELECT pg_catalog.set_config('rune_db.names_schema',
    'yes', true)
        FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'search_path'
            AND source OPERATOR(pg_catalog.=) 'client';
    SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', (
        SELECT pg_catalog.string_agg(pg_catalog.quote_ident(name), ', ' ORDER BY place)
        FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY AS path (name,
            place)
        WHERE name OPERATOR(pg_catalog.<>) 'pg_catalog' AND name OPERATOR(pg_catalog.!~) '^pg_temp_'
    ), 'pg_temp'), true)";

/// Asks whether the session can write; [`check_is_writable`] reads the answer.
pub(super) const WRITABILITY: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything it reads is of one moment.
    Reading,
    /// Each statement sees what is committed before it.
    Writing,
    /// Everything it reads is of one moment, but for what it changes itself.
    Counting,
}

/// What begins a transaction, up to and without the first statement that takes a snapshot. Settings
/// of later major versions are included when `major` is known.
pub(super) fn prelude(access: Access, statement_timeout: Duration, major: Option<u32>) -> String {
    let mode = match access {
        Access::Reading => "REPEATABLE READ READ ONLY",
        // Not READ WRITE, which would switch off `default_transaction_read_only`.
        Access::Writing => "READ COMMITTED",
        Access::Counting => "REPEATABLE READ",
    };
    let mut sql = format!(
        "BEGIN ISOLATION LEVEL {mode} NOT DEFERRABLE; SET LOCAL statement_timeout = {};",
        statement_timeout.as_millis()
    );
    let newer = NEWER
        .iter()
        .filter(|(since, ..)| major.is_some_and(|major| major >= *since))
        .map(|(_, name, value)| (*name, *value));
    for (name, value) in newer.chain(SETTINGS.iter().copied()) {
        let _ = write!(sql, " SET LOCAL {name} = '{value}';");
    }
    sql
}

/// What follows the first snapshot: the settings that depend on the server and the role.
pub(super) fn postlude(access: Access) -> String {
    let mut sql = String::new();
    let mut set = |name: &str, value: &str, condition: String| {
        let _ = write!(
            sql,
            "SELECT pg_catalog.set_config('{name}', '{value}', true) WHERE {condition};"
        );
    };
    for (since, name, value) in NEWER {
        set(
            name,
            value,
            format!("pg_catalog.current_setting('server_version_num')::int >= {since}0000"),
        );
    }
    // A server on Linux can find out that the program was killed, and then ends its statement.
    // Elsewhere the setting is refused.
    set(
        "client_connection_check_interval",
        CHECK_INTERVAL,
        "pg_catalog.version() OPERATOR(pg_catalog.~) 'linux'".to_owned(),
    );
    for (name, value) in PRIVILEGED {
        set(
            name,
            value,
            format!("pg_catalog.has_parameter_privilege('{name}', 'SET')"),
        );
    }
    if access != Access::Reading {
        // What was reported as done must survive a crash of the server.
        set(
            "synchronous_commit",
            "local",
            "pg_catalog.current_setting('synchronous_commit') = 'off'".to_owned(),
        );
    }
    sql
}

/// Begins a transaction, perhaps as another role. Every transaction of ours begins here, or in
/// `begin_locked`.
///
/// # Errors
/// When the server cannot be asked, the role cannot be taken on, or the transaction is to write and
/// the server only reads.
pub async fn begin(
    client: &Client,
    access: Access,
    role: Option<&str>,
    statement_timeout: Duration,
) -> Result<(), ServerError> {
    let outcome = async {
        let first = prelude(access, statement_timeout, None);
        let rest = format!("{FIX_SEARCH_PATH}; {} {WRITABILITY}", postlude(access));
        let messages = if let Some(role) = role {
            client.batch_execute(&first).await?;
            let refused = |error| ServerError::Role {
                role: role.to_owned(),
                source: Box::new(ServerError::WithoutRows(error)),
            };
            client
                .batch_execute(&set_role(role))
                .await
                .map_err(refused)?;
            client.simple_query(&rest).await?
        } else {
            client.simple_query(&(first + &rest)).await?
        };
        if access == Access::Reading {
            Ok(())
        } else {
            check_is_writable(&messages)
        }
    };
    let outcome = outcome.await;
    if outcome.is_err() {
        roll_back(client).await;
    }
    outcome
}

/// Acts as a role until the transaction ends.
pub(super) fn set_role(role: &str) -> String {
    format!("SET LOCAL ROLE \"{}\";", role.replace('"', "\"\""))
}

/// Refuses a server or session that only reads, by the last row of an answer.
pub(super) fn check_is_writable(messages: &[SimpleQueryMessage]) -> Result<(), ServerError> {
    let row = messages.iter().rev().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message {
            Some(row)
        } else {
            None
        }
    });
    match row.map(|row| (row.get(0), row.get(1))) {
        Some((Some("t"), _)) => Err(ServerError::Standby),
        Some((_, Some("on"))) => Err(ServerError::ReadOnly),
        _ => Ok(()),
    }
}

/// Ends a transaction and keeps what it did.
///
/// # Errors
/// When the server refuses, and then nothing was kept; when the connection is lost meanwhile, and
/// then nobody knows.
pub async fn commit(client: &Client) -> Result<(), ServerError> {
    client
        .batch_execute("COMMIT")
        .await
        .map_err(|error| match ServerError::from(error) {
            ServerError::Said(error) if ServerError::is_lost(&error) => {
                ServerError::Uncertain(error)
            }
            error => error,
        })
}

/// Ends a transaction that came to nothing, so that a pooler can go on with the session.
pub async fn roll_back(client: &Client) {
    // A session that is gone, or still busy sending what nobody wants any more, rolls back when it
    // is closed.
    let _ = tokio::time::timeout(ROLLBACK_TIMEOUT, client.batch_execute("ROLLBACK")).await;
}

/// Asks for one row in a transaction of its own.
///
/// # Errors
/// When the server cannot be asked.
pub async fn ask(client: &Client, sql: &str) -> Result<Row, ServerError> {
    begin(client, Access::Reading, None, Duration::ZERO).await?;
    let row = client.query_typed_one(sql, &[]).await;
    roll_back(client).await;
    Ok(row?)
}
