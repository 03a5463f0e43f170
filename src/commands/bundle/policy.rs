//! `policy`: what the policy decides about a manifest and its lock, and why.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{project::ProjectOptions, remarks};
use crate::{
    manifest::{self, FetchedCharts, Lock, LockError, Programs},
    policy::{Evaluation, Verdict},
};
use rune_core::{
    command::{CommandError, Report},
    digest::Digest,
    failure::{Failure as _, FailureKind},
    remark::{Remark, Severity},
};

#[derive(Debug, Clone)]
pub(crate) struct PolicyOptions {
    pub(crate) project: ProjectOptions,
    pub(crate) with_allowed: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyReport {
    manifest: Utf8PathBuf,
    lock: Option<Utf8PathBuf>,
    policy: Digest,
    allowed: usize,
    waived: usize,
    denied: usize,
    #[serde(flatten)]
    evaluation: Evaluation,
    #[serde(skip)]
    with_allowed: bool,
    #[serde(skip)]
    demands_signatures: bool,
    #[serde(skip)]
    remarks: Vec<Remark>,
    #[serde(skip)]
    is_built_in: bool,
}

impl Report for PolicyReport {
    const VERB: &'static str = "policy";

    fn remarks(&self) -> Vec<Remark> {
        self.remarks.clone()
    }

    fn verdict(&self) -> Option<FailureKind> {
        (self.denied > 0).then_some(FailureKind::Policy)
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for decision in &self.evaluation.decisions {
            let _ = match decision.verdict {
                Verdict::Allowed if self.with_allowed => writeln!(text, "allowed  {decision}"),
                Verdict::Allowed => Ok(()),
                Verdict::Waived => writeln!(text, "waived   {decision}"),
                Verdict::Denied => writeln!(
                    text,
                    "denied   {decision}\n         waiver: {}",
                    decision.waiver_hint()
                ),
            };
        }
        if self.is_built_in && self.denied > 0 {
            let _ = writeln!(text, "note: {}", remarks::NO_POLICY);
        }
        let warnings = |remark: &&Remark| remark.severity == Severity::Warning;
        for Remark {
            path,
            line,
            message,
            ..
        } in self.remarks.iter().filter(warnings)
        {
            let _ = writeln!(text, "note: {path}:{line}: {message}");
        }
        let Self {
            allowed,
            waived,
            denied,
            ..
        } = self;
        if self.demands_signatures {
            text.push_str(
                "signatures of images are not checked here; `lock`, `build` and `verify --policy` \
                 do\n",
            );
        }
        let _ = writeln!(text, "{allowed} allowed, {waived} waived, {denied} denied");
        text
    }
}

/// A denial is not an error but the verdict of the report.
pub(crate) fn run(options: &PolicyOptions) -> Result<PolicyReport, CommandError> {
    let project = options.project.load(Programs::NotNeeded)?;
    let lock_path = project.lock_path();
    let lock = match Lock::read(&lock_path) {
        Ok(lock) => Some(lock),
        Err(LockError::File(error)) if error.kind() == FailureKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let evaluation = manifest::evaluate(&project, lock.as_ref(), &FetchedCharts::default(), None)?;
    let count = |verdict| {
        evaluation
            .decisions
            .iter()
            .filter(|decision| decision.verdict == verdict)
            .count()
    };
    let denials = evaluation
        .denied()
        .map(|decision| remarks::denied(&project, decision));
    let remarks = denials
        .chain(remarks::ending_waivers(&project, &evaluation))
        .collect();
    Ok(PolicyReport {
        remarks,
        manifest: project.manifest_path().to_owned(),
        lock: lock.map(|_| lock_path),
        policy: project.policy().digest,
        allowed: count(Verdict::Allowed),
        waived: count(Verdict::Waived),
        denied: count(Verdict::Denied),
        evaluation,
        with_allowed: options.with_allowed,
        is_built_in: project.policy_path().is_none(),
        demands_signatures: !project.policy().signatures.is_empty(),
    })
}
