//! `Chart.yaml` as a typed model.
//!
//! Unknown keys are errors, as in the strict lint of Helm 4. Written as JSON it is the configuration of the chart's OCI artifact.

use std::collections::BTreeMap;

use camino::Utf8Path;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::ChartError;
use crate::yaml;

/// What `Chart.yaml` says. Fields in Helm's spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChartMetadata {
    /// `v2`.
    pub api_version: String,
    /// The chart's name.
    pub name: String,
    /// The chart's version.
    pub version: Version,
    /// The version of what the chart installs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// One sentence about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `application` or `library`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The Kubernetes versions it works with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_version: Option<String>,
    /// Address of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Address of an icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Addresses of the sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Words to be found by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<Maintainer>,
    /// Its subcharts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// Whether nobody should use it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
    /// Free remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A maintainer of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintainer {
    /// The name.
    pub name: String,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A subchart that a chart asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// The subchart's name.
    pub name: String,
    /// Its version or a range.
    pub version: String,
    /// Where it comes from; empty for one that lies in `charts/`.
    #[serde(default)]
    pub repository: String,
    /// The value that switches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Groups that switch it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Another name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

impl ChartMetadata {
    /// Reads a `Chart.yaml`. `path` is only used to say where a mistake is.
    ///
    /// # Errors
    /// When it is not YAML of that shape, or a field holds what Helm or a registry would not take.
    pub fn parse(path: &Utf8Path, text: &str) -> Result<Self, ChartError> {
        let metadata: Self = yaml::from_str(path, text)?;
        let field = |field, value: &str, reason| Err(ChartError::Field { path: path.to_owned(), field, value: value.to_owned(), reason });
        if metadata.api_version != "v2" {
            return field("apiVersion", &metadata.api_version, "is not `v2`");
        }
        if !is_chart_name(&metadata.name) {
            return field("name", &metadata.name, "is not 1 to 53 of a-z, 0-9 and `-`, beginning with a letter and not ending with `-`");
        }
        if let Some(kind) = &metadata.kind
            && !["application", "library"].contains(&kind.as_str())
        {
            return field("type", kind, "is neither `application` nor `library`");
        }
        if let Some(key) = metadata.annotations.keys().find(|key| !key.is_ascii()) {
            return field("annotations", key, "is not ASCII");
        }
        Ok(metadata)
    }

    /// The name of the packaged chart, `rune-0.2.0.tgz`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }
}

/// Whether a name can stand in a release, a file name, a registry and an archive path. Helm's own rule is wider.
fn is_chart_name(name: &str) -> bool {
    (1..=53).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::ChartMetadata;
    use crate::failure::{Failure as _, FailureKind};

    fn parse(text: &str) -> Result<ChartMetadata, crate::chart::ChartError> {
        ChartMetadata::parse(Utf8Path::new("charts/rune/Chart.yaml"), text)
    }

    #[test]
    fn reads_what_helm_knows_and_refuses_the_rest_with_its_line() {
        let good = "apiVersion: v2\nname: rune\nversion: 0.2.0\ntype: application\n";
        assert_eq!(parse(good).unwrap().file_name(), "rune-0.2.0.tgz");
        let error = parse(&format!("{good}license: MIT\n")).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Input);
        assert!(error.to_string().starts_with("charts/rune/Chart.yaml:5:"), "{error}");
    }

    #[test]
    fn refuses_names_and_versions_that_do_not_travel() {
        for name in ["..", "Rune", "a/b", "a b", "-a", "a-", "1a", "a.b", ""] {
            assert!(parse(&format!("apiVersion: v2\nname: '{name}'\nversion: 0.1.0\n")).is_err(), "{name}");
        }
        for version in ["1", "v1.0.0", "1.0", "latest"] {
            assert!(parse(&format!("apiVersion: v2\nname: a\nversion: '{version}'\n")).is_err(), "{version}");
        }
        assert!(parse("apiVersion: v1\nname: a\nversion: 0.1.0\n").is_err());
    }
}
