//! The part of a policy that is about signatures of images.

use super::{PolicyProblem, Reader};
use crate::{
    evidence::{ImageKey, TrustedRoot, TrustedRootError},
    policy::{Glob, IdentityRule, MinAge, SignatureKey, SignatureRule, Signers, SubjectMatch},
};
use rune_core::{
    duration::parse_duration,
    yaml::{self, Mapping, Node},
};

/// What belongs to keys, and what belongs to an identity.
pub(super) const OF_KEYS: [&str; 2] = ["keys", "threshold"];
pub(super) const OF_IDENTITY: [&str; 2] = ["trustedRoot", "minAge"];

impl Reader<'_> {
    pub(super) fn signature_rule(&mut self, node: &Node) -> Option<SignatureRule> {
        let known = &[
            "match",
            "keys",
            "threshold",
            "identity",
            "trustedRoot",
            "minAge",
        ];
        let map = Mapping::open(node, "a signature rule", known, self.findings)?;
        let pattern = self.required(&map, "match");
        let signers = self.signers(&map);
        Some(SignatureRule {
            pattern: Glob::new(&pattern?),
            signers: signers?,
        })
    }

    pub(super) fn signers(&mut self, map: &Mapping<'_>) -> Option<Signers> {
        let identity = map.optional("identity");
        let foreign = match identity {
            Some(_) => OF_KEYS.map(|key| (key, PolicyProblem::OfKeys(key))),
            None => OF_IDENTITY.map(|key| (key, PolicyProblem::OfIdentity(key))),
        };
        for (key, problem) in foreign {
            if let Some(node) = map.optional(key) {
                self.findings.add(node.place, &problem);
            }
        }
        match identity {
            Some(node) => self.identity(map, node),
            None => self.keys(map),
        }
    }

    fn keys(&mut self, map: &Mapping<'_>) -> Option<Signers> {
        let listed = map.required("keys", self.findings)?;
        let items = yaml::items(listed, "`keys`", self.findings);
        let keys: Vec<_> = items.iter().filter_map(|item| self.key(item)).collect();
        if items.is_empty() {
            self.findings
                .add(listed.place, &PolicyProblem::Empty { what: "`keys`" });
        }
        let threshold = match map.optional("threshold") {
            None => 1,
            Some(node) => {
                let found = self.word(node, "`threshold`")?;
                let parsed = found
                    .parse()
                    .ok()
                    .filter(|threshold| (1..=items.len()).contains(threshold));
                if parsed.is_none() {
                    self.findings
                        .add(node.place, &PolicyProblem::Threshold(&found));
                }
                parsed?
            }
        };
        // A rule with fewer keys than were written would ask for less.
        (keys.len() == items.len()).then_some(Signers::Keys { keys, threshold })
    }

    fn identity(&mut self, rule: &Mapping<'_>, node: &Node) -> Option<Signers> {
        let map = Mapping::open(
            node,
            "an identity",
            &["issuer", "subject", "subjectPattern"],
            self.findings,
        )?;
        let issuer = self.required(&map, "issuer");
        let subject = match map.optional("subjectPattern") {
            None => self.required(&map, "subject").map(SubjectMatch::Exact),
            Some(node) if map.optional("subject").is_some() => {
                self.findings.add(node.place, &PolicyProblem::TwoSubjects);
                None
            }
            Some(node) => {
                let text = self.word(node, "`subjectPattern`");
                text.and_then(|text| {
                    let pattern = SubjectMatch::pattern(&text).ok();
                    if pattern.is_none() {
                        let problem = PolicyProblem::SubjectPattern(&text);
                        self.findings.add(node.place, &problem);
                    }
                    pattern
                })
            }
        };
        let root = self.trusted_root(rule);
        let min_age = match rule.optional("minAge") {
            None => None,
            Some(node) => {
                let text = self.word(node, "`minAge`")?;
                match parse_duration(&text) {
                    Ok(age) => Some(MinAge { age, text }),
                    Err(error) => {
                        let problem = PolicyProblem::MinAge(&text, error);
                        self.findings.add(node.place, &problem);
                        return None;
                    }
                }
            }
        };
        Some(Signers::Identity(Box::new(IdentityRule {
            issuer: issuer?,
            subject: subject?,
            root: root?,
            min_age,
        })))
    }

    /// The file with the trusted CAs and logs: no default, because a program that is
    /// never updated would know old ones.
    fn trusted_root(&mut self, rule: &Mapping<'_>) -> Option<TrustedRoot> {
        let node = rule.required("trustedRoot", self.findings)?;
        let file = self.word(node, "`trustedRoot`")?;
        let text = match (self.read_key)(&file) {
            Ok(text) => text,
            Err(problem) => {
                let problem = PolicyProblem::TrustedRootFile(&problem);
                self.findings.add(node.place, &problem);
                return None;
            }
        };
        TrustedRoot::parse(&text)
            .map_err(|error| {
                let file = &file;
                let problem = match &error {
                    TrustedRootError::Invalid(problem) => {
                        PolicyProblem::TrustedRoot { file, problem }
                    }
                    TrustedRootError::NotYet(first) => PolicyProblem::Clock { file, first },
                };
                self.findings.add(node.place, &problem);
            })
            .ok()
    }

    fn key(&mut self, node: &Node) -> Option<SignatureKey> {
        let text = self.word(node, "a key")?;
        let (name, pem) = if text.starts_with("-----BEGIN") {
            (None, text)
        } else {
            match (self.read_key)(&text) {
                Ok(pem) => (Some(text), pem),
                Err(problem) => {
                    self.findings
                        .add(node.place, &PolicyProblem::KeyFile(&problem));
                    return None;
                }
            }
        };
        match ImageKey::from_pem(&pem) {
            Ok(key) => Some(SignatureKey { name, key }),
            Err(error) => {
                self.findings
                    .add(node.place, &PolicyProblem::Key(&error.to_string()));
                None
            }
        }
    }
}
