//! Connecting to PostgreSQL.
//!
//! The servers of a URL are tried in its order, and of each all addresses that its name has; every attempt has the whole
//! time limit to itself, from the first packet to the accepted session. The library's own limit ends when the socket is
//! open, and a server that accepts and says nothing must neither hang us nor keep us from the next one.

use std::{net::IpAddr, slice, time::Duration};

use rustls_pki_types::CertificateDer;
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Config, NoTls,
    config::{SslMode as Encryption, TargetSessionAttrs},
};

use super::{
    postgres_url::{PostgresHost, PostgresUrl, SessionKind, SslMode},
    server_error::ServerError,
    tls::{Tls, TlsError},
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
        /// Why not.
        source: Refusal,
    },
    /// Several servers.
    #[error("cannot connect to any server of `{location}`: {}", listed(.refusals))]
    Servers {
        /// The URL, without password.
        location: String,
        /// Each address that was tried, and why not.
        refusals: Vec<(String, Refusal)>,
    },
    /// TLS cannot even be tried.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why one server gives no session.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What it, or the way to it, said.
    #[error(transparent)]
    Said(#[from] ServerError),
    /// Nobody answered.
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
    /// Its name has no address.
    #[error("the name `{name}` cannot be resolved")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: std::io::Error,
    },
}

fn listed(refusals: &[(String, Refusal)]) -> String {
    refusals.iter().map(|(address, refusal)| format!("{address}: {refusal}")).collect::<Vec<_>>().join("; ")
}

impl ConnectError {
    /// The refusal that tells most: one of a server that answered, if any did.
    fn telling(&self) -> Option<&Refusal> {
        match self {
            Self::Server { source, .. } => Some(source),
            Self::Servers { refusals, .. } => {
                let mut all = refusals.iter().map(|(_, refusal)| refusal);
                all.clone().find(|refusal| refusal.kind() != FailureKind::Network).or_else(|| all.next())
            }
            Self::Tls(_) => None,
        }
    }
}

impl Failure for ConnectError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Tls(error) => error.kind(),
            _ => self.telling().map_or(FailureKind::Network, Failure::kind),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Tls(error) => error.help(),
            _ => self.telling().and_then(Failure::help),
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Server { source, .. } => source.may_pass(),
            Self::Servers { refusals, .. } => refusals.iter().any(|(_, refusal)| refusal.may_pass()),
            Self::Tls(_) => false,
        }
    }
}

impl Failure for Refusal {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Said(error) => error.kind(),
            Self::Silence(_) | Self::Name { .. } => FailureKind::Network,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Said(error) => error.help(),
            Self::Silence(_) => Some("check host, port and firewall; `connect_timeout=SECONDS` in the URL changes the limit".to_owned()),
            Self::Name { .. } => Some("check the host in the URL and the name service of this machine".to_owned()),
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Said(error) => error.may_pass(),
            Self::Silence(_) | Self::Name { .. } => true,
        }
    }
}

/// An open session.
pub(super) struct Opened {
    pub(super) client: Client,
    /// Does the session's traffic; ends when the client is dropped.
    pub(super) traffic: JoinHandle<()>,
    /// The certificate that the server showed, in DER form; without TLS there is none.
    pub(super) certificate: Option<CertificateDer<'static>>,
}

/// Opens a session, does something with it, and takes leave of the server whatever came of it.
///
/// # Errors
/// When no server of the URL lets us in, in time; or what is done fails.
pub async fn with_session<T, E: From<ConnectError>>(url: &PostgresUrl, act: impl AsyncFnOnce(&Client) -> Result<T, E>) -> Result<T, E> {
    with_shown_certificate(url, async |client, _| act(client).await).await
}

/// The same for whoever wants to know which certificate the server showed; without TLS there is none.
///
/// # Errors
/// When no server of the URL lets us in, in time; or what is done fails.
pub async fn with_shown_certificate<T, E: From<ConnectError>>(
    url: &PostgresUrl,
    act: impl AsyncFnOnce(&Client, Option<&[u8]>) -> Result<T, E>,
) -> Result<T, E> {
    let Opened { client, traffic, certificate } = open(url).await?;
    let outcome = act(&client, certificate.as_deref()).await;
    // A session that just breaks off leaves a line in the server's log.
    drop(client);
    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, traffic).await;
    outcome
}

