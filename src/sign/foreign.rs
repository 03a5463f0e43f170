//! Signatures that were made elsewhere: by cosign, openssl, an HSM or a KMS.
//!
//! What others write has many forms: Sigstore bundles with fields of a transparency log, ECDSA with
//! S in the upper half, bare signatures as bytes or base64. All of them are read here, checked
//! against a key from outside, and turned into the one form that a slot may hold. Nothing but the
//! signature itself is used.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use serde::Deserialize;

use super::{
    Algorithm, PublicKey, SignError, SlotSignature,
    public_key::{fingerprint_of_key_id, normalized_ecdsa},
};
use rune_core::digest::Digest;

/// How the media types of all versions of Sigstore bundles begin.
pub(crate) const SIGSTORE_BUNDLES: &str = "application/vnd.dev.sigstore.bundle";

/// A signature as somebody else wrote it, verified by nobody yet.
#[derive(Debug, Clone)]
pub struct ForeignSignature {
    signature: Vec<u8>,
    hint: Option<String>,
    /// What it says it was made over, when it says so.
    message: Option<Digest>,
}

/// The fields of a Sigstore bundle that matter; there are more, of transparency logs and time
/// stamps.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: String,
    #[serde(default)]
    message_signature: Option<MessageSignature>,
    #[serde(default)]
    verification_material: VerificationMaterial,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    #[serde(default)]
    message_digest: Option<MessageDigest>,
    signature: String,
}

#[derive(Deserialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    #[serde(default)]
    public_key: Option<PublicKeyIdentifier>,
}

#[derive(Deserialize)]
struct PublicKeyIdentifier {
    #[serde(default)]
    hint: Option<String>,
}

impl ForeignSignature {
    /// Reads a Sigstore bundle, or a bare signature as bytes or base64 (standard, or URL-safe
    /// without padding).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SignError> {
        let text = std::str::from_utf8(bytes)
            .map(str::trim)
            .unwrap_or_default();
        if text.starts_with('{') {
            return Self::from_sigstore_bundle(text);
        }
        match decode(text) {
            Some(signature) if !signature.is_empty() => Ok(Self::bare(signature)),
            _ if bytes.is_empty() => Err(SignError::NotASignature("it is empty")),
            _ => Ok(Self::bare(bytes.to_vec())),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.signature
    }

    /// The bytes of a signature and nothing beside.
    pub(crate) const fn bare(signature: Vec<u8>) -> Self {
        Self {
            signature,
            hint: None,
            message: None,
        }
    }

    fn from_sigstore_bundle(text: &str) -> Result<Self, SignError> {
        let document: Document = serde_json::from_str(text)
            .map_err(|_| SignError::NotASignature("it is not a Sigstore bundle"))?;
        if !document.media_type.starts_with(SIGSTORE_BUNDLES) {
            return Err(SignError::NotASignature("it is not a Sigstore bundle"));
        }
        let Some(MessageSignature {
            message_digest,
            signature,
        }) = document.message_signature
        else {
            return Err(SignError::NotASignature(
                "it is a Sigstore bundle, but not of a signed file",
            ));
        };
        let Some(PublicKeyIdentifier { hint }) = document.verification_material.public_key else {
            return Err(SignError::NotASignature(
                "it names its signer by a certificate, which only a transparency log could prove",
            ));
        };
        let message = message_digest
            .filter(|digest| digest.algorithm == "SHA2_256")
            .and_then(|digest| {
                let bytes: [u8; 32] = Base64::decode_vec(&digest.digest).ok()?.try_into().ok()?;
                Some(Digest::from_bytes(bytes))
            });
        let signature = Base64::decode_vec(&signature)
            .map_err(|_| SignError::NotASignature("its signature is not base64"))?;
        Ok(Self {
            signature,
            hint,
            message,
        })
    }

    /// Checks the signature against a key and the message, and gives it the one form that a slot
    /// may hold.
    pub(crate) fn check(
        &self,
        key: &PublicKey,
        message: &[u8],
    ) -> Result<SlotSignature, SignError> {
        if self
            .message
            .is_some_and(|digest| digest != Digest::of(message))
        {
            return Err(SignError::OtherMessage);
        }
        let signature = match key.algorithm() {
            Algorithm::EcdsaP256 => normalized_ecdsa(&self.signature)?,
            Algorithm::Ed25519 => self.signature.clone(),
        };
        match (key.verify(message, &signature), &self.hint) {
            (Ok(()), _) => Ok(SlotSignature::of(key, message, signature)),
            (Err(_), Some(found)) if *found != key.key_id() => Err(SignError::OtherKey {
                expected: key.fingerprint().grouped(),
                found: fingerprint_of(found),
            }),
            (Err(error), _) => Err(error),
        }
    }
}

