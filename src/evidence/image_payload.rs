//! What a builder signs of an image or chart, and the artifact that the signature becomes.
//!
//! The form is that of cosign 3: an in-toto statement of the predicate type of a signature, in an
//! envelope in a Sigstore bundle, which is a referrer of what was signed. There is no time in it
//! and no name: the same digest gives the same payload in every registry.
//!
//! Sources: cosign, `specs/BUNDLE_SPEC.md`; those of [`super::signature`].

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use serde_json::json;

use super::signature::{IN_TOTO, SIGN_PREDICATE, STATEMENT_V1, authenticated};
use crate::{
    canonical_json::{self, CanonicalJsonError},
    oci::{ArtifactManifest, Descriptor, EMPTY_CONFIG},
    sign::{ForeignSignature, PublicKey, SIGSTORE_BUNDLE, SignError},
};
use rune_core::digest::Digest;

/// What is signed about one manifest.
#[derive(Debug, Clone)]
pub(crate) struct ImagePayload {
    subject: Descriptor,
    statement: Vec<u8>,
}

/// A signature as an artifact: a manifest and the blobs that it names.
#[derive(Debug)]
pub(crate) struct SignatureArtifact {
    pub(crate) manifest: Descriptor,
    pub(crate) statement: Digest,
    pub(crate) blobs: Vec<(Descriptor, Vec<u8>)>,
}

impl ImagePayload {
    /// Fails when the statement has no canonical form; does not happen.
    pub(crate) fn new(subject: Descriptor) -> Result<Self, CanonicalJsonError> {
        let statement = json!({
            "_type": STATEMENT_V1,
            "subject": [{ "digest": { "sha256": subject.digest.hex() } }],
            "predicateType": SIGN_PREDICATE,
            "predicate": {},
        });
        Ok(Self {
            subject,
            statement: canonical_json::to_bytes(&statement)?,
        })
    }

    pub(crate) const fn subject(&self) -> &Descriptor {
        &self.subject
    }

    /// The bytes that a key signs.
    pub(crate) fn message(&self) -> Vec<u8> {
        authenticated(IN_TOTO, &self.statement)
    }

    /// What files about it are called, without an ending.
    pub(crate) fn file_stem(&self) -> String {
        format!("sha256-{}", self.subject.digest.hex())
    }

    /// Checks a signature of the payload, in whatever form it is, and makes it an artifact, which
    /// is the same for every form.
    pub(crate) fn signed(
        &self,
        key: &PublicKey,
        signature: &ForeignSignature,
    ) -> Result<SignatureArtifact, SignError> {
        let signature = signature.check(key, &self.message())?;
        let bundle = json!({
            "mediaType": SIGSTORE_BUNDLE,
            "verificationMaterial": { "publicKey": { "hint": key.key_id() } },
            "dsseEnvelope": {
                "payload": Base64::encode_string(&self.statement),
                "payloadType": IN_TOTO,
                "signatures": [{ "sig": Base64::encode_string(signature.signature()) }],
            },
        });
        let bundle = canonical_json::to_bytes(&bundle).map_err(SignError::SlotForm)?;
        let layer = Descriptor::of(SIGSTORE_BUNDLE, &bundle);
        let annotations = BTreeMap::from([
            ("dev.sigstore.bundle.content", "dsse-envelope"),
            ("dev.sigstore.bundle.predicateType", SIGN_PREDICATE),
        ]);
        let (manifest, bytes) = ArtifactManifest::new(SIGSTORE_BUNDLE, &layer)
            .about(&self.subject)
            .with_annotations(annotations)
            .write()
            .map_err(SignError::SlotForm)?;
        let statement = layer.digest;
        let blobs = vec![
            (ArtifactManifest::empty_config(), EMPTY_CONFIG.to_vec()),
            (layer, bundle),
            (manifest.clone(), bytes),
        ];
        Ok(SignatureArtifact {
            manifest,
            statement,
            blobs,
        })
    }
}
