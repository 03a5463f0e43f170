//! Trivy: how it is called, and what it says.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use tokio::process::Command;

use super::finding::{Finding, Scanned, Severity};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    #[serde(rename = "VulnerabilityDB")]
    database: Option<Database>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Database {
    updated_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    metadata: Metadata,
    #[serde(default)]
    results: Vec<ScanResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(rename = "OS")]
    distribution: Option<Distribution>,
    #[serde(default)]
    repo_digests: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Distribution {
    family: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScanResult {
    #[serde(default)]
    vulnerabilities: Vec<Vulnerability>,
    #[serde(default)]
    experimental_modified_findings: Vec<Modified>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modified {
    finding: Vulnerability,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    pkg_name: String,
    installed_version: String,
    #[serde(default)]
    fixed_version: String,
    #[serde(default)]
    severity: String,
}

/// Its version, when the answer may be that of Trivy: other programs say their name.
pub(super) fn version(answer: &str) -> Option<&str> {
    let version = answer.lines().next()?.strip_prefix("Version: ")?;
    let is_named = answer.lines().any(|line| line.starts_with("Application:"));
    (!is_named).then(|| version.trim())
}

pub(super) fn ask_database(command: &mut Command, database: &Utf8Path) {
    command.args(["version", "--format", "json"]);
    command.args(["--cache-dir", database.as_str()]);
}

pub(super) fn built(answer: &str) -> Option<String> {
    let about: About = serde_json::from_str(answer).ok()?;
    Some(about.database?.updated_at)
}

/// Without what stands last: what is to be scanned.
pub(super) fn scan(command: &mut Command, database: &Utf8Path, advisories: &[Utf8PathBuf]) {
    command.args(["image", "--quiet", "--format", "json"]);
    command.args(["--image-src", "remote", "--scanners", "vuln"]);
    command.args(["--cache-dir", database.as_str()]);
    // What it remembers of images goes with it.
    command.args(["--cache-backend", "memory"]);
    command.args([
        "--skip-db-update",
        "--skip-java-db-update",
        "--skip-vex-repo-update",
        "--skip-version-check",
        "--offline-scan",
        "--disable-telemetry",
        "--no-progress",
        "--show-suppressed",
    ]);
    command.args(["--timeout", "2h"]);
    for advisory in advisories {
        command.args(["--vex", advisory.as_str()]);
    }
}

pub(super) fn read(report: &[u8]) -> Result<(Scanned, Vec<String>), serde_json::Error> {
    let document: Document = serde_json::from_slice(report)?;
    let (mut findings, mut not_affected) = (Vec::new(), Vec::new());
    for result in document.results {
        findings.extend(result.vulnerabilities.into_iter().map(Finding::from));
        let modified = result.experimental_modified_findings.into_iter();
        not_affected.extend(modified.map(|modified| Finding::from(modified.finding)));
    }
    let distribution = document.metadata.distribution;
    let distribution = distribution.map(|Distribution { family, name }| format!("{family} {name}"));
    let digests = document.metadata.repo_digests.iter();
    let digests = digests.filter_map(|name| name.rsplit_once('@'));
    let digests = digests.map(|(_, digest)| digest.to_owned()).collect();
    Ok((Scanned::new(distribution, findings, not_affected), digests))
}

impl From<Vulnerability> for Finding {
    fn from(found: Vulnerability) -> Self {
        let fixed = found.fixed_version.split(", ");
        Self {
            severity: Severity::read(&found.severity),
            id: found.id,
            package: found.pkg_name,
            version: found.installed_version,
            fixed_in: fixed
                .filter(|version| !version.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }
}
