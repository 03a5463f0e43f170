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

pub use address::{AddressClass, Reach};
pub use body::RequestBody;
pub use error::{NetError, TransportError, TransportFault};
pub use proxy::{ProxyError, ProxySettings};
pub use tls::{Tls, TlsFiles, server_config};
pub use transport::{Request, RequestOrigin, Response, Timeouts, Transport};
pub use web_url::{WebUrl, WebUrlError};
