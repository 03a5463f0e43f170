//! What the tests of the registry client share.

use std::{fs, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use rune_bundle::{
    oci::{Descriptor, Reference},
    registry::{
        AuthFile, BlobStream, Client, ClientConfig, RegistryError, RepositoryName, RetryPolicy,
    },
};
use rune_core::command::CommandError;
use rune_testkit::{registry::Registry, sample::Sample};

/// Four attempts without waiting that anybody would notice.
pub(crate) fn quick() -> ClientConfig {
    let retry = RetryPolicy {
        max_attempts: 4,
        base_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(2),
    };
    ClientConfig {
        retry,
        ..ClientConfig::default()
    }
}

pub(crate) fn client(config: ClientConfig) -> Client {
    Client::new(config).unwrap()
}

pub(crate) fn reference(registry: &Registry, rest: &str) -> Reference {
    format!("{}/{rest}", registry.host()).parse().unwrap()
}

pub(crate) fn name(registry: &Registry, repository: &str) -> RepositoryName {
    RepositoryName::from(&reference(registry, &format!("{repository}:x")))
}

/// The repository of a reference written out.
pub(crate) fn repository(text: &str) -> RepositoryName {
    RepositoryName::from(&text.parse().unwrap())
}

/// A registry with the sample as `library/postgres:17-alpine`.
pub(crate) fn stocked(registry: Registry) -> Registry {
    registry.put_image("library/postgres", "17-alpine", &Sample::default().build());
    registry
}

/// Stores a blob that does not repeat itself and describes it.
pub(crate) fn blob(registry: &Registry, repository: &str, bytes: u32) -> (Vec<u8>, Descriptor) {
    let content: Vec<u8> = (0..bytes)
        .map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .collect();
    registry.put_blob(repository, &content);
    let descriptor = Descriptor::of("application/octet-stream", &content);
    (content, descriptor)
}

async fn read(mut stream: BlobStream) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Opens a blob and reads it to its end.
pub(crate) async fn fetch(
    client: &Client,
    name: &RepositoryName,
    descriptor: &Descriptor,
    offset: u64,
) -> Result<Vec<u8>, RegistryError> {
    read(client.blob(name, descriptor, offset).await?).await
}

/// What a person sees and what a script sees of an error: messages, help and exit code. `names`
/// replaces what differs from run to run.
pub(crate) fn words(error: RegistryError, names: &[(&str, &str)]) -> String {
    let error = CommandError::from(error);
    let mut text = error.messages().join("\n");
    text.push_str(&format!(
        "\nhelp: {}\nexit: {}",
        error.help().unwrap_or("none"),
        error.kind().exit_code()
    ));
    names
        .iter()
        .fold(text, |text, (own, name)| text.replace(own, name))
}

/// A directory with files for one test.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn directory(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Utf8PathBuf {
        let path = self.directory().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A docker `config.json` with one user.
    pub(crate) fn login(&self, host: &str, user: &str, password: &str) -> AuthFile {
        let entry = serde_json::json!({"auths": {host: {"username": user, "password": password}}});
        AuthFile::Named(self.write("config.json", entry.to_string()))
    }
}
