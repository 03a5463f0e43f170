//! What a PostgreSQL server, or the way to it, said when something failed.

use std::{error::Error as _, fmt};

use tokio_postgres::error::{DbError, Severity, SqlState};

use super::{
    server_message::{bounded, message},
    sqlstate,
};
use rune_core::{
    failure::{Failure, FailureKind},
    tls::{CertificateProblem, handshake_problem},
};

/// A failure of a PostgreSQL server or of the connection to it, told in one line.
#[derive(Debug)]
pub enum ServerError {
    /// What the server or the client library says.
    Said(tokio_postgres::Error),
    /// The same about a statement that changes or removes an object and returns no rows, so that
    /// the detail is safe to show.
    OfObject(tokio_postgres::Error),
    /// The same about a statement that meets no row, so that whatever its message says is safe to
    /// show.
    WithoutRows(tokio_postgres::Error),
    /// The role of the command line cannot be taken on.
    Role {
        /// The role.
        role: String,
        /// Why not.
        source: Box<ServerError>,
    },
    /// The session only reads because a setting says so.
    ReadOnly,
    /// The server only reads.
    Standby,
    /// Tables or sequences that may not be read.
    Denied {
        /// Who may not, in SQL.
        role: String,
        /// What, in the words of `GRANT`.
        relations: Vec<String>,
    },
    /// The tables were replaced again and again.
    Unsteady,
    /// The connection was lost while COMMIT was on its way.
    Uncertain(tokio_postgres::Error),
}

impl std::error::Error for ServerError {}

impl From<tokio_postgres::Error> for ServerError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Said(error)
    }
}

