//! The public keys that others sign images with: of more kinds than those of bundles, because key
//! management services make RSA keys and keys on P-384 too.
//!
//! Sources: RFC 5280 (`SubjectPublicKeyInfo`), RFC 5480 (curves), RFC 8017 (RSA);
//! sigstore/sigstore, `pkg/signature` (which scheme goes with which key).

use p256::pkcs8::{
    AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        Decode as _, Encode as _, Reader as _, SliceReader,
        asn1::{AnyRef, BitStringRef, UintRef},
    },
};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::sign::{ForeignSignature, PublicKey, SignError};
use rune_core::digest::Digest;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// The label of RSA keys as OpenSSL wrote them first: PKCS #1 alone.
const RSA_LABEL: &str = "RSA PUBLIC KEY";

const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

const P384_POINT_BYTES: usize = 97;

/// Two are equal when they are the same key, however they were encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageKey {
    kind: Kind,
    fingerprint: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    OfBundles(PublicKey),
    P384(Vec<u8>),
    Rsa(Vec<u8>),
}

impl ImageKey {
    pub(crate) fn from_pem(text: &str) -> Result<Self, SignError> {
        let decoded = pem_rfc7468::decode_vec(text.trim().as_bytes());
        match (PublicKey::from_pem(text), decoded) {
            (Ok(key), _) => Ok(Self {
                fingerprint: key.fingerprint(),
                kind: Kind::OfBundles(key),
            }),
            (Err(SignError::Label { .. }), Ok((RSA_LABEL, key))) => Self::rsa(key),
            (Err(SignError::Algorithm(name)), Ok((_, der))) => Self::of_others(&der, name),
            (Err(error), _) => Err(error),
        }
    }

    fn of_others(der: &[u8], name: String) -> Result<Self, SignError> {
        let info = SubjectPublicKeyInfoRef::from_der(der);
        let info = info.map_err(|_| malformed("it is not a SubjectPublicKeyInfo"))?;
        let curve = || {
            let parameters = info.algorithm.parameters;
            parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok())
        };
        let key = info.subject_public_key.raw_bytes().to_vec();
        match info.algorithm.oid {
            RSA => Self::rsa(key),
            EC if curve() == Some(P384) => Self::p384(key),
            _ => Err(SignError::Algorithm(name)),
        }
    }

    fn rsa(key: Vec<u8>) -> Result<Self, SignError> {
        let bytes = modulus_bytes(&key).ok_or_else(|| malformed("it is not an RSA key"))?;
        if !RSA_BYTES.contains(&bytes) {
            return Err(malformed("an RSA key has 2048 to 8192 bits"));
        }
        Ok(Self {
            fingerprint: fingerprint(RSA, AnyRef::NULL, &key)?,
            kind: Kind::Rsa(key),
        })
    }

    fn p384(point: Vec<u8>) -> Result<Self, SignError> {
        if point.len() != P384_POINT_BYTES || point.first() != Some(&4) {
            return Err(malformed("its point is not uncompressed"));
        }
        Ok(Self {
            fingerprint: fingerprint(EC, AnyRef::from(&P384), &point)?,
            kind: Kind::P384(point),
        })
    }

    pub(crate) const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &ForeignSignature) -> bool {
        let is_valid = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            let key = UnparsedPublicKey::new(algorithm, key);
            key.verify(message, signature.bytes()).is_ok()
        };
        match &self.kind {
            Kind::OfBundles(key) => signature.check(key, message).is_ok(),
            Kind::Rsa(key) => is_valid(&signature::RSA_PKCS1_2048_8192_SHA256, key),
            // cosign hashes with SHA-256 whatever the curve; others with what fits the curve.
            Kind::P384(point) => {
                is_valid(&signature::ECDSA_P384_SHA256_ASN1, point)
                    || is_valid(&signature::ECDSA_P384_SHA384_ASN1, point)
            }
        }
    }
}

fn malformed(problem: &'static str) -> SignError {
    SignError::MalformedKey {
        what: "public",
        problem,
    }
}

fn modulus_bytes(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let modulus = reader.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        UintRef::decode(reader)?;
        Ok::<_, p256::pkcs8::der::Error>(modulus)
    });
    modulus.ok().map(|modulus| modulus.as_bytes().len())
}

fn fingerprint(
    oid: ObjectIdentifier,
    parameters: AnyRef<'_>,
    key: &[u8],
) -> Result<Digest, SignError> {
    let algorithm = AlgorithmIdentifierRef {
        oid,
        parameters: Some(parameters),
    };
    let encoded = BitStringRef::from_bytes(key).and_then(|subject_public_key| {
        let info = SubjectPublicKeyInfoRef {
            algorithm,
            subject_public_key,
        };
        info.to_der()
    });
    encoded
        .map(|der| Digest::of(&der))
        .map_err(|_| malformed("it cannot be encoded"))
}
