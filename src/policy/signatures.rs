//! Evaluating whether images are signed by those who must have signed them.

use std::{collections::BTreeSet, fmt};

use super::{Decision, Glob, Rule, evaluate::Evaluator};
use crate::{evidence::ImageSignature, sign::PublicKey};
use rune_core::digest::Digest;

/// By whom the images of some sources must be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureRule {
    pub pattern: Glob,
    pub keys: Vec<SignatureKey>,
    /// How many different ones of these keys must have signed.
    pub threshold: usize,
}

/// A key that may sign images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureKey {
    /// The file it was read from; none for one within the policy.
    pub name: Option<String>,
    pub key: PublicKey,
}

/// What comes with an image and says that it is a signature.
#[derive(Debug, Clone)]
pub struct SignedImage {
    /// What its reference resolved to; not known yet of one that is about to be built.
    pub digest: Option<Digest>,
    /// Nothing when they were not looked for.
    pub signatures: Option<Vec<ImageSignature>>,
    /// The fingerprint of the key that signs it when the bundle is built.
    pub builder: Option<Digest>,
}

impl fmt::Display for SignatureKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "`{name}`"),
            None => write!(formatter, "the key {}", self.key.fingerprint().grouped()),
        }
    }
}

impl Evaluator<'_> {
    /// Each rule for the source of an image must be met.
    pub(super) fn signatures(
        &self,
        subject: &str,
        source: &str,
        image: &SignedImage,
    ) -> Vec<Decision> {
        let Some(signatures) = &image.signatures else {
            return Vec::new();
        };
        let rules = self.policy.signatures.iter();
        rules
            .filter(|rule| rule.pattern.matches(source))
            .map(|rule| self.signature(subject, source, image, rule, signatures))
            .collect()
    }

    fn signature(
        &self,
        subject: &str,
        source: &str,
        image: &SignedImage,
        rule: &SignatureRule,
        signatures: &[ImageSignature],
    ) -> Decision {
        let matched = match image.digest {
            Some(digest) => format!("`{source}@{digest}` matches `{}`", rule.pattern),
            None => format!("`{source}` matches `{}`", rule.pattern),
        };
        let is_of_image =
            |signature: &ImageSignature| image.digest.is_some_and(|digest| signature.is_of(digest));
        let is_signed_by = |key: &&SignatureKey| {
            image.builder == Some(key.key.fingerprint())
                || signatures
                    .iter()
                    .any(|signature| is_of_image(signature) && signature.is_by(&key.key))
        };
        let mut counted = BTreeSet::new();
        let signers: Vec<String> = rule
            .keys
            .iter()
            .filter(|key| counted.insert(key.key.fingerprint()))
            .filter(is_signed_by)
            .map(ToString::to_string)
            .collect();
        if signers.len() >= rule.threshold {
            let reason = format!("signed with {}", signers.join(", "));
            return super::evaluate::allow(subject, source, Rule::Signatures, matched, reason);
        }
        let others = signatures
            .iter()
            .filter(|signature| !is_of_image(signature))
            .count();
        let found = match (signatures.len(), others) {
            (0, _) => "no signature of it is there".to_owned(),
            (all, others) if all == others => "its signatures are of other images".to_owned(),
            _ if signers.is_empty() => "no signature is by a key of the policy".to_owned(),
            _ => format!("it is signed with {} alone", signers.join(", ")),
        };
        let reason = match rule.threshold {
            1 => found,
            threshold => format!("{found}, and {threshold} different keys are required"),
        };
        self.deny(subject, source, Rule::Signatures, matched, &reason)
    }
}
