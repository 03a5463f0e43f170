//! From the text of a URL to its parts.

use std::{ops::RangeInclusive, time::Duration};

use camino::Utf8PathBuf;
use percent_encoding::percent_decode_str;

use super::{
    ChannelBinding, ClientCertificate, Keepalive, Liveness, PostgresHost, PostgresUrl,
    RootCertificates, SessionKind, SslMode,
};
use crate::engines::url::UrlError;
use rune_core::secret::Secret;

const DEFAULT_PORT: u16 = 5432;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// What Linux takes for times in seconds, and for the number of probes.
const KEEPALIVE_SECONDS: RangeInclusive<u32> = 0..=32_767;
const KEEPALIVE_COUNT: RangeInclusive<u32> = 0..=127;

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
    /// Reads what follows `postgresql://`.
    pub(crate) fn parse(rest: &str) -> Result<Self, UrlError> {
        if rest.contains(|c: char| c == '#' || c.is_control() || c.is_whitespace()) {
            return Err(UrlError::Postgres(
                "has a `#`, space or control character that is not percent-encoded",
            ));
        }
        let (main, query) = rest
            .split_once('?')
            .map_or((rest, None), |(main, query)| (main, Some(query)));
        let (authority, database) = main
            .split_once('/')
            .map_or((main, None), |(authority, name)| (authority, Some(name)));
        // An `@` or `/` further right is the tail of a password that was cut at one of its own
        // characters.
        if database.is_some_and(|name| name.contains(['@', '/']))
            || query.is_some_and(|query| query.contains('@'))
        {
            return Err(UrlError::Postgres(
                "has an `@` or `/` that is not percent-encoded",
            ));
        }
        let mut parts = Parts {
            database: database
                .filter(|name| !name.is_empty())
                .map(decode)
                .transpose()?,
            ..Parts::default()
        };
        parts.read_authority(authority)?;
        if let Some(query) = query {
            parts.read_query(query)?;
        }
        parts.finish()
    }
}

