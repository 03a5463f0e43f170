//! The client side of the OCI distribution protocol.
//!
//! Finds the endpoints of a registry, proves who we are, fetches and writes manifests and blobs,
//! and tries again when it makes sense. It does not decide what to fetch or to write, and makes no
//! file. The invariants: every body has a size limit, every digest is computed here or by whoever
//! consumes the stream, and credentials of a registry go to that registry and to nobody else.
#![deny(clippy::arithmetic_side_effects)]

mod advice;
mod api_client;
mod api_request;
mod auth;
mod auth_file;
mod blob;
mod challenge;
mod client;
mod config;
mod credential_store;
mod credentials;
mod endpoint_error;
mod error;
mod error_body;
mod helper;
mod hosts;
mod limiter;
mod listing;
mod login;
mod manifest_body;
mod name;
mod pages;
mod pieces;
mod quirks;
mod referrers;
mod registries_file;
mod removal;
mod retry;
mod session;
mod upload;
mod web;
mod writer;

pub use crate::net::{ProxySettings, WebUrl, WebUrlError};
pub use blob::BlobStream;
pub use challenge::Challenge;
pub use client::Client;
pub use config::{AuthFile, ClientConfig, Login, Password};
pub use credential_store::{AuthFileError, CredentialError};
pub use endpoint_error::{EndpointError, TokenProblem};
pub use error::{EndpointFailure, RegistryError};
pub use helper::HelperError;
pub use login::{
    LoginError, LoginProof, LogoutError, StoredLogin, forget_login, store_login, try_login,
};
pub use name::RepositoryName;
pub use pieces::{Damaged, Meter, Pieces};
pub use quirks::is_docker_hub;
pub use referrers::ReferrerList;
pub use registries_file::RegistriesFileError;
pub use retry::RetryPolicy;
pub use upload::Delivery;
pub use web::{WebDocument, WebSource};
pub use writer::{Accepted, RepositoryWriter};

use credential_store::CredentialStore;
use credentials::Credentials;
