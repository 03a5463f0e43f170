//! What a client is told from outside. Plain values: nothing here reads the environment.

use std::{collections::BTreeSet, time::Duration};

use camino::Utf8PathBuf;

use super::RetryPolicy;
use crate::net::ProxySettings;
use rune_core::secret::Secret;

#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Files with CA certificates to trust besides the built-in ones (`--ca-file`).
    pub ca_files: Vec<Utf8PathBuf>,
    /// Certificate (chain) and private key to show to registries that ask for one (`--client-cert`,
    /// `--client-key`).
    pub client_identity: Option<(Utf8PathBuf, Utf8PathBuf)>,
    /// Hosts, with port if any, that may be contacted over plain HTTP (`--plain-http`). Loopback
    /// always may.
    pub plain_http: BTreeSet<String>,
    /// A file in the format of k3s and RKE2 `registries.yaml` (`--registry-config`).
    pub registries_file: Option<Utf8PathBuf>,
    /// Credentials that go before all others, for one registry.
    pub login: Option<Login>,
    /// Where credentials are found: the first that has some for a host counts.
    pub auth_files: Vec<AuthFile>,
    /// Whether the credential helpers that the file names may be run.
    pub run_credential_helpers: bool,
    pub proxy: ProxySettings,
    pub max_connections_per_host: usize,
    pub retry: RetryPolicy,
    pub connect_timeout: Duration,
    /// How long a server may be silent.
    pub idle_timeout: Duration,
    /// How long a server may take to put away what was sent to it.
    pub commit_timeout: Duration,
    /// The only hosts that a registry may send us to: its token server, its storage. Each with or
    /// without a port; `None` for any.
    pub allowed_hosts: Option<BTreeSet<String>>,
}

impl ClientConfig {
    /// For a verb that uses one registry: no other host but those that are allowed already.
    pub(crate) fn confined_to(self, registry: &str, max_connections_per_host: usize) -> Self {
        let host = registry
            .rsplit_once(':')
            .filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()))
            .map_or(registry, |(host, _)| host);
        let mut allowed = self.allowed_hosts.unwrap_or_default();
        allowed.insert(host.to_owned());
        Self {
            allowed_hosts: Some(allowed),
            max_connections_per_host,
            ..self
        }
    }
}

#[derive(Debug, Clone)]
pub struct Login {
    /// The registry, as it stands in references.
    pub(crate) registry: String,
    pub(crate) user: String,
    pub(crate) password: Password,
}

#[derive(Debug, Clone)]
pub(crate) enum Password {
    Given(Secret),
    File(Utf8PathBuf),
}

/// A docker `config.json` (or podman `auth.json`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthFile {
    /// Somebody named it: it has to exist (`--authfile`).
    Named(Utf8PathBuf),
    /// The usual place: fine if it is not there.
    Usual(Utf8PathBuf),
    Text {
        variable: &'static str,
        text: Secret,
    },
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            client_identity: None,
            plain_http: BTreeSet::new(),
            registries_file: None,
            login: None,
            auth_files: Vec::new(),
            run_credential_helpers: false,
            proxy: ProxySettings::default(),
            max_connections_per_host: 4,
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_mins(1),
            commit_timeout: Duration::from_mins(10),
            allowed_hosts: None,
        }
    }
}
