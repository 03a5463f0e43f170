//! Examining a PostgreSQL server, the way to it, and what the role may do there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;

use super::{Check, schema};
use crate::commands::{overview::TableSummary, target::Target};
use rune_core::{command::CommandError, tls::Certificate};
use rune_storage::{
    PostgresHost, PostgresUrl, ServerCertificate, ServerError, SslMode, ask,
    migrations::Migrations, schema::on_postgres,
};

const POOL: i64 = 10;
const TESTED: std::ops::RangeInclusive<i32> = 15..=18;
/// A certificate should be renewed when it has less than this left.
const RENEWAL_SECONDS: f64 = 30.0 * 86_400.0;
/// How long a second session may take, beside the first.
const SECOND_SESSION: Duration = Duration::from_secs(5);
/// Clocks further apart than this make durations and ages wrong.
const SKEW_SECONDS: f64 = 2.0;

pub(super) async fn examine(
    url: &PostgresUrl,
    target: &Target,
    migrations: &Migrations,
    clock: fn() -> SystemTime,
) -> Vec<Check> {
    let outcome = rune_storage::with_shown_certificate(url, async |client, certificate| {
        Ok::<_, CommandError>(session(client, certificate, url, target, migrations, clock).await)
    });
    outcome
        .await
        .unwrap_or_else(|error| vec![Check::error("connection", &error)])
}

async fn session(
    client: &Client,
    certificate: Option<&ServerCertificate>,
    url: &PostgresUrl,
    target: &Target,
    migrations: &Migrations,
    clock: fn() -> SystemTime,
) -> Vec<Check> {
    vec![
        Check::of("connection", connection(client).await),
        Check::of("tls", tls(client, certificate, url).await),
        Check::of("pooler", pooler(client, url).await),
        Check::of("version", version(client).await),
        Check::of("role", role(client).await),
        Check::of("encoding", encoding(client).await),
        Check::of("collation", collation(client).await),
        Check::of("sessions", sessions(client).await),
        Check::of("clock", skew(client, clock).await),
        Check::of(
            "schema",
            TableSummary::at_server(client, None)
                .await
                .map(|look| schema(target, look, migrations)),
        ),
    ]
}

async fn connection(client: &Client) -> Result<Check, CommandError> {
    const SQL: &str = "SELECT current_user::text, current_database()::text, pg_is_in_recovery(), \
                       current_setting('default_transaction_read_only')::bool";
    let row = ask(client, SQL).await?;
    let get = |index| row.try_get::<_, String>(index).map_err(ServerError::from);
    let flag = |index| row.try_get::<_, bool>(index).map_err(ServerError::from);
    let found = format!("as role `{}` to database `{}`", get(0)?, get(1)?);
    Ok(match (flag(2)?, flag(3)?) {
        (true, _) => Check::warning(
            "connection",
            format!("{found}; the server is a standby and only reads"),
            "connect to the primary",
        ),
        (false, true) => Check::warning(
            "connection",
            format!("{found}; the session only reads"),
            "take `default_transaction_read_only` off the role or database",
        ),
        (false, false) => Check::ok("connection", found),
    })
}

