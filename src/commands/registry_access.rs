//! How registries are reached, as a command hands it on: the same plain values that the client
//! takes.

pub(crate) use crate::registry::{AuthFile, Login, Password, is_docker_hub};
pub use crate::registry::{ClientConfig, ProxySettings};