impl ServerError {
    /// The SQLSTATE, when the server itself answered.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Said(error) | Self::OfObject(error) | Self::WithoutRows(error) => error.code(),
            Self::Role { source, .. } => source.code(),
            Self::ReadOnly | Self::Standby => Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
            Self::Denied { .. } => Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            Self::Unsteady | Self::Uncertain(_) => None,
        }
    }

    /// Whether somebody else was quicker at making the same thing, or the server asks for another
    /// attempt.
    pub fn is_race(&self) -> bool {
        const RACES: [SqlState; 6] = [
            SqlState::DUPLICATE_TABLE,
            SqlState::DUPLICATE_OBJECT,
            SqlState::UNIQUE_VIOLATION,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::DUPLICATE_SCHEMA,
        ];
        self.code().is_some_and(|code| RACES.contains(code))
    }

    /// Whether a text has bytes that the other encoding does not have.
    pub fn is_of_encoding(&self) -> bool {
        const ENCODING: [SqlState; 2] = [
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            SqlState::UNTRANSLATABLE_CHARACTER,
        ];
        self.code().is_some_and(|code| ENCODING.contains(code))
    }

    fn said(&self) -> Option<&tokio_postgres::Error> {
        match self {
            Self::Said(error)
            | Self::OfObject(error)
            | Self::WithoutRows(error)
            | Self::Uncertain(error) => Some(error),
            Self::Role { source, .. } => source.said(),
            Self::ReadOnly | Self::Standby | Self::Denied { .. } | Self::Unsteady => None,
        }
    }

    fn database(&self) -> Option<&DbError> {
        self.said()?.as_db_error()
    }

    /// Whether the session ended with it, or never began.
    fn is_fatal(&self) -> bool {
        // The word in the other field is in the server's language.
        matches!(
            self.database().and_then(DbError::parsed_severity),
            Some(Severity::Fatal | Severity::Panic)
        )
    }

    /// Whether a policy would have hidden rows. The message is in the server's language, the name
    /// of its function is not.
    fn is_row_security(&self) -> bool {
        self.database()
            .is_some_and(|error| error.routine() == Some("check_enable_rls"))
    }

    /// Whether it happened within a function of the site's, whatever its code.
    fn is_within_function(&self) -> bool {
        self.database()
            .is_some_and(|error| error.where_().is_some())
    }

    fn rustls(&self) -> Option<&rustls::Error> {
        let source = self.said()?.source()?;
        source
            .downcast_ref::<std::io::Error>()?
            .get_ref()?
            .downcast_ref()
    }

    /// What is wrong with the certificate of the server.
    fn certificate_problem(&self) -> Option<&CertificateProblem> {
        CertificateProblem::of(self.rustls()?)
    }

    /// Whether the login was to be bound to the connection, and the server did not.
    fn is_unbound(&self) -> bool {
        self.said()
            .and_then(|error| error.source())
            .is_some_and(|source| source.to_string().contains("channel binding"))
    }

    fn is_tls(&self) -> bool {
        self.said()
            .is_some_and(|error| error.to_string().contains("TLS"))
    }

    /// Whether there is no telling what the server did with the last statement: it did not answer,
    /// or it answered by ending the session.
    pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
        error.as_db_error().is_none_or(|error| {
            matches!(
                error.parsed_severity(),
                Some(Severity::Fatal | Severity::Panic)
            )
        })
    }

    /// Whether the client gave up while it logged in: no password where one is asked for, or no
    /// common method.
    fn is_login(&self) -> bool {
        let text = self.said().map(ToString::to_string).unwrap_or_default();
        text.starts_with("invalid configuration") || text.starts_with("authentication error")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::Role { source, .. } => return source.fmt(formatter),
            Self::ReadOnly => {
                return formatter.write_str(
                    "the session may only read: `default_transaction_read_only` is on for this \
                     role or database",
                );
            }
            Self::Standby => return formatter.write_str("the server is a standby and only reads"),
            Self::Denied { role, relations } => {
                return write!(
                    formatter,
                    "role {role} may not read all that is needed: {}",
                    relations.join(", ")
                );
            }
            Self::Unsteady => {
                return formatter.write_str("RUNE's tables are being replaced again and again");
            }
            Self::Uncertain(_) => {
                return formatter.write_str(
                    "the connection was lost during COMMIT: it is unknown whether the changes \
                     were made",
                );
            }
            Self::Said(error) | Self::OfObject(error) | Self::WithoutRows(error) => error,
        };
        if let Some(error) = error.as_db_error() {
            // Before and after a session there are no rows.
            let touches_rows = !matches!(self, Self::WithoutRows(_)) && !self.is_fatal();
            write!(
                formatter,
                "the server says: {} [{}]",
                message(error, touches_rows),
                error.code().code()
            )?;
            // The detail may hold whole rows, except here: it names what depends on the object.
            let detail = error
                .detail()
                .filter(|_| !matches!(self, Self::Said(_)) && names_objects(error.code()));
            return detail.map_or(Ok(()), |detail| {
                write!(
                    formatter,
                    ": {}",
                    bounded(&detail.replace('\n', "; "), MOST_DETAIL)
                )
            });
        }
        if let Some(problem) = self.certificate_problem() {
            return write!(
                formatter,
                "the server's certificate is not accepted: {problem}"
            );
        }
        if let Some(error) = self.rustls() {
            return write!(formatter, "TLS failed: {}", handshake_problem(error));
        }
        if error.is_closed() {
            return formatter.write_str("the connection to the server was lost");
        }
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let cause = without_number(&error.to_string()).to_owned();
            if !text.ends_with(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        formatter.write_str(&text)
    }
}

/// How many characters of a list of objects are shown.
const MOST_DETAIL: usize = 1000;

/// Whether the detail of such an error is a list of objects.
fn names_objects(code: &SqlState) -> bool {
    [
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        SqlState::FEATURE_NOT_SUPPORTED,
    ]
    .contains(code)
}

impl Failure for ServerError {
    fn kind(&self) -> FailureKind {
        match (self, self.code()) {
            (Self::Unsteady, _) => FailureKind::Conflict,
            (Self::Uncertain(_), _) => FailureKind::Network,
            (_, Some(code)) => match sqlstate::kind(code.code(), self.is_fatal()) {
                // The code of a bug of ours, but it is a trigger that has it.
                FailureKind::Internal if self.is_within_function() => FailureKind::Access,
                kind => kind,
            },
            (_, None) if self.rustls().is_some() || self.is_tls() || self.is_login() => {
                FailureKind::Access
            }
            (_, None) => FailureKind::Network,
        }
    }

