//! Which versions of a project's charts were released, and with which content: a released version
//! never changes.
//!
//! `charts/versions.lock`, committed with the charts and written by `render --release`. The digest
//! is of the chart's files, not of the packed archive, whose compression may differ between
//! releases of this program.

use std::{collections::BTreeMap, fmt};

use camino::{Utf8Path, Utf8PathBuf};

use super::{ChartError, ChartTree, ChartVersion};
use rune_core::{digest::Digest, failure::Failure, fsx, yaml};

pub(crate) const RELEASED_VERSIONS: &str = "charts/versions.lock";

const MAX_BYTES: u64 = 1 << 20;

const HEAD: &str = "# written by rune-bundle render --release; do not edit\n";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReleasedVersions(BTreeMap<Utf8PathBuf, BTreeMap<ChartVersion, Digest>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChartState {
    pub(crate) directory: Utf8PathBuf,
    pub(crate) version: ChartVersion,
    pub(crate) content: Digest,
}

/// Charts that changed although their version says that they did not.
#[derive(Debug, thiserror::Error, Failure)]
#[failure(Drift: "raise `version` in the chart's Chart.yaml, or its template, above every released \
    one")]
pub(crate) struct VersionsNotRaised {
    problems: Vec<String>,
}

impl fmt::Display for VersionsNotRaised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.problems.join("\n  "))
    }
}

impl ChartState {
    pub(crate) fn of(directory: &Utf8Path, tree: &ChartTree) -> Result<Vec<Self>, ChartError> {
        let mut states = Vec::new();
        for root in tree.chart_roots() {
            let chart = tree.below(&root);
            let directory = if root.as_str().is_empty() {
                directory.to_owned()
            } else {
                directory.join(&root)
            };
            let version = chart.metadata(directory.as_str())?.version;
            states.push(Self {
                version,
                content: content(&chart),
                directory,
            });
        }
        Ok(states)
    }
}

/// The digest of the lines that `sha256sum` writes for the files of a chart, in byte order of their
/// paths.
fn content(chart: &ChartTree) -> Digest {
    let lines: String = chart
        .iter()
        .map(|(path, bytes)| format!("{}  {path}\n", Digest::of(bytes).hex()))
        .collect();
    Digest::of(lines.as_bytes())
}

impl ReleasedVersions {
    pub(crate) fn read(project: &Utf8Path) -> Result<Self, ChartError> {
        let path = project.join(RELEASED_VERSIONS);
        if !fsx::exists(&path) {
            return Ok(Self::default());
        }
        Ok(Self(yaml::from_str(
            &path,
            &fsx::read_to_string(&path, MAX_BYTES)?,
        )?))
    }

    /// Whether each chart is a released one as it was, or newer than all that were released.
    pub(crate) fn check(&self, charts: &[ChartState]) -> Result<(), VersionsNotRaised> {
        let problem = |chart: &ChartState| {
            let ChartState {
                directory,
                version,
                content,
            } = chart;
            let released = self.0.get(directory)?;
            let (newest, _) = released.last_key_value()?;
            match released.get(version) {
                Some(known) if known == content => None,
                Some(_) => Some(format!(
                    "the chart `{directory}` is not what was released as {version}"
                )),
                None if version < newest => Some(format!(
                    "the chart `{directory}` is {version}, and {newest} was released already"
                )),
                None => None,
            }
        };
        let problems: Vec<String> = charts.iter().filter_map(problem).collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(VersionsNotRaised { problems })
        }
    }

    pub(crate) fn with_release(mut self, charts: &[ChartState]) -> Result<String, ChartError> {
        for ChartState {
            directory,
            version,
            content,
        } in charts
        {
            self.0
                .entry(directory.clone())
                .or_default()
                .insert(version.clone(), *content);
        }
        Ok(format!("{HEAD}{}", yaml::to_string(&self.0)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use camino::Utf8Path;

    use super::{ChartState, RELEASED_VERSIONS, ReleasedVersions};
    use crate::chart::ChartTree;
    use rune_core::fsx;

    fn states(version: &str, template: &str) -> Vec<ChartState> {
        let chart = |name: &str, version: &str| {
            format!("apiVersion: v2\nname: {name}\nversion: {version}\n").into_bytes()
        };
        let files = [
            ("Chart.yaml", chart("a", version)),
            ("templates/x", template.as_bytes().to_vec()),
            ("charts/sub/Chart.yaml", chart("sub", "0.1.0")),
        ];
        let tree = ChartTree::new(BTreeMap::from(
            files.map(|(path, bytes)| (path.into(), bytes)),
        ));
        ChartState::of(Utf8Path::new("charts/a"), &tree).unwrap()
    }

    #[test]
    fn a_released_version_keeps_its_content_and_the_next_one_is_higher() {
        let guard = tempfile::tempdir().unwrap();
        let project = Utf8Path::from_path(guard.path()).unwrap();
        let released = ReleasedVersions::read(project).unwrap();
        released.check(&states("0.2.0", "x")).unwrap();
        let text = released.with_release(&states("0.2.0", "x")).unwrap();
        fsx::create_dir_all(&project.join("charts")).unwrap();
        fsx::write_atomic(&project.join(RELEASED_VERSIONS), text.as_bytes()).unwrap();
        let released = ReleasedVersions::read(project).unwrap();
        for (version, template, problem) in [
            ("0.2.0", "x", None),
            ("0.2.1", "y", None),
            (
                "0.2.0",
                "y",
                Some("the chart `charts/a` is not what was released as 0.2.0"),
            ),
            (
                "0.1.9",
                "y",
                Some("the chart `charts/a` is 0.1.9, and 0.2.0 was released already"),
            ),
        ] {
            assert_eq!(
                released
                    .check(&states(version, template))
                    .err()
                    .map(|error| error.to_string())
                    .as_deref(),
                problem
            );
        }
        let names: Vec<_> = states("0.2.0", "x")
            .into_iter()
            .map(|state| state.directory)
            .collect();
        assert_eq!(names, ["charts/a", "charts/a/charts/sub"]);
    }
}
