//! Who is trusted for a bundle: keys and digests that come from outside it.

use serde::Serialize;

use super::TrustError;
use crate::sign::{PublicKey, Revocation, SLOTS, Signer, Slot, TrustFile};
use rune_core::digest::Digest;

/// What the caller trusts. Keys found inside a bundle have no way into this.
#[derive(Debug, Clone)]
pub struct Trust {
    keys: Vec<Signer>,
    revoked: Vec<Revocation>,
    threshold: usize,
    digest: Option<Digest>,
}

/// What a signature slot holds. Programs tell keys by the base64 of the SHA-256 of the public key,
/// people by the same as a fingerprint or by a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SlotState {
    Blank,
    Verified {
        key: String,
        fingerprint: Digest,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// A signature over this index by a key that the trust file revokes; it counts for nothing and
    /// is not checked.
    Revoked {
        key: String,
        fingerprint: Digest,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        reason: String,
    },
    /// A signature over this index by a key that was not given, of whatever algorithm; it counts
    /// for nothing and is not checked.
    Unknown {
        key: String,
        fingerprint: Digest,
    },
    /// Neither blank nor a signature over this index in the one accepted form.
    Malformed,
}

/// How many of the trusted signers must sign, and which of them have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Quorum {
    threshold: usize,
    signed: usize,
    missing: Vec<MissingSigner>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct MissingSigner {
    name: String,
    fingerprint: Digest,
}

fn called(name: Option<&str>, fingerprint: Digest) -> String {
    let fingerprint = fingerprint.grouped();
    name.map_or_else(
        || fingerprint.clone(),
        |name| format!("{name} ({fingerprint})"),
    )
}

impl SlotState {
    /// Says what a slot beside the index of this digest claims to hold, verified by nobody.
    pub(super) fn peek(index: Digest, bytes: &[u8]) -> Self {
        match Slot::parse(bytes) {
            Ok(Slot::Blank) => Self::Blank,
            Ok(Slot::Signed(signature)) if signature.is_over(index) => Self::Unknown {
                key: signature.hint(),
                fingerprint: signature.key(),
            },
            Ok(Slot::Signed(_)) | Err(_) => Self::Malformed,
        }
    }

    /// One line about it for people; empty when there is nothing to say.
    pub(crate) fn line(&self) -> String {
        match (self, self.signer()) {
            (Self::Verified { .. }, Some(signer)) => format!("signed by      {signer}\n"),
            (Self::Revoked { reason, .. }, Some(signer)) => {
                format!("also signed by {signer} (revoked, does not count: {reason})\n")
            }
            (Self::Unknown { .. }, Some(signer)) => {
                format!("also signed by {signer} (a key that was not given; not checked)\n")
            }
            _ => String::new(),
        }
    }

    /// Who signed, or claims to have: the name if there is one, and the fingerprint of the key.
    pub(crate) fn signer(&self) -> Option<String> {
        match self {
            Self::Verified {
                fingerprint, name, ..
            }
            | Self::Revoked {
                fingerprint, name, ..
            } => Some(called(name.as_deref(), *fingerprint)),
            Self::Unknown { fingerprint, .. } => Some(called(None, *fingerprint)),
            Self::Blank | Self::Malformed => None,
        }
    }
}

impl Trust {
    /// At least `threshold` distinct keys of `keys` must have signed, and with a digest only the
    /// bundle of that digest counts. Without keys the digest alone decides.
    pub fn new(
        keys: Vec<Signer>,
        threshold: usize,
        digest: Option<Digest>,
    ) -> Result<Self, TrustError> {
        let mut distinct: Vec<Signer> = Vec::new();
        for signer in keys {
            if distinct.iter().all(|known| known.key != signer.key) {
                distinct.push(signer);
            }
        }
        if distinct.is_empty() && digest.is_none() {
            return Err(TrustError::NothingGiven);
        }
        let is_possible =
            distinct.is_empty() || (1..=distinct.len().min(SLOTS)).contains(&threshold);
        if !is_possible {
            return Err(TrustError::Threshold {
                threshold,
                keys: distinct.len(),
            });
        }
        Ok(Self {
            keys: distinct,
            revoked: Vec::new(),
            threshold,
            digest,
        })
    }

    /// Trusts what a trust file says, and, when a digest is given, only the bundle of that digest.
    pub(crate) fn of_file(file: TrustFile, digest: Option<Digest>) -> Self {
        let TrustFile {
            signers,
            revocations,
            threshold,
        } = file;
        let usable = signers.into_iter().filter(|signer| {
            revocations
                .iter()
                .all(|revoked| revoked.key != signer.key.fingerprint())
        });
        Self {
            keys: usable.collect(),
            revoked: revocations,
            threshold,
            digest,
        }
    }

    pub(crate) const fn threshold(&self) -> usize {
        self.threshold
    }

