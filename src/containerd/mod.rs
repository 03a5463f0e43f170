//! The containerd of a node, through its own client.
//!
//! What it has is read and what it lacks is imported by `ctr`, so that no protocol of containerd is
//! spoken here. Speaks to no network.

mod client;
mod error;

pub(crate) use client::{Containerd, ContainerdOptions};
pub(crate) use error::ContainerdError;
