//! Signatures of the images and charts, made of what the other parts of the bundle are.

use std::collections::BTreeMap;

use super::{ComposeError, Entries, Roots};
use crate::{
    bundle::{ImageSignatureRecord, ImageSignatures, ImageSigner, materialise::Content},
    evidence::ImagePayload,
    oci::Descriptor,
};
use rune_core::digest::Digest;

/// What may be signed, each once, with what people call it.
#[derive(Debug, Default)]
pub(super) struct Subjects(BTreeMap<Digest, (Descriptor, String)>);

/// What is signed about one manifest of a bundle.
#[derive(Debug)]
pub(crate) struct BundlePayload {
    pub(crate) name: String,
    pub(crate) payload: ImagePayload,
}

impl BundlePayload {
    pub(crate) fn subject(&self) -> Digest {
        self.payload.subject().digest
    }

    /// What files about it are called, without an ending.
    pub(crate) fn file_stem(&self) -> String {
        self.payload.file_stem()
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        self.payload.message()
    }
}

impl Subjects {
    pub(super) fn add(&mut self, descriptor: &Descriptor, name: String) {
        self.0
            .entry(descriptor.digest)
            .or_insert_with(|| (descriptor.clone(), name));
    }

    pub(super) fn payloads(&self) -> Result<Vec<BundlePayload>, ComposeError> {
        let payload = |(descriptor, name): &(Descriptor, String)| {
            Ok(BundlePayload {
                name: name.clone(),
                payload: ImagePayload::new(descriptor.clone())?,
            })
        };
        self.0.values().map(payload).collect()
    }
}

pub(super) fn add_signatures(
    signer: &ImageSigner,
    payloads: &[BundlePayload],
    entries: &mut Entries,
    roots: &mut Roots,
) -> Result<ImageSignatures, ComposeError> {
    let (mut manifests, mut missing) = (Vec::new(), Vec::new());
    for BundlePayload { name, payload } in payloads {
        let subject = payload.subject().digest;
        let signed = signer
            .sign(payload)
            .map_err(|source| ComposeError::ImageSignature {
                what: format!("{name}, {subject}"),
                source,
            })?;
        let Some(artifact) = signed else {
            missing.push(format!("{name}, {subject}"));
            continue;
        };
        for (descriptor, bytes) in artifact.blobs {
            entries.add_blob(&descriptor, Content::Bytes(bytes.into()));
        }
        roots.add_image_signature(&artifact.manifest, subject);
        manifests.push(ImageSignatureRecord {
            subject,
            target: artifact.manifest,
            statement: artifact.statement,
        });
    }
    if missing.is_empty() {
        Ok(ImageSignatures {
            key: signer.key().fingerprint(),
            manifests,
        })
    } else {
        Err(ComposeError::MissingImageSignatures(missing))
    }
}
