//! Connecting to PostgreSQL.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    postgres_url::{PostgresHost, PostgresUrl, SslMode},
    server_error::ServerError,
    tls::{self, TlsError},
};
use crate::failure::{Failure, FailureKind};

/// How long taking leave may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server, or the way to it.
    #[error("cannot connect to `{location}`")]
    Server {
        /// The URL, without password.
        location: String,
        /// What was said.
        source: ServerError,
    },
    /// Nobody answered.
    #[error("cannot connect to `{location}`: no answer within {} s", timeout.as_secs())]
    Timeout {
        /// The URL, without password.
        location: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// TLS cannot even be tried.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Failure for ConnectError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Server { source, .. } => source.kind(),
            Self::Timeout { .. } => FailureKind::Network,
            Self::Tls(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Server { source, .. } => source.help(),
            Self::Timeout { .. } => {
                Some("check host, port and firewall; `connect_timeout=SECONDS` in the URL changes the limit".to_owned())
            }
            Self::Tls(error) => error.help(),
        }
    }
}

/// Opens a session, does something with it, and takes leave of the server whatever came of it.
///
/// # Errors
/// When no server of the URL lets us in, in time; or what is done fails.
pub async fn with_session<T, E: From<ConnectError>>(url: &PostgresUrl, act: impl AsyncFnOnce(&Client) -> Result<T, E>) -> Result<T, E> {
    let (client, traffic) = connect(url).await?;
    let outcome = act(&client).await;
    // A session that just breaks off leaves a line in the server's log.
    drop(client);
    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, traffic).await;
    outcome
}

/// Opens a session; its traffic is the work of the task.
pub(super) async fn connect(url: &PostgresUrl) -> Result<(Client, JoinHandle<()>), ConnectError> {
    let config = settings(url);
    let tls = match config.get_ssl_mode() {
        config::SslMode::Disable => None,
        _ => tls::client_config(url.ssl_mode.unwrap_or(SslMode::Prefer), url.ssl_root_certificate.as_ref())?,
    };
    let attempt = async {
        Ok(match tls {
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(log_end(connection)))
            }
            Some(tls) => {
                let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
                (client, tokio::spawn(log_end(connection)))
            }
        })
    };
    // The library's own limit ends when the socket is open; a server that accepts and says nothing must not hang us.
    let hosts = u32::try_from(url.hosts.len()).unwrap_or(u32::MAX);
    let outcome: Result<_, tokio_postgres::Error> = match url.connect_timeout.map(|timeout| timeout.saturating_mul(hosts)) {
        None => attempt.await,
        Some(timeout) => match tokio::time::timeout(timeout, attempt).await {
            Ok(outcome) => outcome,
            Err(_) => return Err(ConnectError::Timeout { location: url.to_string(), timeout }),
        },
    };
    outcome.map_err(|error| ConnectError::Server { location: url.to_string(), source: error.into() })
}

async fn log_end(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    // Whoever waits for an answer is told as well; this is for the case that nobody does.
    if let Err(error) = connection.await {
        tracing::debug!(error = %ServerError::from(error), "the connection ended");
    }
}

fn settings(url: &PostgresUrl) -> Config {
    let mut config = Config::new();
    config.user(&url.user).dbname(&url.database).application_name(url.application_name.as_deref().unwrap_or("rune-db"));
    if let Some(password) = &url.password {
        config.password(password.expose());
    }
    for host in &url.hosts {
        match host {
            PostgresHost::Tcp(name, port) => config.host(name).port(*port),
            PostgresHost::Socket(directory, port) => config.host_path(directory).port(*port),
        };
    }
    if let Some(options) = &url.options {
        config.options(options);
    }
    if let Some(timeout) = url.connect_timeout {
        config.connect_timeout(timeout);
    }
    if url.needs_writable {
        config.target_session_attrs(config::TargetSessionAttrs::ReadWrite);
    }
    // There is no TLS on Unix sockets; like libpq, the mode is then not looked at.
    let only_sockets = url.hosts.iter().all(|host| matches!(host, PostgresHost::Socket(..)));
    config.ssl_mode(match url.ssl_mode.unwrap_or(SslMode::Prefer) {
        _ if only_sockets => config::SslMode::Disable,
        SslMode::Disable => config::SslMode::Disable,
        SslMode::Prefer => config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => config::SslMode::Require,
    });
    config
}