/// Opens a session with the first server that lets us in and is of the right kind.
pub(super) async fn open(url: &PostgresUrl) -> Result<Opened, ConnectError> {
    let tls = Tls::of(url)?;
    let rounds: &[TargetSessionAttrs] = match url.session {
        SessionKind::Any => &[TargetSessionAttrs::Any],
        SessionKind::Writing => &[TargetSessionAttrs::ReadWrite],
        SessionKind::Reading => &[TargetSessionAttrs::ReadOnly],
        SessionKind::RatherReading => &[TargetSessionAttrs::ReadOnly, TargetSessionAttrs::Any],
    };
    let mut refusals = Vec::new();
    for wanted in rounds {
        refusals.clear();
        for host in &url.hosts {
            let mut config = settings(url, slice::from_ref(host));
            config.target_session_attrs(*wanted);
            match open_one(config, host, tls.as_ref(), url.connect_timeout).await {
                Ok(opened) => return Ok(opened),
                Err(refusal) => refusals.push((host.to_string(), refusal)),
            }
        }
    }
    let location = url.to_string();
    Err(match refusals.pop() {
        Some((_, source)) if refusals.is_empty() => ConnectError::Server { location, source },
        last => ConnectError::Servers { location, refusals: refusals.into_iter().chain(last).collect() },
    })
}

/// Tries the addresses of a server; gives the last refusal when none will do.
async fn open_one(config: Config, host: &PostgresHost, tls: Option<&Tls>, limit: Option<Duration>) -> Result<Opened, Refusal> {
    let mut outcome = Err(Refusal::Silence(limit.unwrap_or_default()));
    for address in within(limit, addresses(host)).await? {
        let mut config = config.clone();
        if let Some(address) = address {
            config.hostaddr(address);
        }
        outcome = within(limit, attempt(&config, tls)).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn within<T>(limit: Option<Duration>, act: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    match limit {
        None => act.await,
        Some(limit) => tokio::time::timeout(limit, act).await.unwrap_or(Err(Refusal::Silence(limit))),
    }
}

/// The addresses of a server, at least one; a socket has none.
async fn addresses(host: &PostgresHost) -> Result<Vec<Option<IpAddr>>, Refusal> {
    let PostgresHost::Tcp(name, port) = host else { return Ok(vec![None]) };
    let unresolved = |source| Refusal::Name { name: name.clone(), source };
    let found: Vec<_> =
        tokio::net::lookup_host((name.as_str(), *port)).await.map_err(unresolved)?.map(|address| Some(address.ip())).collect();
    if found.is_empty() { Err(unresolved(std::io::ErrorKind::NotFound.into())) } else { Ok(found) }
}

async fn attempt(config: &Config, tls: Option<&Tls>) -> Result<Opened, Refusal> {
    Ok(match tls {
        None => {
            let (client, connection) = Box::pin(config.connect(NoTls)).await.map_err(ServerError::from)?;
            Opened { client, traffic: tokio::spawn(log_end(connection)), certificate: None }
        }
        Some(tls) => {
            tls.forget_certificate();
            let (client, connection) = Box::pin(config.connect(tls.connector.clone())).await.map_err(ServerError::from)?;
            Opened { client, traffic: tokio::spawn(log_end(connection)), certificate: tls.shown_certificate() }
        }
    })
}

async fn log_end(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    // Whoever waits for an answer is told as well; this is for the case that nobody does.
    if let Err(error) = connection.await {
        tracing::debug!(error = %ServerError::from(error), "the connection ended");
    }
}

/// The settings of a session with one of some servers.
pub(super) fn settings(url: &PostgresUrl, hosts: &[PostgresHost]) -> Config {
    let mut config = Config::new();
    config.user(&url.user).dbname(&url.database).application_name(url.application_name.as_deref().unwrap_or("rune-db"));
    if let Some(password) = &url.password {
        config.password(password.expose());
    }
    for host in hosts {
        match host {
            PostgresHost::Tcp(name, port) => config.host(name).port(*port),
            PostgresHost::Socket(directory, port) => config.host_path(directory).port(*port),
        };
    }
    if let Some(options) = &url.options {
        config.options(options);
    }
    let only_sockets = hosts.iter().all(|host| matches!(host, PostgresHost::Socket(..)));
    config.ssl_mode(match url.ssl_mode.unwrap_or(SslMode::Prefer) {
        _ if only_sockets => Encryption::Disable,
        SslMode::Disable => Encryption::Disable,
        SslMode::Prefer => Encryption::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Encryption::Require,
    });
    config
}
