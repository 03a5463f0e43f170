//! As whom we come: files in the format of docker's `config.json`, and the programs they name.
//!
//! Only the entry of the host that is being asked is ever used, and it is handed to that host
//! alone. The format is that of docker and podman: `auths` by host or by host and path,
//! `credHelpers` by host, `credsStore` for all hosts. It is read as their programs do, which are in
//! Go: names in any case, `null` for nothing, an empty file, further keys; an entry that is broken
//! is an error only for its own host.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{
    AuthFile, Login, Password,
    credentials::{Credentials, decoded},
    helper::{self, HelperError},
    hosts::{canonical, wire_authority},
    quirks::{credential_key, names_of},
};
use rune_core::{
    failure::Failure,
    fsx::{self, PathError},
    secret::Secret,
};

pub(super) const MAX_AUTH_FILE_BYTES: u64 = 4 << 20;
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Input: "correct it, or name another file with --authfile")]
pub enum AuthFileError {
    #[error("cannot use the file with registry credentials")]
    #[failure(inner)]
    Read(#[source] PathError),
    #[error("cannot use the file of --password-file")]
    #[failure(inner)]
    Password(#[source] PathError),
    /// It is not what docker writes. Says where, not what: it is full of secrets.
    #[error("{place} is not a docker config.json (line {line}, column {column})")]
    Syntax {
        place: String,
        line: usize,
        column: usize,
    },
    #[error("{place} is not a docker config.json: `{key}` is not a mapping")]
    Type { place: String, key: &'static str },
}

impl AuthFileError {
    pub(super) fn syntax(place: &str, error: &serde_json::Error) -> Self {
        Self::Syntax {
            place: place.to_owned(),
            line: error.line(),
            column: error.column(),
        }
    }
}

#[derive(Debug, thiserror::Error, Failure)]
pub(crate) enum CredentialError {
    #[error(transparent)]
    Helper(#[from] HelperError),
    #[error(
        "the entry for `{key}` in {place} is neither the base64 form of user:password nor a token"
    )]
    #[failure(Input: "name another file with --authfile, or write the entry anew with `rune-bundle \
        login`")]
    Entry { place: String, key: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lookup {
    pub(super) credentials: Credentials,
    pub(super) place: String,
}

#[derive(Debug, Default)]
pub(super) struct CredentialStore {
    /// Goes before everything else, for its host.
    login: Option<(String, Credentials)>,
    sources: Vec<Source>,
    run_helpers: bool,
    /// What helpers said, so that each is asked once per host.
    answers: Mutex<HashMap<(String, String), Option<Credentials>>>,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) place: String,
    /// A broken entry has no credentials.
    by_key: BTreeMap<String, Result<Credentials, String>>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

impl CredentialStore {
    pub(super) fn load(files: &[AuthFile], run_helpers: bool) -> Result<Self, AuthFileError> {
        let sources = files
            .iter()
            .map(Source::load)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            login: None,
            sources: sources.into_iter().flatten().collect(),
            run_helpers,
            answers: Mutex::default(),
        })
    }

    /// With a user for one registry, who goes before everything else.
    pub(super) fn with_login(self, login: Option<&Login>) -> Result<Self, AuthFileError> {
        let Some(Login {
            registry,
            user,
            password,
        }) = login
        else {
            return Ok(self);
        };
        let password = match password {
            Password::Given(password) => password.clone(),
            Password::File(path) => {
                let text = Zeroizing::new(
                    fsx::read_to_string(path, MAX_PASSWORD_BYTES)
                        .map_err(AuthFileError::Password)?,
                );
                Secret::from_line(&text)
            }
        };
        let credentials = Credentials::Basic {
            user: user.clone(),
            password,
        };
        Ok(Self {
            login: Some((wire_authority(registry), credentials)),
            ..self
        })
    }

    pub(super) fn login(&self) -> Option<(&str, &Secret)> {
        match &self.login {
            Some((_, Credentials::Basic { user, password })) => Some((user, password)),
            _ => None,
        }
    }

    /// The credentials that go before everything else at a host.
    pub(super) fn given(&self, authority: &str) -> Option<&Credentials> {
        self.login
            .as_ref()
            .filter(|(host, _)| host == authority)
            .map(|(_, credentials)| credentials)
    }

    /// The credentials for a repository at a host: those of the first file that has some, there the
    /// most specific entry.
    pub(super) async fn find(
        &self,
        authority: &str,
        repository: &str,
    ) -> Result<Option<Lookup>, CredentialError> {
        let names = names_of(authority);
        for source in &self.sources {
            if let Some((key, entry)) = source.entry(&names, repository) {
                let place = source.place.clone();
                let broken = |_: &String| CredentialError::Entry {
                    place: place.clone(),
                    key: key.to_owned(),
                };
                let credentials = entry.as_ref().map_err(broken)?.clone();
                return Ok(Some(Lookup { credentials, place }));
            }
            let Some(helper) = source.helper(&names).filter(|_| self.run_helpers) else {
                continue;
            };
            if let Some(credentials) = self.send(helper, credential_key(authority)).await? {
                return Ok(Some(Lookup {
                    credentials,
                    place: format!("the credential helper `{helper}` of {}", source.place),
                }));
            }
        }
        Ok(None)
    }

    async fn send(&self, helper: &str, server: &str) -> Result<Option<Credentials>, HelperError> {
        let mut answers = self.answers.lock().await;
        let key = (helper.to_owned(), server.to_owned());
        if let Some(answer) = answers.get(&key) {
            return Ok(answer.clone());
        }
        let answer = helper::send(helper, server).await?;
        answers.insert(key, answer.clone());
        Ok(answer)
    }
}

impl Source {
    /// The program that keeps the credentials of a host.
    pub(super) fn helper(&self, names: &[&str]) -> Option<&str> {
        names
            .iter()
            .find_map(|name| self.helpers.get(*name))
            .or(self.store.as_ref())
            .map(String::as_str)
    }

    pub(super) fn has(&self, authority: &str) -> bool {
        let names = names_of(authority);
        self.by_key
            .keys()
            .any(|key| names.contains(&key.split('/').next().unwrap_or_default()))
    }

    pub(super) fn load(file: &AuthFile) -> Result<Option<Self>, AuthFileError> {
        let (place, text) = match file {
            AuthFile::Usual(path) if !fsx::exists(path) => return Ok(None),
            AuthFile::Named(path) | AuthFile::Usual(path) => (
                format!("`{path}`"),
                fsx::read(path, MAX_AUTH_FILE_BYTES).map_err(AuthFileError::Read)?,
            ),
            AuthFile::Text { variable, text } => (
                format!("the variable {variable}"),
                text.expose().as_bytes().to_vec(),
            ),
        };
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        // What follows the first value is ignored, as in Go.
        let value = serde_json::Deserializer::from_slice(&text)
            .into_iter::<Value>()
            .next()
            .unwrap_or(Ok(Value::Null));
        let value = value.map_err(|error| AuthFileError::syntax(&place, &error))?;
        let config = match value {
            Value::Object(config) => config,
            Value::Null => return Ok(None),
            _ => {
                return Err(AuthFileError::Syntax {
                    place,
                    line: 1,
                    column: 1,
                });
            }
        };
        let mapping = |key: &'static str| match field(&config, key) {
            None => Ok(Map::new()),
            Some(Value::Object(mapping)) => Ok(mapping.clone()),
            Some(_) => Err(AuthFileError::Type {
                place: place.clone(),
                key,
            }),
        };
        let by_key = mapping("auths")?
            .iter()
            .filter_map(|(key, entry)| Some((normalized(key), entry_credentials(key, entry)?)))
            .collect();
        let named = |(key, helper): (String, Value)| Some((normalized(&key), text_of(&helper)?));
        let helpers = mapping("credHelpers")?
            .into_iter()
            .filter_map(named)
            .collect();
        let store = field(&config, "credsStore").and_then(text_of);
        Ok(Some(Self {
            place,
            by_key,
            helpers,
            store,
        }))
    }

    /// The most specific entry of a host that goes by several names.
    fn entry(
        &self,
        names: &[&str],
        repository: &str,
    ) -> Option<(&str, &Result<Credentials, String>)> {
        names.iter().find_map(|name| {
            let mut key = format!("{name}/{repository}");
            loop {
                if let Some((key, entry)) = self.by_key.get_key_value(&key) {
                    return Some((key.as_str(), entry));
                }
                key.truncate(key.rfind('/')?);
            }
        })
    }
}

/// A field by its name in any case, unless it is null; of several, the one that is spelled right.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let folded = || {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    object
        .get(name)
        .or_else(folded)
        .filter(|value| !value.is_null())
}

fn text_of(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// What an entry says: nothing when it is empty, an error when it cannot be decoded.
fn entry_credentials(key: &str, entry: &Value) -> Option<Result<Credentials, String>> {
    let broken = || Some(Err(key.to_owned()));
    let entry = match entry {
        Value::Null => return None,
        Value::Object(entry) => entry,
        _ => return broken(),
    };
    let text = |name| field(entry, name).and_then(text_of);
    if let Some(token) = text("registrytoken") {
        return Some(Ok(Credentials::RegistryToken(Secret::new(token))));
    }
    if let Some(token) = text("identitytoken") {
        return Some(Ok(Credentials::IdentityToken(Secret::new(token))));
    }
    if let Some(auth) = text("auth") {
        return Some(decoded(&auth).ok_or_else(|| key.to_owned()));
    }
    if ["auth", "username", "password"]
        .iter()
        .any(|name| field(entry, name).is_some_and(|value| !value.is_string()))
    {
        return broken();
    }
    let both = text("username").zip(text("password"));
    both.map(|(user, password)| {
        Ok(Credentials::Basic {
            user,
            password: Secret::new(password),
        })
    })
}

/// A key of the file as `host[/path]`: some programs write a URL, and docker's has `/v1/` at its
/// end.
pub(super) fn normalized(key: &str) -> String {
    let key = key
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let key = key.trim_end_matches("/v1").trim_end_matches("/v2");
    match key.split_once('/') {
        Some((host, path)) => format!("{}/{path}", canonical(host)),
        None => canonical(key),
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::{AuthFile, AuthFileError, CredentialStore, Credentials};
    use rune_core::{fsx, secret::Secret};

    fn load(content: &str) -> Result<CredentialStore, AuthFileError> {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("config.json")).unwrap();
        fsx::write_atomic(&path, content.as_bytes()).unwrap();
        CredentialStore::load(&[AuthFile::Named(path)], false)
    }

    async fn find(
        store: &CredentialStore,
        authority: &str,
        repository: &str,
    ) -> Option<Credentials> {
        store
            .find(authority, repository)
            .await
            .unwrap()
            .map(|found| found.credentials)
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic {
            user: user.to_owned(),
            password: Secret::new(password),
        }
    }

    #[tokio::test]
    async fn the_most_specific_entry_of_the_host_wins() {
        // `YTpi` is `a:b`, `Yzpk` is `c:d`.
        let store =
            load(r#"{"auths": {"r:5000": {"auth": "YTpi"}, "r:5000/team": {"auth": "Yzpk"}, "https://q/v2/": {"identitytoken": "t"}}}"#)
                .unwrap();
        assert_eq!(find(&store, "r:5000", "x/y").await, Some(basic("a", "b")));
        assert_eq!(
            find(&store, "r:5000", "team/y").await,
            Some(basic("c", "d"))
        );
        assert_eq!(find(&store, "r:5000", "teams").await, Some(basic("a", "b")));
        assert_eq!(
            find(&store, "q", "z").await,
            Some(Credentials::IdentityToken(Secret::new("t")))
        );
        assert_eq!(find(&store, "r", "team/y").await, None);
    }

    #[tokio::test]
    async fn docker_hub_goes_by_several_names() {
        let store = load(r#"{"auths": {"https://index.docker.io/v1/": {"username": "a", "password": "b:c"}}, "HttpHeaders": {}}"#).unwrap();
        assert_eq!(
            find(&store, "registry-1.docker.io", "library/postgres").await,
            Some(basic("a", "b:c"))
        );
    }

    #[tokio::test]
    async fn a_file_is_read_as_programs_in_go_read_it() {
        let of = |text: &str| {
            let store = load(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            async move { find(&store, "[fd00::1]:5000", "x").await }
        };
        for text in [
            "",
            " \n",
            "null",
            "{}",
            r#"{"auths": null}"#,
            r#"{"auths": {"[fd00::1]:5000": {}}, "credHelpers": null, "credsStore": null}"#,
        ] {
            assert_eq!(of(text).await, None, "{text}");
        }
        for text in [
            r#"{"auths": {"x": null, "y": {"auth": "!!"}, "z": 7, "[FD00:0::1]:5000": {"auth": "YTpi", "email": null}}}"#,
            r#"{"AUTHS": {"https://[fd00::1]:5000/v2/": {"Username": "a", "PASSWORD": "b"}}, "HttpHeaders": {"a": 1}, "psFormat": 3}"#,
            r#"{"auths": {"[fd00::1]:5000": {"auth": "YTpi"}}} and more"#,
        ] {
            assert_eq!(of(text).await, Some(basic("a", "b")), "{text}");
        }
    }

    #[tokio::test]
    async fn mistakes_are_placed_without_showing_what_is_there() {
        for entry in [
            r#"{"auth": "!!hunter2!!"}"#,
            r#""hunter2""#,
            r#"{"username": 7, "password": "hunter2"}"#,
        ] {
            let store = load(&format!(r#"{{"auths": {{"r": {entry}}}}}"#)).unwrap();
            let error = store.find("r", "x").await.unwrap_err().to_string();
            assert!(
                error.contains("entry for `r`") && !error.contains("hunter2"),
                "{error}"
            );
            assert!(find(&store, "q", "x").await.is_none());
        }
        let error = load("{\"auths\": [\"hunter2\"").unwrap_err();
        assert!(
            error.to_string().contains("line 1") && !format!("{error:?}").contains("hunter2"),
            "{error:?}"
        );
        let error = load("{\"auths\": [\"hunter2\"]}").unwrap_err();
        assert!(
            error.to_string().contains("`auths` is not a mapping")
                && !format!("{error:?}").contains("hunter2"),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn the_first_source_that_has_something_counts_and_is_named() {
        let text = |variable, text: &str| AuthFile::Text {
            variable,
            text: Secret::new(text),
        };
        let files = [
            text("ONE", r#"{"auths": {"q": {"auth": "Yzpk"}}}"#),
            text("TWO", r#"{"auths": {"r": {"auth": "YTpi"}}}"#),
            text("THREE", r#"{"auths": {"r": {"auth": "Yzpk"}}}"#),
        ];
        let found = CredentialStore::load(&files, false)
            .unwrap()
            .find("r", "x")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.credentials, found.place.as_str()),
            (basic("a", "b"), "the variable TWO")
        );
    }

    #[test]
    fn only_a_file_that_somebody_named_has_to_exist() {
        let path = Utf8PathBuf::from("/nowhere/config.json");
        assert!(CredentialStore::load(&[AuthFile::Usual(path.clone())], true).is_ok());
        assert!(CredentialStore::load(&[AuthFile::Named(path)], true).is_err());
    }
}