    pub(crate) fn signers(&self) -> &[Signer] {
        &self.keys
    }

    pub(crate) fn admits(&self, key: &PublicKey) -> Result<(), TrustError> {
        if let Some(Revocation { name, reason, .. }) = self
            .revoked
            .iter()
            .find(|revoked| revoked.key == key.fingerprint())
        {
            return Err(TrustError::RevokedKey {
                key: called(name.as_deref(), key.fingerprint()),
                reason: reason.clone(),
            });
        }
        if self.keys.iter().any(|known| known.key == *key) {
            Ok(())
        } else {
            Err(TrustError::UnknownKey(key.fingerprint().grouped()))
        }
    }

    /// Checks the exact bytes of an index by the slots beside it.
    pub(super) fn evaluate(
        &self,
        index: &[u8],
        slots: &[Vec<u8>],
    ) -> Result<Vec<SlotState>, TrustError> {
        if let Some(expected) = self.digest {
            let actual = Digest::of(index);
            if actual != expected {
                return Err(TrustError::OtherDigest { expected, actual });
            }
        }
        let states = self.examine(index, slots)?;
        if !self.keys.is_empty() {
            self.count(&states)?;
        }
        Ok(states)
    }

    /// Says what each slot holds, however many signers there are.
    pub(super) fn examine(
        &self,
        index: &[u8],
        slots: &[Vec<u8>],
    ) -> Result<Vec<SlotState>, TrustError> {
        slots
            .iter()
            .enumerate()
            .map(|(slot, bytes)| self.examine_slot(index, slot, bytes))
            .collect()
    }

    pub(super) fn examine_slot(
        &self,
        index: &[u8],
        slot: usize,
        bytes: &[u8],
    ) -> Result<SlotState, TrustError> {
        let signature = match Slot::parse(bytes).map_err(|_| TrustError::Malformed(slot))? {
            Slot::Blank => return Ok(SlotState::Blank),
            Slot::Signed(signature) => signature,
        };
        let (key, fingerprint) = (signature.hint(), signature.key());
        if let Some(Signer { name, key: known }) = self
            .keys
            .iter()
            .find(|trusted| signature.is_by(trusted.key.fingerprint()))
        {
            return match signature.verify(known, index) {
                Ok(()) => Ok(SlotState::Verified {
                    key,
                    fingerprint,
                    name: Some(name.clone()),
                }),
                Err(_) => Err(TrustError::Bad {
                    slot,
                    key: called(Some(name), fingerprint),
                }),
            };
        }
        // Without a key nothing but the digest tells whether it belongs to this index.
        if !signature.is_over(Digest::of(index)) {
            return Err(TrustError::OtherContent(slot));
        }
        let revocation = self
            .revoked
            .iter()
            .find(|revoked| signature.is_by(revoked.key));
        Ok(match revocation {
            Some(Revocation { name, reason, .. }) => SlotState::Revoked {
                key,
                fingerprint,
                name: name.clone(),
                reason: reason.clone(),
            },
            None => SlotState::Unknown { key, fingerprint },
        })
    }

    /// Nothing when the digest alone decides.
    pub(super) fn quorum(&self, states: &[SlotState]) -> Option<Quorum> {
        if self.keys.is_empty() {
            return None;
        }
        let has_signed = |signer: &&Signer| {
            let own = signer.key.fingerprint();
            states.iter().any(|state| {
                matches!(state, SlotState::Verified { fingerprint, .. } if *fingerprint == own)
            })
        };
        let (signed, missing): (Vec<_>, Vec<_>) = self.keys.iter().partition(has_signed);
        let missing = missing.into_iter().map(|signer| MissingSigner {
            name: signer.name.clone(),
            fingerprint: signer.key.fingerprint(),
        });
        Some(Quorum {
            threshold: self.threshold,
            signed: signed.len(),
            missing: missing.collect(),
        })
    }

    fn count(&self, states: &[SlotState]) -> Result<(), TrustError> {
        let (mut have, mut unknown, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
        for state in states {
            let Some(signer) = state.signer() else {
                continue;
            };
            match state {
                SlotState::Verified { .. } if !have.contains(&signer) => have.push(signer),
                SlotState::Unknown { .. } => unknown.push(signer),
                SlotState::Revoked { .. } => revoked.push(signer),
                _ => {}
            }
        }
        match (have.is_empty(), unknown.is_empty(), revoked.is_empty()) {
            (true, true, true) => Err(TrustError::Unsigned),
            (true, true, false) => Err(TrustError::OnlyRevoked(revoked)),
            _ if have.len() < self.threshold => {
                let given = self.keys.iter().map(Signer::to_string).collect();
                Err(TrustError::TooFew {
                    given,
                    have,
                    need: self.threshold,
                    unknown,
                    revoked,
                })
            }
            _ => Ok(()),
        }
    }
}
