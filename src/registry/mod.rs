//! The client side of the OCI distribution protocol.
//!
//! Finds the endpoints of a registry, proves who we are, fetches manifests and blobs, and tries again when it
//! makes sense. It does not decide what to fetch and writes no file. The invariants: every body has a size
//! limit, every digest is computed here or by whoever consumes the stream, and credentials of a registry go
//! to that registry and to nobody else.

mod blob;
mod client;
mod config;
mod error;
mod name;

pub use blob::BlobStream;
pub use client::Client;
pub use config::{AuthFile, ClientConfig, ProxySettings, RetryPolicy};
pub use error::{Cause, EndpointFailure, RegistryError};
pub use name::RepositoryName;
