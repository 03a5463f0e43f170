//! What `install` says.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{Inspection, Installation, MapMode, Work};
use crate::{
    commands::bundle::trust_source::TrustSource,
    install::{Change, Check, InstallKind, ObjectChange, RolledOut, Verdict},
    receipt::Appended,
};
use rune_core::{
    command::{Report, counted},
    digest::Digest,
};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstallReport {
    name: String,
    version: semver::Version,
    digest: Digest,
    trust: Option<TrustSource>,
    cluster: String,
    kubernetes: String,
    registry: Option<String>,
    helm: String,
    dry_run: bool,
    notes: Vec<String>,
    #[serde(flatten)]
    one: Option<ReleaseReport>,
    releases: Vec<ReleaseReport>,
    receipt: Option<Appended>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseReport {
    namespace: String,
    release: String,
    chart: String,
    profile: Option<String>,
    map: Option<MapMode>,
    values_file: Option<Utf8PathBuf>,
    step: InstallKind,
    before: Option<semver::Version>,
    checks: Vec<Check>,
    changes: Vec<ObjectChange>,
    backup: Option<String>,
    revision: Option<u64>,
    tested: bool,
}

impl ReleaseReport {
    fn new(work: &Work<'_>, found: &Inspection) -> Self {
        let installed = found.kept.installed.as_ref();
        Self {
            namespace: work.cluster.namespace().to_owned(),
            release: work.helm.release().to_owned(),
            chart: work.chosen.destination.chart_label(),
            profile: work.chosen.destination.profile.clone(),
            map: found.mapped.mode,
            values_file: work.options.values_file.clone(),
            step: found.install_kind,
            before: installed.map(|installed| installed.version.clone()),
            checks: found.checks.clone(),
            changes: found.changes.clone(),
            backup: None,
            revision: None,
            tested: false,
        }
    }
}

impl InstallReport {
    pub(super) fn new(
        installation: &Installation<'_>,
        found: &[Inspection],
        notes: Vec<String>,
    ) -> Self {
        let Installation {
            options,
            bundle,
            access,
            works,
            ..
        } = installation;
        let index = bundle.index();
        let releases = works.iter().zip(found);
        let mut report = Self {
            name: index.name.clone(),
            version: index.version.clone(),
            digest: bundle.head().digest(),
            trust: options.bundle.trust_source(),
            cluster: access.cluster.address().to_owned(),
            kubernetes: access.cluster.version().to_string(),
            registry: options.registry.as_ref().map(ToString::to_string),
            helm: access.helm_version().to_owned(),
            dry_run: options.is_dry_run,
            notes,
            one: None,
            releases: releases
                .map(|(work, found)| ReleaseReport::new(work, found))
                .collect(),
            receipt: None,
        };
        report.copy_the_only();
        report
    }

    pub(super) fn backed_up(&mut self, number: usize, job: String) {
        if let Some(release) = self.releases.get_mut(number) {
            release.backup = Some(job);
        }
    }

    pub(super) fn installed(&mut self, rolled_out: &[RolledOut], receipt: Option<Appended>) {
        for (release, rolled_out) in self.releases.iter_mut().zip(rolled_out) {
            release.revision = Some(rolled_out.revision);
            release.tested = rolled_out.is_tested;
        }
        self.receipt = receipt;
        self.copy_the_only();
    }

    fn copy_the_only(&mut self) {
        self.one = match &self.releases[..] {
            [one] => Some(one.clone()),
            _ => None,
        };
    }

    fn describe(&self, shown: &ReleaseReport, text: &mut String) {
        let unknown = shown.checks.iter();
        for check in unknown.filter(|check| check.verdict == Verdict::Unknown) {
            let _ = writeln!(text, "not known: {check}");
        }
        if let (Some(map), Some(registry)) = (shown.map, &self.registry) {
            let _ = writeln!(text, "images         {} from {registry}", map.how());
        }
        if let Some(file) = &shown.values_file {
            let _ = writeln!(text, "values         `{file}`");
        }
        let (name, version, cluster) = (&self.name, &self.version, &self.cluster);
        let ReleaseReport {
            release,
            namespace,
            changes,
            ..
        } = shown;
        if !self.dry_run {
            if let Some(job) = &shown.backup {
                let _ = writeln!(text, "backed up      by job {job}");
            }
            let tests = if shown.tested {
                "its tests passed"
            } else {
                "its chart has no tests"
            };
            let revision = shown.revision.unwrap_or(0);
            let _ = writeln!(
                text,
                "{name} {version} runs as release {release}, revision {revision}, and {tests}"
            );
            let _ = writeln!(text, "cluster        {cluster}, namespace {namespace}");
            return;
        }
        let _ = writeln!(
            text,
            "would install {name} {version} as release {release} in namespace {namespace} of \
             {cluster}"
        );
        for change in changes {
            let sign = match change.change {
                Change::Added => '+',
                Change::Removed => '-',
                Change::Changed => '~',
            };
            let paths = change.paths.iter();
            let paths: String = paths.map(|path| format!("\n      {path}")).collect();
            let _ = writeln!(text, "  {sign} {}{paths}", change.object);
        }
    }
}

impl Report for InstallReport {
    const VERB: &'static str = "install";

    fn text(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        if let Some(trust) = &self.trust {
            let _ = writeln!(text, "trust          {trust}");
        }
        for release in &self.releases {
            self.describe(release, &mut text);
        }
        if self.dry_run {
            let changes = self.releases.iter();
            let changes: usize = changes.map(|release| release.changes.len()).sum();
            let _ = writeln!(text, "{}; nothing was changed", counted(changes, "change"));
        }
        if let Some(receipt) = &self.receipt {
            let _ = writeln!(text, "receipt        {receipt}");
        }
        text
    }

    fn has_changed(&self) -> bool {
        !self.dry_run
    }
}
