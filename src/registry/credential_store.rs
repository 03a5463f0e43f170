//! As whom we come: the docker `config.json`, and the programs it names.
//!
//! Only the entry of the host that is being asked is ever looked at, and it is handed to that host alone.
//! The format is that of docker and podman: `auths` by host or by host and path, `credHelpers` by host,
//! `credsStore` for all hosts.

use std::collections::{BTreeMap, HashMap};

use camino::Utf8Path;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    AuthFile,
    credentials::{Credentials, decoded},
    helper::{self, HelperError},
};
use crate::{
    failure::{Failure, FailureKind},
    fsx::{self, PathError},
    secret::Secret,
};

const MAX_AUTH_FILE_BYTES: u64 = 4 << 20;
/// Under which name docker keeps the credentials of Docker Hub.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Why a file with credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthFileError {
    /// It cannot be read.
    #[error("cannot use the file with registry credentials")]
    Read(#[source] PathError),
    /// It is not what docker writes. Says where, not what: it is full of secrets.
    #[error("`{path}` is not a docker config.json (line {line}, column {column})")]
    Syntax {
        /// The file.
        path: camino::Utf8PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake.
        column: usize,
    },
    /// An entry cannot be decoded.
    #[error("the entry for `{key}` in `{path}` is not the base64 form of user:password")]
    Entry {
        /// The file.
        path: camino::Utf8PathBuf,
        /// The entry.
        key: String,
    },
}

impl Failure for AuthFileError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Read(error) => error.kind(),
            Self::Syntax { .. } | Self::Entry { .. } => FailureKind::Input,
        }
    }

    fn help(&self) -> Option<String> {
        Some("name another file with --authfile, or write it anew with `docker login`".to_owned())
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Where credentials are found.
#[derive(Debug, Default)]
pub(super) struct CredentialStore {
    by_key: BTreeMap<String, Credentials>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
    run_helpers: bool,
    /// What helpers said, so that each is asked once per host.
    answers: Mutex<HashMap<String, Option<Credentials>>>,
}

impl CredentialStore {
    /// Reads the file, if there is to be one.
    pub(super) fn load(file: Option<&AuthFile>, run_helpers: bool) -> Result<Self, AuthFileError> {
        let path = match file {
            None => return Ok(Self::default()),
            Some(AuthFile::Usual(path)) if !fsx::exists(path) => return Ok(Self::default()),
            Some(AuthFile::Named(path) | AuthFile::Usual(path)) => path,
        };
        let text = fsx::read(path, MAX_AUTH_FILE_BYTES).map_err(AuthFileError::Read)?;
        let config: DockerConfig = serde_json::from_slice(&text).map_err(|error| AuthFileError::Syntax {
            path: path.clone(),
            line: error.line(),
            column: error.column(),
        })?;
        let mut by_key = BTreeMap::new();
        for (key, entry) in config.auths {
            if let Some(credentials) = entry.credentials(path, &key)? {
                by_key.insert(normalized(&key), credentials);
            }
        }
        let helpers = config.cred_helpers.into_iter().map(|(key, helper)| (normalized(&key), helper)).collect();
        let store = config.creds_store.filter(|store| !store.is_empty());
        Ok(Self { by_key, helpers, store, run_helpers, answers: Mutex::default() })
    }

    /// The credentials for a repository at a host, the most specific entry first.
    pub(super) async fn find(&self, authority: &str, repository: &str) -> Result<Option<Credentials>, HelperError> {
        let names = names_of(authority);
        for name in &names {
            let mut key = format!("{name}/{repository}");
            loop {
                if let Some(credentials) = self.by_key.get(&key) {
                    return Ok(Some(credentials.clone()));
                }
                match key.rfind('/') {
                    Some(end) => key.truncate(end),
                    None => break,
                }
            }
        }
        let helper = names.iter().find_map(|name| self.helpers.get(*name)).or(self.store.as_ref());
        let Some(helper) = helper.filter(|_| self.run_helpers) else { return Ok(None) };
        let server = if names.len() > 1 { HUB_KEY } else { authority };
        let mut answers = self.answers.lock().await;
        if let Some(answer) = answers.get(server) {
            return Ok(answer.clone());
        }
        let answer = helper::ask(helper, server).await?;
        answers.insert(server.to_owned(), answer.clone());
        Ok(answer)
    }
}

impl Entry {
    fn credentials(self, path: &Utf8Path, key: &str) -> Result<Option<Credentials>, AuthFileError> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = filled(self.registrytoken) {
            return Ok(Some(Credentials::RegistryToken(Secret::new(token))));
        }
        if let Some(token) = filled(self.identitytoken) {
            return Ok(Some(Credentials::IdentityToken(Secret::new(token))));
        }
        if let Some(auth) = filled(self.auth) {
            let wrong = || AuthFileError::Entry { path: path.to_owned(), key: key.to_owned() };
            return decoded(&auth).map(Some).ok_or_else(wrong);
        }
        let both = filled(self.username).zip(filled(self.password));
        Ok(both.map(|(user, password)| Credentials::Basic { user, password: Secret::new(password) }))
    }
}

