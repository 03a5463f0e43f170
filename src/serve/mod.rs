//! A read-only registry straight from bundles.
//!
//! Speaks the pull and content discovery parts of the OCI distribution specification 1.1 over
//! HTTP/1.1. What a request asks for is a [`Route`]; what a repository has is in the [`Catalog`];
//! the bytes come from the open file. The invariants: nothing is written; nothing in a request
//! names a file; a repository gives away only what it refers to; a response that ends as a whole
//! one was right to the last byte, and one that cannot be ends with a reset.
#![deny(clippy::arithmetic_side_effects)]

mod answer;
mod catalog;
mod conditions;
mod content;
mod error;
mod log;
mod route;
mod server;
mod users;
mod verified;

pub(crate) use catalog::Catalog;
pub(crate) use error::ServeError;

pub use route::{Repository, Route, Target, route};
pub(crate) use server::{Listener, Server};
pub(crate) use users::Users;
