//! Options of every verb that talks to registries.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use clap::Args;

use super::site::{Site, path_in, variable};
use crate::commands::registry_access::{AuthFile, ClientConfig, Login, Password, ProxySettings};
use rune_core::secret::Secret;

/// How registries are reached, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registry access")]
struct AccessArgs {
    /// CA certificates to trust besides the built-in ones; may be repeated [env:
    /// RUNE_BUNDLE_CA_FILE]
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<Utf8PathBuf>,
    /// Client certificate for registries that ask for one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<Utf8PathBuf>,
    /// Private key of the client certificate
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<Utf8PathBuf>,
    /// Mirrors, credentials and TLS in the format of the k3s and RKE2 `registries.yaml`
    #[arg(
        long,
        value_name = "FILE",
        env = "RUNE_BUNDLE_REGISTRY_CONFIG",
        hide_env_values = true
    )]
    registry_config: Option<Utf8PathBuf>,
    /// Credentials in the format of the docker `config.json` [env: RUNE_BUNDLE_AUTHFILE]
    /// [default: those of podman and docker]
    #[arg(long, value_name = "FILE")]
    authfile: Option<Utf8PathBuf>,
}

/// How the registries are reached that a project names.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registry access")]
pub(super) struct RegistryArgs {
    #[command(flatten)]
    access: AccessArgs,
    /// Use plain HTTP for this host; registries on loopback need no mention; may be repeated
    #[arg(long, value_name = "HOST", value_parser = plain_host, require_equals = true)]
    plain_http: Vec<String>,
}

/// How the one registry that a verb names is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registry access")]
pub(super) struct NamedRegistryArgs {
    #[command(flatten)]
    access: AccessArgs,
    /// Use plain HTTP for this host, or without a host for the registry of the command; may be
    /// repeated
    #[arg(long, value_name = "HOST", value_parser = plain_host_or_own, num_args = 0..=1,
        require_equals = true, default_missing_value = "")]
    plain_http: Vec<String>,
}

/// How the one registry that a verb names is reached, in an air-gapped environment.
#[derive(Debug, Clone, Args)]
pub(super) struct OfflineRegistryArgs {
    #[command(flatten)]
    access: NamedRegistryArgs,
    /// Another host that the registry may redirect to, such as its token server or its storage; may
    /// be repeated
    #[arg(long, value_name = "HOST", value_parser = plain_host, help_heading = "Registry access")]
    allow_host: Vec<String>,
}

/// Who writes to the one registry that a verb names, when it is not who the files of docker and
/// podman say.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Registry access")]
pub(super) struct LoginArgs {
    /// User at the registry, instead of stored credentials
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// File with the password; one newline at its end is ignored
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<Utf8PathBuf>,
}

impl LoginArgs {
    pub(super) fn is_given(&self) -> bool {
        self.username.is_some()
    }

    /// The same access, as this user at this registry.
    pub(super) fn with(&self, access: ClientConfig, registry: &str) -> ClientConfig {
        let given = self.username.clone().zip(self.password_file.clone());
        let login = given.map(|(user, file)| Login {
            registry: registry.to_owned(),
            user,
            password: Password::File(file),
        });
        ClientConfig { login, ..access }
    }
}

impl OfflineRegistryArgs {
    /// What the options mean for a verb that contacts the host it was given, and those that are
    /// allowed, and no other: no proxy of the environment, no credential helper, which may ask
    /// anybody.
    pub(super) fn into_offline_config(self, site: &Site, registry: Option<&str>) -> ClientConfig {
        ClientConfig {
            allowed_hosts: Some(self.allow_host.into_iter().collect()),
            ..self.access.into_config(site, registry)
        }
    }
}

impl NamedRegistryArgs {
    pub(super) fn authfile(&self) -> Option<Utf8PathBuf> {
        self.access.authfile.clone()
    }

    fn into_config(self, site: &Site, registry: Option<&str>) -> ClientConfig {
        let own = registry.unwrap_or_default();
        let hosts = self.plain_http.into_iter().map(|host| match host.as_str() {
            "" => own.to_owned(),
            _ => host,
        });
        let hosts = hosts.filter(|host| !host.is_empty()).collect();
        self.access.into_config(site, hosts)
    }

    pub(super) fn into_online_config(self, site: &Site, registry: &str) -> ClientConfig {
        online(self.into_config(site, Some(registry)))
    }
}

