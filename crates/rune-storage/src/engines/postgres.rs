//! Connecting to PostgreSQL.
//!
//! The servers of a URL are tried in its order, and of each all addresses that its name has; every
//! attempt has the whole time limit to itself, from the first packet to the accepted session. The
//! library's own limit ends when the socket is open, and a server that accepts and says nothing
//! must neither hang us nor keep us from the next one.

use std::{io, net::SocketAddr, time::Duration};

use tokio_postgres::{
    Client, Config, NoTls, SimpleQueryMessage,
    config::{ChannelBinding as Binding, SslMode as Encryption},
};

use super::{
    open_session::{AtWork, Canceller, OpenSession},
    postgres_url::{ChannelBinding, PostgresHost, PostgresUrl, SessionKind, SslMode},
    server_error::{ServerError, without_number},
    tls::{ServerCertificate, Tls, TlsError},
    wire::{Address, Wire},
};
use rune_core::failure::{Failure, FailureKind};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ConnectError {
    #[error("cannot connect to `{location}`")]
    Server {
        /// The URL, without password.
        location: String,
        source: Refusal,
    },
    #[error("cannot connect to any server of `{location}`: {}", listed(.refusals))]
    Servers {
        location: String,
        /// Each address that was tried, and why not.
        refusals: Vec<(String, Refusal)>,
    },
    /// The server ended the session while no statement was waiting for an answer.
    #[error("the server ended the session with `{location}`")]
    Ended {
        location: String,
        source: ServerError,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why one server gives no session.
#[derive(Debug, thiserror::Error, Failure)]
#[failure(Network)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error(transparent)]
    Said(#[from] ServerError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot reach the server: {}", without_number(&.0.to_string()))]
    #[failure(help: "check that the server runs and can be reached under this host and \
        port", may_pass)]
    Unreachable(io::Error),
    #[error("no answer within {} s", .0.as_secs())]
    #[failure(help: "check host, port and firewall; `connect_timeout=SECONDS` in the URL changes \
        the limit", may_pass)]
    Silence(Duration),
    /// It can write and should not be able to, or the other way round.
    #[error("the session {}", if *.writes { "can write" } else { "only reads" })]
    #[failure(help: "name another server too, or ask for other `target_session_attrs`", may_pass)]
    WrongKind { writes: bool },
    #[error("the name `{name}` cannot be resolved")]
    #[failure(help: "check the host in the URL and the name service of this machine", may_pass)]
    Name { name: String, source: io::Error },
}

fn listed(refusals: &[(String, Refusal)]) -> String {
    refusals
        .iter()
        .map(|(address, refusal)| format!("{address}: {refusal}"))
        .collect::<Vec<_>>()
        .join("; ")
}

impl ConnectError {
    /// The refusal that tells most: one of a server that answered, if any did.
    fn telling(&self) -> Option<&Refusal> {
        match self {
            Self::Server { source, .. } => Some(source),
            Self::Servers { refusals, .. } => {
                let mut all = refusals.iter().map(|(_, refusal)| refusal);
                all.clone()
                    .find(|refusal| refusal.kind() != FailureKind::Network)
                    .or_else(|| all.next())
            }
            Self::Ended { .. } | Self::Tls(_) => None,
        }
    }
}

impl Failure for ConnectError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Tls(error) => error.kind(),
            Self::Ended { source, .. } => source.kind(),
            _ => self.telling().map_or(FailureKind::Network, Failure::kind),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Tls(error) => error.help(),
            Self::Ended { source, .. } => source.help(),
            _ => self.telling().and_then(Failure::help),
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Server { source, .. } => source.may_pass(),
            Self::Servers { refusals, .. } => {
                refusals.iter().any(|(_, refusal)| refusal.may_pass())
            }
            Self::Ended { source, .. } => source.may_pass(),
            Self::Tls(_) => false,
        }
    }
}

/// Opens a session, does something with it, and takes leave of the server whatever came of it.
///
/// # Errors
/// When no server of the URL lets us in, in time; or what is done fails.
pub async fn with_session<T, E: From<ConnectError>>(
    url: &PostgresUrl,
    act: impl AsyncFnOnce(&Client) -> Result<T, E>,
) -> Result<T, E> {
    with_shown_certificate(url, async |client, _| act(client).await).await
}

/// The same for whoever wants to know which certificate the server showed; without TLS there is
/// none.
///
/// # Errors
/// When no server of the URL lets us in, in time; or what is done fails.
pub async fn with_shown_certificate<T, E: From<ConnectError>>(
    url: &PostgresUrl,
    act: impl AsyncFnOnce(&Client, Option<&ServerCertificate>) -> Result<T, E>,
) -> Result<T, E> {
    let OpenSession {
        client,
        traffic,
        certificate,
        canceller,
    } = open(url).await?;
    let at_work = AtWork::new(traffic, canceller);
    // Younger than `at_work`, so gone before it when this is given up.
    let client = client;
    let outcome = act(&client, certificate.as_ref()).await;
    drop(client);
    match (outcome, at_work.done().await) {
        (Err(_), Some(source)) => Err(ConnectError::Ended {
            location: url.to_string(),
            source,
        }
        .into()),
        (outcome, _) => outcome,
    }
}

