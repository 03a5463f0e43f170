//! Mirrors, credentials and TLS in the format of the `registries.yaml` of k3s and RKE2.
//!
//! What is the same: ordered endpoints, `*` for every registry without an entry of its own,
//! `rewrite` rules for mirrors only, the registry itself after its mirrors. What is refused:
//! `insecure_skip_verify`, because content would still be checked but tags and credentials would
//! not be safe. Of several rewrite rules that match, the first in byte order of the patterns is
//! used (k3s leaves the order to chance).

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;
use serde::Deserialize;
use url::Url;

use super::{Credentials, credentials::decoded, hosts::canonical, quirks::names_of};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError},
    secret::Secret,
    yaml::{self, Spanned, YamlError},
};

const MAX_FILE_BYTES: u64 = 1 << 20;

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input)]
pub enum RegistriesFileError {
    #[error("cannot use the file given with `--registry-config`")]
    #[failure(inner)]
    Read(#[source] PathError),
    #[error(transparent)]
    #[failure(Input)]
    Syntax(YamlError),
    #[error("{path}:{line}: `insecure_skip_verify` of `{host}` is not supported")]
    #[failure(help: "pass the CA certificate as `ca_file` of `{host}`, or with --ca-file")]
    SkipVerify {
        path: Utf8PathBuf,
        line: u64,
        host: String,
    },
    #[error(
        "{path}:{line}: the endpoint `{endpoint}` is not a URL such as https://mirror.example:5000"
    )]
    Endpoint {
        path: Utf8PathBuf,
        line: u64,
        /// What it is instead; without a password, should it hold one.
        endpoint: String,
    },
    #[error("{path}: the rewrite pattern `{pattern}` is not a regular expression")]
    Rewrite {
        path: Utf8PathBuf,
        pattern: String,
        source: Box<regex::Error>,
    },
    /// Credentials are incomplete or malformed. Does not show them.
    #[error(
        "{path}: the `auth` of `{host}` is neither user and password, nor their base64 form, nor \
         an identity token"
    )]
    Auth { path: Utf8PathBuf, host: String },
    #[error("{path}: the `tls` of `{host}` needs both `cert_file` and `key_file`, or neither")]
    Identity { path: Utf8PathBuf, host: String },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    mirrors: Option<BTreeMap<String, Option<MirrorEntry>>>,
    configs: Option<BTreeMap<String, Option<ConfigEntry>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MirrorEntry {
    endpoint: Option<Vec<Spanned<String>>>,
    rewrite: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ConfigEntry {
    auth: Option<AuthEntry>,
    tls: Option<TlsEntry>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AuthEntry {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identity_token: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TlsEntry {
    ca_file: Option<Utf8PathBuf>,
    cert_file: Option<Utf8PathBuf>,
    key_file: Option<Utf8PathBuf>,
    insecure_skip_verify: Option<Spanned<bool>>,
}

#[derive(Debug, Default)]
pub(super) struct Registries {
    mirrors: BTreeMap<String, Mirrors>,
    hosts: BTreeMap<String, HostSettings>,
}

#[derive(Debug, Default)]
pub(super) struct Mirrors {
    pub(super) endpoints: Vec<Url>,
    rewrite: Vec<(Regex, String)>,
}

#[derive(Debug, Default)]
pub(super) struct HostSettings {
    pub(super) credentials: Option<Credentials>,
    pub(super) ca_file: Option<Utf8PathBuf>,
    pub(super) identity: Option<(Utf8PathBuf, Utf8PathBuf)>,
}

impl Registries {
    pub(super) fn load(path: &Utf8Path) -> Result<Self, RegistriesFileError> {
        let text = fsx::read_to_string(path, MAX_FILE_BYTES).map_err(RegistriesFileError::Read)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Utf8Path, text: &str) -> Result<Self, RegistriesFileError> {
        let file: File = yaml::from_str(path, text).map_err(RegistriesFileError::Syntax)?;
        let mirrors =
            file.mirrors.into_iter().flatten().map(|(host, entry)| {
                Ok((canonical(&host), mirrors(path, entry.unwrap_or_default())?))
            });
        let hosts = file.configs.into_iter().flatten().map(|(host, entry)| {
            let settings = settings(path, &host, entry.unwrap_or_default())?;
            Ok((canonical(&host), settings))
        });
        Ok(Self {
            mirrors: mirrors.collect::<Result<_, _>>()?,
            hosts: hosts.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn mirrors(&self, registry: &str) -> Option<&Mirrors> {
        self.mirrors
            .get(&canonical(registry))
            .or_else(|| self.mirrors.get("*"))
    }

    pub(super) fn host(&self, authority: &str) -> Option<&HostSettings> {
        names_of(authority)
            .iter()
            .find_map(|name| self.hosts.get(*name))
            .or_else(|| self.hosts.get("*"))
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = (&str, &HostSettings)> {
        self.hosts
            .iter()
            .map(|(host, settings)| (host.as_str(), settings))
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Url> {
        self.mirrors.values().flat_map(|mirrors| &mirrors.endpoints)
    }
}

impl Mirrors {
    pub(super) fn rewritten(&self, repository: &str) -> String {
        let rule = self
            .rewrite
            .iter()
            .find(|(pattern, _)| pattern.is_match(repository));
        rule.map_or_else(
            || repository.to_owned(),
            |(pattern, name)| pattern.replace_all(repository, name.as_str()).into_owned(),
        )
    }
}

fn mirrors(path: &Utf8Path, entry: MirrorEntry) -> Result<Mirrors, RegistriesFileError> {
    let mut mirrors = Mirrors::default();
    for endpoint in entry.endpoint.into_iter().flatten() {
        mirrors.endpoints.push(endpoint_url(path, &endpoint)?);
    }
    for (pattern, name) in entry.rewrite.into_iter().flatten() {
        let wrong = |source| RegistriesFileError::Rewrite {
            path: path.to_owned(),
            pattern: pattern.clone(),
            source: Box::new(source),
        };
        mirrors
            .rewrite
            .push((Regex::new(&pattern).map_err(wrong)?, name));
    }
    Ok(mirrors)
}

/// An endpoint as a URL with the path of the API: `/v2` unless it has one of its own.
fn endpoint_url(path: &Utf8Path, text: &Spanned<String>) -> Result<Url, RegistriesFileError> {
    let with_scheme = if text.value.contains("://") {
        text.value.clone()
    } else {
        format!("https://{}", text.value)
    };
    let shown = text.value.rsplit('@').next().unwrap_or_default().to_owned();
    let wrong = || RegistriesFileError::Endpoint {
        path: path.to_owned(),
        line: text.referenced.line(),
        endpoint: shown.clone(),
    };
    let mut url = Url::parse(&with_scheme).map_err(|_| wrong())?;
    let is_plain_url = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain_url {
        return Err(wrong());
    }
    let api = url.path().trim_end_matches('/').to_owned();
    url.set_path(if api.is_empty() { "/v2" } else { &api });
    Ok(url)
}

fn settings(
    path: &Utf8Path,
    host: &str,
    entry: ConfigEntry,
) -> Result<HostSettings, RegistriesFileError> {
    let tls = entry.tls.unwrap_or_default();
    if let Some(skip) = tls.insecure_skip_verify.filter(|skip| skip.value) {
        let line = skip.referenced.line();
        return Err(RegistriesFileError::SkipVerify {
            path: path.to_owned(),
            line,
            host: host.to_owned(),
        });
    }
    if tls.cert_file.is_some() != tls.key_file.is_some() {
        return Err(RegistriesFileError::Identity {
            path: path.to_owned(),
            host: host.to_owned(),
        });
    }
    let wrong = || RegistriesFileError::Auth {
        path: path.to_owned(),
        host: host.to_owned(),
    };
    let credentials = entry
        .auth
        .map(|auth| given(auth).ok_or_else(wrong))
        .transpose()?;
    Ok(HostSettings {
        credentials,
        ca_file: tls.ca_file,
        identity: tls.cert_file.zip(tls.key_file),
    })
}

fn given(auth: AuthEntry) -> Option<Credentials> {
    match auth {
        AuthEntry {
            identity_token: Some(token),
            ..
        } => Some(Credentials::IdentityToken(Secret::new(token))),
        AuthEntry {
            auth: Some(auth), ..
        } => decoded(&auth),
        AuthEntry {
            username: Some(user),
            password: Some(password),
            ..
        } => Some(Credentials::Basic {
            user,
            password: Secret::new(password),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{Credentials, Registries, RegistriesFileError};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        secret::Secret,
    };

    fn parse(text: &str) -> Result<Registries, RegistriesFileError> {
        Registries::parse(Utf8Path::new("registries.yaml"), text)
    }

    #[test]
    fn reads_what_k3s_documents() {
        let registries =
            parse("mirrors:\n  docker.io:\n    endpoint:\n      \
                   - \"https://mirror.example:5000\"\n      - \
                   http://127.0.0.1:5000/proxy/v2/\n    \
                   rewrite:\n      \"^rancher/(.*)\": \"mirrorproject/rancher-images/$1\"\n  \"*\":\nconfigs:\n  \"mirror.example:5000\":\n    \
                   auth:\n      username: alice\n      password: s3cret\n    tls:\n      ca_file: \
                   /ca.pem\n      insecure_skip_verify: false\n").unwrap();
        let mirrors = registries.mirrors("docker.io").unwrap();
        let urls: Vec<&str> = mirrors.endpoints.iter().map(url::Url::as_str).collect();
        assert_eq!(
            urls,
            [
                "https://mirror.example:5000/v2",
                "http://127.0.0.1:5000/proxy/v2"
            ]
        );
        assert_eq!(
            mirrors.rewritten("rancher/k3s"),
            "mirrorproject/rancher-images/k3s"
        );
        assert_eq!(mirrors.rewritten("library/postgres"), "library/postgres");
        assert!(registries.mirrors("quay.io").unwrap().endpoints.is_empty());
        let host = registries.host("mirror.example:5000").unwrap();
        assert_eq!(
            host.credentials,
            Some(Credentials::Basic {
                user: "alice".into(),
                password: Secret::new("s3cret")
            })
        );
        assert!(!format!("{registries:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_null_is_absent() {
        for text in [
            "mirrors:\nconfigs:\n",
            "mirrors: {r: {endpoint: , rewrite: }}\nconfigs: {r: {auth: , tls: }}\n",
            "mirrors: {r: }",
        ] {
            assert!(
                parse(text)
                    .unwrap()
                    .mirrors("r")
                    .is_none_or(|mirrors| mirrors.endpoints.is_empty()),
                "{text}"
            );
        }
        let registries =
            parse("mirrors: {'[FD00::0:1]:5000': {endpoint: ['http://[::1]:5000']}}\n").unwrap();
        assert_eq!(
            registries.mirrors("[fd00::1]:5000").unwrap().endpoints[0].as_str(),
            "http://[::1]:5000/v2"
        );
    }

    #[test]
    fn refuses_to_switch_off_verification() {
        let error = parse("configs:\n  \"r:5000\":\n    tls:\n      insecure_skip_verify: true\n")
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "registries.yaml:4: `insecure_skip_verify` of `r:5000` is not supported"
        );
        assert!(error.help().unwrap().contains("ca_file"));
    }

    #[test]
    fn says_what_is_wrong_without_showing_secrets() {
        for (text, part) in [
            (
                "mirrors: {r: {endpoint: ['ftp://x']}}",
                "endpoint `ftp://x`",
            ),
            (
                "mirrors: {r: {endpoint: ['https://u:hunter2@x']}}",
                "endpoint `x`",
            ),
            ("mirrors: {r: {rewrite: {'(': x}}}", "rewrite pattern `(`"),
            ("mirrors: {r: {endpoints: []}}", "endpoints"),
            ("configs: {r: {auth: {username: hunter2}}}", "`auth` of `r`"),
            ("configs: {r: {auth: {auth: hunter2}}}", "`auth` of `r`"),
            ("configs: {r: {tls: {cert_file: a}}}", "`tls` of `r`"),
        ] {
            let error = parse(text).err().unwrap();
            assert_eq!(error.kind(), FailureKind::Input);
            assert!(
                error.to_string().contains(part) && !error.to_string().contains("hunter2"),
                "{error}"
            );
        }
    }
}
