//! The signature by which a server proves in the handshake that the key of its certificate is its
//! own.
//!
//! It is verified with the key alone: the TLS library would want a certificate that it could also
//! evaluate, and a server whose certificate is not checked still has to hold its key.

use rustls::{DigitallySignedStruct, PeerMisbehaved, crypto::WebPkiSupportedAlgorithms};
use rustls_pki_types::CertificateDer;

use super::{Certificate, CertificateProblem};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// That the server holds the key of its certificate.
    Verified,
    /// Nothing: signatures with a key of this kind cannot be verified here.
    Unverifiable(String),
}

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Verifies a handshake's signature. `candidates` is how many algorithms of a scheme may be meant:
/// all in TLS 1.2, one in TLS 1.3.
pub fn verify_handshake(
    supported: &WebPkiSupportedAlgorithms,
    candidates: usize,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<Proof, rustls::Error> {
    let Some(certificate) = Certificate::read(certificate) else {
        return Ok(Proof::Unverifiable(
            "its certificate cannot be read".to_owned(),
        ));
    };
    let unverifiable = || Ok(Proof::Unverifiable(certificate.key_kind()));
    if certificate
        .rsa_bits()
        .is_some_and(|bits| !RSA_BITS.contains(&bits))
    {
        return unverifiable();
    }
    let (Some(algorithm), Some(key)) = (
        certificate.key_algorithm(),
        certificate.key().subject_public_key.as_bytes(),
    ) else {
        return unverifiable();
    };
    let is_of_key = |verifier: &&dyn rustls_pki_types::SignatureVerificationAlgorithm| {
        verifier.public_key_alg_id().as_ref() == algorithm
    };
    let Some((_, meant)) = supported
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == signed.scheme)
    else {
        return unverifiable();
    };
    match meant
        .iter()
        .take(candidates)
        .find(|verifier| is_of_key(verifier))
    {
        Some(verifier) => match verifier.verify_signature(key, message, signed.signature()) {
            Ok(()) => Ok(Proof::Verified),
            Err(_) => Err(CertificateProblem::NotItsOwn.into()),
        },
        // A key that could have been verified, and a scheme that is not for it: no server does this
        // by itself.
        None if supported.all.iter().any(is_of_key) && !is_hash_missing(signed) => {
            Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
        }
        None => unverifiable(),
    }
}

/// Whether it is ECDSA with SHA-512, which TLS 1.2 allows on every curve and ring on none.
fn is_hash_missing(signed: &DigitallySignedStruct) -> bool {
    signed.scheme == rustls::SignatureScheme::ECDSA_NISTP521_SHA512
}
