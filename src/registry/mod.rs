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

pub use crate::net::ProxySettings;
pub(crate) use crate::net::{WebUrl, WebUrlError};
pub use blob::BlobStream;
pub use challenge::Challenge;
pub use client::Client;
pub use config::{AuthFile, ClientConfig};
pub(crate) use config::{Login, Password};
pub(crate) use credential_store::{AuthFileError, CredentialError};
pub(crate) use endpoint_error::{EndpointError, TokenProblem};
pub(crate) use error::EndpointFailure;
pub use error::RegistryError;

pub(crate) use login::{LoginProof, forget_login, store_login, try_login};
pub use name::RepositoryName;
pub(crate) use pieces::{Damaged, Meter, Pieces};
pub(crate) use quirks::is_docker_hub;
pub(crate) use referrers::ReferrerList;
pub(crate) use registries_file::RegistriesFileError;
pub use retry::RetryPolicy;
pub(crate) use upload::Delivery;
pub(crate) use web::{WebDocument, WebSource};
pub(crate) use writer::RepositoryWriter;

use credential_store::CredentialStore;
use credentials::Credentials;
