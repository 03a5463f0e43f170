//! The charts of a manifest: of the project, of a registry, of a Helm repository.

use super::{NamedFile, Reader, Role};
use crate::{
    chart::ChartVersion,
    manifest::{Chart, ChartSource, problem::ManifestProblem},
    remote::RemoteChart,
};
use rune_core::yaml::{self, Mapping, Node};

/// The keys that say where a chart is; one of them is there.
const SOURCES: [&str; 3] = ["path", "reference", "repository"];

impl Reader {
    pub(super) fn chart(&mut self, node: &Node) -> Option<Chart> {
        let keys = &[
            "path",
            "reference",
            "repository",
            "name",
            "version",
            "checkValues",
        ];
        let map = Mapping::open(node, "a chart", keys, &mut self.findings)?;
        let check_values = self.list(&map, "checkValues", |reader, node| {
            reader.file(node, "a values file", Role::Values)
        });
        let given: Vec<&str> = SOURCES
            .into_iter()
            .filter(|key| map.optional(key).is_some())
            .collect();
        let source = match given.as_slice() {
            ["path"] => self.local_chart(&map),
            ["reference"] => self.chart_of_registry(&map).map(ChartSource::Remote),
            ["repository"] => self.chart_of_repository(&map).map(ChartSource::Remote),
            [one, other, ..] => {
                self.add(
                    map.optional(other)?.place,
                    &ManifestProblem::Both {
                        what: "a chart",
                        one,
                        other,
                    },
                );
                None
            }
            _ => {
                self.add(map.place(), &ManifestProblem::NoChartSource);
                None
            }
        };
        let chart = Chart {
            source: source?,
            check_values,
        };
        self.charts.push(chart.id());
        if let Some(remote) = chart.remote() {
            self.remote_charts
                .push((format!("chart `{}`", remote.name()), map.place()));
        }
        Some(chart)
    }

    fn local_chart(&mut self, map: &Mapping<'_>) -> Option<ChartSource> {
        self.refuse(map, "version", "`reference` and `repository`");
        self.refuse(map, "name", "`repository`");
        let node = map.required("path", &mut self.findings)?;
        let path = self.path(node, "`path`")?;
        let is_archive = path.extension() == Some("tgz");
        let role = if is_archive {
            Role::ChartArchive
        } else {
            Role::ChartDirectory
        };
        self.files.push(NamedFile {
            place: node.place,
            path: path.clone(),
            role,
        });
        Some(if is_archive {
            ChartSource::Archive(path)
        } else {
            ChartSource::Directory(path)
        })
    }

    fn chart_of_registry(&mut self, map: &Mapping<'_>) -> Option<RemoteChart> {
        self.refuse(map, "name", "`repository`");
        let version = self.chart_version(map);
        let node = map.required("reference", &mut self.findings)?;
        let place = yaml::text(node, "`reference`", &mut self.findings)?;
        // Another version does not change whether the place is right.
        let probe = version.clone().or_else(|| "0".parse().ok())?;
        let chart = self.parsed(
            node.place,
            RemoteChart::in_registry(place, probe).ok_or(ManifestProblem::ChartReference),
        )?;
        version.map(|_| chart)
    }

    fn chart_of_repository(&mut self, map: &Mapping<'_>) -> Option<RemoteChart> {
        let version = self.chart_version(map);
        let name = map.required("name", &mut self.findings).and_then(|node| {
            let name = yaml::text(node, "`name`", &mut self.findings)?.to_owned();
            let is_good = !name.is_empty()
                && !name.contains(|character: char| character == '/' || character.is_control());
            self.parsed(
                node.place,
                if is_good {
                    Ok(name)
                } else {
                    Err(ManifestProblem::ChartName)
                },
            )
        });
        let url = map
            .required("repository", &mut self.findings)
            .and_then(|node| self.url(node, "`repository`"));
        Some(RemoteChart::Repository {
            url: url?,
            name: name?,
            version: version?,
        })
    }

    fn chart_version(&mut self, map: &Mapping<'_>) -> Option<ChartVersion> {
        let node = map.required("version", &mut self.findings)?;
        let text = yaml::text(node, "`version`", &mut self.findings)?;
        self.parsed(
            node.place,
            text.parse()
                .map_err(|_| ManifestProblem::ChartVersion(text.to_owned())),
        )
    }

    fn refuse(&mut self, map: &Mapping<'_>, key: &'static str, belongs: &'static str) {
        if let Some(node) = map.optional(key) {
            self.add(
                node.place,
                &ManifestProblem::KeyOfOtherSource { key, belongs },
            );
        }
    }
}
