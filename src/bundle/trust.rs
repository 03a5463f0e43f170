//! Who vouches for a bundle: keys and digests that come from outside it.

use serde::Serialize;

use super::index::SLOTS;
use crate::{
    failure::{Failure, FailureKind},
    oci::Digest,
    sign::{PublicKey, Slot},
};

/// What the caller trusts. Keys found inside a bundle have no way into this.
#[derive(Debug, Clone)]
pub struct Trust {
    keys: Vec<PublicKey>,
    threshold: usize,
    digest: Option<Digest>,
}

/// What a signature slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SlotState {
    /// Nothing.
    Blank,
    /// A signature by a given key that verifies.
    Verified {
        /// Base64 of the SHA-256 of the public key.
        key: String,
    },
    /// A signature by a key that was not given.
    Unknown {
        /// Base64 of the SHA-256 of the public key, as the signature claims.
        key: String,
    },
    /// Neither blank nor a signature in the one accepted form.
    Malformed,
}

/// Why nobody trusted vouches for a bundle.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Neither a key nor a digest was given.
    #[error("no key and no bundle digest was given to check the bundle with")]
    NothingGiven,
    /// No slot holds a signature.
    #[error("the bundle is not signed")]
    Unsigned,
    /// Slots hold signatures, but too few by given keys.
    #[error("the bundle is signed by {have} of the given keys, {need} are needed{}", signed_by(.unknown))]
    TooFew {
        /// How many distinct given keys signed.
        have: usize,
        /// How many are needed.
        need: usize,
        /// The key identifiers of signatures by other keys.
        unknown: Vec<String>,
    },
    /// A signature that names a given key does not verify.
    #[error("signature slot {slot} names the given key {key}, but its signature is bad: `bundle.json` or the signature was changed")]
    Bad {
        /// Which slot, from 0.
        slot: usize,
        /// The key identifier.
        key: String,
    },
    /// A slot holds something that is neither blank nor a signature.
    #[error("signature slot {0} holds neither a signature in the accepted form nor only spaces")]
    Malformed(usize),
    /// The digest is not the one that was given.
    #[error("the bundle has the digest {actual}, not {expected}")]
    OtherDigest {
        /// What was asked for.
        expected: Digest,
        /// What the file has.
        actual: Digest,
    },
    /// More signatures are demanded than there are distinct keys or slots.
    #[error("a threshold of {threshold} cannot be met with {keys} distinct keys")]
    Threshold {
        /// What was demanded.
        threshold: usize,
        /// How many distinct keys were given.
        keys: usize,
    },
}

fn signed_by(unknown: &[String]) -> String {
    if unknown.is_empty() { String::new() } else { format!("; it is signed by other keys: {}", unknown.join(", ")) }
}

impl Failure for TrustError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Threshold { .. } => FailureKind::Usage,
            _ => FailureKind::Signature,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NothingGiven => {
                "give --key FILE with the public key you got from the release engineer, or --bundle-digest sha256:… from a trusted note"
                    .to_owned()
            }
            Self::Unsigned => "ask for the signed bundle, or give --bundle-digest if you know the digest from elsewhere".to_owned(),
            Self::TooFew { .. } => {
                "check that --key names the public key of this release; a key found beside or inside the bundle proves nothing".to_owned()
            }
            Self::Threshold { .. } => "give more keys, or a lower --threshold".to_owned(),
            Self::Bad { .. } | Self::Malformed(_) | Self::OtherDigest { .. } => {
                "do not use this file; copy it again from its source and compare its bundle digest".to_owned()
            }
        })
    }
}

impl SlotState {
    /// Says what a slot claims to hold, verified by nobody.
    pub(super) fn peek(bytes: &[u8]) -> Self {
        match Slot::parse(bytes) {
            Ok(Slot::Blank) => Self::Blank,
            Ok(Slot::Signed(signature)) => Self::Unknown { key: signature.hint() },
            Err(_) => Self::Malformed,
        }
    }
}

impl Trust {
    /// Trusts bundles that at least `threshold` distinct keys of `keys` have signed, and, when a digest is
    /// given, only the bundle of that digest. Without keys the digest alone decides.
    ///
    /// # Errors
    /// When neither is given, or the threshold cannot be met.
    pub fn new(keys: Vec<PublicKey>, threshold: usize, digest: Option<Digest>) -> Result<Self, TrustError> {
        let mut distinct: Vec<PublicKey> = Vec::new();
        for key in keys {
            if distinct.iter().all(|known| known.key_id() != key.key_id()) {
                distinct.push(key);
            }
        }
        if distinct.is_empty() && digest.is_none() {
            return Err(TrustError::NothingGiven);
        }
        let is_possible = distinct.is_empty() || (1..=distinct.len().min(SLOTS)).contains(&threshold);
        if !is_possible {
            return Err(TrustError::Threshold { threshold, keys: distinct.len() });
        }
        Ok(Self { keys: distinct, threshold, digest })
    }

    /// Judges the exact bytes of an index by the slots beside it.
    pub(super) fn judge(&self, index: &[u8], slots: &[Vec<u8>]) -> Result<Vec<SlotState>, TrustError> {
        if let Some(expected) = self.digest {
            let actual = Digest::of(index);
            if actual != expected {
                return Err(TrustError::OtherDigest { expected, actual });
            }
        }
        let states = slots.iter().enumerate().map(|(slot, bytes)| self.judge_slot(index, slot, bytes)).collect::<Result<Vec<_>, _>>()?;
        if self.keys.is_empty() {
            return Ok(states);
        }
        let mut signers: Vec<&str> = Vec::new();
        let mut unknown = Vec::new();
        for state in &states {
            match state {
                SlotState::Verified { key } if !signers.contains(&key.as_str()) => signers.push(key),
                SlotState::Unknown { key } => unknown.push(key.clone()),
                _ => {}
            }
        }
        if signers.is_empty() && unknown.is_empty() {
            return Err(TrustError::Unsigned);
        }
        if signers.len() < self.threshold {
            return Err(TrustError::TooFew { have: signers.len(), need: self.threshold, unknown });
        }
        Ok(states)
    }

    fn judge_slot(&self, index: &[u8], slot: usize, bytes: &[u8]) -> Result<SlotState, TrustError> {
        let signature = match Slot::parse(bytes).map_err(|_| TrustError::Malformed(slot))? {
            Slot::Blank => return Ok(SlotState::Blank),
            Slot::Signed(signature) => signature,
        };
        let key = signature.hint();
        match self.keys.iter().find(|known| known.key_id() == key) {
            None => Ok(SlotState::Unknown { key }),
            Some(known) => match signature.verify(known, index) {
                Ok(()) => Ok(SlotState::Verified { key }),
                Err(_) => Err(TrustError::Bad { slot, key }),
            },
        }
    }
}