    fn may_pass(&self) -> bool {
        match (self, self.code()) {
            // A standby may be promoted. The setting stays until somebody changes it.
            (Self::ReadOnly, _) => false,
            (_, None) => self.kind() != FailureKind::Access,
            (_, Some(code)) => sqlstate::may_pass(code.code(), self.is_fatal()),
        }
    }

    fn help(&self) -> Option<String> {
        if let Some(problem) = self.certificate_problem() {
            return problem.help();
        }
        if let Some(error) = self.rustls() {
            return tls_help(error).map(str::to_owned);
        }
        match self {
            Self::ReadOnly => {
                return Some(
                    "if writing is intended, `ALTER ROLE … RESET default_transaction_read_only`, \
                     or the same for the database, or take it out of the URL's `options`"
                        .to_owned(),
                );
            }
            Self::Standby => {
                return Some(
                    "connect to the primary; `target_session_attrs=read-write` finds it among \
                     several hosts"
                        .to_owned(),
                );
            }
            Self::Denied { role, relations } => {
                let grants: Vec<String> = relations
                    .iter()
                    .map(|relation| format!("`GRANT SELECT ON {relation} TO {role}`"))
                    .collect();
                return Some(format!("as the owner of the tables: {}", grants.join(", ")));
            }
            Self::Unsteady => {
                return Some(
                    "wait for whoever does that to end and run the same command again".to_owned(),
                );
            }
            Self::Uncertain(_) => {
                return Some(
                    "run the same command again: what was done already is not done twice"
                        .to_owned(),
                );
            }
            Self::Said(_) | Self::OfObject(_) | Self::WithoutRows(_) | Self::Role { .. } => {}
        }
        let Some(code) = self.code() else {
            return Some(if self.is_unbound() {
                "use TLS, a password that is stored as SCRAM-SHA-256, and a server certificate \
                 that can be verified; or leave out `channel_binding=require`"
                    .to_owned()
            } else if self.is_login() {
                "give the password: in the URL, by `--password-file` or by PGPASSFILE".to_owned()
            } else if self.is_tls() {
                "turn TLS on in the server (`ssl = on`), or say `sslmode=disable` if the way to \
                 it is trusted"
                    .to_owned()
            } else if self.said().is_some_and(tokio_postgres::Error::is_closed) {
                "check that the server runs and can be reached; `--verbose` says what ended the \
                 connection"
                    .to_owned()
            } else {
                "check that the server runs and can be reached under this host and port".to_owned()
            });
        };
        if self.is_row_security() {
            return Some(
                "connect as a role that sees every row: the owner without FORCE ROW LEVEL \
                 SECURITY, or one with BYPASSRLS"
                    .to_owned(),
            );
        }
        let code = if self.is_within_function()
            && sqlstate::kind(code.code(), false) == FailureKind::Internal
        {
            "P0001"
        } else {
            code.code()
        };
        sqlstate::help(code, self.is_fatal()).map(str::to_owned)
    }
}

/// A message of the operating system without the number that it has for it.
pub(super) fn without_number(text: &str) -> &str {
    text.split_once(" (os error").map_or(text, |(text, _)| text)
}

fn tls_help(error: &rustls::Error) -> Option<&'static str> {
    use rustls::AlertDescription as Alert;
    Some(match error {
        rustls::Error::AlertReceived(
            Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity,
        ) => {
            "the server finds no common protocol, curve or signature: allow TLS 1.2 or 1.3, a \
             curve of X25519, P-256 and P-384 (`ssl_ecdh_curve`), and a certificate with a key on \
             P-256, P-384, P-521, Ed25519 or RSA of 2048 to 8192 bits"
        }
        rustls::Error::AlertReceived(_) => {
            "the server refuses this side; check that `sslcert` is of a CA that its `ssl_ca_file` \
             names, and not expired"
        }
        rustls::Error::PeerIncompatible(_) => {
            "allow TLS 1.2 or 1.3 in the server (`ssl_max_protocol_version`, `ssl_ciphers`)"
        }
        _ => return None,
    })
}
