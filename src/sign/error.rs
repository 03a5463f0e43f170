//! Why a key, a signature or a slot is refused.

use super::SLOT_BYTES;
use crate::canonical_json::CanonicalJsonError;
use rune_core::failure::Failure;

const DAMAGED: &str = "do not use this content; get it again from whoever signed it";

#[derive(Debug, thiserror::Error, Failure)]
pub enum SignError {
    #[error("the {what} key is not a PEM file")]
    #[failure(Input: usable_key(.what))]
    Pem {
        what: &'static str,
        #[source]
        source: pem_rfc7468::Error,
    },
    #[error("the PEM block is a `{label}`, not a {what} key that can be used here")]
    #[failure(Input: if is_of_openssl(.label, .what) {
        "turn it into a PKCS#8 key with `openssl pkcs8 -topk8 -nocrypt`, or make a new one with \
         `rune-bundle keygen`"
    } else {
        usable_key(.what)
    })]
    Label { what: &'static str, label: String },
    #[error("the {what} key is damaged: {problem}")]
    #[failure(Input: usable_key(.what))]
    MalformedKey {
        what: &'static str,
        problem: &'static str,
    },
    #[error("unsupported algorithm: {0}")]
    #[failure(Input: "use an ECDSA P-256 or Ed25519 key; `rune-bundle keygen` makes one")]
    Algorithm(String),
    #[error("the encrypted private key is not in cosign's format")]
    #[failure(Input: usable_key("private"))]
    Envelope(#[source] serde_json::Error),
    #[error("the private key is encrypted with {0}, which is not accepted")]
    #[failure(Input: "make the key again with `rune-bundle keygen` or `cosign generate-key-pair`")]
    Encryption(String),
    #[error("the passphrase is wrong, or the key file is damaged")]
    #[failure(Access: "check COSIGN_PASSWORD, or unset it to be asked; there is no way to recover \
        a lost passphrase")]
    Passphrase,
    #[error("the operating system gives no random bytes")]
    #[failure(Internal)]
    Random(#[source] getrandom::Error),
    #[error("a signature slot has {0} bytes, not {SLOT_BYTES}")]
    #[failure(Signature: DAMAGED)]
    SlotSize(usize),
    #[error("a signature slot holds something other than a signature in canonical form")]
    #[failure(Signature: DAMAGED)]
    SlotForm(#[source] CanonicalJsonError),
    #[error("the field `{0}` of a signature is not what it must be")]
    #[failure(Signature: DAMAGED)]
    SlotField(&'static str),
    #[error("there is no signature in it that can be used here: {0}")]
    #[failure(Input: "give what `cosign sign-blob --bundle` writes, or a bare signature (DER, r \
        and s, or 64 bytes for Ed25519), as bytes or base64")]
    NotASignature(&'static str),
    #[error("the signature was made by the key `{found}`, not by `{expected}`")]
    #[failure(Signature: "get the public key of whoever signed this bundle from them, not from the \
        bundle")]
    OtherKey { expected: String, found: String },
    #[error("the signature is for other content")]
    #[failure(Signature: DAMAGED)]
    OtherMessage,
    #[error("the signature is bad")]
    #[failure(Signature: DAMAGED)]
    BadSignature,
}

fn usable_key(what: &str) -> &'static str {
    if what == "public" {
        "give the signer's public key as PEM (`-----BEGIN PUBLIC KEY-----`), such as the `.pub` \
         file of `rune-bundle keygen` or cosign"
    } else {
        "give a key made by `rune-bundle keygen` or `cosign generate-key-pair`, or an unencrypted \
         PKCS#8 key (P-256 or Ed25519)"
    }
}

/// Whether it is a private key in a form that openssl turns into one that can be used.
fn is_of_openssl(label: &str, what: &str) -> bool {
    let labels = ["ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PARAMETERS"];
    what != "public" && labels.contains(&label)
}
