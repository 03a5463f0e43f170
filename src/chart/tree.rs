//! A chart as files in memory, and the limits within which Helm loads one.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    ChartError, ChartMetadata, VersionRange,
    archive::{Budget, is_subchart, unfold, without_byte_order_mark},
    ignore::Rules,
};
use rune_core::fsx;

/// The largest file that Helm 3 loads from a chart.
pub(crate) const MAX_FILE_BYTES: u64 = 5 * 1024 * 1024;
/// The largest chart, unpacked, that Helm loads; packed subcharts count with what they unpack to.
pub(crate) const MAX_CHART_BYTES: u64 = 100 * 1024 * 1024;
/// The most files of a chart, those of its subcharts included.
pub(crate) const MAX_CHART_FILES: usize = 20_000;

/// The files of a chart, by their path relative to the chart's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartTree {
    files: BTreeMap<Utf8PathBuf, Vec<u8>>,
}

impl ChartTree {
    pub fn new(files: BTreeMap<Utf8PathBuf, Vec<u8>>) -> Self {
        Self { files }
    }

    /// Reads a chart's directory, without what its `.helmignore` names. Links within the directory
    /// are followed.
    pub fn read(directory: &Utf8Path) -> Result<Self, ChartError> {
        let ignore = directory.join(".helmignore");
        let rules = Rules::parse(&if fsx::exists(&ignore) {
            fsx::read_to_string(&ignore, MAX_FILE_BYTES)?
        } else {
            String::new()
        })?;
        let mut budget = Budget::of_a_chart();
        let mut files = BTreeMap::new();
        for path in fsx::list_linked_files(directory, MAX_CHART_FILES, |path, is_directory| {
            rules.ignores(path, is_directory)
        })? {
            let place = directory.join(&path);
            if fsx::file_size(&place)? > MAX_FILE_BYTES {
                return Err(ChartError::TooLarge {
                    what: place.into_string(),
                    max_bytes: MAX_FILE_BYTES,
                });
            }
            let bytes = fsx::read(&place, MAX_FILE_BYTES)?;
            budget.count(directory, bytes.len() as u64)?;
            files.insert(path, without_byte_order_mark(bytes));
        }
        Ok(Self { files })
    }

    pub fn insert(&mut self, path: impl Into<Utf8PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into());
    }

    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(Utf8Path::new(path)).map(Vec::as_slice)
    }

    /// The directories of the chart itself (an empty path) and of its unpacked subcharts, in byte
    /// order.
    pub(crate) fn chart_roots(&self) -> Vec<Utf8PathBuf> {
        let is_root = |root: &Utf8Path| {
            let parts: Vec<&str> = root
                .as_str()
                .split('/')
                .filter(|part| !part.is_empty())
                .collect();
            let (pairs, rest) = parts.as_chunks::<2>();
            rest.is_empty()
                && pairs
                    .iter()
                    .all(|[charts, name]| *charts == "charts" && is_subchart(name))
        };
        let heads = self
            .iter()
            .filter(|(path, _)| path.file_name() == Some("Chart.yaml"))
            .filter_map(|(path, _)| path.parent());
        let mut roots: Vec<Utf8PathBuf> = heads
            .filter(|root| is_root(root))
            .map(Utf8Path::to_owned)
            .collect();
        roots.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        roots
    }

    /// The files below a directory, by their path relative to it.
    #[must_use]
    pub(crate) fn below(&self, root: &Utf8Path) -> Self {
        let files = self.files.iter().filter_map(|(path, bytes)| {
            Some((path.strip_prefix(root).ok()?.to_owned(), bytes.clone()))
        });
        Self {
            files: files.collect(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Utf8Path, &[u8])> {
        let mut files: Vec<_> = self
            .files
            .iter()
            .map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
            .collect();
        // Paths compare by component, which is not the order of their bytes.
        files.sort_unstable_by(|(a, _), (b, _)| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
        files.into_iter()
    }

    /// The same chart with its packed subcharts, at any depth, as directories of the same name.
    pub(crate) fn unfolded(&self, name: &Utf8Path) -> Result<Self, ChartError> {
        let mut budget = Budget::of_a_chart();
        for (_, bytes) in self.iter() {
            budget.count(name, bytes.len() as u64)?;
        }
        unfold(name, self.files.clone(), budget)
    }

    /// Reads what the chart says of itself. `name` is what errors call it.
    pub(crate) fn own_metadata(&self, name: &Utf8Path) -> Result<ChartMetadata, ChartError> {
        let missing = || ChartError::Missing {
            chart: name.to_string(),
            file: "Chart.yaml",
        };
        let chart_yaml = self.get("Chart.yaml").ok_or_else(missing)?;
        ChartMetadata::parse(name, chart_yaml, self.get("requirements.yaml"))
    }

    /// Reads what the chart says of itself, and checks that the subcharts in `charts/` are the ones
    /// it asks for.
    pub fn metadata(&self, name: &str) -> Result<ChartMetadata, ChartError> {
        let name = Utf8Path::new(name);
        let metadata = self.own_metadata(name)?;
        let whole = self.unfolded(name)?;
        let subcharts = whole
            .subcharts()
            .into_iter()
            .map(|(place, chart)| chart.own_metadata(&name.join(place)));
        let subcharts = subcharts.collect::<Result<Vec<_>, _>>()?;
        for dependency in &metadata.dependencies {
            let problem = |problem: String| ChartError::Dependency {
                path: name.join(if self.get("requirements.yaml").is_some() {
                    "requirements.yaml"
                } else {
                    "Chart.yaml"
                }),
                chart: name.to_owned(),
                name: dependency.name.clone(),
                version: dependency.version.clone(),
                problem,
            };
            let found: Vec<_> = subcharts
                .iter()
                .filter(|chart| chart.name == dependency.name)
                .map(|chart| &chart.version)
                .collect();
            let Some(first) = found.first() else {
                return Err(problem("is not in `charts/`".to_owned()));
            };
            // Without a version Helm takes any, but reads neither condition nor alias.
            if dependency.version.is_empty() {
                continue;
            }
            let wanted: VersionRange = dependency
                .version
                .parse()
                .map_err(|error| problem(format!("asks for what is {error}")))?;
            if !found.iter().any(|version| wanted.contains(version)) {
                return Err(problem(format!("meets version {first} in `charts/`")));
            }
        }
        Ok(metadata)
    }

    /// The subcharts in `charts/`, unpacked ones only, with the directories that they are in.
    pub(crate) fn subcharts(&self) -> Vec<(Utf8PathBuf, Self)> {
        let directories: BTreeSet<Utf8PathBuf> = self
            .files
            .keys()
            .filter_map(|path| {
                let mut parts = path.as_str().split('/');
                let name = parts
                    .next()
                    .filter(|first| *first == "charts")
                    .and_then(|_| parts.next())?;
                (is_subchart(name) && Utf8Path::new(name).extension() != Some("prov"))
                    .then(|| Utf8Path::new("charts").join(name))
            })
            .collect();
        directories
            .into_iter()
            .map(|place| (place.clone(), self.below(&place)))
            .collect()
    }
}