/// Opens a session with the first server that lets us in and is of the right kind.
pub(super) async fn open(url: &PostgresUrl) -> Result<OpenSession, ConnectError> {
    let tls = Tls::of(url)?;
    let rounds: &[SessionKind] = match url.session {
        SessionKind::RatherReading => &[SessionKind::Reading, SessionKind::Any],
        SessionKind::Any => &[SessionKind::Any],
        SessionKind::Writing => &[SessionKind::Writing],
        SessionKind::Reading => &[SessionKind::Reading],
    };
    let mut refusals = Vec::new();
    for wanted in rounds {
        refusals.clear();
        for (index, host) in url.hosts.iter().enumerate() {
            match open_one(url, index, host, *wanted, tls.as_ref()).await {
                Ok(opened) => return Ok(opened),
                Err(refusal) => refusals.push((host.to_string(), refusal)),
            }
        }
    }
    let location = url.to_string();
    Err(match refusals.pop() {
        Some((_, source)) if refusals.is_empty() => ConnectError::Server { location, source },
        last => ConnectError::Servers {
            location,
            refusals: refusals.into_iter().chain(last).collect(),
        },
    })
}

/// Tries the addresses of a server; gives the last refusal when none will do.
async fn open_one(
    url: &PostgresUrl,
    index: usize,
    host: &PostgresHost,
    wanted: SessionKind,
    tls: Option<&Tls>,
) -> Result<OpenSession, Refusal> {
    let config = settings(url, index, host);
    // On a Unix socket there is no TLS.
    let tls = match host {
        PostgresHost::Tcp(name, _) => tls.map(|tls| (tls.clone(), name.clone())),
        PostgresHost::Socket(..) => None,
    };
    let limit = url.connect_timeout;
    let mut outcome = Err(Refusal::Silence(limit.unwrap_or_default()));
    for address in within(limit, addresses(host)).await? {
        outcome = within(limit, attempt(url, &config, address, tls.clone(), wanted)).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn within<T>(
    limit: Option<Duration>,
    act: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    match limit {
        None => act.await,
        Some(limit) => tokio::time::timeout(limit, act)
            .await
            .unwrap_or(Err(Refusal::Silence(limit))),
    }
}

async fn addresses(host: &PostgresHost) -> Result<Vec<Address>, Refusal> {
    let (name, port) = match host {
        PostgresHost::Tcp(name, port) => (name, port),
        PostgresHost::Socket(directory, port) => {
            return Ok(vec![Address::Socket(
                directory.join(format!(".s.PGSQL.{port}")),
            )]);
        }
    };
    let unresolved = |source| Refusal::Name {
        name: name.clone(),
        source,
    };
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), *port))
        .await
        .map_err(unresolved)?
        .collect();
    if found.is_empty() {
        return Err(unresolved(io::ErrorKind::NotFound.into()));
    }
    Ok(found.into_iter().map(Address::Tcp).collect())
}

async fn attempt(
    url: &PostgresUrl,
    config: &Config,
    address: Address,
    tls: Option<(Tls, String)>,
    wanted: SessionKind,
) -> Result<OpenSession, Refusal> {
    let wire = Wire::connect(&address, &url.liveness)
        .await
        .map_err(Refusal::Unreachable)?;
    let (client, traffic, certificate) = match &tls {
        None => {
            let (client, connection) = Box::pin(config.connect_raw(wire, NoTls))
                .await
                .map_err(ServerError::from)?;
            (client, tokio::spawn(log_end(connection)), None)
        }
        Some((tls, host)) => {
            let connector = tls.connector(host)?;
            let seen = connector.seen();
            let (client, connection) = Box::pin(config.connect_raw(wire, connector))
                .await
                .map_err(ServerError::from)?;
            (
                client,
                tokio::spawn(log_end(connection)),
                seen.certificate(),
            )
        }
    };
    let canceller = Canceller {
        token: client.cancel_token(),
        address,
        tls,
        liveness: url.liveness,
    };
    let session = OpenSession {
        client,
        traffic,
        certificate,
        canceller,
    };
    match is_of_kind(&session.client, wanted).await {
        Ok(()) => Ok(session),
        Err(refusal) => {
            session.close().await;
            Err(refusal)
        }
    }
}

async fn is_of_kind(client: &Client, wanted: SessionKind) -> Result<(), Refusal> {
    if matches!(wanted, SessionKind::Any | SessionKind::RatherReading) {
        return Ok(());
    }
    let answers = client
        .simple_query("SHOW transaction_read_only")
        .await
        .map_err(ServerError::from)?;
    let only_reads = answers
        .iter()
        .any(|answer| matches!(answer, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")));
    if only_reads == (wanted == SessionKind::Reading) {
        Ok(())
    } else {
        Err(Refusal::WrongKind {
            writes: !only_reads,
        })
    }
}

/// Does the traffic of a session. Whoever waits for an answer is told why the session ended; what
/// the server said when nobody did is what this gives.
async fn log_end(
    connection: impl Future<Output = Result<(), tokio_postgres::Error>>,
) -> Option<ServerError> {
    let error = ServerError::from(connection.await.err()?);
    tracing::debug!(%error, "the connection ended");
    error.code().is_some().then_some(error)
}

/// The settings of a session with one of the servers.
fn settings(url: &PostgresUrl, index: usize, host: &PostgresHost) -> Config {
    let mut config = Config::new();
    config
        .user(&url.user)
        .dbname(&url.database)
        .application_name(url.application_name.as_deref().unwrap_or("rune-db"));
    if let Some(password) = url.password_for(index) {
        config.password(password.expose());
    }
    if let Some(options) = &url.options {
        config.options(options);
    }
    config.channel_binding(match url.channel_binding {
        ChannelBinding::Disable => Binding::Disable,
        ChannelBinding::Prefer => Binding::Prefer,
        ChannelBinding::Require => Binding::Require,
    });
    config.ssl_mode(match url.ssl_mode() {
        _ if matches!(host, PostgresHost::Socket(..)) => Encryption::Disable,
        SslMode::Disable => Encryption::Disable,
        SslMode::Prefer => Encryption::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Encryption::Require,
    });
    config
}
