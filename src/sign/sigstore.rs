//! The signature in a slot: a Sigstore bundle v0.3 with a public-key hint and nothing from a
//! transparency log.
//!
//! The format allows much more. What is accepted is exactly the form that [`SlotSignature::sign`]
//! writes, byte for byte: no unknown field, canonical base64, RFC 8785 JSON, the message digest
//! present. [`SlotSignature::verify`] also demands ECDSA in DER with S in the lower half. So nobody
//! but the holder of a key can make a second valid slot out of a first.
//!
//! The bytes of the signature itself are interpreted with the key only. A slot of an algorithm that
//! this version does not know can therefore be read, and is left for those who have its key.

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use super::{PrivateKey, PublicKey, SignError};
use crate::canonical_json;
use rune_core::digest::Digest;

/// The media type of the one form of a signature that is written and read.
pub(crate) const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const DIGEST_ALGORITHM: &str = "SHA2_256";

/// One person's signature over the exact bytes of `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSignature {
    key: Digest,
    message: Digest,
    signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    media_type: String,
    message_signature: MessageSignature,
    verification_material: VerificationMaterial,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageSignature {
    message_digest: MessageDigest,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerificationMaterial {
    public_key: PublicKeyIdentifier,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicKeyIdentifier {
    hint: String,
}

impl SlotSignature {
    pub fn sign(key: &PrivateKey, message: &[u8]) -> Self {
        Self {
            key: key.public_key().fingerprint(),
            message: Digest::of(message),
            signature: key.sign(message),
        }
    }

    /// A signature that was made elsewhere and that the key verifies over the message.
    pub(super) fn of(key: &PublicKey, message: &[u8], signature: Vec<u8>) -> Self {
        Self {
            key: key.fingerprint(),
            message: Digest::of(message),
            signature,
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SignError> {
        let document: Document = canonical_json::from_bytes(bytes).map_err(SignError::SlotForm)?;
        let Document {
            media_type,
            message_signature,
            verification_material,
        } = document;
        if media_type != SIGSTORE_BUNDLE {
            return Err(SignError::SlotField("mediaType"));
        }
        if message_signature.message_digest.algorithm != DIGEST_ALGORITHM {
            return Err(SignError::SlotField("messageDigest.algorithm"));
        }
        let signature = Base64::decode_vec(&message_signature.signature)
            .ok()
            .filter(|signature| !signature.is_empty());
        let signature = signature.ok_or(SignError::SlotField("signature"))?;
        Ok(Self {
            key: decode_digest(&verification_material.public_key.hint, "hint")?,
            message: decode_digest(
                &message_signature.message_digest.digest,
                "messageDigest.digest",
            )?,
            signature,
        })
    }

    pub fn to_canonical_json(&self) -> Vec<u8> {
        let document = Document {
            media_type: SIGSTORE_BUNDLE.to_owned(),
            message_signature: MessageSignature {
                message_digest: MessageDigest {
                    algorithm: DIGEST_ALGORITHM.to_owned(),
                    digest: Base64::encode_string(self.message.as_bytes()),
                },
                signature: Base64::encode_string(&self.signature),
            },
            verification_material: VerificationMaterial {
                public_key: PublicKeyIdentifier { hint: self.hint() },
            },
        };
        // A document of ASCII strings always has a canonical form.
        canonical_json::to_bytes(&document).unwrap_or_default()
    }

    /// The id of the key that the signature says it was made with: a hint, until
    /// [`SlotSignature::verify`].
    pub(crate) fn hint(&self) -> String {
        Base64::encode_string(self.key.as_bytes())
    }

    pub(crate) fn key(&self) -> Digest {
        self.key
    }

    /// Whether the signature says it was made with the key of this fingerprint.
    pub(crate) fn is_by(&self, key: Digest) -> bool {
        self.key == key
    }

    /// The digest of the bytes that the signature says it was made over.
    pub(crate) const fn message(&self) -> Digest {
        self.message
    }

    /// Whether the signature says it was made over the bytes of this digest.
    pub(crate) fn is_over(&self, message: Digest) -> bool {
        self.message == message
    }

    /// The bare signature: DER for ECDSA, 64 bytes for Ed25519, as `openssl` takes it; anything for
    /// a key of another algorithm.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    pub fn verify(&self, key: &PublicKey, message: &[u8]) -> Result<(), SignError> {
        if !self.is_by(key.fingerprint()) {
            return Err(SignError::OtherKey {
                expected: key.fingerprint().grouped(),
                found: self.key.grouped(),
            });
        }
        if !self.is_over(Digest::of(message)) {
            return Err(SignError::OtherMessage);
        }
        key.verify(message, &self.signature)
    }
}

fn decode_digest(text: &str, field: &'static str) -> Result<Digest, SignError> {
    let bytes = Base64::decode_vec(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Digest::from_bytes)
        .ok_or(SignError::SlotField(field))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::SlotSignature;
    use crate::{
        canonical_json,
        sign::{SignError, fixtures},
    };
    use rune_core::failure::{Failure as _, FailureKind};

    const MESSAGE: &[u8] = b"{\"format\":1}";

    fn signed() -> SlotSignature {
        SlotSignature::sign(&fixtures::private_key(fixtures::P256_PRIVATE), MESSAGE)
    }

    fn parse_changed(change: impl FnOnce(&mut Value)) -> Result<SlotSignature, SignError> {
        let mut value: Value = serde_json::from_slice(&signed().to_canonical_json()).unwrap();
        change(&mut value);
        SlotSignature::parse(&canonical_json::to_bytes(&value).unwrap())
    }

    #[test]
    fn the_bytes_of_a_signature_are_fixed() {
        let expected = concat!(
            r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{"messageDigest":{"algorithm":"SHA2_256","#,
            r#""digest":"PwqZJWvuuJprnyeTiFKRpkVJKP10kDFZqy5RRSsT328="},"signature":"MEUCIQCdycm07z/smaeEqG+Nk57aGJcrPC4X0de1Jqkf9oLY2wIgL8abOlWCfr07WjF1JcBRuBKFG4ZRLGarv+7V6AkjzRQ="},"verificationMaterial":{"publicKey":{"hint":"Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ="}}}"#
        );
        assert_eq!(
            String::from_utf8(signed().to_canonical_json()).unwrap(),
            expected
        );
    }

    #[test]
    fn reads_back_what_it_wrote_for_both_algorithms() {
        for pem in [fixtures::P256_PRIVATE, fixtures::ED25519_PRIVATE] {
            let key = fixtures::private_key(pem);
            let signature = SlotSignature::sign(&key, MESSAGE);
            let again = SlotSignature::parse(&signature.to_canonical_json()).unwrap();
            assert_eq!(again, signature);
            again.verify(key.public_key(), MESSAGE).unwrap();
        }
    }

    #[test]
    fn tells_another_key_from_other_content_from_a_bad_signature() {
        let key = fixtures::private_key(fixtures::P256_PRIVATE);
        let other = fixtures::private_key(fixtures::ED25519_PRIVATE);
        assert!(matches!(
            signed().verify(other.public_key(), MESSAGE),
            Err(SignError::OtherKey { .. })
        ));
        assert!(matches!(
            signed().verify(key.public_key(), b"{}"),
            Err(SignError::OtherMessage)
        ));
        let mut swapped = signed();
        swapped.signature = key.sign(b"{}");
        let error = swapped.verify(key.public_key(), MESSAGE).unwrap_err();
        assert!(matches!(error, SignError::BadSignature));
        assert_eq!(error.kind(), FailureKind::Signature);
    }

    #[test]
    fn refuses_every_field_that_is_missing_unknown_or_of_another_value() {
        let removals = [
            ("", "mediaType"),
            ("", "messageSignature"),
            ("/messageSignature", "messageDigest"),
            ("/messageSignature/messageDigest", "digest"),
            ("/verificationMaterial", "publicKey"),
            ("/verificationMaterial/publicKey", "hint"),
        ];
        for (pointer, field) in removals {
            let removed = parse_changed(|value| {
                value
                    .pointer_mut(pointer)
                    .unwrap()
                    .as_object_mut()
                    .unwrap()
                    .remove(field);
            });
            assert!(removed.is_err(), "{field} removed");
            let added =
                parse_changed(|value| value.pointer_mut(pointer).unwrap()["extra"] = json!([]));
            assert!(added.is_err(), "a field added to {pointer}");
        }
        let changes = [
            (
                "/mediaType",
                "application/vnd.dev.sigstore.bundle+json;version=0.3",
            ),
            ("/messageSignature/messageDigest/algorithm", "SHA2_512"),
            ("/messageSignature/messageDigest/digest", "AAAA"),
            ("/messageSignature/signature", ""),
            ("/messageSignature/signature", "AAA"),
            ("/verificationMaterial/publicKey/hint", "key"),
        ];
        for (pointer, text) in changes {
            assert!(
                parse_changed(|value| *value.pointer_mut(pointer).unwrap() = json!(text)).is_err(),
                "{pointer}"
            );
        }
    }

    #[test]
    fn a_signature_of_any_algorithm_is_read_and_verifies_with_no_known_key() {
        let key = fixtures::private_key(fixtures::P256_PRIVATE);
        for signature in [vec![0], vec![7; 65], vec![0x5a; 4627]] {
            let slot = SlotSignature {
                signature,
                ..signed()
            };
            assert_eq!(
                SlotSignature::parse(&slot.to_canonical_json()).unwrap(),
                slot
            );
            assert!(matches!(
                slot.verify(key.public_key(), MESSAGE),
                Err(SignError::BadSignature)
            ));
        }
    }

    #[test]
    fn refuses_base64_and_json_in_any_other_form() {
        let text = String::from_utf8(signed().to_canonical_json()).unwrap();
        let unpadded = text.replace("=\"}}}", "\"}}}");
        let loose_bits = text.replace("NQ=\"}}}", "NR=\"}}}");
        let spaced = text.replace(":{", ": {");
        let doubled = text.replace("{\"hint\"", "{\"hint\":\"\",\"hint\"");
        let escaped = text.replace("SHA2", "SH\\u00412");
        for changed in [
            unpadded,
            loose_bits,
            spaced,
            doubled,
            escaped,
            format!("{text}\n"),
        ] {
            assert_ne!(changed, text);
            assert!(
                SlotSignature::parse(changed.as_bytes()).is_err(),
                "{changed}"
            );
        }
    }
}
