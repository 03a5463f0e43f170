//! Private keys: reading, making, signing.

use std::fmt;

use ed25519_dalek::{Signer as _, pkcs8::KeypairBytes};
use p256::{
    ecdsa::Signature as EcdsaSignature,
    pkcs8::{EncodePrivateKey as _, PrivateKeyInfoRef, SecretDocument, der::Decode as _},
};
use zeroize::Zeroizing;

use super::{Algorithm, PublicKey, SignError, encrypted_key};
use rune_core::secret::Secret;

const PKCS8_LABEL: &str = "PRIVATE KEY";
const SEC1_LABEL: &str = "EC PRIVATE KEY";

/// A key that signs. Its memory is wiped when it is dropped, and its `Debug` shows the public half
/// only.
pub struct PrivateKey {
    key: Key,
    public: PublicKey,
}

enum Key {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl PrivateKey {
    /// Reads a PEM file: cosign's encrypted key, or an unencrypted PKCS#8 or SEC1 key. `passphrase`
    /// is asked only when the key is encrypted.
    pub fn load<E: From<SignError>>(
        pem: &[u8],
        passphrase: impl FnOnce() -> Result<Secret, E>,
    ) -> Result<Self, E> {
        let (label, content) =
            pem_rfc7468::decode_vec(pem.trim_ascii()).map_err(|source| SignError::Pem {
                what: "private",
                source,
            })?;
        let content = Zeroizing::new(content);
        let key = match label {
            encrypted_key::LABEL | encrypted_key::OLD_LABEL => {
                let envelope = encrypted_key::parse(&content)?;
                Self::from_pkcs8(&envelope.open(&passphrase()?)?)
            }
            PKCS8_LABEL => Self::from_pkcs8(&content),
            SEC1_LABEL => Self::from_sec1(&content),
            other => Err(SignError::Label {
                what: "private",
                label: other.to_owned(),
            }),
        };
        Ok(key?)
    }

    /// Makes a new P-256 key from the operating system's random bytes.
    pub fn generate() -> Result<Self, SignError> {
        loop {
            let mut scalar = Zeroizing::new([0; 32]);
            getrandom::fill(scalar.as_mut_slice()).map_err(SignError::Random)?;
            // Not every 32 bytes are a scalar of the curve; all but one in 2^32 are.
            if let Ok(key) = p256::SecretKey::from_slice(scalar.as_slice()) {
                return Self::p256(key);
            }
        }
    }

    /// The PEM file as cosign writes and reads it, encrypted with the passphrase. Two calls give
    /// different bytes, because salt and nonce are random.
    pub fn to_encrypted_pem(&self, passphrase: &Secret) -> Result<String, SignError> {
        encrypted_key::seal(self.to_pkcs8()?.as_bytes(), passphrase)
    }

    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message: for P-256 with RFC 6979, low-S, in DER, for Ed25519 the 64 bytes of RFC
    /// 8032. The same key and message always give the same bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::P256(key) => {
                let signature: EcdsaSignature = key.sign(message);
                signature.normalize_s().to_der().as_bytes().to_vec()
            }
            Key::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, SignError> {
        let malformed = |problem| SignError::MalformedKey {
            what: "private",
            problem,
        };
        let info =
            PrivateKeyInfoRef::from_der(der).map_err(|_| malformed("it is not in PKCS#8 form"))?;
        match Algorithm::of(&info.algorithm)? {
            Algorithm::EcdsaP256 => Self::p256(
                info.try_into()
                    .map_err(|_| malformed("it is not a P-256 key pair"))?,
            ),
            Algorithm::Ed25519 => Self::ed25519(
                info.try_into()
                    .map_err(|_| malformed("it is not an Ed25519 key pair"))?,
            ),
        }
    }

    /// SEC1 names the curve inside, so any other curve shows as a key of the wrong length or
    /// parameters.
    fn from_sec1(der: &[u8]) -> Result<Self, SignError> {
        let problem = "it is not a P-256 key in SEC1 form";
        Self::p256(
            p256::SecretKey::from_sec1_der(der).map_err(|_| SignError::MalformedKey {
                what: "private",
                problem,
            })?,
        )
    }

    fn p256(key: p256::SecretKey) -> Result<Self, SignError> {
        let public = PublicKey::p256(key.public_key().into())?;
        Ok(Self {
            key: Key::P256(key.into()),
            public,
        })
    }

    fn ed25519(key: ed25519_dalek::SigningKey) -> Result<Self, SignError> {
        let public = PublicKey::ed25519(key.verifying_key())?;
        Ok(Self {
            key: Key::Ed25519(key),
            public,
        })
    }

