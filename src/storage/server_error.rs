//! What a PostgreSQL server, or the way to it, said when something failed.

use std::{error::Error as _, fmt};

use tokio_postgres::error::SqlState;

use crate::{
    failure::{Failure, FailureKind},
    tls::CertificateProblem,
};

/// A failure of a PostgreSQL server or of the connection to it, told in one line.
#[derive(Debug, thiserror::Error)]
pub struct ServerError(tokio_postgres::Error);

impl From<tokio_postgres::Error> for ServerError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl ServerError {
    /// The SQLSTATE, when the server itself answered.
    pub fn code(&self) -> Option<&SqlState> {
        self.0.code()
    }

    /// Whether somebody else was quicker at making the same thing, or the server asks for another attempt.
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
        const ENCODING: [SqlState; 2] = [SqlState::CHARACTER_NOT_IN_REPERTOIRE, SqlState::UNTRANSLATABLE_CHARACTER];
        self.code().is_some_and(|code| ENCODING.contains(code))
    }

    fn rustls(&self) -> Option<&rustls::Error> {
        let source = self.0.source()?;
        source.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref()
    }

    /// What is wrong with the certificate of the server.
    fn certificate_problem(&self) -> Option<&CertificateProblem> {
        CertificateProblem::of(self.rustls()?)
    }

    /// Whether the login was to be bound to the connection, and the server did not.
    fn is_unbound(&self) -> bool {
        self.0.source().is_some_and(|source| source.to_string().contains("channel binding"))
    }

    fn is_tls(&self) -> bool {
        self.0.to_string().contains("TLS")
    }

    /// Whether the client gave up while it logged in: no password where one is asked for, or no common method.
    fn is_login(&self) -> bool {
        let text = self.0.to_string();
        text.starts_with("invalid configuration") || text.starts_with("authentication error")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.0.as_db_error() {
            // Not the detail: it may hold whole rows.
            return write!(formatter, "the server says: {} [{}]", error.message(), error.code().code());
        }
        if let Some(problem) = self.certificate_problem() {
            return write!(formatter, "the server's certificate is not accepted: {problem}");
        }
        if self.0.is_closed() {
            return formatter.write_str("the connection to the server was lost");
        }
        let mut text = self.0.to_string();
        let mut source = self.0.source();
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

impl Failure for ServerError {
    fn kind(&self) -> FailureKind {
        let Some(code) = self.code() else {
            return if self.rustls().is_some() || self.is_tls() || self.is_login() { FailureKind::Access } else { FailureKind::Network };
        };
        match code.code() {
            "3D000" | "3F000" | "42704" => FailureKind::NotFound,
            "42501" | "25006" => FailureKind::Access,
            "55P03" | "40001" | "40P01" | "42P07" | "23505" => FailureKind::Conflict,
            // Cancelled by an administrator, shut down, starting up: of the connection's kind, not the statement's.
            "57P01" | "57P02" | "57P03" | "57014" => FailureKind::Network,
            other => match other.get(..2) {
                Some("28") => FailureKind::Access,
                Some("53") => FailureKind::Space,
                Some("08") => FailureKind::Network,
                _ => FailureKind::Internal,
            },
        }
    }

    fn may_pass(&self) -> bool {
        let Some(code) = self.code() else { return self.kind() == FailureKind::Network };
        // Whoever sets the server up may still have to make the role, its password and the database, or to promote it.
        match code.code() {
            "28P01" | "28000" | "3D000" | "25006" => true,
            _ => matches!(self.kind(), FailureKind::Network | FailureKind::Conflict) || code.code().starts_with("53"),
        }
    }

    fn help(&self) -> Option<String> {
        if let Some(problem) = self.certificate_problem() {
            return problem.help();
        }
        if let Some(error) = self.rustls() {
            return tls_help(error).map(str::to_owned);
        }
        let Some(code) = self.code() else {
            return Some(if self.is_unbound() {
                "use TLS, a password that is stored as SCRAM-SHA-256, and a server certificate that can be verified; or leave out `channel_binding=require`"
                    .to_owned()
            } else if self.is_login() {
                "give the password: in the URL, by `--password-file` or by PGPASSFILE".to_owned()
            } else if self.is_tls() {
                "turn TLS on in the server (`ssl = on`), or say `sslmode=disable` if the way to it is trusted".to_owned()
            } else if self.0.is_closed() {
                "check that the server runs and can be reached; `--verbose` says what ended the connection".to_owned()
            } else {
                "check that the server runs and can be reached under this host and port".to_owned()
            });
        };
        Some(match code.code() {
            "28P01" => "check the user and the password; in a URL, special characters must be percent-encoded".to_owned(),
            "28000" => "check that the role exists and that the server's pg_hba.conf lets it in from here".to_owned(),
            "3D000" => "create the database first, owned by RUNE's role".to_owned(),
            "42501" => "give the role the right it lacks, or connect as another role".to_owned(),
            "25006" => "this server only reads; connect to the primary".to_owned(),
            "55P03" => "another session holds a lock; wait for it to end and run the same command again".to_owned(),
            "53300" => "free a connection or raise `max_connections`".to_owned(),
            "57P01" | "57P02" | "57P03" => "wait for the server to be up and run the same command again".to_owned(),
            _ => return None,
        })
    }
}

/// A message of the operating system without the number that it has for it.
pub(super) fn without_number(text: &str) -> &str {
    text.split_once(" (os error").map_or(text, |(text, _)| text)
}

fn tls_help(error: &rustls::Error) -> Option<&'static str> {
    use rustls::AlertDescription as Alert;
    Some(match error {
        rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity) => {
            "the server finds no common protocol, curve or signature: allow TLS 1.2 or 1.3, a curve of X25519, P-256 and P-384 \
             (`ssl_ecdh_curve`), and a certificate with a key on P-256, P-384, P-521, Ed25519 or RSA of 2048 to 8192 bits"
        }
        rustls::Error::AlertReceived(_) => {
            "the server refuses this side; check that `sslcert` is of a CA that its `ssl_ca_file` names, and not expired"
        }
        rustls::Error::PeerIncompatible(_) => "allow TLS 1.2 or 1.3 in the server (`ssl_max_protocol_version`, `ssl_ciphers`)",
        _ => return None,
    })
}
