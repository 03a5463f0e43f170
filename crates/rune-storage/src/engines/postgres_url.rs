//! PostgreSQL URLs: the parts of libpq's connection URI that are supported here, each with one
//! meaning.

mod parse;

use std::{fmt, time::Duration};

use camino::Utf8PathBuf;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::url::UrlError;
use rune_core::secret::Secret;

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const ENCODED_PARAMETER: &AsciiSet = &ENCODED.remove(b'/');

/// A database on a PostgreSQL server, and how to connect to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// The role to log in as.
    pub user: String,
    /// Its password on every server, if one is known.
    pub password: Option<Secret>,
    /// The servers to try, in this order; at least one.
    pub hosts: Vec<PostgresHost>,
    /// The passwords of a password file, one for each server; empty if none was read.
    pub(super) host_passwords: Vec<Option<Secret>>,
    /// The database.
    pub database: String,
    /// Whether and how TLS is used, as it was said; [`PostgresUrl::ssl_mode`] says what holds.
    pub(crate) given_ssl_mode: Option<SslMode>,
    /// Whom to trust when the server's certificate is verified.
    pub ssl_root_certificate: Option<RootCertificates>,
    /// Whether the login has to prove that nobody stands between.
    pub channel_binding: ChannelBinding,
    /// How long one server may take to accept the session; `None` is for ever.
    pub connect_timeout: Option<Duration>,
    /// When a server that no longer answers is given up.
    pub liveness: Liveness,
    /// Server settings for the session, as libpq's `options`.
    pub options: Option<String>,
    /// The name the session has in the server's views and logs.
    pub application_name: Option<String>,
    /// The certificate that this side shows, if the server asks for one.
    pub client_certificate: ClientCertificate,
    /// Which of the servers will do.
    pub session: SessionKind,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresHost {
    /// By name or address, and port.
    Tcp(String, u16),
    /// By the directory of its Unix socket, and the port that the socket's name ends with.
    Socket(Utf8PathBuf, u16),
}

/// Whether and how TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When the server offers it; the certificate is verified only when root certificates are
    /// named, as libpq does.
    Prefer,
    /// Always; the certificate is verified only when root certificates are named, as libpq does.
    Require,
    /// Always, with a certificate of a trusted CA, whatever host it names.
    VerifyCa,
    /// Always, with a certificate of a trusted CA for this very host.
    VerifyFull,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCertificates {
    /// The certificates of a PEM file.
    File(Utf8PathBuf),
    /// The public CAs that this program brings along.
    System,
}

/// The certificate that this side shows: both files or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and what leads from it to a CA that the server trusts, in PEM form.
    pub certificate: Option<Utf8PathBuf>,
    /// Its private key, in PEM form and without a passphrase.
    pub key: Option<Utf8PathBuf>,
}

/// Which of several servers will do, as libpq's `target_session_attrs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SessionKind {
    /// The first that lets us in.
    #[default]
    Any,
    /// One where the session can write: `read-write`, and `primary`, which would be of no use
    /// otherwise.
    Writing,
    /// One where the session can only read: `read-only`, and `standby`.
    Reading,
    /// One where the session can only read, and if there is none, any: `prefer-standby`.
    RatherReading,
}

/// Whether the login is bound to the TLS connection (SCRAM-SHA-256-PLUS), so that it fails when
/// somebody stands between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// When the server can.
    #[default]
    Prefer,
    /// Always.
    Require,
}

/// When a server that no longer answers is given up. A server that works on a statement answers all
/// the while: its operating system does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// Probes on a connection that is silent; `None` is never.
    pub(crate) keepalive: Option<Keepalive>,
    /// How long nothing that was sent may be acknowledged; `None` is as long as the operating
    /// system tries.
    pub(crate) unacknowledged: Option<Duration>,
}

/// Probes on a connection that is silent; what is `None` is left to the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// How long it is silent before the first.
    pub idle: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    /// How many may stay without an answer.
    pub count: Option<u32>,
}

impl Default for Liveness {
    /// Either way a path that is gone is noticed within a minute.
    fn default() -> Self {
        let keepalive = Keepalive {
            idle: Some(Duration::from_secs(20)),
            interval: Some(Duration::from_secs(10)),
            count: Some(3),
        };
        Self {
            keepalive: Some(keepalive),
            unacknowledged: Some(Duration::from_secs(45)),
        }
    }
}

/// What holds where the URL says nothing: libpq's environment variables.
#[derive(Debug, Clone, Default)]
pub struct PostgresDefaults {
    /// `PGSSLMODE`.
    pub ssl_mode: Option<String>,
    /// `PGSSLROOTCERT`.
    pub ssl_root_certificate: Option<String>,
    /// `PGSSLCERT`.
    pub ssl_certificate: Option<String>,
    /// `PGSSLKEY`.
    pub ssl_key: Option<String>,
}

impl SslMode {
    const EXPECTED: &str = "one of disable, prefer, require, verify-ca, verify-full";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl ChannelBinding {
    const EXPECTED: &str = "one of disable, prefer, require";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            _ => return None,
        })
    }
}

