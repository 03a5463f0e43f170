//! What `Chart.yaml` says, and for charts of Helm 2 `requirements.yaml`.
//!
//! Read as Helm 3 and 4 read it. Written as JSON it is the configuration of the chart's OCI
//! artifact, with the fields that Helm writes.

mod read;
mod scalar;

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Serialize;

use self::read::{Draft, Places};
use super::{ChartError, ChartVersion};

/// Longest name and version together: the chart's files in a bundle are named after both.
const MAX_NAME_AND_VERSION_BYTES: usize = 80;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartMetadata {
    /// `v1` or `v2`.
    pub(crate) api_version: String,
    pub(crate) name: String,
    pub version: ChartVersion,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) app_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `application` or `library`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kube_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) home: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) icon: String,
    /// The value that switches it as a subchart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) condition: String,
    /// Groups that switch it as a subchart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) tags: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) keywords: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) maintainers: Vec<Maintainer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dependencies: Vec<Dependency>,
    /// Whether nobody should use it any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deprecated: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Maintainer {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) email: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// A range of versions; empty for any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    /// Where it comes from; empty for one that lies in `charts/`.
    pub(crate) repository: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) condition: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) enabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) import_values: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) alias: String,
}

impl ChartMetadata {
    /// Reads a `Chart.yaml` and, if there is one, the `requirements.yaml` beside it. `chart` is the
    /// directory or archive that both are in.
    pub(crate) fn parse(
        chart: &Utf8Path,
        chart_yaml: &[u8],
        requirements: Option<&[u8]>,
    ) -> Result<Self, ChartError> {
        let path = chart.join("Chart.yaml");
        let mut draft = Draft::default();
        draft.read(&path, chart_yaml)?;
        if let Some(requirements) = requirements {
            draft.read(&chart.join("requirements.yaml"), requirements)?;
        }
        match draft.finish() {
            Ok((metadata, places)) => metadata.check(&path, &places).map(|()| metadata),
            Err((version, places)) => Err(refusal(
                &path,
                &places,
                "version",
                &version,
                "is not a version such as `1.2.3` or `v1.2.3-rc.1`",
            )),
        }
    }

    fn check(&self, path: &Utf8Path, places: &Places) -> Result<(), ChartError> {
        let refuse = |field, value: &str, reason| Err(refusal(path, places, field, value, reason));
        if !["v1", "v2"].contains(&self.api_version.as_str()) {
            return refuse(
                "apiVersion",
                &self.api_version,
                "is neither `v1` nor `v2`, the ones that Helm 3 and 4 know",
            );
        }
        if !is_name(&self.name) {
            return refuse(
                "name",
                &self.name,
                "has other characters than letters, digits, `.`, `_` and `-`, or begins with `.` \
                 or `-`",
            );
        }
        if self.name.len().saturating_add(self.version.as_str().len()) > MAX_NAME_AND_VERSION_BYTES
        {
            return refuse(
                "name",
                &self.name,
                "is, with the version, longer than the 80 characters that a file name in a bundle \
                 has for both",
            );
        }
        if !["", "application", "library"].contains(&self.kind.as_str()) {
            return refuse("type", &self.kind, "is neither `application` nor `library`");
        }
        for (position, dependency) in self.dependencies.iter().enumerate() {
            let is_alias = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if !dependency.alias.bytes().all(is_alias) {
                return refuse(
                    "dependencies",
                    &dependency.alias,
                    "has other characters than letters, digits, `_` and `-` in an alias",
                );
            }
            let name = dependency.values_key();
            if self
                .dependencies
                .iter()
                .take(position)
                .any(|earlier| earlier.values_key() == name)
            {
                return refuse("dependencies", name, "is the name or alias of two of them");
            }
        }
        Ok(())
    }

    /// The name of the packaged chart, `rune-0.2.0.tgz`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }
}

impl Dependency {
    pub(crate) fn values_key(&self) -> &str {
        if self.alias.is_empty() {
            &self.name
        } else {
            &self.alias
        }
    }
}

fn refusal(
    path: &Utf8Path,
    places: &Places,
    field: &'static str,
    value: &str,
    reason: &'static str,
) -> ChartError {
    let place = places.get(field);
    let path = place.map_or(path, |(path, _)| path).to_owned();
    ChartError::Field {
        path,
        place: place.map(|(_, place)| *place),
        field,
        value: value.to_owned(),
        reason,
    }
}

