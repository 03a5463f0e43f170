//! HTTP as this project needs it: TLS with known roots, proxies, timeouts, and addresses checked
//! after DNS.
//!
//! Knows nothing about registries: it sends one request and hands back one response, follows no
//! redirect, decompresses nothing, adds no credentials. The invariants: only certificates from the
//! roots that [`Tls`] was given are accepted, and a connection is made only to an address that the
//! [`Reach`] of the request allows.
#![deny(clippy::arithmetic_side_effects)]

mod address;
mod body;
mod error;
mod no_proxy;
mod proxy;
mod resolver;
mod tls;
mod transport;
mod web_url;

pub(crate) use address::{AddressClass, Reach};
pub(crate) use body::RequestBody;
pub(crate) use error::{NetError, TransportError, TransportFault};
pub(crate) use proxy::ProxyError;
pub use proxy::ProxySettings;
pub(crate) use tls::{Tls, TlsFiles, server_config};
pub(crate) use transport::{Request, RequestOrigin, Response, Timeouts, Transport};
pub(crate) use web_url::{WebUrl, WebUrlError};