impl Parts {
    fn read_authority(&mut self, authority: &str) -> Result<(), UrlError> {
        let hosts = match authority.split_once('@') {
            None => authority,
            Some((_, hosts)) if hosts.contains('@') => {
                return Err(UrlError::Postgres(
                    "has an `@` or `/` that is not percent-encoded",
                ));
            }
            Some((login, hosts)) => {
                let (user, password) = login
                    .split_once(':')
                    .map_or((login, None), |(user, password)| (user, Some(password)));
                self.user = Some(user)
                    .filter(|user| !user.is_empty())
                    .map(decode)
                    .transpose()?;
                self.password = password
                    .filter(|password| !password.is_empty())
                    .map(decode)
                    .transpose()?
                    .map(Secret::new);
                hosts
            }
        };
        if hosts.is_empty() {
            return Ok(());
        }
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[') {
                Some(address) => {
                    let (address, port) = address
                        .split_once(']')
                        .ok_or(UrlError::Postgres("has a `[` without `]`"))?;
                    (address, port.strip_prefix(':'))
                }
                None => host
                    .split_once(':')
                    .map_or((host, None), |(name, port)| (name, Some(port))),
            };
            self.hosts
                .push((decode(name)?, port.map(parse_port).transpose()?));
        }
        Ok(())
    }

    fn read_query(&mut self, query: &str) -> Result<(), UrlError> {
        for pair in query.split('&') {
            let (name, value) = pair
                .split_once('=')
                .ok_or(UrlError::Postgres("has a query that is not `name=value&…`"))?;
            let Some(known) = PostgresUrl::PARAMETERS.iter().find(|known| **known == name) else {
                // The name is repeated only when it looks like one.
                let is_name =
                    name.len() <= 32 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = if is_name { name } else { "…" };
                return Err(UrlError::UnknownParameter(name.to_owned()));
            };
            if self.parameters.iter().any(|(seen, _)| seen == known) {
                return Err(UrlError::Postgres("has the same parameter twice"));
            }
            // libpq, and so RUNE, does not take one either.
            if value.contains('=') {
                return Err(UrlError::Postgres(
                    "has a `=` in the value of a parameter that is not percent-encoded as `%3D`",
                ));
            }
            let value = decode(value)?;
            if value.is_empty() {
                return Err(UrlError::ParameterValue {
                    parameter: known,
                    expected: "something",
                });
            }
            self.parameters.push((known, value));
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let position = self
            .parameters
            .iter()
            .position(|(known, _)| *known == name)?;
        Some(self.parameters.swap_remove(position).1)
    }

    /// A part that may stand in the URL's main part or in its query, but not in both.
    fn either(main: Option<String>, query: Option<String>) -> Result<Option<String>, UrlError> {
        match (main, query) {
            (Some(_), Some(_)) => Err(UrlError::Postgres(
                "has the same setting before and after the `?`",
            )),
            (main, query) => Ok(main.or(query)),
        }
    }

    fn finish(mut self) -> Result<PostgresUrl, UrlError> {
        let (user, database, password) = (
            self.take("user"),
            self.take("dbname"),
            self.take("password"),
        );
        let user =
            Self::either(self.user.take(), user)?.ok_or(UrlError::Postgres("names no user"))?;
        let database =
            Self::either(self.database.take(), database)?.unwrap_or_else(|| user.clone());
        let password = match (self.password.take(), password) {
            (Some(_), Some(_)) => {
                return Err(UrlError::Postgres(
                    "has the same setting before and after the `?`",
                ));
            }
            (main, query) => main.or(query.map(Secret::new)),
        };
        let hosts = self.hosts()?;
        let given_ssl_mode = self.take_word("sslmode", SslMode::EXPECTED, SslMode::parse)?;
        let channel_binding = self.take_word(
            "channel_binding",
            ChannelBinding::EXPECTED,
            ChannelBinding::parse,
        )?;
        let session = self.take_word(
            "target_session_attrs",
            SessionKind::EXPECTED,
            SessionKind::parse,
        )?;
        let connect_timeout =
            match self.take_number("connect_timeout", "a number of seconds", 0..=u32::MAX)? {
                None => Some(DEFAULT_CONNECT_TIMEOUT),
                Some(seconds) => seconds_unless_zero(seconds),
            };
        let liveness = self.liveness()?;
        let url = PostgresUrl {
            user,
            password,
            hosts,
            host_passwords: Vec::new(),
            database,
            given_ssl_mode,
            ssl_root_certificate: self
                .take("sslrootcert")
                .as_deref()
                .map(RootCertificates::parse),
            channel_binding: channel_binding.unwrap_or_default(),
            connect_timeout,
            liveness,
            options: self.take("options"),
            application_name: self.take("application_name"),
            client_certificate: ClientCertificate {
                certificate: self.take("sslcert").map(Utf8PathBuf::from),
                key: self.take("sslkey").map(Utf8PathBuf::from),
            },
            session: session.unwrap_or_default(),
        };
        url.check_ssl_mode("sslmode", "sslrootcert")?;
        Ok(url)
    }

    fn take_word<T>(
        &mut self,
        parameter: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, UrlError> {
        self.take(parameter)
            .map(|text| {
                parse(&text).ok_or(UrlError::ParameterValue {
                    parameter,
                    expected,
                })
            })
            .transpose()
    }

    fn take_number(
        &mut self,
        parameter: &'static str,
        expected: &'static str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, UrlError> {
        self.take_word(parameter, expected, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    fn liveness(&mut self) -> Result<Liveness, UrlError> {
        const SECONDS: &str = "a number of seconds from 0 to 32767";
        let mut liveness = Liveness::default();
        let idle = self.take_number("keepalives_idle", SECONDS, KEEPALIVE_SECONDS)?;
        let interval = self.take_number("keepalives_interval", SECONDS, KEEPALIVE_SECONDS)?;
        let count = self.take_number(
            "keepalives_count",
            "a number from 0 to 127",
            KEEPALIVE_COUNT,
        )?;
        if let Some(Keepalive {
            idle: default_idle,
            interval: default_interval,
            count: default_count,
        }) = &mut liveness.keepalive
        {
            *default_idle = idle.map_or(*default_idle, seconds_unless_zero);
            *default_interval = interval.map_or(*default_interval, seconds_unless_zero);
            *default_count = count.map_or(*default_count, |count| (count > 0).then_some(count));
        }
        if self.take_number("keepalives", "0 or 1", 0..=1)? == Some(0) {
            liveness.keepalive = None;
        }
        if let Some(milliseconds) = self.take_number(
            "tcp_user_timeout",
            "a number of milliseconds",
            0..=i32::MAX.unsigned_abs(),
        )? {
            liveness.unacknowledged =
                (milliseconds > 0).then(|| Duration::from_millis(milliseconds.into()));
        }
        Ok(liveness)
    }

    fn hosts(&mut self) -> Result<Vec<PostgresHost>, UrlError> {
        let mut hosts = std::mem::take(&mut self.hosts);
        if let Some(text) = self.take("host") {
            if !hosts.is_empty() {
                return Err(UrlError::Postgres(
                    "has the same setting before and after the `?`",
                ));
            }
            hosts = text
                .split(',')
                .map(|name| (name.to_owned(), None))
                .collect();
        }
        if let Some(text) = self.take("port") {
            let ports = text
                .split(',')
                .map(|port| (!port.is_empty()).then(|| parse_port(port)).transpose())
                .collect::<Result<Vec<_>, _>>()?;
            if ports.len() != 1 && ports.len() != hosts.len() {
                return Err(UrlError::Postgres(
                    "has another number of ports than of hosts",
                ));
            }
            for ((_, given), port) in hosts.iter_mut().zip(ports.iter().cycle()) {
                if given.is_some() {
                    return Err(UrlError::Postgres(
                        "has the same setting before and after the `?`",
                    ));
                }
                *given = *port;
            }
        }
        if hosts.is_empty() {
            return Err(UrlError::Postgres("names no host"));
        }
        hosts
            .into_iter()
            .map(|(name, port)| PostgresHost::new(name, port.unwrap_or(DEFAULT_PORT)))
            .collect()
    }
}

impl PostgresHost {
    fn new(name: String, port: u16) -> Result<Self, UrlError> {
        if name.starts_with('/') {
            return Ok(Self::Socket(name.into(), port));
        }
        let is_host = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
        if is_host {
            Ok(Self::Tcp(name, port))
        } else {
            Err(UrlError::Postgres(
                "has a host that is not a name or address",
            ))
        }
    }
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    // Not repeated in the message: behind the first `:` may stand a password.
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or(UrlError::Postgres(
            "has a port that is not a number from 1 to 65535",
        ))
}

fn decode(text: &str) -> Result<String, UrlError> {
    let bad = UrlError::Postgres("has a `%` that is not followed by two hex digits of UTF-8 text");
    let is_encoded = |rest: &str| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_encoded) {
        return Err(bad);
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => Err(bad),
    }
}

fn seconds_unless_zero(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}
