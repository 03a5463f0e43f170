//! Charts from where they are: an OCI registry, a Helm repository, an archive on a web server.
//!
//! Fetches one chart into memory, its bytes as they came, and makes sure that it is the one that
//! was asked for. Whether those bytes are the locked ones is for the caller to say; nothing here
//! writes a file.

mod artifact;
mod chart;
mod error;
mod index;
mod repository;

pub(crate) use artifact::fetch_artifact;
pub(crate) use chart::{FetchedChart, RemoteChart, fetch_chart, fetch_named_chart};
pub(crate) use error::RemoteError;
pub(crate) use repository::Repositories;

/// The largest index of a repository that is read.
const MAX_INDEX_BYTES: u64 = 64 << 20;