async fn tls(
    client: &Client,
    certificate: Option<&ServerCertificate>,
    url: &PostgresUrl,
) -> Result<Check, CommandError> {
    const NAME: &str = "tls";
    const SQL: &str = "SELECT coalesce(version, ''), coalesce(cipher, ''),
        extract(epoch FROM clock_timestamp())::float8
        FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let Some(certificate) = certificate else {
        let is_near = |host: &PostgresHost| match host {
            PostgresHost::Socket(..) => true,
            PostgresHost::Tcp(name, _) => {
                name == "localhost" || name == "::1" || name.starts_with("127.")
            }
        };
        return Ok(if url.hosts.iter().all(is_near) {
            Check::ok(NAME, "not encrypted, and does not leave this machine")
        } else {
            Check::warning(
                NAME,
                "not encrypted: password and data can be read on the way",
                "turn `ssl` on in the server, and add `sslmode=verify-full`",
            )
        });
    };
    let row = ask(client, SQL).await?;
    let get = |index| row.try_get::<_, String>(index).map_err(ServerError::from);
    let (version, cipher) = (get(0)?, get(1)?);
    // Behind a pooler the server knows only the pooler's own connection.
    let how = if version.is_empty() {
        "encrypted".to_owned()
    } else {
        format!("{version}, {cipher}")
    };
    let end = Certificate::read(&certificate.der).map(|read| read.end());
    let text = end
        .as_ref()
        .map_or_else(|| "an unknown day".to_owned(), ToString::to_string);
    let now: f64 = row.try_get(2).map_err(ServerError::from)?;
    let is_near_end = end
        .is_some_and(|end| Duration::from_secs(end.seconds).as_secs_f64() - now < RENEWAL_SECONDS);
    let verified = match url.ssl_mode() {
        SslMode::VerifyFull => "verified for this host",
        _ if url.ssl_root_certificate.is_some() => "verified, whatever host it names",
        _ => "not verified",
    };
    let found = format!("{how}; certificate {verified}, valid until {text}");
    Ok(if let Some(kind) = &certificate.unverifiable_key {
        Check::warning(
            NAME,
            format!(
                "{found}; its key is {kind}, which is not supported: the server may not hold it, \
                 and channel binding is not used"
            ),
            "issue a certificate with a key on P-256 or RSA of 2048 bits or more",
        )
    } else if is_near_end {
        Check::warning(NAME, found, "renew the server's certificate")
    } else if verified == "not verified" {
        Check::warning(
            NAME,
            found,
            "add `sslmode=verify-full` and `sslrootcert=…`: anybody on the way could pose as the \
             server",
        )
    } else {
        Check::ok(NAME, found)
    })
}

/// Two sessions that are one on the server are shared out by a pooler between transactions.
async fn pooler(client: &Client, url: &PostgresUrl) -> Result<Check, CommandError> {
    const NAME: &str = "pooler";
    const SQL: &str = "SELECT pg_backend_pid(), inet_server_port()";
    let first: i32 = ask(client, SQL)
        .await?
        .try_get(0)
        .map_err(ServerError::from)?;
    let second = rune_storage::with_session(url, async |other| -> Result<_, CommandError> {
        let row = ask(other, SQL).await?;
        Ok((
            row.try_get::<_, i32>(0).map_err(ServerError::from)?,
            row.try_get::<_, Option<i32>>(1)
                .map_err(ServerError::from)?,
        ))
    });
    // A pool or a role with one session to give lets the second wait for the first, or refuses it.
    // The other checks need only one.
    let help = format!("allow more sessions: each replica of RUNE opens up to {POOL}");
    let (second, port) = match tokio::time::timeout(SECOND_SESSION, second).await {
        Ok(Ok(second)) => second,
        Ok(Err(error)) => {
            return Ok(Check::warning(
                NAME,
                format!(
                    "a second session is refused while one is open: {}",
                    error.messages().join(": ")
                ),
                help,
            ));
        }
        Err(_) => {
            let seconds = SECOND_SESSION.as_secs();
            return Ok(Check::warning(
                NAME,
                format!("a second session got no answer within {seconds}s while one is open"),
                help,
            ));
        }
    };
    let is_port = |host: &PostgresHost| match host {
        PostgresHost::Socket(..) => port.is_none(),
        PostgresHost::Tcp(_, own) => port == Some(i32::from(*own)),
    };
    Ok(if first == second {
        Check::warning(
            NAME,
            "there is one that shares sessions between transactions: only `migrate` and `status` \
             are promised through it",
            "name the server itself, or a pooler in session mode",
        )
    } else if url.hosts.iter().any(is_port) {
        Check::ok(NAME, "none")
    } else {
        Check::ok(
            NAME,
            "something stands between, a pooler or a mapped port; the sessions are our own",
        )
    })
}

async fn version(client: &Client) -> Result<Check, CommandError> {
    let row = ask(
        client,
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int4 / \
         10000",
    )
    .await?;
    let found = format!(
        "PostgreSQL {}",
        row.try_get::<_, &str>(0).map_err(ServerError::from)?
    );
    let major: i32 = row.try_get(1).map_err(ServerError::from)?;
    Ok(if TESTED.contains(&major) {
        Check::ok("version", found)
    } else {
        let help = format!("versions {} to {} are tested", TESTED.start(), TESTED.end());
        Check::warning("version", found, help)
    })
}

