//! What a policy says about a bundle: every decision with its reason.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Rule, evaluate::UNSTATED};
use rune_core::{
    failure::{Failure, FailureKind},
    remark::Remark,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evaluation {
    /// The decisions, in the order of the subjects and then of the rules.
    pub decisions: Vec<Decision>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decision {
    pub(crate) subject: String,
    /// Its source: `registry/repository`.
    pub(crate) source: String,
    pub rule: Rule,
    pub verdict: Verdict,
    /// What of the subject was checked, and which entry of the policy it met.
    pub(crate) matched: String,
    pub reason: String,
    /// Whether a signature that was verified met the rule.
    #[serde(skip)]
    pub(super) is_signed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Allowed,
    /// It is not fine, but a waiver holds.
    Waived,
    Denied,
}

#[derive(Debug, thiserror::Error)]
pub struct PolicyViolation {
    denied: Vec<Decision>,
    remarks: Vec<Remark>,
    help: String,
}

impl Evaluation {
    pub fn denied(&self) -> impl Iterator<Item = &Decision> {
        self.decisions
            .iter()
            .filter(|decision| decision.verdict == Verdict::Denied)
    }

    pub(crate) fn waived(&self) -> impl Iterator<Item = &Decision> {
        self.decisions
            .iter()
            .filter(|decision| decision.verdict == Verdict::Waived)
    }

    /// The images that are signed or attested as the policy demands.
    pub(crate) fn signed(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.is_signed)
    }

    /// The images and artifacts whose licence nobody stated, and that the policy allows all the
    /// same.
    pub(crate) fn not_reviewed(&self) -> Vec<String> {
        let is_unstated =
            |decision: &&Decision| decision.rule == Rule::Licenses && decision.matched == UNSTATED;
        let allowed = self
            .decisions
            .iter()
            .filter(|decision| decision.verdict == Verdict::Allowed)
            .filter(is_unstated);
        allowed
            .map(|decision| {
                let name = decision.subject.split('`').nth(1);
                name.unwrap_or(&decision.subject).to_owned()
            })
            .collect()
    }

    /// The same without what these rules deny.
    #[must_use]
    pub(crate) fn without_denied(mut self, rules: &[Rule]) -> Self {
        self.decisions.retain(|decision| {
            !rules.contains(&decision.rule) || decision.verdict != Verdict::Denied
        });
        self
    }

    /// Gives the evaluation back when nothing is denied.
    pub fn into_result(self) -> Result<Self, PolicyViolation> {
        let denied: Vec<Decision> = self.denied().cloned().collect();
        if denied.is_empty() {
            Ok(self)
        } else {
            Err(PolicyViolation {
                denied,
                remarks: Vec::new(),
                help: "use something else, or add a waiver with a reason to `waivers` in the \
                       policy file"
                    .to_owned(),
            })
        }
    }
}

impl PolicyViolation {
    /// Says at which line of a file each denial can be settled.
    #[must_use]
    pub(crate) fn with_remarks(self, remark: impl FnMut(&Decision) -> Remark) -> Self {
        let remarks = self.denied.iter().map(remark).collect();
        Self { remarks, ..self }
    }

    pub(crate) fn is_only(&self, rule: Rule) -> bool {
        self.denied.iter().all(|decision| decision.rule == rule)
    }

    /// Says what to do, where more is known about the policy.
    #[must_use]
    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        let help = help.into();
        Self { help, ..self }
    }
}

impl Decision {
    pub(super) fn by_signature(self) -> Self {
        Self {
            is_signed: true,
            ..self
        }
    }

    /// What to write to the policy so that this is let through, for people.
    pub(crate) fn waiver_hint(&self) -> String {
        format!(
            "{{ rule: {}, match: \"{}\", reason: \"…\", until: \"<version>\" }}",
            self.rule, self.source
        )
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: rule `{}`: {}: {}",
            self.subject, self.rule, self.matched, self.reason
        )
    }
}

impl fmt::Display for PolicyViolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denied.len() {
            1 => write!(
                formatter,
                "the policy denies what this bundle would include"
            )?,
            count => write!(
                formatter,
                "the policy denies {count} things that this bundle would include"
            )?,
        }
        for decision in &self.denied {
            write!(
                formatter,
                "\n  {decision}\n    waiver: {}",
                decision.waiver_hint()
            )?;
        }
        Ok(())
    }
}

impl Failure for PolicyViolation {
    fn kind(&self) -> FailureKind {
        FailureKind::Policy
    }

    fn help(&self) -> Option<String> {
        Some(self.help.clone())
    }

    fn details(&self) -> Option<serde_json::Value> {
        serde_json::to_value(&self.denied).ok()
    }

    fn remarks(&self) -> Vec<Remark> {
        self.remarks.clone()
    }
}
