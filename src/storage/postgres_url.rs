//! PostgreSQL URLs: the parts of libpq's connection URI that are supported here, each with one meaning.

use std::{fmt, time::Duration};

use camino::Utf8PathBuf;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::url::UrlError;
use crate::secret::Secret;

const DEFAULT_PORT: u16 = 5432;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a parameter a slash stays readable.
const ENCODED_PARAMETER: &AsciiSet = &ENCODED.remove(b'/');

/// A database on a PostgreSQL server, and how to connect to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// The role to log in as.
    pub user: String,
    /// Its password, if one is known.
    pub password: Option<Secret>,
    /// The servers to try, in this order; at least one.
    pub hosts: Vec<PostgresHost>,
    /// The database.
    pub database: String,
    /// Whether and how TLS is used; not given is `prefer`.
    pub ssl_mode: Option<SslMode>,
    /// Whom to trust when the server's certificate is verified.
    pub ssl_root_certificate: Option<RootCertificates>,
    /// How long one server may take to accept the session; `None` is for ever.
    pub connect_timeout: Option<Duration>,
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
    /// When the server offers it; its certificate is not looked at.
    Prefer,
    /// Always; the certificate is verified only when root certificates are named, as libpq does.
    Require,
    /// Always, with a certificate of a trusted authority, whatever host it names.
    VerifyCa,
    /// Always, with a certificate of a trusted authority for this very host.
    VerifyFull,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCertificates {
    /// The certificates of a PEM file.
    File(Utf8PathBuf),
    /// The public authorities that this program brings along.
    System,
}

/// The certificate that this side shows: both files or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and what leads from it to an authority that the server trusts, in PEM form.
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
    /// One where the session can write: `read-write`, and `primary`, which would be of no use otherwise.
    Writing,
    /// One where the session can only read: `read-only`, and `standby`.
    Reading,
    /// One where the session can only read, and if there is none, any: `prefer-standby`.
    RatherReading,
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
        if text == "system" { Self::System } else { Self::File(text.into()) }
    }
}

/// The texts of a URL before they are given their types.
#[derive(Default)]
struct Parts {
    user: Option<String>,
    password: Option<Secret>,
    hosts: Vec<(String, Option<u16>)>,
    database: Option<String>,
    parameters: Vec<(&'static str, String)>,
}

impl PostgresUrl {
    /// The query parameters that are supported.
    pub const PARAMETERS: &[&str] = &[
        "application_name",
        "connect_timeout",
        "dbname",
        "host",
        "options",
        "password",
        "port",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
        "user",
    ];

    /// Reads what follows `postgresql://`.
    pub(super) fn parse(rest: &str) -> Result<Self, UrlError> {
        if rest.contains(|c: char| c == '#' || c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Postgres("has a `#`, space or control character that is not percent-encoded"));
        }
        let (main, query) = rest.split_once('?').map_or((rest, None), |(main, query)| (main, Some(query)));
        let (authority, database) = main.split_once('/').map_or((main, None), |(authority, name)| (authority, Some(name)));
        // An `@` or `/` further right is the tail of a password that was cut at one of its own characters.
        if database.is_some_and(|name| name.contains(['@', '/'])) || query.is_some_and(|query| query.contains('@')) {
            return Err(UrlError::Postgres("has an `@` or `/` that is not percent-encoded"));
        }
        let mut parts = Parts { database: database.filter(|name| !name.is_empty()).map(decode).transpose()?, ..Parts::default() };
        parts.read_authority(authority)?;
        if let Some(query) = query {
            parts.read_query(query)?;
        }
        parts.finish()
    }