/// A key of the file as `host[/path]`: some programs write a URL, and docker's has `/v1/` at its end.
fn normalized(key: &str) -> String {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    key.trim_end_matches("/v1").trim_end_matches("/v2").to_owned()
}

/// All names under which something about a host may be filed, its own first.
pub(super) fn names_of(authority: &str) -> Vec<&str> {
    match authority {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => vec!["registry-1.docker.io", "docker.io", "index.docker.io"],
        other => vec![other],
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::{AuthFile, AuthFileError, CredentialStore, Credentials};
    use crate::{fsx, secret::Secret};

    fn load(content: &str) -> Result<CredentialStore, AuthFileError> {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("config.json")).unwrap();
        fsx::write_atomic(&path, content.as_bytes()).unwrap();
        CredentialStore::load(Some(&AuthFile::Named(path)), false)
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.to_owned(), password: Secret::new(password) }
    }

    #[tokio::test]
    async fn the_most_specific_entry_of_the_host_wins() {
        // `YTpi` is `a:b`, `Yzpk` is `c:d`.
        let store =
            load(r#"{"auths": {"r:5000": {"auth": "YTpi"}, "r:5000/team": {"auth": "Yzpk"}, "https://q/v2/": {"identitytoken": "t"}}}"#)
                .unwrap();
        assert_eq!(store.find("r:5000", "x/y").await.unwrap(), Some(basic("a", "b")));
        assert_eq!(store.find("r:5000", "team/y").await.unwrap(), Some(basic("c", "d")));
        assert_eq!(store.find("r:5000", "teams").await.unwrap(), Some(basic("a", "b")));
        assert_eq!(store.find("q", "z").await.unwrap(), Some(Credentials::IdentityToken(Secret::new("t"))));
        assert_eq!(store.find("r", "team/y").await.unwrap(), None);
    }

    #[tokio::test]
    async fn docker_hub_goes_by_several_names() {
        let store = load(r#"{"auths": {"https://index.docker.io/v1/": {"username": "a", "password": "b:c"}}, "HttpHeaders": {}}"#).unwrap();
        assert_eq!(store.find("registry-1.docker.io", "library/postgres").await.unwrap(), Some(basic("a", "b:c")));
    }

    #[test]
    fn mistakes_are_placed_without_showing_what_is_there() {
        let error = load(r#"{"auths": {"r": {"auth": "!!hunter2!!"}}}"#).unwrap_err();
        assert!(error.to_string().contains("entry for `r`") && !error.to_string().contains("hunter2"), "{error}");
        let error = load("{\"auths\": [\"hunter2\"").unwrap_err();
        assert!(error.to_string().contains("line 1") && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn only_a_file_that_somebody_named_has_to_exist() {
        let path = Utf8PathBuf::from("/nowhere/config.json");
        assert!(CredentialStore::load(Some(&AuthFile::Usual(path.clone())), true).is_ok());
        assert!(CredentialStore::load(Some(&AuthFile::Named(path)), true).is_err());
    }
}
