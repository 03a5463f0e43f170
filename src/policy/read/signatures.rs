//! The part of a policy that is about signatures of images.

use super::{PolicyProblem, Reader};
use crate::{
    policy::{Glob, SignatureKey, SignatureRule},
    sign::PublicKey,
};
use rune_core::yaml::{self, Mapping, Node};

impl Reader<'_> {
    pub(super) fn signature_rule(&mut self, node: &Node) -> Option<SignatureRule> {
        let map = Mapping::open(
            node,
            "a signature rule",
            &["match", "keys", "threshold"],
            self.findings,
        )?;
        let pattern = self.required(&map, "match");
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
        (keys.len() == items.len()).then_some(SignatureRule {
            pattern: Glob::new(&pattern?),
            keys,
            threshold,
        })
    }

    /// A key as PEM, or the name of a file that has it.
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
        match PublicKey::from_pem(&pem) {
            Ok(key) => Some(SignatureKey { name, key }),
            Err(error) => {
                self.findings
                    .add(node.place, &PolicyProblem::Key(&error.to_string()));
                None
            }
        }
    }
}
