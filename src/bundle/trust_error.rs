//! Why a bundle is not authenticated.

use rune_core::{digest::Digest, failure::Failure};

#[derive(Debug, thiserror::Error, Failure)]
#[failure(Signature: "do not use this file; copy it again from its source and compare its bundle \
    digest")]
pub enum TrustError {
    #[error("no key and no bundle digest was given to check the bundle with")]
    #[failure(help: "pass --key FILE with the public key that you received out of band, --trust \
        FILE with all trusted keys, or --bundle-digest sha256:…")]
    NothingGiven,
    #[error("the bundle is not signed")]
    #[failure(help: "ask for the signed bundle, or pass --bundle-digest if you know the digest out \
        of band")]
    Unsigned,
    #[error("{}{}", too_few(.given, .have, *.need), signed_by(.have, .unknown, .revoked))]
    #[failure(help: "check that the keys are those of this release, or ask who has yet to sign; a \
        key found beside or inside the bundle proves nothing")]
    TooFew {
        given: Vec<String>,
        have: Vec<String>,
        need: usize,
        unknown: Vec<String>,
        revoked: Vec<String>,
    },
    #[error("the bundle is signed by revoked keys only: {}", .0.join(", "))]
    #[failure(help: "do not use this file; ask for one that is signed with a key that still \
        counts")]
    OnlyRevoked(Vec<String>),
    #[error(
        "signature slot {slot} names the given key {key}, but its signature is bad: `bundle.json` \
         or the signature was changed"
    )]
    Bad {
        /// Which slot, from 0.
        slot: usize,
        key: String,
    },
    #[error("signature slot {0} holds neither a signature in the accepted form nor only spaces")]
    #[failure(help: "do not use this file: copy it again from its source; where it was being \
        signed, run the same `sign` or `attach` again")]
    Malformed(usize),
    #[error(
        "signature slot {0} holds a signature over another `bundle.json`: the bundle index was \
         changed after it was signed"
    )]
    OtherContent(usize),
    #[error("the bundle has the digest {actual}, not {expected}")]
    OtherDigest { expected: Digest, actual: Digest },
    #[error("a threshold of {threshold} is more than the number of distinct keys, {keys}")]
    #[failure(Usage: "give more keys, or a lower --threshold")]
    Threshold { threshold: usize, keys: usize },
    #[error("the key {key} is revoked: {reason}")]
    #[failure(help: "sign with a key that still counts")]
    RevokedKey { key: String, reason: String },
    #[error("the trust file does not have the key {0}")]
    #[failure(help: "nobody would accept the signature; add the public key to the trust file, or \
        sign with one that is in it")]
    UnknownKey(String),
}

fn too_few(given: &[String], have: &[String], need: usize) -> String {
    if let [only] = given {
        return format!("the bundle is not signed by the given key {only}");
    }
    let (count, are) = (have.len(), if need == 1 { "is" } else { "are" });
    let missing: Vec<&str> = given
        .iter()
        .filter(|signer| !have.contains(signer))
        .map(String::as_str)
        .collect();
    format!(
        "the bundle is signed by {count} of the given keys, {need} {are} needed; not signed by: {}",
        missing.join(", ")
    )
}

/// Who signed, of the trusted keys and of others.
fn signed_by(have: &[String], unknown: &[String], revoked: &[String]) -> String {
    let list = |introduction: &str, signers: &[String]| match signers {
        [] => String::new(),
        _ => format!("; {introduction}: {}", signers.join(", ")),
    };
    [
        list("it is signed by", have),
        list(
            if unknown.len() == 1 {
                "it is signed by another key"
            } else {
                "it is signed by other keys"
            },
            unknown,
        ),
        list("it is signed by revoked keys, which do not count", revoked),
    ]
    .concat()
}
