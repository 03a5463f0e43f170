//! grype: how it is called, and what it says.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use tokio::process::Command;

use super::finding::{Finding, Scanned, Severity};

/// It asks nobody for anything but for the image and its own database.
pub(super) const SETTINGS: [(&str, &str); 6] = [
    ("GRYPE_CHECK_FOR_APP_UPDATE", "false"),
    ("GRYPE_DB_AUTO_UPDATE", "false"),
    ("GRYPE_DB_REQUIRE_UPDATE_CHECK", "false"),
    ("GRYPE_DB_VALIDATE_AGE", "false"),
    ("GRYPE_EXTERNAL_SOURCES_ENABLE", "false"),
    ("GRYPE_REGISTRY_INSECURE_USE_HTTP", "true"),
];

#[derive(Deserialize)]
struct DatabaseStatus {
    built: String,
    valid: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    matches: Vec<Match>,
    #[serde(default)]
    ignored_matches: Vec<IgnoredMatch>,
    source: Source,
    distro: Distribution,
}

#[derive(Deserialize)]
struct Match {
    vulnerability: Vulnerability,
    artifact: Package,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IgnoredMatch {
    #[serde(flatten)]
    matched: Match,
    applied_ignore_rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct Vulnerability {
    id: String,
    #[serde(default)]
    severity: String,
    fix: Fix,
}

#[derive(Deserialize)]
struct Fix {
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Source {
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    manifest_digest: String,
}

#[derive(Deserialize)]
struct Distribution {
    name: String,
    version: String,
}

/// Its version, when the answer is that of grype.
pub(super) fn version(answer: &str) -> Option<&str> {
    let field = |name: &str| {
        let mut lines = answer.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| *key == name)?;
        Some(value.trim())
    };
    field("Version").filter(|_| field("Application") == Some("grype"))
}

pub(super) fn ask_database(command: &mut Command, database: &Utf8Path) {
    command
        .args(["db", "status", "--output", "json"])
        .envs(SETTINGS)
        .env("GRYPE_DB_CACHE_DIR", database);
}

pub(super) fn built(answer: &str) -> Option<String> {
    let status: DatabaseStatus = serde_json::from_str(answer).ok()?;
    status.valid.then_some(status.built)
}

/// Without what stands last: what is to be scanned.
pub(super) fn scan(
    command: &mut Command,
    database: &Utf8Path,
    configuration: &Utf8Path,
    advisories: &[Utf8PathBuf],
) {
    command.args(["--config", configuration.as_str()]);
    command.args(["--quiet", "--output", "json"]);
    for advisory in advisories {
        command.args(["--vex", advisory.as_str()]);
    }
    command.envs(SETTINGS).env("GRYPE_DB_CACHE_DIR", database);
}

pub(super) fn read(report: &[u8]) -> Result<(Scanned, Vec<String>), serde_json::Error> {
    let document: Document = serde_json::from_slice(report)?;
    let is_by_advisory = |ignored: &IgnoredMatch| {
        ignored
            .applied_ignore_rules
            .iter()
            .any(|rule| rule.namespace == "vex")
    };
    let findings = document.matches.into_iter().map(Finding::from);
    let ignored = document.ignored_matches.into_iter();
    let not_affected = ignored
        .filter(is_by_advisory)
        .map(|ignored| ignored.matched.into());
    let Distribution { name, version } = document.distro;
    let scanned = Scanned::new(
        (!name.is_empty()).then(|| format!("{name} {version}")),
        findings.collect(),
        not_affected.collect(),
    );
    Ok((scanned, vec![document.source.target.manifest_digest]))
}

impl From<Match> for Finding {
    fn from(matched: Match) -> Self {
        Self {
            severity: Severity::read(&matched.vulnerability.severity),
            id: matched.vulnerability.id,
            package: matched.artifact.name,
            version: matched.artifact.version,
            fixed_in: matched.vulnerability.fix.versions,
        }
    }
}