    fn to_pkcs8(&self) -> Result<SecretDocument, SignError> {
        let document = match &self.key {
            Key::P256(key) => key.to_pkcs8_der(),
            // Without the public half: version 1 of the format is what openssl reads.
            Key::Ed25519(key) => KeypairBytes {
                secret_key: key.to_bytes(),
                public_key: None,
            }
            .to_pkcs8_der(),
        };
        document.map_err(|_| SignError::MalformedKey {
            what: "private",
            problem: "it cannot be encoded",
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::PrivateKey;
    use crate::sign::{Algorithm, PublicKey, SignError, fixtures, public_key::strict_ecdsa};
    use rune_core::{
        failure::{Failure as _, FailureKind},
        secret::Secret,
    };

    fn unasked() -> Result<Secret, SignError> {
        panic!("an unencrypted key needs no passphrase")
    }

    #[test]
    fn signs_p256_as_rfc_6979_says_with_s_in_the_lower_half() {
        let key = PrivateKey::load(fixtures::P256_PRIVATE.as_bytes(), unasked).unwrap();
        let signature = strict_ecdsa(&key.sign(b"sample")).unwrap();
        let r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
        // The RFC's own S is in the upper half; this is the order of the group minus it.
        let s = "0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9";
        assert_eq!(format!("{signature:x}"), format!("{r}{s}"));
    }

    #[test]
    fn signs_ed25519_as_rfc_8032_says() {
        let key = PrivateKey::load(fixtures::ED25519_PRIVATE.as_bytes(), unasked).unwrap();
        assert_eq!(key.public_key().algorithm(), Algorithm::Ed25519);
        assert_eq!(
            key.sign(b"")[..8],
            [0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72]
        );
    }

    #[test]
    fn reads_pkcs8_and_sec1_forms_of_the_same_key() {
        for (private, public) in [
            (fixtures::P256_PRIVATE, fixtures::P256_PUBLIC),
            (fixtures::P256_SEC1, fixtures::P256_PUBLIC),
            (fixtures::ED25519_PRIVATE, fixtures::ED25519_PUBLIC),
        ] {
            let key = PrivateKey::load(private.as_bytes(), unasked).unwrap();
            assert_eq!(*key.public_key(), PublicKey::from_pem(public).unwrap());
        }
    }

    #[test]
    fn reads_the_key_it_encrypted_with_the_right_passphrase_only() {
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_encrypted_pem(&Secret::new("correct horse")).unwrap();
        let open = |passphrase: &str| {
            PrivateKey::load(pem.as_bytes(), || {
                Ok::<_, SignError>(Secret::new(passphrase))
            })
        };
        assert_eq!(
            open("correct horse").unwrap().public_key(),
            key.public_key()
        );
        let error = open("correct hors").unwrap_err();
        assert_eq!(
            (error.kind(), error.help().is_some()),
            (FailureKind::Access, true)
        );
    }

    #[test]
    fn encrypts_and_reads_ed25519_and_empty_passphrases_too() {
        let key = fixtures::private_key(fixtures::ED25519_PRIVATE);
        let pem = key.to_encrypted_pem(&Secret::new("")).unwrap();
        let again =
            PrivateKey::load(pem.as_bytes(), || Ok::<_, SignError>(Secret::new(""))).unwrap();
        assert_eq!(again.public_key(), key.public_key());
    }

    #[test]
    fn reads_the_label_that_older_releases_of_cosign_wrote() {
        let key = PrivateKey::generate().unwrap();
        let pem = key
            .to_encrypted_pem(&Secret::new("x"))
            .unwrap()
            .replace("SIGSTORE", "COSIGN");
        assert!(PrivateKey::load(pem.as_bytes(), || Ok::<_, SignError>(Secret::new("x"))).is_ok());
    }

    #[test]
    fn says_that_no_passphrase_could_be_had() {
        let pem = PrivateKey::generate()
            .unwrap()
            .to_encrypted_pem(&Secret::new("x"))
            .unwrap();
        assert!(matches!(
            PrivateKey::load(pem.as_bytes(), || Err(SignError::BadSignature)),
            Err(SignError::BadSignature)
        ));
    }

    #[test]
    fn refuses_other_files_and_other_curves_as_bad_input() {
        let mismatched = fixtures::P256_PRIVATE.replace("ya+p2EW6dRZrXCFX", "ya+p2EW6dRZrXCFY");
        for text in [
            "",
            "hello",
            fixtures::P256_PUBLIC,
            fixtures::P384_SEC1,
            &mismatched,
        ] {
            let error = PrivateKey::load(text.as_bytes(), unasked).unwrap_err();
            assert_eq!(error.kind(), FailureKind::Input, "{error}");
            assert!(error.help().is_some(), "{error}");
        }
    }

    #[test]
    fn debug_output_shows_the_public_half_only() {
        let text = format!("{:?}", fixtures::private_key(fixtures::P256_PRIVATE));
        assert_eq!(
            text,
            "PrivateKey \
             { public: PublicKey(ecdsa-p256-sha256 Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ=), .. }"
        );
    }
}
