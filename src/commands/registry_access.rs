//! How registries are reached, as a command hands it on: the same plain values that the client
//! takes.

pub use crate::registry::{
    AuthFile, ClientConfig, Login, Password, ProxySettings, RetryPolicy, is_docker_hub,
};
