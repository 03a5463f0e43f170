//! Statements about images besides signatures: how they were built, what is in them. Nothing here
//! counts before a key or a trusted root has verified it.
//!
//! Sources: cosign, `specs/ATTESTATION_SPEC.md`; those of [`super::signature`].

use serde_json::Value;

use super::{
    certified::Certified,
    signature::{ImageSignature, SIGN_PREDICATE},
    statement::SignedStatement,
};
use crate::{
    oci::{Descriptor, Manifest, ManifestKind},
    sign::SIGSTORE_BUNDLE,
};
use rune_core::digest::Digest;

const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

pub(crate) const MAX_ATTESTATION_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone)]
pub struct ImageAttestation {
    pub(crate) predicate_type: String,
    pub(crate) signature: ImageSignature,
}

pub(crate) fn is_attestation(media_type: &str, size: u64) -> bool {
    size <= MAX_ATTESTATION_BYTES && [SIGSTORE_BUNDLE, ENVELOPE].contains(&media_type)
}

/// By what stands beside the statements. An artifact without that has to be read.
pub(crate) fn may_attest(stated: &[String], wanted: &[&str]) -> bool {
    let is_wanted = |stated: &String| wanted.contains(&stated.as_str());
    !wanted.is_empty() && (stated.is_empty() || stated.iter().any(is_wanted))
}

/// What is malformed or is a signature of the image does not count.
pub(crate) fn attestations_of(
    artifact: &Manifest,
    content: impl Fn(Digest) -> Option<Vec<u8>>,
) -> Vec<ImageAttestation> {
    let ManifestKind::Image { layers, .. } = artifact.kind() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for layer in layers {
        if !is_attestation(&layer.media_type, layer.size) {
            continue;
        }
        let Some(bytes) = content(layer.digest) else {
            continue;
        };
        let read = match layer.media_type.as_str() {
            SIGSTORE_BUNDLE => {
                SignedStatement::read(&bytes).map(|read| (read, Certified::in_bundle(&bytes)))
            }
            _ => in_envelope(layer, &bytes),
        };
        let read = read.filter(|(statement, _)| statement.predicate_type != SIGN_PREDICATE);
        found.extend(read.into_iter().flat_map(|(statement, certified)| {
            let predicate_type = statement.predicate_type.clone();
            let signatures = ImageSignature::in_statement(statement, certified.as_ref());
            signatures
                .into_iter()
                .map(move |signature| ImageAttestation {
                    predicate_type: predicate_type.clone(),
                    signature,
                })
        }));
    }
    found
}

fn in_envelope(layer: &Descriptor, bytes: &[u8]) -> Option<(SignedStatement, Option<Certified>)> {
    let statement = SignedStatement::read_envelope(bytes)?;
    let envelope: Value = serde_json::from_slice(bytes).ok()?;
    let content = ("dsseEnvelope", envelope);
    let certified = Certified::in_annotations(&layer.annotations, content);
    Some((statement, certified))
}
