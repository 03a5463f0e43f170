//! Where in a project somebody has to write something: the lines that policy, lock and templates
//! are about.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use semver::Version;

use crate::{
    manifest::{Change, Project},
    policy::{Decision, Evaluation, PolicyViolation},
};
use rune_core::remark::Remark;

/// Lets a violation say where it can be settled.
pub(super) fn located(project: &Project) -> impl FnOnce(PolicyViolation) -> PolicyViolation {
    move |violation| {
        let located = violation.with_remarks(|decision| denied(project, decision));
        match project.policy_path() {
            Some(_) => located,
            None => located.with_help(NO_POLICY),
        }
    }
}

/// What holds for a manifest that names no policy, and the way to another one.
pub(super) const NO_POLICY: &str = "the manifest names no policy, so the one of RUNE holds that \
                                    is built into rune-bundle: write your own, as `rune-bundle \
                                    init` does, and name it with `policy:`";

/// A denial: at the waiver that has ended, else where the manifest names what is denied.
pub(super) fn denied(project: &Project, decision: &Decision) -> Remark {
    let message = decision.to_string();
    match project.policy().waiver(decision.rule, &decision.source) {
        Some(waiver) => Remark::error(policy_path(project), waiver.place, message)
            .with_help("use something else, or decide anew and raise `until` of this waiver"),
        None => Remark::error(
            project.manifest_path(),
            project.place_of(&decision.subject),
            message,
        )
        .with_help(project.policy_path().map_or_else(
            || NO_POLICY.to_owned(),
            |_| {
                format!(
                    "use something else, or add to `waivers` in `{}`: {}",
                    policy_path(project),
                    decision.waiver_hint()
                )
            },
        )),
    }
}

/// The waivers in use that end with the next minor version of the bundle, or before it.
pub(super) fn ending_waivers(project: &Project, evaluation: &Evaluation) -> Vec<Remark> {
    let version = &project.manifest().version;
    let next = Version::new(version.major, version.minor.saturating_add(1), 0);
    let mut seen = BTreeSet::new();
    evaluation
        .waived()
        .filter_map(|decision| project.policy().waiver(decision.rule, &decision.source))
        .filter(|waiver| waiver.until <= next && seen.insert(waiver.place))
        .map(|waiver| {
            let message = format!(
                "this waiver of `{}` for `{}` ends with {}; the bundle is {version}",
                waiver.rule, waiver.pattern, waiver.until
            );
            Remark::warning(policy_path(project), waiver.place, message)
                .with_help("settle what it is for, or raise `until` before that version")
        })
        .collect()
}

/// What moved since the lock was written.
pub(super) fn drifted(project: &Project, change: &Change) -> Remark {
    Remark::error(
        project.manifest_path(),
        project.place_of(&change.subject),
        change.to_string(),
    )
    .with_help(format!(
        "review it, then run `rune-bundle lock {}` and commit the lock",
        project.manifest_path()
    ))
}

fn policy_path(project: &Project) -> Utf8PathBuf {
    let path = project
        .policy_path()
        .unwrap_or_else(|| project.manifest_path().to_owned());
    // As a person would write it, and as the path of a change.
    path.strip_prefix("./")
        .map_or_else(|_| path.clone(), camino::Utf8Path::to_owned)
}
