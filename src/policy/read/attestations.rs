//! The part of a policy that is about attestations.

use super::{
    Reader,
    signatures::{OF_IDENTITY, OF_KEYS},
};
use crate::policy::{AttestationDemand, AttestationKind, AttestationRule, Glob};
use rune_core::yaml::{self, Mapping, Node};

impl Reader<'_> {
    pub(super) fn attestation(&mut self, node: &Node) -> Option<AttestationRule> {
        let known = &[
            "match",
            "require",
            "predicateType",
            "keys",
            "threshold",
            "identity",
            "trustedRoot",
            "minAge",
        ];
        let map = Mapping::open(node, "an attestation rule", known, self.findings)?;
        let pattern = self.required(&map, "match");
        let demand = if let Some(node) = map.optional("require") {
            self.unsigned(&map, node)
        } else {
            let predicate_type = self.required(&map, "predicateType");
            let signers = self.signers(&map);
            AttestationDemand::Signed {
                predicate_type: predicate_type?,
                signers: signers?,
            }
        };
        Some(AttestationRule {
            pattern: Glob::new(&pattern?),
            demand,
        })
    }

    fn unsigned(&mut self, rule: &Mapping<'_>, required: &Node) -> AttestationDemand {
        let of_signed = ["predicateType", "identity"].into_iter();
        for key in of_signed.chain(OF_KEYS).chain(OF_IDENTITY) {
            if let Some(node) = rule.optional(key) {
                let problem = super::PolicyProblem::OfRequire(key);
                self.findings.add(node.place, &problem);
            }
        }
        let mut kinds = Vec::new();
        for item in yaml::items(required, "`require`", self.findings) {
            let Some(found) = self.word(item, "an attestation") else {
                continue;
            };
            let mut all = AttestationKind::ALL.into_iter();
            if let Some(kind) = all.find(|kind| kind.name() == found) {
                kinds.push(kind);
            } else {
                let known = AttestationKind::ALL.map(AttestationKind::name).to_vec();
                self.unknown(item.place, "attestation", &found, known);
            }
        }
        AttestationDemand::Unsigned(kinds)
    }
}
