//! RUNE's database on SQLite and PostgreSQL: connections, the schema they have, the storage port.

mod conversion;
mod encrypted;
mod json_float;
pub mod json_text;
mod locking;
mod open_session;
mod passwords;
mod pieces;
pub mod port;
mod postgres;
mod postgres_url;
mod raw_text;
pub mod schema;
mod selection;
mod server_error;
mod server_message;
mod sqlite;
mod sqlite_error;
mod sqlite_file;
mod sqlstate;
mod tls;
mod transaction;
mod url;
mod wire;

pub use conversion::{convert, without_like};
pub use json_float::{json_float, json_optional_float};
pub(crate) use locking::begin_locked;
pub use locking::{Locking, SeenTables};
pub use passwords::PasswordError;
pub use pieces::for_each_piece;
pub use postgres::{ConnectError, Refusal, with_session, with_shown_certificate};
pub use postgres_url::{
    ChannelBinding, ClientCertificate, Keepalive, Liveness, PostgresDefaults, PostgresHost,
    PostgresUrl, RootCertificates, SessionKind, SslMode,
};
pub use raw_text::RawText;
pub use selection::{Candidate, CandidateForm, Selection, select};
pub use server_error::ServerError;
pub use sqlite::Log;
pub(crate) use sqlite::switch_to_wal;
pub use sqlite::{
    OpenError, adopt_log, open_existing, open_for_looking, open_for_writing, retry_while_busy,
};
pub use sqlite_error::SqliteError;
pub use sqlite_file::check_whole;
pub use sqlite_file::connect;
pub use sqlite_file::{LOCK_TIMEOUT, SqliteFile, SqliteFileError, check_nothing_beside, new_name};
pub use tls::{ServerCertificate, TlsError};
pub use transaction::{Access, ask, begin, commit, roll_back};
pub use url::{DatabaseUrl, Places, SqliteUrl, UrlError};
