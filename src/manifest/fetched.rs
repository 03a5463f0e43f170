//! The charts from elsewhere that a manifest names, as their lock pins them.

use std::collections::BTreeMap;

use super::{Chart, Lock, LockedChart, LockedChartSource, Project};
use crate::{
    chart::Package,
    registry::Client,
    remote::{FetchedChart, RemoteChart, RemoteError, Repositories, fetch_artifact, fetch_chart},
};
use rune_core::{digest::Digest, failure::Failure, progress::Progress};

#[derive(Debug, Default)]
pub struct FetchedCharts(BTreeMap<String, Package>);

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Drift)]
pub(crate) enum LockedChartError {
    #[error("the chart `{name}` that the lock pins is no longer available")]
    #[failure(help: "give the chart a `version` that is available, or its .tgz as `path`, then \
        lock again")]
    Gone { name: String, source: RemoteError },
    #[error(
        "the chart `{name}` of `{origin}` has changed since it was locked: expected {expected}, \
         found {actual}"
    )]
    #[failure(help: "find out why; to pin what is there now, run `rune-bundle lock --update \
        {name}`")]
    Changed {
        name: String,
        origin: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("cannot fetch the chart `{name}`")]
    #[failure(inner)]
    Fetch { name: String, source: RemoteError },
    #[error("the lock has no chart `{0}`")]
    #[failure(help: "run `rune-bundle lock`")]
    NotLocked(String),
}

impl FetchedCharts {
    pub(crate) fn get(&self, chart: &Chart) -> Option<&Package> {
        chart.remote().and_then(|_| self.0.get(&chart.id()))
    }

    pub(super) fn insert(&mut self, chart: &Chart, package: Package) {
        self.0.insert(chart.id(), package);
    }

    /// Fetches what the manifest names, whatever a lock pins.
    pub(crate) async fn named(
        project: &Project,
        client: &Client,
        progress: &dyn Progress,
    ) -> Result<Self, LockedChartError> {
        let (repositories, mut charts) = (Repositories::default(), Self::default());
        for chart in &project.manifest().charts {
            let Some(remote) = chart.remote() else {
                continue;
            };
            progress.note(&remote.fetching());
            let fetched = fetch_chart(client, &repositories, remote).await;
            let failed = |source| LockedChartError::Fetch {
                name: remote.name().to_owned(),
                source,
            };
            charts.insert(chart, fetched.map_err(failed)?.package);
        }
        Ok(charts)
    }

    /// Fetches what the lock pins and is not here yet.
    pub(crate) async fn complete(
        mut self,
        project: &Project,
        lock: &Lock,
        client: &Client,
        progress: &dyn Progress,
    ) -> Result<Self, LockedChartError> {
        let repositories = Repositories::default();
        for chart in &project.manifest().charts {
            let Some(remote) = chart.remote().filter(|_| self.get(chart).is_none()) else {
                continue;
            };
            let locked = lock.charts.iter().find(|locked| locked.is_of(remote));
            let locked =
                locked.ok_or_else(|| LockedChartError::NotLocked(remote.name().to_owned()))?;
            progress.note(&remote.fetching());
            let fetched = fetch_locked(client, &repositories, remote, locked).await?;
            self.insert(chart, fetched.package);
        }
        Ok(self)
    }
}

async fn fetch_locked(
    client: &Client,
    repositories: &Repositories,
    remote: &RemoteChart,
    locked: &LockedChart,
) -> Result<FetchedChart, LockedChartError> {
    let name = || locked.name.clone();
    let (expected, fetched) = match (remote, &locked.source) {
        (
            RemoteChart::Registry { .. },
            LockedChartSource::Registry {
                reference,
                manifest,
                digest,
                ..
            },
        ) => (
            *digest,
            fetch_artifact(client, &reference.with_digest(manifest.digest)).await,
        ),
        (RemoteChart::Repository { url, .. }, LockedChartSource::Repository { digest, .. }) => {
            let exact = RemoteChart::Repository {
                url: url.clone(),
                name: name(),
                version: locked.version.clone(),
            };
            (*digest, fetch_chart(client, repositories, &exact).await)
        }
        _ => return Err(LockedChartError::NotLocked(name())),
    };
    let fetched = fetched.map_err(|source| match source {
        RemoteError::IndexDigest { actual, .. } => LockedChartError::Changed {
            name: name(),
            origin: remote.origin(),
            expected,
            actual,
        },
        source if source.is_gone() => LockedChartError::Gone {
            name: name(),
            source,
        },
        source => LockedChartError::Fetch {
            name: name(),
            source,
        },
    })?;
    let actual = fetched.digest();
    if actual == expected {
        return Ok(fetched);
    }
    Err(LockedChartError::Changed {
        name: name(),
        origin: remote.origin(),
        expected,
        actual,
    })
}

impl LockedChart {
    pub(super) fn is_of(&self, chart: &RemoteChart) -> bool {
        let is_place = match (chart, &self.source) {
            (
                RemoteChart::Registry { reference, .. },
                LockedChartSource::Registry {
                    reference: locked, ..
                },
            ) => reference == locked,
            (
                RemoteChart::Repository { url, .. },
                LockedChartSource::Repository { repository, .. },
            ) => url.to_string() == *repository,
            _ => false,
        };
        is_place && self.name == chart.name() && self.version.is_release_of(chart.version())
    }
}