impl RegistryArgs {
    pub(super) fn into_online_config(self, site: &Site) -> ClientConfig {
        let hosts = self.plain_http.into_iter().collect();
        online(self.access.into_config(site, hosts))
    }
}

impl AccessArgs {
    fn into_config(self, site: &Site, plain_http: BTreeSet<String>) -> ClientConfig {
        ClientConfig {
            ca_files: site.ca_files(self.ca_file),
            client_identity: self.client_cert.zip(self.client_key),
            plain_http,
            registries_file: self.registry_config,
            auth_files: site
                .authfile(self.authfile)
                .map_or_else(usual_auth_files, |path| vec![AuthFile::Named(path)]),
            ..ClientConfig::default()
        }
    }
}

/// The same for a verb that may use the network freely: with the proxies of the environment and
/// credential helpers.
fn online(config: ClientConfig) -> ClientConfig {
    let either = |upper: &str, lower: &str| variable(lower).or_else(|| variable(upper));
    ClientConfig {
        run_credential_helpers: true,
        proxy: ProxySettings {
            https: either("HTTPS_PROXY", "https_proxy").map(Secret::new),
            http: either("HTTP_PROXY", "http_proxy").map(Secret::new),
            none_for: either("NO_PROXY", "no_proxy"),
        },
        ..config
    }
}

#[derive(Debug, thiserror::Error)]
#[error("expected a host such as registry.lan:5000, without a repository")]
struct PlainHostError;

/// The same, or nothing for the registry that the verb names.
fn plain_host_or_own(text: &str) -> Result<String, PlainHostError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    plain_host(text)
}

fn plain_host(text: &str) -> Result<String, PlainHostError> {
    let host = text
        .strip_prefix("http://")
        .unwrap_or(text)
        .trim_end_matches('/');
    let is_host = !host.is_empty()
        && !host.contains(['/', '@', '?', '#'])
        && !host.contains(char::is_whitespace);
    if is_host {
        Ok(host.to_owned())
    } else {
        Err(PlainHostError)
    }
}

/// Where `login` writes: a file that every verb reads.
pub(super) fn login_file(site: &Site, option: Option<Utf8PathBuf>) -> Option<Utf8PathBuf> {
    let docker =
        || path_in("DOCKER_CONFIG").or_else(|| path_in("HOME").map(|home| home.join(".docker")));
    let usual = || docker().map(|directory| directory.join("config.json"));
    site.authfile(option)
        .or_else(|| path_in("REGISTRY_AUTH_FILE"))
        .or_else(usual)
}

/// Where the programs of docker and podman look for credentials, the first that counts first. The
/// file of a variable for this alone is the only one.
fn usual_auth_files() -> Vec<AuthFile> {
    if let Some(named) = path_in("REGISTRY_AUTH_FILE") {
        return vec![AuthFile::Named(named)];
    }
    let home = path_in("HOME");
    let runtime = path_in("XDG_RUNTIME_DIR").unwrap_or_else(|| {
        format!("/run/containers/{}", rustix::process::getuid().as_raw()).into()
    });
    // Without the variable the directory is that of containers already.
    let runtime = if variable("XDG_RUNTIME_DIR").is_some() {
        runtime.join("containers")
    } else {
        runtime
    };
    let configuration =
        path_in("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let docker = path_in("DOCKER_CONFIG").or_else(|| home.map(|home| home.join(".docker")));
    let in_variable = variable("DOCKER_AUTH_CONFIG").map(|text| AuthFile::Text {
        variable: "DOCKER_AUTH_CONFIG",
        text: Secret::new(text),
    });
    let podman =
        configuration.map(|directory| AuthFile::Usual(directory.join("containers/auth.json")));
    let docker = docker.map(|directory| AuthFile::Usual(directory.join("config.json")));
    std::iter::once(AuthFile::Usual(runtime.join("auth.json")))
        .chain(podman)
        .chain(in_variable)
        .chain(docker)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::plain_host;

    #[test]
    fn a_host_may_be_written_as_a_url_but_not_with_a_repository() {
        assert_eq!(
            plain_host("http://registry.lan:5000/").unwrap(),
            "registry.lan:5000"
        );
        assert_eq!(plain_host("registry.lan").unwrap(), "registry.lan");
        for bad in [
            "",
            "registry.lan/library/postgres",
            "https://registry.lan",
            "user@registry.lan",
        ] {
            assert!(plain_host(bad).is_err(), "{bad}");
        }
    }
}