async fn role(client: &Client) -> Result<Check, CommandError> {
    const SQL: &str =
        "SELECT rolsuper, current_schema()::text FROM pg_roles WHERE rolname = current_user";
    on_postgres::check_roles(client, None).await?;
    let row = ask(client, SQL).await?;
    let schema: String = row.try_get(1).map_err(ServerError::from)?;
    let found = format!("may make tables in schema `{schema}`, and RUNE's are its own");
    Ok(if row.try_get(0).map_err(ServerError::from)? {
        Check::warning(
            "role",
            format!("{found}; it is a superuser"),
            "let RUNE use a role that owns its database and no more",
        )
    } else {
        Check::ok("role", found)
    })
}

async fn encoding(client: &Client) -> Result<Check, CommandError> {
    let row = ask(
        client,
        "SELECT pg_encoding_to_char(encoding)::text FROM pg_database WHERE datname = \
         current_database()",
    )
    .await?;
    let found: String = row.try_get(0).map_err(ServerError::from)?;
    Ok(if found == "UTF8" {
        Check::ok("encoding", found)
    } else {
        Check::warning(
            "encoding",
            format!("`{found}` cannot hold every text that RUNE writes"),
            "make the database with `ENCODING 'UTF8'`",
        )
    })
}

async fn collation(client: &Client) -> Result<Check, CommandError> {
    const SQL: &str = "SELECT datcollate::text,
        coalesce(datcollversion <> pg_database_collation_actual_version(oid), false)
        FROM pg_database WHERE datname = current_database()";
    let row = ask(client, SQL).await?;
    let found: String = row.try_get(0).map_err(ServerError::from)?;
    Ok(if row.try_get(1).map_err(ServerError::from)? {
        let help = "run `REINDEX DATABASE` and then `ALTER DATABASE … REFRESH COLLATION VERSION`";
        Check::warning(
            "collation",
            format!("`{found}` is not ordered as it was when the indexes were made"),
            help,
        )
    } else {
        Check::ok("collation", found)
    })
}

async fn sessions(client: &Client) -> Result<Check, CommandError> {
    const SQL: &str = "SELECT greatest(0, least(
            current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8
                - coalesce(current_setting('reserved_connections', true)::int8, 0)
                - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
            CASE WHEN r.rolconnlimit < 0 THEN NULL
                ELSE r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity
                    WHERE usename = current_user) END,
            CASE WHEN d.datconnlimit < 0 THEN NULL
                ELSE d.datconnlimit - (SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database()) END
        )), current_setting('max_connections')
        FROM pg_roles r, pg_database d WHERE r.rolname = current_user
            AND d.datname = current_database()";
    let row = ask(client, SQL).await?;
    let free: i64 = row.try_get(0).map_err(ServerError::from)?;
    let found = format!(
        "{free} free of {}",
        row.try_get::<_, &str>(1).map_err(ServerError::from)?
    );
    Ok(if free < POOL {
        let help = format!(
            "each replica of RUNE opens up to {POOL}: raise `max_connections` or the limit of \
             role or database, or lower RUNE_PG_POOL_MAX"
        );
        Check::warning("sessions", found, help)
    } else {
        Check::ok("sessions", found)
    })
}

async fn skew(client: &Client, clock: fn() -> SystemTime) -> Result<Check, CommandError> {
    let here = || {
        clock()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64())
    };
    let before = here();
    let row = ask(
        client,
        "SELECT extract(epoch FROM clock_timestamp())::float8",
    )
    .await?;
    let after = here();
    let server_time: f64 = row.try_get(0).map_err(ServerError::from)?;
    // As far as the server's clock lies outside the time that the question took.
    let skew = (server_time - after).max(before - server_time).max(0.0);
    Ok(if skew > SKEW_SECONDS {
        let help =
            "set the clocks by the same time server; RUNE writes its own time, not the server's";
        Check::warning(
            "clock",
            format!("{skew:.0} s apart from the server's"),
            help,
        )
    } else {
        Check::ok(
            "clock",
            "agrees with the server's; time zones do not matter",
        )
    })
}