    /// Fills in what the URL leaves open.
    ///
    /// # Errors
    /// When a default has a bad value.
    pub fn set_defaults(&mut self, defaults: &PostgresDefaults) -> Result<(), UrlError> {
        if let (None, Some(text)) = (self.ssl_mode, &defaults.ssl_mode) {
            let mode = SslMode::parse(text).ok_or(UrlError::ParameterValue { parameter: "PGSSLMODE", expected: SslMode::EXPECTED })?;
            self.ssl_mode = Some(mode);
        }
        if self.ssl_root_certificate.is_none() {
            self.ssl_root_certificate = defaults.ssl_root_certificate.as_deref().map(RootCertificates::parse);
        }
        let ClientCertificate { certificate, key } = &mut self.client_certificate;
        for (file, default) in [(certificate, &defaults.ssl_certificate), (key, &defaults.ssl_key)] {
            if file.is_none() {
                *file = default.as_ref().map(Utf8PathBuf::from);
            }
        }
        Ok(())
    }

    /// Takes care that one server has no longer than this to accept the session.
    pub fn limit_connecting(&mut self, limit: Duration) {
        self.connect_timeout = Some(self.connect_timeout.map_or(limit, |timeout| timeout.min(limit)));
    }

    /// Whether every server is reached by its Unix socket, where there is no TLS; like libpq, the mode is then not looked at.
    pub fn has_only_sockets(&self) -> bool {
        self.hosts.iter().all(|host| matches!(host, PostgresHost::Socket(..)))
    }
}

impl Parts {
    fn read_authority(&mut self, authority: &str) -> Result<(), UrlError> {
        let hosts = match authority.split_once('@') {
            None => authority,
            Some((_, hosts)) if hosts.contains('@') => return Err(UrlError::Postgres("has an `@` or `/` that is not percent-encoded")),
            Some((login, hosts)) => {
                let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
                self.user = Some(user).filter(|user| !user.is_empty()).map(decode).transpose()?;
                self.password = password.filter(|password| !password.is_empty()).map(decode).transpose()?.map(Secret::new);
                hosts
            }
        };
        if hosts.is_empty() {
            return Ok(());
        }
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[') {
                Some(address) => {
                    let (address, port) = address.split_once(']').ok_or(UrlError::Postgres("has a `[` without `]`"))?;
                    (address, port.strip_prefix(':'))
                }
                None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
            };
            self.hosts.push((decode(name)?, port.map(parse_port).transpose()?));
        }
        Ok(())
    }

    fn read_query(&mut self, query: &str) -> Result<(), UrlError> {
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or(UrlError::Postgres("has a query that is not `name=value&…`"))?;
            let Some(known) = PostgresUrl::PARAMETERS.iter().find(|known| **known == name) else {
                // The name is repeated only when it looks like one.
                let is_name = name.len() <= 32 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = if is_name { name } else { "…" };
                return Err(UrlError::UnknownParameter(name.to_owned()));
            };
            if self.parameters.iter().any(|(seen, _)| seen == known) {
                return Err(UrlError::Postgres("has the same parameter twice"));
            }
            let value = decode(value)?;
            if value.is_empty() {
                return Err(UrlError::ParameterValue { parameter: known, expected: "something" });
            }
            self.parameters.push((known, value));
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let position = self.parameters.iter().position(|(known, _)| *known == name)?;
        Some(self.parameters.swap_remove(position).1)
    }

    /// A part that may stand in the URL's main part or in its query, but not in both.
    fn either(main: Option<String>, query: Option<String>) -> Result<Option<String>, UrlError> {
        match (main, query) {
            (Some(_), Some(_)) => Err(UrlError::Postgres("names the same thing before and after the `?`")),
            (main, query) => Ok(main.or(query)),
        }
    }

    fn finish(mut self) -> Result<PostgresUrl, UrlError> {
        let (user, database, password) = (self.take("user"), self.take("dbname"), self.take("password"));
        let user = Self::either(self.user.take(), user)?.ok_or(UrlError::Postgres("names no user"))?;
        let database = Self::either(self.database.take(), database)?.unwrap_or_else(|| user.clone());
        let password = match (self.password.take(), password) {
            (Some(_), Some(_)) => return Err(UrlError::Postgres("names the same thing before and after the `?`")),
            (main, query) => main.or(query.map(Secret::new)),
        };
        let hosts = self.hosts()?;
        let bad = |parameter, expected| UrlError::ParameterValue { parameter, expected };
        let ssl_mode = self.take("sslmode").map(|text| SslMode::parse(&text).ok_or(bad("sslmode", SslMode::EXPECTED))).transpose()?;
        let connect_timeout = match self.take("connect_timeout") {
            None => Some(DEFAULT_CONNECT_TIMEOUT),
            Some(text) => {
                let seconds: u32 = text.parse().map_err(|_| bad("connect_timeout", "a number of seconds"))?;
                (seconds > 0).then(|| Duration::from_secs(seconds.into()))
            }
        };
        let session = self.take("target_session_attrs");
        let session = session.map(|text| SessionKind::parse(&text).ok_or(bad("target_session_attrs", SessionKind::EXPECTED)));
        Ok(PostgresUrl {
            user,
            password,
            hosts,
            database,
            ssl_mode,
            ssl_root_certificate: self.take("sslrootcert").as_deref().map(RootCertificates::parse),
            connect_timeout,
            options: self.take("options"),
            application_name: self.take("application_name"),
            client_certificate: ClientCertificate {
                certificate: self.take("sslcert").map(Utf8PathBuf::from),
                key: self.take("sslkey").map(Utf8PathBuf::from),
            },
            session: session.transpose()?.unwrap_or_default(),
        })
    }

    fn hosts(&mut self) -> Result<Vec<PostgresHost>, UrlError> {
        let mut hosts = std::mem::take(&mut self.hosts);
        if let Some(text) = self.take("host") {
            if !hosts.is_empty() {
                return Err(UrlError::Postgres("names the same thing before and after the `?`"));
            }
            hosts = text.split(',').map(|name| (name.to_owned(), None)).collect();
        }
        if let Some(text) = self.take("port") {
            let port = parse_port(&text)?;
            for (_, given) in &mut hosts {
                if given.replace(port).is_some() {
                    return Err(UrlError::Postgres("names the same thing before and after the `?`"));
                }
            }
        }
        if hosts.is_empty() {
            return Err(UrlError::Postgres("names no host"));
        }
        hosts.into_iter().map(|(name, port)| PostgresHost::new(name, port.unwrap_or(DEFAULT_PORT))).collect()
    }
}

