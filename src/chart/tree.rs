//! A chart as files in memory, and the limits within which Helm loads one.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{ChartError, ChartMetadata, ignore::Rules};
use crate::fsx;

/// The largest file that Helm loads from a chart.
pub const MAX_FILE_BYTES: u64 = 5 * 1024 * 1024;
/// The largest chart, unpacked, that Helm loads.
pub const MAX_CHART_BYTES: u64 = 100 * 1024 * 1024;

/// The files of a chart, by their path relative to the chart's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartTree {
    files: BTreeMap<Utf8PathBuf, Vec<u8>>,
}

impl ChartTree {
    /// Collects files.
    pub fn new(files: BTreeMap<Utf8PathBuf, Vec<u8>>) -> Self {
        Self { files }
    }

    /// Reads a chart's directory, without what its `.helmignore` names.
    ///
    /// # Errors
    /// When a file cannot be read, is larger than Helm loads, or is a link.
    pub fn read(directory: &Utf8Path) -> Result<Self, ChartError> {
        let ignore = directory.join(".helmignore");
        let rules = if fsx::exists(&ignore) { Rules::parse(&fsx::read_to_string(&ignore, MAX_FILE_BYTES)?)? } else { Rules::default() };
        let mut files = BTreeMap::new();
        for path in fsx::list_files(directory)? {
            if !rules.ignores(&path) {
                files.insert(path.clone(), fsx::read(&directory.join(&path), MAX_FILE_BYTES)?);
            }
        }
        Ok(Self { files })
    }

    /// Adds a file or replaces one.
    pub fn insert(&mut self, path: impl Into<Utf8PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into());
    }

    /// A file's bytes.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(Utf8Path::new(path)).map(Vec::as_slice)
    }

    /// The directories of the chart itself (an empty path) and of its unpacked subcharts, in byte order.
    pub fn chart_roots(&self) -> Vec<Utf8PathBuf> {
        let is_root = |root: &Utf8Path| {
            let parts: Vec<&str> = root.as_str().split('/').filter(|part| !part.is_empty()).collect();
            parts.len().is_multiple_of(2) && parts.iter().step_by(2).all(|part| *part == "charts")
        };
        let heads = self.iter().filter(|(path, _)| path.file_name() == Some("Chart.yaml")).filter_map(|(path, _)| path.parent());
        let mut roots: Vec<Utf8PathBuf> = heads.filter(|root| is_root(root)).map(Utf8Path::to_owned).collect();
        roots.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        roots
    }

    /// The files below a directory, by their path relative to it.
    #[must_use]
    pub fn below(&self, root: &Utf8Path) -> Self {
        let files = self.files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(root).ok()?.to_owned(), bytes.clone())));
        Self { files: files.collect() }
    }

    /// All files, in byte order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&Utf8Path, &[u8])> {
        let mut files: Vec<_> = self.files.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice())).collect();
        // Paths compare by component, which is not the order of their bytes.
        files.sort_unstable_by(|(a, _), (b, _)| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
        files.into_iter()
    }

    /// Reads `Chart.yaml` and checks that the unpacked subcharts are the ones it asks for.
    ///
    /// # Errors
    /// When there is none, it is wrong, or a dependency and what lies in `charts/` differ.
    pub fn metadata(&self, name: &str) -> Result<ChartMetadata, ChartError> {
        let metadata = self.read_metadata(name, Utf8Path::new("Chart.yaml"))?;
        let path = Utf8Path::new(name).join("Chart.yaml");
        for dependency in &metadata.dependencies {
            let problem = |problem: &str| ChartError::Dependency {
                path: path.clone(),
                name: dependency.name.clone(),
                version: dependency.version.clone(),
                problem: problem.to_owned(),
            };
            let file = Utf8Path::new("charts").join(&dependency.name).join("Chart.yaml");
            if !self.files.contains_key(&file) {
                return Err(problem("does not lie unpacked in `charts/`"));
            }
            let found = self.read_metadata(name, &file)?;
            if found.name != dependency.name {
                return Err(problem(&format!("is called `{}` in its own Chart.yaml", found.name)));
            }
            let wanted = semver::VersionReq::parse(&dependency.version).map_err(|_| problem("asks for what is no version range"))?;
            let exact = dependency.version == found.version.to_string();
            if !(exact || wanted.matches(&found.version)) {
                return Err(problem(&format!("meets version {} in `charts/`", found.version)));
            }
        }
        Ok(metadata)
    }

    fn read_metadata(&self, name: &str, file: &Utf8Path) -> Result<ChartMetadata, ChartError> {
        let bytes = self.files.get(file).ok_or_else(|| ChartError::Missing { chart: name.to_owned(), file: "Chart.yaml" })?;
        let path = Utf8Path::new(name).join(file);
        let text = std::str::from_utf8(bytes).map_err(|_| ChartError::NotText(path.clone()))?;
        ChartMetadata::parse(&path, text)
    }
}
