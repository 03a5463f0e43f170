//! Why there is nothing to serve, or nowhere to serve it.

use std::{io, net::SocketAddr};

use crate::oci::ManifestError;
use rune_core::{
    digest::Digest,
    failure::{Failure, FailureKind},
};

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum ServeError {
    #[error("`{name}` is {} in {} and {} in {}", .first.1, .first.0, .second.1, .second.0)]
    #[failure(Conflict: "serve them one by one, each with a `--listen` of its own")]
    Conflict {
        name: String,
        /// A bundle, as messages call it, and what it is in it.
        first: Box<(String, Digest)>,
        /// Another bundle, and what it is in that.
        second: Box<(String, Digest)>,
    },
    /// A manifest that the bundle includes cannot be read; opening the bundle checks it, so this
    /// does not happen.
    #[error("manifest {digest} in {bundle} cannot be read")]
    #[failure(inner)]
    Manifest {
        bundle: String,
        digest: Digest,
        source: ManifestError,
    },
    #[error("cannot listen on {address}")]
    #[failure(kind: match .source.kind() {
        io::ErrorKind::AddrInUse => FailureKind::Conflict,
        io::ErrorKind::PermissionDenied => FailureKind::Access,
        _ => FailureKind::Network,
    }, help: match .source.kind() {
        io::ErrorKind::AddrInUse => {
            Some("choose another port with `--listen`; port 0 picks a free one")
        }
        io::ErrorKind::PermissionDenied => {
            Some("ports below 1024 need a capability; choose another one with `--listen`")
        }
        io::ErrorKind::AddrNotAvailable => {
            Some("say an address of this machine; `ip address` lists them")
        }
        _ => None,
    })]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
}
