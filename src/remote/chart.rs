//! A chart that is fetched, wherever it comes from.

use camino::Utf8Path;

use crate::{
    chart::{ChartArtifact, ChartVersion, Package},
    oci::{Descriptor, Reference},
    registry::{Client, WebSource, WebUrl},
};
use rune_core::digest::Digest;

use super::{RemoteError, Repositories, fetch_artifact, repository};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RemoteChart {
    /// In an OCI registry, below a repository of its name.
    Registry {
        /// Registry and repository, with the tag of the version.
        reference: Reference,
        version: ChartVersion,
    },
    Repository {
        url: WebUrl,
        name: String,
        version: ChartVersion,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct FetchedChart {
    pub package: Package,
    /// The manifest, when it comes from an OCI registry.
    pub(crate) manifest: Option<Descriptor>,
    /// Whether its repository says that nobody maintains it any more.
    pub(crate) is_deprecated: bool,
}

impl RemoteChart {
    pub(crate) fn in_registry(place: &str, version: ChartVersion) -> Option<Self> {
        let place = place.strip_prefix("oci://")?;
        let tag = ChartArtifact::tag_of(&version);
        let reference: Reference = format!("{place}:{tag}").parse().ok()?;
        (reference.digest().is_none() && reference.name() == place)
            .then_some(Self::Registry { reference, version })
    }

    /// The name of the chart that it must have.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Registry { reference, .. } => reference
                .repository()
                .rsplit('/')
                .next()
                .unwrap_or_default(),
            Self::Repository { name, .. } => name,
        }
    }

    pub(crate) const fn version(&self) -> &ChartVersion {
        match self {
            Self::Registry { version, .. } | Self::Repository { version, .. } => version,
        }
    }

    /// Where it comes from, without the query of a URL.
    pub(crate) fn origin(&self) -> String {
        match self {
            Self::Registry { reference, .. } => format!("oci://{}", reference.name()),
            Self::Repository { url, .. } => url.to_string(),
        }
    }

    pub(crate) fn fetching(&self) -> String {
        format!(
            "fetching the chart `{}` from {}",
            self.name(),
            self.origin()
        )
    }

    /// Host and path of it, as a policy matches them.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Registry { reference, .. } => reference.name(),
            Self::Repository { url, name, .. } => format!("{}/{name}", url.place()),
        }
    }
}

impl FetchedChart {
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.package.bytes)
    }

    /// The same, when it is the chart that was asked for; `place` is where it comes from, in words.
    pub(super) fn checked(
        self,
        place: &str,
        name: &str,
        version: &ChartVersion,
    ) -> Result<Self, RemoteError> {
        let metadata = &self.package.metadata;
        if metadata.name == name && metadata.version.is_release_of(version) {
            return Ok(self);
        }
        let found = format!("`{}` {}", metadata.name, metadata.version);
        Err(RemoteError::OtherChart {
            place: place.to_owned(),
            asked: format!("`{name}` {version}"),
            found,
        })
    }
}

/// Fetches a chart and makes sure that it has the name and version that were asked for.
pub(crate) async fn fetch_chart(
    client: &Client,
    repositories: &Repositories,
    chart: &RemoteChart,
) -> Result<FetchedChart, RemoteError> {
    match chart {
        RemoteChart::Registry { reference, version } => {
            let fetched = fetch_artifact(client, reference).await?;
            fetched.checked(&format!("`oci://{reference}`"), chart.name(), version)
        }
        RemoteChart::Repository { url, name, version } => {
            repository::fetch(client, repositories, url, name, version).await
        }
    }
}

/// Fetches what a person named on a command line: `oci://host/path/chart:VERSION`, or the URL of a
/// packed chart.
pub(crate) async fn fetch_named_chart(
    client: &Client,
    place: &str,
) -> Result<FetchedChart, RemoteError> {
    let unknown = || RemoteError::Place(without_query(place));
    if let Some(rest) = place.strip_prefix("oci://") {
        let reference: Reference = rest.parse().map_err(|_| unknown())?;
        let fetched = fetch_artifact(client, &reference).await?;
        let name = reference
            .repository()
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let version = fetched.package.metadata.version.clone();
        // A tag is a version with `_` for `+`; whoever gives a digest has said all.
        let is_asked = reference.tag().is_none_or(|tag| {
            tag.replace('_', "+")
                .parse::<ChartVersion>()
                .is_ok_and(|asked| version.is_release_of(&asked))
        });
        let asked = if is_asked {
            version
        } else {
            return Err(other(&reference, name, &fetched));
        };
        return fetched.checked(&format!("`oci://{reference}`"), name, &asked);
    }
    let url: WebUrl = place.parse().map_err(|_| unknown())?;
    if Utf8Path::new(url.file_name()).extension() != Some("tgz") {
        return Err(unknown());
    }
    repository::fetch_archive(client, &WebSource::named(url), None).await
}

fn other(reference: &Reference, name: &str, fetched: &FetchedChart) -> RemoteError {
    let found = format!(
        "`{}` {}",
        fetched.package.metadata.name, fetched.package.metadata.version
    );
    let asked = format!("`{name}` {}", reference.tag().unwrap_or_default());
    RemoteError::OtherChart {
        place: format!("`oci://{reference}`"),
        asked,
        found,
    }
}

/// What may be shown of a text that is not a URL: not its query, and nothing before a host.
fn without_query(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest
                .split_once('/')
                .map_or((rest, String::new()), |(host, path)| {
                    (host, format!("/{path}"))
                });
            format!(
                "{scheme}://{}{path}",
                host.rsplit('@').next().unwrap_or_default()
            )
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{RemoteChart, without_query};

    #[test]
    fn the_tag_of_a_version_has_no_plus() {
        let chart =
            RemoteChart::in_registry("oci://host:5000/charts/demo", "1.2.3+b.1".parse().unwrap())
                .unwrap();
        let RemoteChart::Registry { reference, .. } = &chart else {
            panic!()
        };
        assert_eq!(reference.to_string(), "host:5000/charts/demo:1.2.3_b.1");
        assert_eq!(
            (chart.name(), chart.origin().as_str()),
            ("demo", "oci://host:5000/charts/demo")
        );
        for bad in [
            "host/charts/demo",
            "oci://host/demo:1.0.0",
            "oci://host/demo@sha256:00",
            "oci://demo",
            "oci://host/",
        ] {
            assert!(
                RemoteChart::in_registry(bad, "1.0.0".parse().unwrap()).is_none(),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_shown_of_a_wrong_place_has_neither_query_nor_user() {
        assert_eq!(
            without_query("https://user:pass@host/a?sig=x#y"),
            "https://host/a"
        );
        assert_eq!(without_query("charts/demo?x"), "charts/demo");
    }
}
