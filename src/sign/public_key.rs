//! Public keys: reading, naming, verifying.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use ed25519_dalek::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use p256::{
    ecdsa::{Signature as EcdsaSignature, signature::Verifier as _},
    pkcs8::{
        AlgorithmIdentifierRef, AssociatedOid as _, ObjectIdentifier, SubjectPublicKeyInfoRef,
        der::{Decode as _, asn1::AnyRef},
        spki,
    },
};

use super::SignError;
use rune_core::digest::Digest;

/// `id-ecPublicKey`, RFC 5480.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `id-Ed25519`, RFC 8410.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// `rsaEncryption`, RFC 8017.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `secp384r1` and `secp521r1`, RFC 5480.
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

const PEM_LABEL: &str = "PUBLIC KEY";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on the curve P-256 over the SHA-256 of the message.
    EcdsaP256,
    /// Ed25519 over the message itself (RFC 8032, neither prehashed nor with a context), as cosign
    /// 3 signs blobs too.
    Ed25519,
}

impl Algorithm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    pub(super) fn of(identifier: &AlgorithmIdentifierRef<'_>) -> Result<Self, SignError> {
        let curve = || {
            identifier
                .parameters
                .and_then(|any: AnyRef<'_>| any.decode_as::<ObjectIdentifier>().ok())
        };
        let refused = match identifier.oid {
            ED25519 if identifier.parameters.is_none() => return Ok(Self::Ed25519),
            EC => match curve() {
                Some(p256::NistP256::OID) => return Ok(Self::EcdsaP256),
                Some(P384) => "ECDSA P-384".to_owned(),
                Some(P521) => "ECDSA P-521".to_owned(),
                Some(other) => format!("ECDSA on the curve {other}"),
                None => "ECDSA without a named curve".to_owned(),
            },
            RSA => "RSA".to_owned(),
            other => other.to_string(),
        };
        Err(SignError::Algorithm(refused))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A key that signatures are checked with. Two are equal when they are the same key, however they
/// were encoded.
#[derive(Clone)]
pub struct PublicKey {
    key: Key,
    spki: Vec<u8>,
}

#[derive(Clone)]
enum Key {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// The fingerprint that the id of a key means, see [`PublicKey::key_id`].
pub(crate) fn fingerprint_of_key_id(id: &str) -> Option<Digest> {
    Base64::decode_vec(id)
        .ok()?
        .try_into()
        .ok()
        .map(Digest::from_bytes)
}

impl PublicKey {
    pub fn from_pem(text: &str) -> Result<Self, SignError> {
        let (label, der) =
            pem_rfc7468::decode_vec(text.trim().as_bytes()).map_err(|source| SignError::Pem {
                what: "public",
                source,
            })?;
        if label != PEM_LABEL {
            return Err(SignError::Label {
                what: "public",
                label: label.to_owned(),
            });
        }
        Self::from_spki_der(&der)
    }

    pub(crate) fn from_spki_der(der: &[u8]) -> Result<Self, SignError> {
        let malformed = |problem| SignError::MalformedKey {
            what: "public",
            problem,
        };
        let info = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|_| malformed("it is not a SubjectPublicKeyInfo"))?;
        match Algorithm::of(&info.algorithm)? {
            Algorithm::EcdsaP256 => {
                let key = p256::ecdsa::VerifyingKey::from_public_key_der(der)
                    .map_err(|_| malformed("not a point on the curve"))?;
                Self::p256(key)
            }
            Algorithm::Ed25519 => {
                let key = ed25519_dalek::VerifyingKey::from_public_key_der(der)
                    .map_err(|_| malformed("not a point on the curve"))?;
                Self::ed25519(key)
            }
        }
    }

    pub(super) fn p256(key: p256::ecdsa::VerifyingKey) -> Result<Self, SignError> {
        Self::encoded(key.to_public_key_der(), Key::P256(key))
    }

    pub(super) fn ed25519(key: ed25519_dalek::VerifyingKey) -> Result<Self, SignError> {
        // With a key of small order, one signature fits every message.
        if key.is_weak() {
            return Err(SignError::MalformedKey {
                what: "public",
                problem: "it is a weak Ed25519 key",
            });
        }
        Self::encoded(key.to_public_key_der(), Key::Ed25519(key))
    }

    fn encoded(document: spki::Result<p256::pkcs8::Document>, key: Key) -> Result<Self, SignError> {
        let document = document.map_err(|_| SignError::MalformedKey {
            what: "public",
            problem: "it cannot be encoded",
        })?;
        Ok(Self {
            key,
            spki: document.into_vec(),
        })
    }

    /// The PEM file, as cosign and openssl read it.
    pub fn to_pem(&self) -> String {
        // Only a label that is not a PEM label, or a length beyond memory, could fail.
        pem_rfc7468::encode_string(PEM_LABEL, pem_rfc7468::LineEnding::LF, &self.spki)
            .unwrap_or_default()
    }

    /// The SHA-256 of its `SubjectPublicKeyInfo` in DER, always with the uncompressed point.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.spki)
    }

    /// The id that signatures name the key by: base64 of the fingerprint, as cosign has it.
    pub fn key_id(&self) -> String {
        Base64::encode_string(self.fingerprint().as_bytes())
    }

    pub const fn algorithm(&self) -> Algorithm {
        match self.key {
            Key::P256(_) => Algorithm::EcdsaP256,
            Key::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Checks a signature over a message. ECDSA signatures must be DER and low-S, so that nobody
    /// can turn one good signature into another.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignError> {
        let bad = |_| SignError::BadSignature;
        match &self.key {
            Key::P256(key) => key.verify(message, &strict_ecdsa(signature)?).map_err(bad),
            Key::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(bad)?;
                key.verify_strict(message, &signature).map_err(bad)
            }
        }
    }
}

/// Turns an ECDSA signature into the one accepted form. Takes DER, and the 64 bytes `r` and `s`
/// that PKCS#11 and JOSE write. For each signature with S in the upper half there is one in the
/// lower half that verifies alike (`n - s`).
pub(super) fn normalized_ecdsa(bytes: &[u8]) -> Result<Vec<u8>, SignError> {
    let signature = EcdsaSignature::from_der(bytes).or_else(|_| EcdsaSignature::from_slice(bytes));
    let signature = signature
        .map_err(|_| SignError::NotASignature("neither DER nor the 64 bytes of r and s"))?;
    Ok(signature.normalize_s().to_der().as_bytes().to_vec())
}

/// Reads an ECDSA signature that must be in the one accepted form: DER, S in the lower half.
pub(super) fn strict_ecdsa(bytes: &[u8]) -> Result<EcdsaSignature, SignError> {
    let signature = EcdsaSignature::from_der(bytes).map_err(|_| SignError::BadSignature)?;
    let is_strict = signature.normalize_s() == signature && signature.to_der().as_bytes() == bytes;
    if is_strict {
        Ok(signature)
    } else {
        Err(SignError::BadSignature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "PublicKey({} {})",
            self.algorithm(),
            self.key_id()
        )
    }
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};

    use super::{PublicKey, strict_ecdsa};
    use crate::sign::{SignError, fixtures};
    use rune_core::failure::{Failure as _, FailureKind};

    #[test]
    fn one_key_has_one_id_however_it_was_encoded() {
        let key = PublicKey::from_pem(fixtures::P256_PUBLIC).unwrap();
        assert_eq!(
            key.fingerprint().hex(),
            "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4"
        );
        assert_eq!(
            Base64::decode_vec(&key.key_id()).unwrap(),
            key.fingerprint().as_bytes()
        );
        assert_eq!(
            PublicKey::from_pem(fixtures::P256_PUBLIC_COMPRESSED).unwrap(),
            key
        );
        assert_eq!(
            PublicKey::from_pem(&fixtures::P256_PUBLIC.replace('\n', "\r\n")).unwrap(),
            key
        );
    }

    #[test]
    fn writes_the_pem_it_read() {
        for pem in [fixtures::P256_PUBLIC, fixtures::ED25519_PUBLIC] {
            assert_eq!(PublicKey::from_pem(pem).unwrap().to_pem(), pem);
        }
    }

    #[test]
    fn names_the_type_of_a_key_it_does_not_support() {
        for (pem, name) in [
            (fixtures::RSA_PUBLIC, "RSA"),
            (fixtures::P384_PUBLIC, "ECDSA P-384"),
        ] {
            let error = PublicKey::from_pem(pem).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Input);
            assert!(error.help().unwrap().contains("P-256"));
            assert!(matches!(error, SignError::Algorithm(found) if found == name));
        }
    }

    #[test]
    fn refuses_what_is_no_public_key() {
        let cut = fixtures::P256_PUBLIC.replace(
            "Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n",
            "",
        );
        let off_curve = fixtures::P256_PUBLIC.replace("EYimQ==", "EYimA==");
        for text in [
            "",
            "ssh-ed25519 AAAA",
            &cut,
            &off_curve,
            fixtures::P256_PRIVATE,
        ] {
            let error = PublicKey::from_pem(text).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Input, "{error}");
            assert!(error.help().unwrap().contains("PUBLIC KEY"), "{error}");
        }
    }

    #[test]
    fn refuses_an_ed25519_key_that_every_signature_fits() {
        let identity = format!("MCowBQYDK2VwAyEAAQ{}A=", "A".repeat(40));
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{identity}\n-----END PUBLIC KEY-----\n");
        assert!(matches!(
            PublicKey::from_pem(&pem),
            Err(SignError::MalformedKey { .. })
        ));
    }

    #[test]
    fn accepts_no_second_form_of_a_good_ecdsa_signature() {
        let key = fixtures::private_key(fixtures::P256_PRIVATE);
        let good = strict_ecdsa(&key.sign(b"sample")).unwrap();
        let (r, s) = good.split_scalars();
        let high = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
        assert!(matches!(
            key.public_key().verify(b"sample", high.to_der().as_bytes()),
            Err(SignError::BadSignature)
        ));
        assert!(matches!(
            key.public_key().verify(b"sample", &good.to_bytes()),
            Err(SignError::BadSignature)
        ));
        let mut longer = good.to_der().as_bytes().to_vec();
        longer.push(0);
        assert!(matches!(
            key.public_key().verify(b"sample", &longer),
            Err(SignError::BadSignature)
        ));
    }
}
