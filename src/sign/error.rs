//! Why a key, a signature or a slot is refused.

use super::SLOT_BYTES;
use crate::canonical_json::CanonicalJsonError;
use rune_core::failure::{Failure, FailureKind};

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("the {what} key is not a PEM file")]
    Pem {
        /// `private` or `public`.
        what: &'static str,
        #[source]
        source: pem_rfc7468::Error,
    },
    #[error("the PEM block is a `{label}`, not a {what} key that can be used here")]
    Label {
        /// `private` or `public`.
        what: &'static str,
        /// What the PEM block says it is.
        label: String,
    },
    #[error("the {what} key is damaged: {problem}")]
    MalformedKey {
        /// `private` or `public`.
        what: &'static str,
        problem: &'static str,
    },
    #[error("unsupported algorithm: {0}")]
    Algorithm(String),
    #[error("the encrypted private key is not in cosign's format")]
    Envelope(#[source] serde_json::Error),
    #[error("the private key is encrypted with {0}, which is not accepted")]
    Encryption(String),
    #[error("the passphrase is wrong, or the key file is damaged")]
    Passphrase,
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("a signature slot has {0} bytes, not {SLOT_BYTES}")]
    SlotSize(usize),
    #[error("a signature slot holds something other than a signature in canonical form")]
    SlotForm(#[source] CanonicalJsonError),
    #[error("the field `{0}` of a signature is not what it must be")]
    SlotField(&'static str),
    #[error("there is no signature in it that can be used here: {0}")]
    NotASignature(&'static str),
    #[error("the signature was made by the key `{found}`, not by `{expected}`")]
    OtherKey {
        /// The fingerprint of the key that was given.
        expected: String,
        /// The key that the signature names.
        found: String,
    },
    #[error("the signature is for other content")]
    OtherMessage,
    #[error("the signature is bad")]
    BadSignature,
}

impl Failure for SignError {
    /// A key file that cannot be read is bad input; a passphrase that does not open it is failed
    /// authentication; whatever is wrong with a signature or its slot is a bad signature.
    fn kind(&self) -> FailureKind {
        match self {
            Self::Pem { .. }
            | Self::Label { .. }
            | Self::MalformedKey { .. }
            | Self::Algorithm(_)
            | Self::Envelope(_)
            | Self::Encryption(_)
            | Self::NotASignature(_) => FailureKind::Input,
            Self::Passphrase => FailureKind::Access,
            Self::Random(_) => FailureKind::Internal,
            Self::SlotSize(_)
            | Self::SlotForm(_)
            | Self::SlotField(_)
            | Self::OtherKey { .. }
            | Self::OtherMessage
            | Self::BadSignature => FailureKind::Signature,
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            Self::Pem { what: "public", .. }
            | Self::Label { what: "public", .. }
            | Self::MalformedKey { what: "public", .. } => {
                "give the signer's public key as PEM (`-----BEGIN PUBLIC KEY-----`), such as the \
                 `.pub` file of `rune-bundle keygen` or cosign"
            }
            Self::Label { label, .. }
                if label == "ENCRYPTED PRIVATE KEY"
                    || label == "RSA PRIVATE KEY"
                    || label == "EC PARAMETERS" =>
            {
                "turn it into a PKCS#8 key with `openssl pkcs8 -topk8 -nocrypt`, or make a new \
                 one with `rune-bundle keygen`"
            }
            Self::Pem { .. }
            | Self::Label { .. }
            | Self::MalformedKey { .. }
            | Self::Envelope(_) => {
                "give a key made by `rune-bundle keygen` or `cosign generate-key-pair`, or an \
                 unencrypted PKCS#8 key (P-256 or Ed25519)"
            }
            Self::Algorithm(_) => {
                "use an ECDSA P-256 or Ed25519 key; `rune-bundle keygen` makes one"
            }
            Self::Encryption(_) => {
                "make the key again with `rune-bundle keygen` or `cosign generate-key-pair`"
            }
            Self::Passphrase => {
                "check COSIGN_PASSWORD, or unset it to be asked; there is no way to recover a \
                 lost passphrase"
            }
            Self::NotASignature(_) => {
                "give what `cosign sign-blob --bundle` writes, or a bare signature (DER, r and s, \
                 or 64 bytes for Ed25519), as bytes or base64"
            }
            Self::Random(_) => return None,
            Self::OtherKey { .. } => {
                "get the public key of whoever signed this bundle from them, not from the bundle"
            }
            Self::SlotSize(_)
            | Self::SlotForm(_)
            | Self::SlotField(_)
            | Self::OtherMessage
            | Self::BadSignature => "do not use this content; get it again from whoever signed it",
        };
        Some(text.to_owned())
    }
}