impl SessionKind {
    const EXPECTED: &str = "one of any, read-write, read-only, primary, standby, prefer-standby";

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "any" => Self::Any,
            "read-write" | "primary" => Self::Writing,
            "read-only" | "standby" => Self::Reading,
            "prefer-standby" => Self::RatherReading,
            _ => return None,
        })
    }
}

impl RootCertificates {
    fn parse(text: &str) -> Self {
        if text == "system" {
            Self::System
        } else {
            Self::File(text.into())
        }
    }
}

impl PostgresUrl {
    /// The query parameters that are supported.
    pub const PARAMETERS: &[&str] = &[
        "application_name",
        "channel_binding",
        "connect_timeout",
        "dbname",
        "host",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "options",
        "password",
        "port",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
        "tcp_user_timeout",
        "user",
    ];

    /// Fills in what the URL leaves open.
    ///
    /// # Errors
    /// When a default has a bad value.
    pub fn set_defaults(&mut self, defaults: &PostgresDefaults) -> Result<(), UrlError> {
        let (mut mode_from, mut roots_from) = ("sslmode", "sslrootcert");
        if let (None, Some(text)) = (self.given_ssl_mode, &defaults.ssl_mode) {
            mode_from = "PGSSLMODE";
            let mode = SslMode::parse(text).ok_or(UrlError::ParameterValue {
                parameter: mode_from,
                expected: SslMode::EXPECTED,
            })?;
            self.given_ssl_mode = Some(mode);
        }
        if let (None, Some(text)) = (&self.ssl_root_certificate, &defaults.ssl_root_certificate) {
            roots_from = "PGSSLROOTCERT";
            self.ssl_root_certificate = Some(RootCertificates::parse(text));
        }
        self.check_ssl_mode(mode_from, roots_from)?;
        let ClientCertificate { certificate, key } = &mut self.client_certificate;
        for (file, default) in [
            (certificate, &defaults.ssl_certificate),
            (key, &defaults.ssl_key),
        ] {
            if file.is_none() {
                *file = default.as_ref().map(Utf8PathBuf::from);
            }
        }
        Ok(())
    }

    /// Whether and how TLS is used. Whoever names root certificates and no mode wants them to be
    /// used: a file is worth what `verify-ca` proves, and the public CAs, where anybody can get a
    /// certificate, only what `verify-full` does.
    pub const fn ssl_mode(&self) -> SslMode {
        match (self.given_ssl_mode, &self.ssl_root_certificate) {
            (Some(mode), _) => mode,
            (None, Some(RootCertificates::System)) => SslMode::VerifyFull,
            (None, Some(RootCertificates::File(_))) => SslMode::VerifyCa,
            (None, None) => SslMode::Prefer,
        }
    }

    /// Refuses the public CAs with a mode that would let any certificate of theirs through, as
    /// libpq does.
    fn check_ssl_mode(
        &self,
        mode_from: &'static str,
        roots_from: &'static str,
    ) -> Result<(), UrlError> {
        match (self.given_ssl_mode, &self.ssl_root_certificate) {
            (None | Some(SslMode::VerifyFull), _) | (_, None | Some(RootCertificates::File(_))) => {
                Ok(())
            }
            (Some(mode), Some(RootCertificates::System)) => Err(UrlError::WeakMode {
                roots_from,
                mode_from,
                mode: mode.name(),
            }),
        }
    }

    pub(super) fn password_for(&self, host: usize) -> Option<&Secret> {
        self.password
            .as_ref()
            .or_else(|| self.host_passwords.get(host)?.as_ref())
    }

    /// Takes care that one server has no longer than this to accept the session.
    pub fn limit_connecting(&mut self, limit: Duration) {
        self.connect_timeout = Some(
            self.connect_timeout
                .map_or(limit, |timeout| timeout.min(limit)),
        );
    }

    /// Whether every server is reached by its Unix socket, where there is no TLS; like libpq, the
    /// mode is then ignored.
    pub(crate) fn has_only_sockets(&self) -> bool {
        self.hosts
            .iter()
            .all(|host| matches!(host, PostgresHost::Socket(..)))
    }
}

impl fmt::Display for PostgresHost {
    /// As people write it: not percent-encoded.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name, port) if name.contains(':') => write!(formatter, "[{name}]:{port}"),
            Self::Tcp(name, port) => write!(formatter, "{name}:{port}"),
            Self::Socket(directory, port) => write!(formatter, "{directory}:{port}"),
        }
    }
}

impl fmt::Display for PostgresUrl {
    /// Role, servers and database, percent-encoded; never the password, and no parameters.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let (user, database) = (encode(&self.user), encode(&self.database));
        if let [PostgresHost::Socket(directory, port)] = self.hosts.as_slice() {
            let directory = utf8_percent_encode(directory.as_str(), ENCODED_PARAMETER);
            return write!(
                formatter,
                "postgresql://{user}@/{database}?host={directory}&port={port}"
            );
        }
        let hosts: Vec<String> = self
            .hosts
            .iter()
            .map(|host| match host {
                PostgresHost::Tcp(..) => host.to_string(),
                PostgresHost::Socket(directory, port) => {
                    format!("{}:{port}", encode(directory.as_str()))
                }
            })
            .collect();
        write!(
            formatter,
            "postgresql://{user}@{}/{database}",
            hosts.join(",")
        )
    }
}

#[cfg(test)]
mod tests;
