//! The cryptography of TLS: ring's, and signatures on P-521, which ring does not verify.

use std::sync::{Arc, LazyLock};

use p521::ecdsa::{DerSignature, VerifyingKey, signature::hazmat::PrehashVerifier as _};
use rustls::{
    SignatureScheme,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
};
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let ring = rustls::crypto::ring::default_provider();
        let signature_verification_algorithms = with_p521(ring.signature_verification_algorithms);
        Arc::new(CryptoProvider {
            signature_verification_algorithms,
            ..ring
        })
    });
    Arc::clone(&PROVIDER)
}

/// Adds P-521. In TLS 1.3 a scheme fixes curve and hash; in TLS 1.2 only the hash, so the curve
/// joins each scheme of ECDSA. Its own scheme comes last: a server with a key on another curve must
/// not choose it, because ring lacks the hash.
fn with_p521(known: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    let mut mapping: Vec<(SignatureScheme, &'static [Algorithm])> = Vec::new();
    for (scheme, algorithms) in known.mapping {
        let more: Option<Algorithm> = match scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => Some(P521_SHA256),
            SignatureScheme::ECDSA_NISTP384_SHA384 => Some(P521_SHA384),
            _ => None,
        };
        mapping.push((*scheme, leak(algorithms.iter().copied().chain(more))));
    }
    mapping.push((SignatureScheme::ECDSA_NISTP521_SHA512, leak([P521_SHA512])));
    let all = known
        .all
        .iter()
        .copied()
        .chain([P521_SHA256, P521_SHA384, P521_SHA512]);
    WebPkiSupportedAlgorithms {
        all: leak(all),
        mapping: mapping.leak(),
    }
}

/// Once for the whole program: the library wants lists that live for ever.
fn leak(algorithms: impl IntoIterator<Item = Algorithm>) -> &'static [Algorithm] {
    algorithms.into_iter().collect::<Vec<_>>().leak()
}

static P521_SHA256: Algorithm = &P521 {
    signature: alg_id::ECDSA_SHA256,
    hash: |message| Sha256::digest(message).to_vec(),
};
static P521_SHA384: Algorithm = &P521 {
    signature: alg_id::ECDSA_SHA384,
    hash: |message| Sha384::digest(message).to_vec(),
};
static P521_SHA512: Algorithm = &P521 {
    signature: alg_id::ECDSA_SHA512,
    hash: |message| Sha512::digest(message).to_vec(),
};

#[derive(Debug)]
struct P521 {
    signature: AlgorithmIdentifier,
    hash: fn(&[u8]) -> Vec<u8>,
}

impl SignatureVerificationAlgorithm for P521 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = DerSignature::from_bytes(signature).map_err(|_| InvalidSignature)?;
        // The library wants at least half of the curve's size; a shorter hash counts as a number,
        // so zeros before it change nothing.
        let hash = (self.hash)(message);
        let mut padded = vec![0; 66_usize.saturating_sub(hash.len())];
        padded.extend(hash);
        key.verify_prehash(&padded, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
