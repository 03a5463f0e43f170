//! Charts and files from elsewhere: fetched once, and what they were is written down.

use super::{
    error::{Problems, ResolveError},
    subject::Subject,
};
use crate::{
    manifest::{
        Binary, Blob, Chart, Download, ExtraFile, FetchedCharts, Lock, LockedBinary, LockedChart,
        LockedChartSource, LockedFile, Project,
    },
    registry::{Client, WebSource},
    remote::{FetchedChart, RemoteChart, Repositories, fetch_chart},
};
use rune_core::{digest::Digest, progress::Progress};

/// The largest program from a web server, as of the project.
const MAX_PROGRAM_BYTES: u64 = 256 << 20;
const MAX_FILE_BYTES: u64 = 16 << 30;

/// What is known before, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Earlier<'a> {
    Nothing,
    /// A lock whose sizes stay good for files with the same digest.
    Sizes(&'a Lock),
    /// A lock that is compared: everything is fetched again, and what is not there any more is a
    /// difference and no error.
    Compared(&'a Lock),
}

pub(super) struct Fetcher<'a> {
    pub(super) client: &'a Client,
    pub(super) progress: &'a dyn Progress,
    pub(super) repositories: Repositories,
    pub(super) charts: FetchedCharts,
    pub(super) earlier: Earlier<'a>,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(
        client: &'a Client,
        progress: &'a dyn Progress,
        earlier: Earlier<'a>,
    ) -> Self {
        Self {
            client,
            progress,
            repositories: Repositories::default(),
            charts: FetchedCharts::default(),
            earlier,
        }
    }

    pub(super) async fn all(
        &mut self,
        project: &Project,
        lock: &mut Lock,
        problems: &mut Problems,
    ) {
        for (_, subject) in Subject::all(project.manifest()) {
            let result = match &subject {
                Subject::Chart(_, remote) if is_locked(lock, remote) => {
                    Err(ResolveError::DuplicateChart(remote.name().to_owned()))
                }
                subject => self.one(subject, lock).await,
            };
            problems.keep(subject.label(), result);
        }
    }

    /// One thing that the manifest names, in place of what the lock has for it.
    pub(super) async fn one(
        &mut self,
        subject: &Subject<'_>,
        lock: &mut Lock,
    ) -> Result<(), ResolveError> {
        match subject {
            Subject::Image(_) | Subject::Artifact(_) => {}
            Subject::Chart(chart, remote) => {
                let locked = self.chart(chart, remote).await?;
                lock.charts.retain(|known| known.name != remote.name());
                lock.charts.extend(locked);
            }
            Subject::Binary(binary, download) => {
                let locked = self.binary(binary, download).await?;
                lock.binaries
                    .retain(|known| known.name != binary.name || known.platform != binary.platform);
                lock.binaries.extend(locked);
            }
            Subject::File(file, download) => {
                let locked = self.file(file, download).await?;
                lock.files.retain(|known| known.path != file.path);
                lock.files.extend(locked);
            }
        }
        Ok(())
    }

    /// A chart; nothing when locks are compared and it is not there any more.
    async fn chart(
        &mut self,
        chart: &Chart,
        remote: &RemoteChart,
    ) -> Result<Option<LockedChart>, ResolveError> {
        self.progress.note(&remote.fetching());
        let fetched = match fetch_chart(self.client, &self.repositories, remote).await {
            Err(error) if error.is_gone() && self.compared(|lock| is_locked(lock, remote)) => {
                return Ok(None);
            }
            fetched => fetched?,
        };
        if fetched.is_deprecated {
            let (name, origin) = (remote.name(), remote.origin());
            self.progress.announce(&format!(
                "note: {origin} says that the chart `{name}` is deprecated"
            ));
        }
        let locked = locked_chart(remote, &fetched);
        self.charts.insert(chart, fetched.package);
        Ok(Some(locked))
    }

    async fn binary(
        &self,
        binary: &Binary,
        download: &Download,
    ) -> Result<Option<LockedBinary>, ResolveError> {
        let known = |lock: &Lock| {
            let known = lock
                .binaries
                .iter()
                .find(|known| known.name == binary.name && known.platform == binary.platform)?;
            Some((known.url.clone()?, known.digest, known.size))
        };
        let size = self.size(download, known, MAX_PROGRAM_BYTES).await?;
        let (name, platform) = (binary.name.clone(), binary.platform.clone());
        let url = Some(download.url.to_string());
        Ok(size.map(|size| LockedBinary {
            name,
            platform,
            path: None,
            url,
            digest: download.sha256,
            size,
        }))
    }

    async fn file(
        &self,
        file: &ExtraFile,
        download: &Download,
    ) -> Result<Option<LockedFile>, ResolveError> {
        let known = |lock: &Lock| {
            let known = lock.files.iter().find(|known| known.path == file.path)?;
            Some((known.url.clone(), known.digest, known.size))
        };
        let size = self.size(download, known, MAX_FILE_BYTES).await?;
        let (path, url) = (file.path.clone(), download.url.to_string());
        Ok(size.map(|size| LockedFile {
            path,
            url,
            digest: download.sha256,
            size,
        }))
    }

    /// The size of a file, which is read unless an earlier lock has it; nothing when locks are
    /// compared and it is not there any more, or another one is.
    async fn size(
        &self,
        download: &Download,
        known: impl Fn(&Lock) -> Option<(String, Digest, u64)>,
        max_bytes: u64,
    ) -> Result<Option<u64>, ResolveError> {
        let url = download.url.to_string();
        if let Earlier::Sizes(lock) = self.earlier
            && let Some((_, _, size)) =
                known(lock).filter(|(known, digest, _)| *known == url && *digest == download.sha256)
        {
            return Ok(Some(size));
        }
        let is_compared = self.compared(|lock| known(lock).is_some());
        self.progress.note(&format!("reading {url}"));
        let source = WebSource::named(download.url.clone());
        let (actual, size) = match self
            .client
            .web_digest(&source, &format!("`{url}`"), max_bytes)
            .await
        {
            Err(error) if is_compared && error.is_missing_file() => return Ok(None),
            read => read?,
        };
        let expected = download.sha256;
        match actual == expected {
            true => Ok(Some(size)),
            false if is_compared => Ok(None),
            false => Err(ResolveError::OtherContent {
                url,
                expected,
                actual,
            }),
        }
    }

    fn compared(&self, has_it: impl Fn(&Lock) -> bool) -> bool {
        matches!(self.earlier, Earlier::Compared(lock) if has_it(lock))
    }
}

fn is_locked(lock: &Lock, remote: &RemoteChart) -> bool {
    lock.charts.iter().any(|known| known.name == remote.name())
}

fn locked_chart(remote: &RemoteChart, fetched: &FetchedChart) -> LockedChart {
    let (digest, size) = (fetched.digest(), fetched.package.bytes.len() as u64);
    let source = match (remote, &fetched.manifest) {
        (RemoteChart::Registry { reference, .. }, Some(manifest)) => {
            let manifest = Blob::from(manifest);
            LockedChartSource::Registry {
                reference: reference.clone(),
                manifest,
                digest,
                size,
            }
        }
        _ => LockedChartSource::Repository {
            repository: remote.origin(),
            digest,
            size,
        },
    };
    let metadata = &fetched.package.metadata;
    LockedChart {
        name: metadata.name.clone(),
        version: metadata.version.clone(),
        source,
    }
}
