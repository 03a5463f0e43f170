//! Signatures of images: simple signing, and in-toto statements in Sigstore bundles.
//!
//! What is read here is what a signature says it is about and what was signed. Nothing of it counts
//! before a key or a trusted root has verified it, and a statement about an image is a signature of
//! it only if it says that it is one: an SBOM by the same key is not a signature.
//!
//! Sources: containers/image, `docs/containers-signature.5.md` (simple signing, in the form of
//! cosign's `specs/SIGNATURE_SPEC.md`); Sigstore, `sigstore_bundle.proto`; secure-systems-lab/dsse,
//! `protocol.md`; in-toto attestation, `spec/v1/statement.md`.

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use serde_json::json;

use super::{
    certified::{Certified, Signer, TrustedRoot},
    image_key::ImageKey,
    statement::SignedStatement,
};
use crate::{
    oci::{Descriptor, Manifest, ManifestKind},
    sign::{ForeignSignature, SIGSTORE_BUNDLE},
};
use rune_core::digest::Digest;

pub(super) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The predicate type by which a statement says that it is a signature.
pub(super) const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const SIMPLE_SIGNING_KIND: &str = "cosign container image signature";

/// A statement that is a signature has a few kilobytes; what is larger says something else.
const MAX_STATEMENT_BYTES: u64 = 256 << 10;

#[derive(Debug, Clone)]
pub struct ImageSignature {
    images: Vec<Digest>,
    message: Vec<u8>,
    signature: ForeignSignature,
    /// Of one that names its signer by a certificate.
    certified: Option<Certified>,
}

impl ImageSignature {
    pub(crate) fn is_of(&self, image: Digest) -> bool {
        self.images.contains(&image)
    }

    pub(crate) const fn signature(&self) -> &ForeignSignature {
        &self.signature
    }

    pub(crate) fn is_by(&self, key: &ImageKey) -> bool {
        key.verifies(&self.message, &self.signature)
    }

    pub(super) fn in_statement(
        statement: SignedStatement,
        certified: Option<&Certified>,
    ) -> Vec<Self> {
        let SignedStatement {
            subjects,
            message,
            signatures,
            ..
        } = statement;
        let signatures = signatures.into_iter();
        let one = |signature| Self {
            images: subjects.clone(),
            message: message.clone(),
            signature,
            certified: certified.cloned(),
        };
        signatures.map(one).collect()
    }

    /// Who signed this image, by a certificate; nothing for a signature without one.
    pub(crate) fn signer(
        &self,
        image: Digest,
        root: &TrustedRoot,
    ) -> Option<Result<Signer, String>> {
        let certified = self.certified.as_ref()?;
        Some(certified.verify(&self.message, image, root))
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
    let content = ("messageSignature", json!({ "signature": signature }));
    let certified = Certified::in_annotations(&layer.annotations, content);
    let signature = ForeignSignature::bare(Base64::decode_vec(signature).ok()?);
    let Payload { critical } = serde_json::from_slice(&message).ok()?;
    (critical.kind == SIMPLE_SIGNING_KIND).then(|| ImageSignature {
        images: vec![critical.image.docker_manifest_digest],
        message,
        signature,
        certified,
    })
}

fn in_bundle(bytes: &[u8]) -> Option<Vec<ImageSignature>> {
    let statement = SignedStatement::read(bytes)?;
    if statement.predicate_type != SIGN_PREDICATE {
        return None;
    }
    let certified = Certified::in_bundle(bytes);
    Some(ImageSignature::in_statement(statement, certified.as_ref()))
}
