//! What hangs on a bundle index in a registry: its signatures, its provenance, and its files.

use std::collections::BTreeMap;

use super::{
    files_artifact::{FILES_ARTIFACT, SLOT},
    provenance,
};
use crate::{
    oci::{Descriptor, Manifest, ManifestKind, TITLE},
    registry::{Client, RegistryError, RepositoryName},
    sign::{SIGSTORE_BUNDLE, SLOT_BYTES, SLOTS, Slot},
};
use rune_core::digest::Digest;

/// Something about the manifest of a bundle index, as `push` or `publish` writes it.
#[derive(Debug)]
pub(crate) enum Attached {
    Signature { slot: usize, content: Vec<u8> },
    Provenance(Descriptor),
    Files(Box<AttachedFiles>),
}

#[derive(Debug)]
pub(crate) struct AttachedFiles {
    pub(crate) target: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    /// The digest of the signature in each slot that was signed.
    pub(crate) slots: BTreeMap<usize, Digest>,
}

impl Attached {
    /// Reads a manifest of the repository; nothing when it is something else, or about something
    /// else.
    pub(crate) async fn read(
        client: &Client,
        name: &RepositoryName,
        referrer: Digest,
        subject: Digest,
    ) -> Result<Option<Self>, RegistryError> {
        let bytes = client.writer(name).manifest(&referrer.to_string()).await?;
        let Some(bytes) = bytes.filter(|bytes| Digest::of(bytes) == referrer) else {
            return Ok(None);
        };
        let Ok(manifest) = Manifest::parse(bytes, None) else {
            return Ok(None);
        };
        let target = manifest.as_referrer();
        let Some((_, target)) = target.filter(|(about, _)| *about == subject) else {
            return Ok(None);
        };
        let ManifestKind::Image { layers, .. } = manifest.kind() else {
            return Ok(None);
        };
        if target.artifact_type.as_deref() == Some(FILES_ARTIFACT) {
            let files = AttachedFiles {
                slots: slots(&target),
                layers: layers.clone(),
                target,
            };
            return Ok(Some(Self::Files(Box::new(files))));
        }
        let [layer] = layers.as_slice() else {
            return Ok(None);
        };
        let title = layer.annotations.get(TITLE);
        if layer.media_type == SIGSTORE_BUNDLE
            && title.is_some_and(|title| title == provenance::TITLE)
        {
            return Ok(Some(Self::Provenance(target)));
        }
        let slot = title.and_then(|title| title.strip_suffix(".sigstore.json")?.parse().ok());
        let is_signature = layer.media_type == SIGSTORE_BUNDLE && layer.size <= SLOT_BYTES as u64;
        let Some(slot) = slot.filter(|slot| is_signature && *slot < SLOTS) else {
            return Ok(None);
        };
        let read = client.blob_bytes(name, layer, SLOT_BYTES as u64);
        let content = read.await?;
        Ok(Some(Self::Signature { slot, content }))
    }
}

fn slots(files: &Descriptor) -> BTreeMap<usize, Digest> {
    let slot = |(key, value): (&String, &String)| {
        let slot = key.strip_prefix(SLOT)?.parse().ok()?;
        Some((slot, Digest::from_hex(value).ok()?))
    };
    files.annotations.iter().filter_map(slot).collect()
}

/// Whether what is to be in a slot is a signature over a bundle index, by whomever.
pub(crate) fn is_signature_over(content: &[u8], index: Digest) -> bool {
    let mut slot = content.to_vec();
    slot.resize(slot.len().max(SLOT_BYTES), b' ');
    matches!(Slot::parse(&slot), Ok(Slot::Signed(signed)) if signed.is_over(index))
}
