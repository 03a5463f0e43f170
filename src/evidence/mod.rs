//! What hangs on an image: signatures, attestations, SBOMs and other artifacts that name it as
//! their subject, or that lie under a tag made of its digest.
//!
//! Bytes in, values out: which of them exist is asked by `manifest`, what a bundle has of them is
//! known to `bundle`, and which of them are demanded says `policy`.

mod advisory;
mod attestation;
mod certified;
mod cosign_tag;
mod found_licenses;
mod image_key;
mod image_payload;
mod kind;
mod sbom;
mod signature;
mod statement;

pub(crate) use advisory::{AdvisoryError, AdvisoryKind, AdvisoryStatement, advisory_document};
pub use attestation::ImageAttestation;
pub(crate) use attestation::{MAX_ATTESTATION_BYTES, attestations_of, is_attestation, may_attest};
pub(crate) use certified::{Signer, TrustedRoot, TrustedRootError};
pub(crate) use cosign_tag::CosignTag;
pub use found_licenses::FoundLicense;
pub(crate) use found_licenses::FoundLicenses;
pub(crate) use image_key::ImageKey;
pub(crate) use image_payload::ImagePayload;
pub(crate) use kind::is_sigstore_bundle;
pub(crate) use kind::kind_of;
pub(crate) use sbom::{FoundSbom, SbomFormat, SbomSource, serial_number};
pub(crate) use signature::{ImageSignature, is_statement, signatures_of};
pub(crate) use statement::{SignatureArtifact, SignedStatement, UnsignedStatement};
