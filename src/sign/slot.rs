//! Signature slots: entries of fixed size, so that a signature can be added without moving a byte.

use super::{SignError, SlotSignature};

pub(crate) const SLOTS: usize = 8;

pub const SLOT_BYTES: usize = 8192;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    Blank,
    /// A signature by whatever key and algorithm, then spaces.
    Signed(SlotSignature),
}

impl Slot {
    pub fn parse(bytes: &[u8]) -> Result<Self, SignError> {
        if bytes.len() != SLOT_BYTES {
            return Err(SignError::SlotSize(bytes.len()));
        }
        let end = bytes
            .iter()
            .rposition(|byte| *byte != b' ')
            .map_or(0, |last| last.saturating_add(1));
        match bytes.get(..end) {
            None | Some([]) => Ok(Self::Blank),
            Some(content) => SlotSignature::parse(content).map(Self::Signed),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match self {
            Self::Blank => Vec::new(),
            Self::Signed(signature) => signature.to_canonical_json(),
        };
        bytes.resize(SLOT_BYTES, b' ');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};

    use super::{SLOT_BYTES, Slot};
    use crate::sign::{SlotSignature, fixtures};
    use rune_core::failure::{Failure as _, FailureKind};

    fn signed() -> Slot {
        Slot::Signed(SlotSignature::sign(
            &fixtures::private_key(fixtures::ED25519_PRIVATE),
            b"message",
        ))
    }

    #[test]
    fn a_slot_always_has_the_same_size() {
        for slot in [Slot::Blank, signed()] {
            let bytes = slot.to_bytes();
            assert_eq!(bytes.len(), SLOT_BYTES);
            assert_eq!(Slot::parse(&bytes).unwrap(), slot);
        }
    }

    #[test]
    fn refuses_other_sizes_and_other_padding() {
        let good = signed().to_bytes();
        let mut candidates = vec![
            good[..SLOT_BYTES - 1].to_vec(),
            [&good[..], b" "].concat(),
            vec![0; SLOT_BYTES],
        ];
        for (position, byte) in [
            (0, b' '),
            (SLOT_BYTES - 1, b'\n'),
            (SLOT_BYTES - 1, 0),
            (SLOT_BYTES / 2, b'x'),
        ] {
            let mut bytes = good.clone();
            bytes[position] = byte;
            candidates.push(bytes);
        }
        for bytes in candidates {
            assert_eq!(
                Slot::parse(&bytes).unwrap_err().kind(),
                FailureKind::Signature
            );
        }
    }

    #[test]
    fn no_flipped_bit_leaves_a_slot_that_verifies() {
        let key = fixtures::private_key(fixtures::P256_PRIVATE);
        let good = Slot::Signed(SlotSignature::sign(&key, b"message")).to_bytes();
        for bit in 0..SLOT_BYTES * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verified = match Slot::parse(&bytes) {
                Ok(Slot::Signed(signature)) => {
                    signature.verify(key.public_key(), b"message").is_ok()
                }
                Ok(Slot::Blank) | Err(_) => false,
            };
            assert!(!verified, "bit {bit}");
        }
    }

    #[test]
    fn a_slot_holds_a_signature_of_any_algorithm_that_fits() {
        let text = String::from_utf8(signed().to_bytes()).unwrap();
        let begin = text.find("\"signature\":\"").unwrap() + "\"signature\":\"".len();
        let end = begin + text[begin..].find('"').unwrap();
        // The largest is that of ML-DSA-87 with 4,627 bytes; what is longer than the slot is not a
        // slot.
        for (bytes, fits) in [
            (1, true),
            (65, true),
            (3309, true),
            (4627, true),
            (6000, false),
        ] {
            let other = format!(
                "{}{}{}",
                &text[..begin],
                Base64::encode_string(&vec![0x5a; bytes]),
                text[end..].trim_end()
            );
            let padded = format!("{other:<SLOT_BYTES$}").into_bytes();
            match Slot::parse(&padded) {
                Ok(slot) => assert!(fits && slot.to_bytes() == padded, "{bytes}"),
                Err(error) => assert!(
                    !fits && error.kind() == FailureKind::Signature,
                    "{bytes}: {error}"
                ),
            }
        }
    }
}
