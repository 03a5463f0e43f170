//! Evaluating whether images are signed by those who must have signed them.

use std::{collections::BTreeSet, fmt, time::SystemTime};

use super::{
    Decision, Glob, IdentityRule, Rule,
    evaluate::{Evaluator, allow},
};
use crate::evidence::{ImageAttestation, ImageKey, ImageSignature};
use rune_core::digest::Digest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignatureRule {
    pub(crate) pattern: Glob,
    pub(crate) signers: Signers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signers {
    Keys {
        keys: Vec<SignatureKey>,
        /// How many different ones of these keys must have signed.
        threshold: usize,
    },
    Identity(Box<IdentityRule>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignatureKey {
    pub(crate) name: Option<String>,
    pub(crate) key: ImageKey,
}

/// What comes with an image and says that it is a signature.
#[derive(Debug, Clone, Default)]
pub struct SignedImage {
    pub digest: Option<Digest>,
    /// Nothing when they were not looked for.
    pub signatures: Option<Vec<ImageSignature>>,
    pub attestations: Vec<ImageAttestation>,
    pub manifests: Vec<(String, Digest)>,
    /// The fingerprint of the key that signs it when the bundle is built.
    pub builder: Option<Digest>,
    /// When it is locked: only then is the age of signatures checked.
    pub locked_at: Option<SystemTime>,
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
        let of_image: Vec<&ImageSignature> = signatures
            .iter()
            .filter(|signature| image.digest.is_some_and(|digest| signature.is_of(digest)))
            .collect();
        let is_by_builder = |key: &SignatureKey| image.builder == Some(key.key.fingerprint());
        let signed = match (&rule.signers, image.digest) {
            (Signers::Keys { keys, threshold }, _) => {
                by_keys(keys, *threshold, &of_image, is_by_builder)
            }
            (Signers::Identity(identity), Some(digest)) => {
                identity.evaluate(&of_image, digest, image.locked_at)
            }
            (Signers::Identity(_), None) => Err("it is about to be built".to_owned()),
        };
        let found = match (signed, signatures.len(), of_image.len()) {
            (Ok(reason), ..) => {
                let decision = allow(subject, source, Rule::Signatures, matched, reason);
                return decision.by_signature();
            }
            (Err(_), 0, _) => "no signature of it is there".to_owned(),
            (Err(_), _, 0) => "its signatures are of other images".to_owned(),
            (Err(found), ..) => found,
        };
        let reason = rule.signers.with_threshold(found);
        self.deny(subject, source, Rule::Signatures, matched, &reason)
    }
}

impl Signers {
    /// By whom a digest is signed, of signatures that are about it, or why that is not enough.
    pub(super) fn evaluate(
        &self,
        signatures: &[&ImageSignature],
        digest: Digest,
        locked_at: Option<SystemTime>,
    ) -> Result<String, String> {
        let signed = match self {
            Self::Keys { keys, threshold } => by_keys(keys, *threshold, signatures, |_| false),
            Self::Identity(identity) => identity.evaluate(signatures, digest, locked_at),
        };
        signed.map_err(|found| self.with_threshold(found))
    }

    fn with_threshold(&self, found: String) -> String {
        match self {
            Self::Keys { threshold, .. } if *threshold > 1 => {
                format!("{found}, and {threshold} different keys are required")
            }
            _ => found,
        }
    }
}

/// The keys with which an image is signed, or why they are too few.
fn by_keys(
    keys: &[SignatureKey],
    threshold: usize,
    signatures: &[&ImageSignature],
    is_signed_besides: impl Fn(&SignatureKey) -> bool,
) -> Result<String, String> {
    let is_signed_by = |key: &&SignatureKey| {
        is_signed_besides(key) || signatures.iter().any(|signature| signature.is_by(&key.key))
    };
    let mut counted = BTreeSet::new();
    let signers: Vec<String> = keys
        .iter()
        .filter(|key| counted.insert(key.key.fingerprint()))
        .filter(is_signed_by)
        .map(ToString::to_string)
        .collect();
    match signers.len() {
        count if count >= threshold => Ok(format!("signed with {}", signers.join(", "))),
        0 => Err("no signature is by a key of the policy".to_owned()),
        _ => Err(format!("it is signed with {} alone", signers.join(", "))),
    }
}