impl PostgresHost {
    fn new(name: String, port: u16) -> Result<Self, UrlError> {
        if name.starts_with('/') {
            return Ok(Self::Socket(name.into(), port));
        }
        let is_host = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
        if is_host { Ok(Self::Tcp(name, port)) } else { Err(UrlError::Postgres("has a host that is no name or address")) }
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

fn parse_port(text: &str) -> Result<u16, UrlError> {
    // Not repeated in the message: behind the first `:` may stand a password.
    text.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Postgres("has a port that is no number from 1 to 65535"))
}

fn decode(text: &str) -> Result<String, UrlError> {
    let bad = UrlError::Postgres("has a `%` that is not followed by two hex digits of UTF-8 text");
    let is_encoded = |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_encoded) {
        return Err(bad);
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => Err(bad),
    }
}

impl fmt::Display for PostgresUrl {
    /// Role, servers and database, percent-encoded; never the password, and no parameters.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let (user, database) = (encode(&self.user), encode(&self.database));
        if let [PostgresHost::Socket(directory, port)] = self.hosts.as_slice() {
            let directory = utf8_percent_encode(directory.as_str(), ENCODED_PARAMETER);
            return write!(formatter, "postgresql://{user}@/{database}?host={directory}&port={port}");
        }
        let hosts: Vec<String> = self
            .hosts
            .iter()
            .map(|host| match host {
                PostgresHost::Tcp(..) => host.to_string(),
                PostgresHost::Socket(directory, port) => format!("{}:{port}", encode(directory.as_str())),
            })
            .collect();
        write!(formatter, "postgresql://{user}@{}/{database}", hosts.join(","))
    }
}

#[cfg(test)]
mod tests;
