//! Charts of a Helm repository: its index, and the archive that the repository index leads to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{FetchedChart, MAX_INDEX_BYTES, RemoteError, index::RepositoryIndex};
use crate::{
    chart::{self, ChartVersion, MAX_CHART_BYTES},
    registry::{Client, WebDocument, WebSource, WebUrl},
};
use rune_core::digest::Digest;

/// The indexes of the repositories that were asked in a run: each is fetched once, however many
/// charts come from it.
#[derive(Debug, Default)]
pub(crate) struct Repositories {
    read: Mutex<HashMap<String, Known>>,
}

type Known = Arc<tokio::sync::OnceCell<(WebDocument, RepositoryIndex)>>;

impl Repositories {
    fn slot(&self, url: &WebUrl) -> Known {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(read.entry(url.url().to_string()).or_default())
    }
}

pub(super) async fn fetch(
    client: &Client,
    repositories: &Repositories,
    url: &WebUrl,
    name: &str,
    version: &ChartVersion,
) -> Result<FetchedChart, RemoteError> {
    let repository = url.to_string();
    let slot = repositories.slot(url);
    let (document, index) = slot.get_or_try_init(|| read_index(client, url)).await?;
    if index.versions(name).is_none() {
        return Err(RemoteError::NoChart {
            repository,
            name: name.to_owned(),
            known: index.names(),
        });
    }
    let Some((found, entry)) = index.entry(name, version) else {
        let (name, version) = (name.to_owned(), version.to_string());
        return Err(RemoteError::NoVersion {
            repository,
            newest: index.newest(&name),
            name,
            version,
        });
    };
    let mut failure = None;
    for reference in entry.urls() {
        let wrong = |problem| RemoteError::Url {
            repository: repository.clone(),
            name: name.to_owned(),
            problem,
        };
        let fetched = match url.join(reference).map_err(wrong) {
            Ok(archive) => fetch_archive(client, &document.source(archive), entry.digest()).await,
            Err(error) => Err(error),
        };
        match fetched {
            Ok(chart) => {
                let place = format!("what the repository `{repository}` has as `{name}` {found}");
                let chart = chart.checked(&place, name, &found)?;
                return Ok(FetchedChart {
                    is_deprecated: entry.is_deprecated(),
                    ..chart
                });
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| RemoteError::NoUrl {
        repository,
        name: name.to_owned(),
        version: version.to_string(),
    }))
}

async fn read_index(
    client: &Client,
    url: &WebUrl,
) -> Result<(WebDocument, RepositoryIndex), RemoteError> {
    let what = format!("the index of the repository `{url}`");
    let source = WebSource::named(url.below("index.yaml"));
    let mut document = client.web_document(&source, &what, MAX_INDEX_BYTES).await?;
    let text = String::from_utf8(std::mem::take(&mut document.bytes))
        .map_err(|_| RemoteError::IndexText(url.to_string()))?;
    let path = Utf8PathBuf::from(url.below("index.yaml").to_string());
    let index = RepositoryIndex::parse(&path, &text).map_err(|source| RemoteError::Index {
        repository: url.to_string(),
        source,
    })?;
    Ok((document, index))
}

pub(super) async fn fetch_archive(
    client: &Client,
    source: &WebSource,
    announced: Option<Digest>,
) -> Result<FetchedChart, RemoteError> {
    let url = source.url().to_string();
    let bytes = client
        .web_document(source, &format!("the chart `{url}`"), MAX_CHART_BYTES)
        .await?
        .bytes;
    let actual = Digest::of(&bytes);
    if let Some(expected) = announced.filter(|expected| *expected != actual) {
        return Err(RemoteError::IndexDigest {
            url,
            expected,
            actual,
        });
    }
    let package = chart::package_from_bytes(Utf8Path::new(&url), bytes)?;
    Ok(FetchedChart {
        package,
        manifest: None,
        is_deprecated: false,
    })
}
