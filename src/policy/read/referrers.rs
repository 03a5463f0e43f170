//! The parts of a policy that are about artifacts about images.

use super::{PolicyProblem, Reader};
use crate::{
    oci::Reference,
    policy::{EvidenceRepository, Glob, PackageLicenses, PackageRule, ReferrerRules},
};
use rune_core::yaml::{Mapping, Node};

impl Reader<'_> {
    pub(super) fn referrer_rules(&mut self, map: &Mapping<'_>) -> ReferrerRules {
        let is_new_drift = match map.optional("added") {
            None => false,
            Some(node) => match self.word(node, "`added`").as_deref() {
                Some("drift") => true,
                Some("note") | None => false,
                Some(other) => {
                    self.unknown(node.place, "word", other, vec!["note", "drift"]);
                    false
                }
            },
        };
        ReferrerRules {
            repositories: self.list(map, "repositories", Self::evidence_repository),
            is_new_drift,
        }
    }

    fn evidence_repository(&mut self, node: &Node) -> Option<EvidenceRepository> {
        let map = Mapping::open(
            node,
            "a repository of artifacts",
            &["match", "repository"],
            self.findings,
        )?;
        let (pattern, text) = (
            self.required(&map, "match"),
            self.required(&map, "repository")?,
        );
        let parsed = format!("{text}:tag").parse::<Reference>().ok();
        let Some(reference) = parsed.filter(|reference| reference.name() == text) else {
            self.findings
                .add(node.place, &PolicyProblem::Repository(&text));
            return None;
        };
        Some(EvidenceRepository {
            pattern: Glob::new(&pattern?),
            registry: reference.registry().to_owned(),
            repository: reference.repository().to_owned(),
        })
    }

    /// Of which images there must be an SBOM.
    pub(super) fn sbom_rule(&mut self, node: &Node) -> Option<Glob> {
        let map = Mapping::open(node, "a rule about SBOMs", &["match"], self.findings)?;
        self.required(&map, "match")
            .map(|pattern| Glob::new(&pattern))
    }

    /// Which licences the packages in images may have.
    pub(super) fn package_rule(&mut self, node: &Node) -> Option<PackageRule> {
        let keys = &["match", "licenses"];
        let map = Mapping::open(node, "a rule about packages", keys, self.findings)?;
        let pattern = self.required(&map, "match");
        let node = map.required("licenses", self.findings)?;
        let licenses = match self.word(node, "`licenses`")?.as_str() {
            "declared" => PackageLicenses::Declared,
            "allowed" => PackageLicenses::Allowed,
            other => {
                self.unknown(node.place, "word", other, vec!["declared", "allowed"]);
                return None;
            }
        };
        Some(PackageRule {
            pattern: Glob::new(&pattern?),
            licenses,
        })
    }
}