/// Whether a name can stand in a file name and an archive path. Helm also takes blanks and what a
/// shell acts upon.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use serde_json::json;

    use super::ChartMetadata;
    use crate::chart::ChartError;
    use rune_core::failure::{Failure as _, FailureKind};

    fn parse(text: &str) -> Result<ChartMetadata, ChartError> {
        ChartMetadata::parse(Utf8Path::new("charts/rune"), text.as_bytes(), None)
    }

    const GOOD: &str = "apiVersion: v2\nname: rune\nversion: 0.2.0\n";

    #[test]
    fn what_helm_passes_over_is_passed_over() {
        let more = "type: application\nengine: gotpl\nsources:\nkeywords: [1.10, \
                    yes]\nmaintainers: [{email: a@example.org}]\ndeprecated: no\nannotations: \
                    {a: 1, b: }\nappVersion: 1.10\nKubeVersion: '>=1.2'\n";
        let metadata = parse(&format!("{GOOD}{more}")).unwrap();
        assert_eq!(metadata.file_name(), "rune-0.2.0.tgz");
        assert_eq!(
            serde_json::to_value(&metadata).unwrap(),
            json!({
                "apiVersion": "v2", "name": "rune", "version": "0.2.0", "type": "application", "keywords": ["1.1", "true"],
                "maintainers": [{"email": "a@example.org"}], "annotations": {"a": "1", "b": ""}, "appVersion": "1.1", "kubeVersion": ">=1.2",
            })
        );
    }

    #[test]
    fn a_chart_of_helm_2_has_its_dependencies_beside_it() {
        let requirements = b"dependencies:\n  - {name: a, version: '>=1.0.0 <2.0.0', import-values: [data, {child: x, parent: y.z}]}\n  - {name: b, repository: file://../b, alias: c}\n";
        let metadata = ChartMetadata::parse(
            Utf8Path::new("c"),
            b"name: old\nversion: 1.2\n",
            Some(requirements),
        )
        .unwrap();
        assert_eq!(
            (metadata.api_version.as_str(), metadata.version.as_str()),
            ("v1", "1.2")
        );
        assert_eq!(
            serde_json::to_value(&metadata.dependencies).unwrap(),
            json!([
                {"name": "a", "version": ">=1.0.0 <2.0.0", "repository": "", "import-values": ["data", {"child": "x", "parent": "y.z"}]},
                {"name": "b", "repository": "file://../b", "alias": "c"},
            ])
        );
    }

    #[test]
    fn names_and_versions_of_other_charts_are_taken() {
        for name in ["Rune", "de.mo", "de_mo", "1demo", "a-", "_a", "my.Demo_x"] {
            assert_eq!(
                parse(&format!("apiVersion: v2\nname: '{name}'\nversion: 0.1.0\n"))
                    .unwrap()
                    .name,
                name
            );
        }
        for version in ["v1.15.1", "1.2", "'1'", "3.3.000", "1.2.3-rc.1+b.2"] {
            let metadata =
                parse(&format!("apiVersion: v2\nname: a\nversion: {version}\n")).unwrap();
            assert_eq!(metadata.version.as_str(), version.trim_matches('\''));
        }
        assert_eq!(
            parse("name: a\nversion: 1.10\n").unwrap().file_name(),
            "a-1.1.tgz"
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_does_not_travel_is_refused_with_its_place() {
        for (text, reason) in [
            (
                format!("{GOOD}Version: 1.0.0\n"),
                "charts/rune/Chart.yaml:4:1: `Version` is already given in line 3",
            ),
            (
                format!("{GOOD}keywords: x\n"),
                "charts/rune/Chart.yaml:4:11: expected a list for `keywords`",
            ),
            (
                format!("{GOOD}description: [x]\n"),
                "expected a string for `description`",
            ),
            (
                format!("{GOOD}deprecated: 'true'\n"),
                "expected true or false for `deprecated`",
            ),
            (
                format!("{GOOD}maintainers: [~]\n"),
                "an item of `maintainers` is empty",
            ),
            (
                format!("{GOOD}type: operator\n"),
                "Chart.yaml:4:7: `type` is `operator`",
            ),
            (
                format!("{GOOD}dependencies: [{{name: a, alias: 'b c'}}]\n"),
                "Chart.yaml:4:15: `dependencies` is `b c`",
            ),
            (
                format!("{GOOD}dependencies: [{{name: a}}, {{name: b, alias: a}}]\n"),
                "the name or alias of two",
            ),
            (
                "apiVersion: v3\nname: a\nversion: 0.1.0\n".to_owned(),
                "neither `v1` nor `v2`",
            ),
            ("name: a\n".to_owned(), "`version` is ``"),
            ("version: 1.0.0\n".to_owned(), "`name` is ``"),
            ("[]".to_owned(), "expected a mapping"),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Input);
            assert!(error.to_string().contains(reason), "{error}");
        }
        for name in [
            "..",
            ".",
            "a/b",
            "a b",
            "-a",
            ".a",
            "a\\b",
            "é",
            &"a".repeat(76),
        ] {
            assert!(
                parse(&format!("apiVersion: v2\nname: '{name}'\nversion: 0.1.0\n")).is_err(),
                "{name}"
            );
        }
        for version in ["1.2.3.4", "latest", "1.2.x"] {
            assert!(
                parse(&format!("apiVersion: v2\nname: a\nversion: '{version}'\n")).is_err(),
                "{version}"
            );
        }
    }
}
