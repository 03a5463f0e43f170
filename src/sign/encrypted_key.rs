//! cosign's encrypted private key: a PEM block whose content is JSON that describes scrypt, the
//! secretbox of `NaCl` and their parameters. The plaintext is a PKCS#8 key.
//!
//! Whoever hands over a key file must not be able to spend the reader's memory or hours: parameters
//! beyond the limits below are refused before anything is computed.

use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305, aead::Aead as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SignError;
use rune_core::secret::Secret;

/// The label that cosign 2 and later write.
pub(super) const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// The label that cosign 1 wrote; still read by all.
pub(super) const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

const KDF_NAME: &str = "scrypt";
const CIPHER_NAME: &str = "nacl/secretbox";
const SALT_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// What cosign 3 writes. It needs 64 MiB while a key is opened or made.
const COST: Cost = Cost {
    n: 1 << 16,
    r: 8,
    p: 1,
};
/// scrypt needs `128 * N * r` bytes; the strongest setting cosign's library knows needs 128 MiB.
const MAX_SCRYPT_MEMORY: u64 = 256 << 20;
const MAX_PARALLELISM: u32 = 4;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    kdf: Kdf,
    cipher: Cipher,
    #[serde(with = "base64")]
    ciphertext: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    params: Cost,
    #[serde(with = "base64")]
    salt: Vec<u8>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cost {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    name: String,
    #[serde(with = "base64")]
    nonce: Vec<u8>,
}

/// Reads the content of the PEM block.
pub(super) fn parse(json: &[u8]) -> Result<Envelope, SignError> {
    serde_json::from_slice(json).map_err(SignError::Envelope)
}

pub(super) fn seal(pkcs8: &[u8], passphrase: &Secret) -> Result<String, SignError> {
    let (salt, nonce) = (random(SALT_BYTES)?, random(NONCE_BYTES)?);
    let secretbox = XSalsa20Poly1305::new(COST.derive(passphrase, &salt)?.as_slice().into());
    let ciphertext = secretbox
        .encrypt(nonce.as_slice().into(), pkcs8)
        .map_err(|_| SignError::Passphrase)?;
    let envelope = Envelope {
        kdf: Kdf {
            name: KDF_NAME.to_owned(),
            params: COST,
            salt,
        },
        cipher: Cipher {
            name: CIPHER_NAME.to_owned(),
            nonce,
        },
        ciphertext,
    };
    let json = serde_json::to_vec(&envelope).map_err(SignError::Envelope)?;
    pem_rfc7468::encode_string(LABEL, pem_rfc7468::LineEnding::LF, &json).map_err(|source| {
        SignError::Pem {
            what: "private",
            source,
        }
    })
}

impl Envelope {
    pub(super) fn open(&self, passphrase: &Secret) -> Result<Zeroizing<Vec<u8>>, SignError> {
        if self.kdf.name != KDF_NAME
            || self.cipher.name != CIPHER_NAME
            || self.cipher.nonce.len() != NONCE_BYTES
        {
            return Err(SignError::Encryption(format!(
                "`{}` and `{}`",
                self.kdf.name, self.cipher.name
            )));
        }
        let key = self.kdf.params.derive(passphrase, &self.kdf.salt)?;
        let plaintext = XSalsa20Poly1305::new(key.as_slice().into()).decrypt(
            self.cipher.nonce.as_slice().into(),
            self.ciphertext.as_slice(),
        );
        plaintext
            .map(Zeroizing::new)
            .map_err(|_| SignError::Passphrase)
    }
}

impl Cost {
    fn derive(
        self,
        passphrase: &Secret,
        salt: &[u8],
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, SignError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        scrypt::scrypt(
            passphrase.expose().as_bytes(),
            salt,
            &self.checked()?,
            key.as_mut_slice(),
        )
        .map_err(|_| self.refused())?;
        Ok(key)
    }

    fn checked(self) -> Result<scrypt::Params, SignError> {
        let memory = self.n.saturating_mul(u64::from(self.r)).saturating_mul(128);
        let is_sane = self.n.is_power_of_two()
            && self.n > 1
            && memory <= MAX_SCRYPT_MEMORY
            && self.p <= MAX_PARALLELISM;
        let log_n = u8::try_from(self.n.trailing_zeros()).map_err(|_| self.refused())?;
        if !is_sane {
            return Err(self.refused());
        }
        scrypt::Params::new(log_n, self.r, self.p).map_err(|_| self.refused())
    }

    fn refused(self) -> SignError {
        SignError::Encryption(format!(
            "scrypt parameters N={}, r={}, p={}",
            self.n, self.r, self.p
        ))
    }
}

fn random(length: usize) -> Result<Vec<u8>, SignError> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(SignError::Random)?;
    Ok(bytes)
}

/// Binary fields of JSON as Go writes them: standard base64 with padding.
mod base64 {
    use base64ct::{Base64, Encoding as _};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Base64::decode_vec(&text).map_err(|_| D::Error::custom("a value is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{parse, seal};
    use crate::sign::SignError;
    use rune_core::{
        failure::{Failure as _, FailureKind},
        secret::Secret,
    };

    /// The JSON of a sealed key, changed, and what opening it says.
    fn open_changed(change: impl FnOnce(&mut Value)) -> Result<Vec<u8>, SignError> {
        let pem = seal(b"plain", &Secret::new("x"))?;
        let (_, json) = pem_rfc7468::decode_vec(pem.as_bytes()).unwrap();
        let mut value: Value = serde_json::from_slice(&json).unwrap();
        change(&mut value);
        let plain = parse(&serde_json::to_vec(&value).unwrap())?.open(&Secret::new("x"))?;
        Ok(plain.to_vec())
    }

    #[test]
    fn opens_what_it_sealed() {
        assert_eq!(open_changed(|_| ()).unwrap(), b"plain");
    }

    #[test]
    fn refuses_parameters_that_would_spend_memory_or_time() {
        for (field, number) in [
            ("N", 1_u64 << 40),
            ("N", u64::MAX),
            ("N", 0),
            ("N", 1000),
            ("r", 1 << 20),
            ("r", 0),
            ("p", 5),
            ("p", 0),
        ] {
            let error =
                open_changed(|value| value["kdf"]["params"][field] = json!(number)).unwrap_err();
            assert!(
                matches!(error, SignError::Encryption(_)),
                "{field}={number}: {error}"
            );
            assert_eq!(error.kind(), FailureKind::Input);
        }
    }

    #[test]
    fn refuses_other_algorithms_and_other_shapes() {
        let pointers = [
            ("/kdf/name", "argon2"),
            ("/cipher/name", "aes-gcm"),
            ("/cipher/nonce", "AAAA"),
            ("/ciphertext", "!"),
            ("/kdf/salt", "AA"),
        ];
        for (pointer, text) in pointers {
            let error = open_changed(|value| *value.pointer_mut(pointer).unwrap() = json!(text))
                .unwrap_err();
            assert!(
                matches!(error, SignError::Encryption(_) | SignError::Envelope(_)),
                "{pointer}: {error}"
            );
        }
        assert!(matches!(
            open_changed(|value| value["more"] = json!(1)),
            Err(SignError::Envelope(_))
        ));
    }

    #[test]
    fn a_changed_ciphertext_reads_like_a_wrong_passphrase() {
        let change =
            |value: &mut Value| value["ciphertext"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert!(matches!(open_changed(change), Err(SignError::Passphrase)));
    }
}
