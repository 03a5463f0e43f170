//! Keys, signatures, and the signature slots of a bundle.
//!
//! A bundle is signed by signing the exact bytes of its `bundle.json` and putting the result, a
//! Sigstore bundle v0.3, into one of eight slots of fixed size. Keys are ECDSA P-256 (what cosign
//! makes) or Ed25519. Everything here is bytes in, values out: which file a key comes from and who
//! is asked for a passphrase is decided above.
//!
//! There is no certificate, no transparency log and no clock: a signature is good or bad by a key
//! that the caller got from outside the bundle. Signing is deterministic, and every accepted
//! signature has one accepted form.

mod encrypted_key;
mod error;
#[cfg(test)]
mod fixtures;
mod foreign;
mod private_key;
mod public_key;
mod sigstore;
mod slot;
mod trust_file;

pub use error::SignError;
pub(crate) use foreign::ForeignSignature;
pub(crate) use foreign::SIGSTORE_BUNDLES;
pub use private_key::PrivateKey;
pub(crate) use public_key::fingerprint_of_key_id;
pub use public_key::{Algorithm, PublicKey};
pub(crate) use sigstore::SIGSTORE_BUNDLE;
pub use sigstore::SlotSignature;
pub(crate) use slot::SLOTS;
pub use slot::{SLOT_BYTES, Slot};
pub(crate) use trust_file::Revocation;
pub use trust_file::{Signer, TrustFile};
