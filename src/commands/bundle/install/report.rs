//! What `install` says.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{Found, MapMode, Work};
use crate::{
    commands::bundle::trust_source::TrustSource,
    install::{Change, Check, Cluster, Judgement, ObjectChange, ReleaseHelm, RolledOut, Verdict},
    receipt::Appended,
};
use rune_core::{
    command::{Report, counted},
    digest::Digest,
};

/// What was installed, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    cluster: String,
    kubernetes: String,
    namespace: String,
    release: String,
    chart: String,
    profile: Option<String>,
    registry: Option<String>,
    /// How images are mapped to it.
    map: Option<MapMode>,
    /// Where the values that map them were written to.
    values_file: Option<Utf8PathBuf>,
    helm: String,
    dry_run: bool,
    /// What the bundle is to what was installed before.
    step: Judgement,
    /// What was installed before: its version.
    before: Option<semver::Version>,
    notes: Vec<String>,
    checks: Vec<Check>,
    changes: Vec<ObjectChange>,
    /// The job that made the backup.
    backup: Option<String>,
    /// The revision that runs now.
    revision: Option<u64>,
    tested: bool,
    receipt: Option<Appended>,
}

impl InstallReport {
    pub(super) fn new(
        work: &Work<'_>,
        cluster: &Cluster,
        helm: &ReleaseHelm,
        found: &Found,
        notes: Vec<String>,
    ) -> Self {
        let index = work.bundle.index();
        Self {
            name: index.name.clone(),
            version: index.version.clone(),
            digest: work.bundle.head().digest(),
            trust: work.options.bundle.trust_source(),
            cluster: cluster.address().to_owned(),
            kubernetes: cluster.version().to_string(),
            namespace: cluster.namespace().to_owned(),
            release: helm.release().to_owned(),
            chart: work.destination.chart_label(),
            profile: work.destination.profile.clone(),
            registry: work.options.registry.as_ref().map(ToString::to_string),
            map: found.mapped.mode,
            values_file: work.options.values_file.clone(),
            helm: helm.version().to_owned(),
            dry_run: work.options.is_dry_run,
            step: found.judgement,
            before: found
                .kept
                .installed
                .as_ref()
                .map(|installed| installed.version.clone()),
            notes,
            checks: found.checks.clone(),
            changes: found.changes.clone(),
            backup: None,
            revision: None,
            tested: false,
            receipt: None,
        }
    }

    pub(super) fn backed_up(&mut self, job: String) {
        self.backup = Some(job);
    }

    pub(super) fn installed(&mut self, rolled_out: RolledOut, receipt: Option<Appended>) {
        self.revision = Some(rolled_out.revision);
        self.tested = rolled_out.is_tested;
        self.receipt = receipt;
    }
}

impl Report for InstallReport {
    const VERB: &'static str = "install";

    fn text(&self) -> String {
        let Self {
            name,
            version,
            release,
            namespace,
            cluster,
            ..
        } = self;
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust          {trust}");
        }
        for check in self
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Unknown)
        {
            let _ = writeln!(text, "not known: {check}");
        }
        if let (Some(map), Some(registry)) = (self.map, &self.registry) {
            let _ = writeln!(text, "images         {} from {registry}", map.how());
        }
        if let Some(file) = &self.values_file {
            let _ = writeln!(text, "values         `{file}`");
        }
        if self.dry_run {
            let _ = writeln!(
                text,
                "would install {name} {version} as release {release} in namespace {namespace} of {cluster}"
            );
            for change in &self.changes {
                let sign = match change.change {
                    Change::Added => '+',
                    Change::Removed => '-',
                    Change::Changed => '~',
                };
                let _ = writeln!(
                    text,
                    "  {sign} {}{}",
                    change.object,
                    change
                        .paths
                        .iter()
                        .map(|path| format!("\n      {path}"))
                        .collect::<String>()
                );
            }
            let _ = writeln!(
                text,
                "{}; nothing was changed",
                counted(self.changes.len(), "change")
            );
            return text;
        }
        if let Some(job) = &self.backup {
            let _ = writeln!(text, "backed up      by job {job}");
        }
        let tests = if self.tested {
            "its tests passed"
        } else {
            "its chart has no tests"
        };
        let _ = writeln!(
            text,
            "{name} {version} runs as release {release}, revision {}, and {tests}",
            self.revision.unwrap_or(0)
        );
        let _ = writeln!(text, "cluster        {cluster}, namespace {namespace}");
        if let Some(receipt) = &self.receipt {
            let _ = writeln!(
                text,
                "receipt        {} in `{}` ({})",
                receipt.number, receipt.path, receipt.digest
            );
        }
        text
    }
}