/// The fingerprint that a hint means, when it has the form that cosign gives it.
fn fingerprint_of(hint: &str) -> String {
    fingerprint_of_key_id(hint).map_or_else(|| hint.to_owned(), |digest| digest.grouped())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_ascii_whitespace().collect();
    Base64::decode_vec(&compact)
        .or_else(|_| Base64UrlUnpadded::decode_vec(&compact))
        .ok()
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
    use serde_json::{Value, json};

    use super::ForeignSignature;
    use crate::sign::{PrivateKey, SignError, SlotSignature, fixtures, public_key::strict_ecdsa};
    use rune_core::failure::{Failure as _, FailureKind};

    const MESSAGE: &[u8] = b"{\"format\":1}";

    fn keys() -> [PrivateKey; 2] {
        [fixtures::P256_PRIVATE, fixtures::ED25519_PRIVATE].map(fixtures::private_key)
    }

    fn check(bytes: &[u8], key: &PrivateKey) -> Result<SlotSignature, SignError> {
        ForeignSignature::parse(bytes)?.check(key.public_key(), MESSAGE)
    }

    /// What cosign writes with a transparency log: more fields, in another order, with spaces.
    fn sigstore_bundle(key: &PrivateKey, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut value: Value =
            serde_json::from_slice(&SlotSignature::sign(key, MESSAGE).to_canonical_json()).unwrap();
        value["verificationMaterial"]["tlogEntries"] = json!([{ "logIndex": "1" }]);
        value["verificationMaterial"]["timestampVerificationData"] = json!({});
        change(&mut value);
        serde_json::to_vec_pretty(&value).unwrap()
    }

    #[test]
    fn every_form_of_one_signature_becomes_the_same_slot() {
        for key in keys() {
            let signature = key.sign(MESSAGE);
            let base64 = Base64::encode_string(&signature);
            let wrapped = format!("{}\n{}\n", &base64[..40], &base64[40..]);
            let forms = [
                signature.clone(),
                base64.clone().into_bytes(),
                wrapped.into_bytes(),
                Base64UrlUnpadded::encode_string(&signature).into_bytes(),
                sigstore_bundle(&key, |_| ()),
                sigstore_bundle(&key, |value| {
                    value["mediaType"] =
                        json!("application/vnd.dev.sigstore.bundle+json;version=0.3");
                }),
                sigstore_bundle(&key, |value| {
                    _ = value["messageSignature"]
                        .as_object_mut()
                        .unwrap()
                        .remove("messageDigest");
                }),
                sigstore_bundle(&key, |value| {
                    value["verificationMaterial"]["publicKey"]["hint"] = json!("somebody");
                }),
            ];
            for form in forms {
                assert_eq!(
                    check(&form, &key).unwrap(),
                    SlotSignature::sign(&key, MESSAGE),
                    "{}",
                    String::from_utf8_lossy(&form)
                );
            }
        }
    }

    #[test]
    fn an_s_in_the_upper_half_and_bare_scalars_are_normalized() {
        let [key, _] = keys();
        let low = strict_ecdsa(&key.sign(MESSAGE)).unwrap();
        let (r, s) = low.split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
        assert_ne!(high.normalize_s(), high);
        for form in [
            high.to_der().as_bytes().to_vec(),
            high.to_bytes().to_vec(),
            low.to_bytes().to_vec(),
        ] {
            let slot = check(&form, &key).unwrap();
            assert_eq!(slot, SlotSignature::sign(&key, MESSAGE));
            slot.verify(key.public_key(), MESSAGE).unwrap();
        }
    }

    #[test]
    fn other_content_another_key_and_a_bad_signature_are_told_apart() {
        let [key, other] = keys();
        let ours = sigstore_bundle(&key, |_| ());
        let parsed = ForeignSignature::parse(&ours).unwrap();
        assert!(matches!(
            parsed.check(key.public_key(), b"{}"),
            Err(SignError::OtherMessage)
        ));
        assert!(matches!(
            check(&ours, &other),
            Err(SignError::OtherKey { .. })
        ));
        let bare = ForeignSignature::parse(&other.sign(b"{}")).unwrap();
        assert!(matches!(
            bare.check(other.public_key(), MESSAGE),
            Err(SignError::BadSignature)
        ));
        let swapped = sigstore_bundle(&key, |value| {
            value["messageSignature"]["signature"] = json!(Base64::encode_string(&key.sign(b"{}")));
        });
        assert!(matches!(
            check(&swapped, &key),
            Err(SignError::BadSignature)
        ));
    }

    #[test]
    fn what_holds_no_signature_by_a_key_is_bad_input() {
        let [key, _] = keys();
        let keyless = |value: &mut Value| {
            value["verificationMaterial"] = json!({ "certificate": { "rawBytes": "AA==" } });
        };
        let attestation = |value: &mut Value| {
            let object = value.as_object_mut().unwrap();
            object.remove("messageSignature");
            object.insert("dsseEnvelope".to_owned(), json!({}));
        };
        let forms = [
            Vec::new(),
            b"{}".to_vec(),
            b"{\"base64Signature\":\"AA==\"}".to_vec(),
            b"hello, world".to_vec(),
            vec![0xff; 64],
            sigstore_bundle(&key, keyless),
            sigstore_bundle(&key, attestation),
            sigstore_bundle(&key, |value| value["mediaType"] = json!("application/json")),
            sigstore_bundle(&key, |value| {
                value["messageSignature"]["signature"] = json!("!");
            }),
        ];
        for form in forms {
            let error = check(&form, &key).unwrap_err();
            assert_eq!(
                error.kind(),
                FailureKind::Input,
                "{}: {error}",
                String::from_utf8_lossy(&form)
            );
            assert!(
                error.help().unwrap().contains("cosign sign-blob"),
                "{error}"
            );
        }
    }
}
