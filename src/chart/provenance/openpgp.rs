//! The OpenPGP key that signs charts, by rPGP.

use std::fmt;

use pgp::{
    composed::{
        ArmorOptions, CleartextSignedMessage, Deserializable as _, SignedSecretKey,
        SignedSecretSubKey,
    },
    packet::{SecretKey, SignatureConfig, SignatureType, Subpacket, SubpacketData},
    types::{KeyDetails as _, KeyVersion, Password, SecretParams, SigningKey},
};

use super::{ProvenanceError, statement};
use crate::chart::Package;
use rune_core::secret::Secret;

pub struct ChartKey {
    part: Part,
    password: Password,
}

enum Part {
    Primary(Box<SecretKey>),
    Subkey(Box<SignedSecretSubKey>),
}

impl fmt::Debug for ChartKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ChartKey").finish_non_exhaustive()
    }
}

impl ChartKey {
    /// Reads an armored private key, as `gpg --armor --export-secret-keys` writes it. `passphrase`
    /// is asked only when it is encrypted.
    pub fn load<E: From<ProvenanceError>>(
        armored: &[u8],
        passphrase: impl FnOnce() -> Result<Secret, E>,
    ) -> Result<Self, E> {
        let (key, _) = SignedSecretKey::from_armor_single(armored)
            .map_err(|error| ProvenanceError::NotAKey(format!(": {error}")))?;
        let part = Part::of(key)?;
        let password = if part.is_encrypted() {
            Password::from(passphrase()?.expose())
        } else {
            Password::empty()
        };
        if !part.opens_with(&password) {
            return Err(ProvenanceError::Passphrase.into());
        }
        Ok(Self { part, password })
    }

    pub fn sign(&self, package: &Package) -> Result<Vec<u8>, ProvenanceError> {
        let text = statement(package)?;
        match &self.part {
            Part::Primary(key) => sign(&**key, &self.password, &text),
            Part::Subkey(subkey) => sign(&subkey.key, &self.password, &text),
        }
        .map_err(|error| ProvenanceError::Signing(error.to_string()))
    }
}

impl Part {
    /// A subkey that is made for signing, as gpg would choose it; else the primary key.
    fn of(key: SignedSecretKey) -> Result<Self, ProvenanceError> {
        if key.primary_key.version() != KeyVersion::V4 {
            return Err(ProvenanceError::CannotSign(
                "Helm reads keys of version 4 only",
            ));
        }
        let signs = |subkey: &SignedSecretSubKey| {
            subkey
                .signatures
                .iter()
                .any(|signature| signature.key_flags().sign())
        };
        if let Some(subkey) = key
            .secret_subkeys
            .into_iter()
            .filter(signs)
            .max_by_key(|subkey| subkey.key.created_at())
        {
            return Ok(Self::Subkey(Box::new(subkey)));
        }
        let mut certifications = key
            .details
            .users
            .iter()
            .flat_map(|user| &user.signatures)
            .chain(&key.details.direct_signatures);
        if certifications.any(|signature| signature.key_flags().sign()) {
            return Ok(Self::Primary(Box::new(key.primary_key)));
        }
        Err(ProvenanceError::CannotSign("none is marked as made for it"))
    }

    fn is_encrypted(&self) -> bool {
        match self {
            Self::Primary(key) => matches!(key.secret_params(), SecretParams::Encrypted(_)),
            Self::Subkey(subkey) => {
                matches!(subkey.key.secret_params(), SecretParams::Encrypted(_))
            }
        }
    }

    fn opens_with(&self, password: &Password) -> bool {
        match self {
            Self::Primary(key) => key.unlock(password, |_, _| Ok(())).is_ok(),
            Self::Subkey(subkey) => subkey.key.unlock(password, |_, _| Ok(())).is_ok(),
        }
    }
}

fn sign(
    key: &impl SigningKey,
    password: &Password,
    text: &str,
) -> Result<Vec<u8>, pgp::errors::Error> {
    let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), key.hash_alg());
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(key.created_at()))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(
        key.legacy_key_id(),
    ))?];
    CleartextSignedMessage::new(text, config, key, password)?
        .to_armored_bytes(ArmorOptions::default())
}
