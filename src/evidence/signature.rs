//! Signatures of images by a key: simple signing, and in-toto statements in Sigstore bundles.
//!
//! What is read here is what a signature says it is about and what was signed. Nothing of it counts
//! before a key has verified it, and a statement about an image is a signature of it only if it
//! says that it is one: an SBOM by the same key is not a signature.
//!
//! Sources: containers/image, `docs/containers-signature.5.md` (simple signing, in the form of
//! cosign's `specs/SIGNATURE_SPEC.md`); Sigstore, `sigstore_bundle.proto`; secure-systems-lab/dsse,
//! `protocol.md`; in-toto attestation, `spec/v1/statement.md`.

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;

use crate::{
    oci::{Descriptor, Manifest, ManifestKind},
    sign::{ForeignSignature, PublicKey, SIGSTORE_BUNDLE},
};
use rune_core::digest::Digest;

/// The type of a layer that says which image was signed.
pub(super) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The predicate type by which a statement says that it is a signature.
pub(super) const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const SIMPLE_SIGNING_KIND: &str = "cosign container image signature";
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";
pub(super) const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
const STATEMENTS: [&str; 2] = ["https://in-toto.io/Statement/v0.1", STATEMENT_V1];

/// A statement that is a signature has a few kilobytes; what is larger says something else.
const MAX_STATEMENT_BYTES: u64 = 256 << 10;

/// A signature that says it is of an image, not verified yet.
#[derive(Debug, Clone)]
pub struct ImageSignature {
    /// The images that the signed bytes name.
    images: Vec<Digest>,
    message: Vec<u8>,
    signature: ForeignSignature,
}

impl ImageSignature {
    /// Whether the signed bytes name this image.
    pub fn is_of(&self, image: Digest) -> bool {
        self.images.contains(&image)
    }

    pub(crate) const fn signature(&self) -> &ForeignSignature {
        &self.signature
    }

    pub fn is_by(&self, key: &PublicKey) -> bool {
        self.signature.check(key, &self.message).is_ok()
    }
}

/// Whether a layer of an artifact about an image may hold a signature of it.
pub(crate) fn is_statement(layer: &Descriptor) -> bool {
    layer.size <= MAX_STATEMENT_BYTES
        && [SIMPLE_SIGNING, SIGSTORE_BUNDLE].contains(&layer.media_type.as_str())
}

/// The signatures of images in an artifact; `content` gives the bytes of a layer. What is malformed
/// or says something else is not a signature.
pub(crate) fn signatures_of(
    artifact: &Manifest,
    content: impl Fn(Digest) -> Option<Vec<u8>>,
) -> Vec<ImageSignature> {
    let ManifestKind::Image { layers, .. } = artifact.kind() else {
        return Vec::new();
    };
    let statements = layers.iter().filter(|layer| is_statement(layer));
    statements
        .filter_map(|layer| Some((layer, content(layer.digest)?)))
        .flat_map(|(layer, bytes)| match layer.media_type.as_str() {
            SIMPLE_SIGNING => simple_signing(layer, bytes).into_iter().collect(),
            _ => in_bundle(&bytes).unwrap_or_default(),
        })
        .collect()
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: PayloadImage,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PayloadImage {
    docker_manifest_digest: Digest,
}

fn simple_signing(layer: &Descriptor, message: Vec<u8>) -> Option<ImageSignature> {
    let signature = layer.annotations.get(SIGNATURE_ANNOTATION)?;
    let signature = ForeignSignature::bare(Base64::decode_vec(signature).ok()?);
    let Payload { critical } = serde_json::from_slice(&message).ok()?;
    (critical.kind == SIMPLE_SIGNING_KIND).then(|| ImageSignature {
        images: vec![critical.image.docker_manifest_digest],
        message,
        signature,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<StatementSubject>,
}

#[derive(Deserialize)]
struct StatementSubject {
    digest: StatementDigest,
}

#[derive(Deserialize)]
struct StatementDigest {
    sha256: Option<String>,
}

fn in_bundle(bytes: &[u8]) -> Option<Vec<ImageSignature>> {
    let bundle: Bundle = serde_json::from_slice(bytes).ok()?;
    let envelope = bundle
        .dsse_envelope
        .filter(|_| bundle.media_type == SIGSTORE_BUNDLE)?;
    let payload = Base64::decode_vec(&envelope.payload).ok()?;
    let statement: Statement = serde_json::from_slice(&payload).ok()?;
    let is_signature = envelope.payload_type == IN_TOTO
        && STATEMENTS.contains(&statement.kind.as_str())
        && statement.predicate_type == SIGN_PREDICATE;
    if !is_signature {
        return None;
    }
    let images: Vec<Digest> = statement
        .subject
        .iter()
        .filter_map(|subject| Digest::from_hex(subject.digest.sha256.as_deref()?).ok())
        .collect();
    let message = authenticated(&envelope.payload_type, &payload);
    let signature = |signature: EnvelopeSignature| {
        Some(ImageSignature {
            images: images.clone(),
            message: message.clone(),
            signature: ForeignSignature::bare(Base64::decode_vec(&signature.sig).ok()?),
        })
    };
    Some(
        envelope
            .signatures
            .into_iter()
            .filter_map(signature)
            .collect(),
    )
}

/// The bytes that a signature in an envelope is over.
pub(super) fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}
