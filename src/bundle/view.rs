//! A view of a bundle, for showing what is inside: authenticated or not.
//!
//! Not for acting: nothing that leads from here gives entries away to a registry, a cluster or a
//! directory. What is read is compared with the bundle index all the same, so a damaged file is
//! told from one that was made otherwise.

use std::collections::BTreeMap;

use super::{
    AuthenticatedHead, BundleFile, BundleIndex, ContentError, Elsewhere, EntryRecord, HeadView,
    ImageRecord, OpenError, PlatformSboms, ReferrerRecord, SlotState, UnverifiedHead,
    contents::Contents, index::blob_path, sboms,
};
use crate::{
    archive::{EntryName, Layout},
    evidence::{FoundSbom, SbomFormat, SbomSource, signatures_of},
    oci::{Descriptor, Manifest, ManifestKind, PREDICATE_TYPE},
    sign::ForeignSignature,
};
use rune_core::digest::Digest;

/// The largest entry that is read to be shown, in bytes: far above a packed chart or a list of
/// packages.
const MAX_SHOWN_BYTES: u64 = 128 << 20;

type Shown = (Digest, Vec<u8>);

#[derive(Debug)]
pub(crate) struct OwnSignature {
    pub(crate) subject: Digest,
    pub(crate) signature: ForeignSignature,
}

#[derive(Debug)]
pub(crate) struct BundleView {
    contents: Contents,
    head: HeadView,
}

impl BundleView {
    pub(crate) fn of_authenticated(
        file: BundleFile,
        head: &AuthenticatedHead,
    ) -> Result<Self, OpenError> {
        let contents = Contents::open(file, head.index(), head.layout(), None)?;
        Ok(Self::authenticated(contents, head))
    }

    /// Shows a bundle whose head is authenticated and that is elsewhere: fetched when it is shown.
    pub(crate) fn elsewhere_authenticated(
        elsewhere: Elsewhere,
        head: &AuthenticatedHead,
    ) -> Result<Self, OpenError> {
        let contents = Contents::of_elsewhere(head.index(), elsewhere)?;
        Ok(Self::authenticated(contents, head))
    }

    fn authenticated(contents: Contents, head: &AuthenticatedHead) -> Self {
        Self {
            contents,
            head: HeadView::of_authenticated(head),
        }
    }

    pub(crate) fn of_unverified(
        file: BundleFile,
        head: &UnverifiedHead,
    ) -> Result<Self, OpenError> {
        Self::unverified(head, |index, layout| {
            Contents::open(file, index, layout, None)
        })
    }

    /// The same of a bundle that is elsewhere.
    pub(crate) fn elsewhere_unverified(
        elsewhere: Elsewhere,
        head: &UnverifiedHead,
    ) -> Result<Self, OpenError> {
        Self::unverified(head, |index, _| Contents::of_elsewhere(index, elsewhere))
    }

    fn unverified(
        head: &UnverifiedHead,
        contents: impl FnOnce(&BundleIndex, &Layout) -> Result<Contents, OpenError>,
    ) -> Result<Self, OpenError> {
        let head = HeadView::of_unverified(head)?;
        Ok(Self {
            contents: contents(head.index(), head.layout())?,
            head,
        })
    }

    pub(crate) const fn head(&self) -> &HeadView {
        &self.head
    }

    pub(crate) const fn index(&self) -> &BundleIndex {
        self.head.index()
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.head.digest()
    }

    pub(crate) fn signatures(&self) -> &[SlotState] {
        self.head.signatures()
    }

    pub(crate) const fn is_verified(&self) -> bool {
        self.head.is_verified()
    }

    pub(crate) const fn total_bytes(&self) -> u64 {
        self.head.bundle_bytes()
    }

    pub(crate) fn volumes(&self) -> Option<&super::Volumes> {
        self.contents.file.volumes()
    }

    /// Reads an entry by its name; `None` when there is none, or it is far larger than anything
    /// that is shown.
    pub(crate) fn entry(&self, name: &EntryName) -> Result<Option<Vec<u8>>, ContentError> {
        self.shown(|entry| entry.path == *name)
    }

    /// Reads a content by its digest, under the same terms.
    pub(crate) fn content(&self, digest: Digest) -> Result<Option<Vec<u8>>, ContentError> {
        self.shown(|entry| entry.sha256 == digest)
    }

    /// Reads an entry, whatever its size: for what is written and not shown.
    pub(crate) fn whole(&self, entry: &EntryRecord) -> Result<Vec<u8>, ContentError> {
        self.contents.entry(entry)
    }

    fn shown(
        &self,
        is_meant: impl Fn(&EntryRecord) -> bool,
    ) -> Result<Option<Vec<u8>>, ContentError> {
        let found = self.index().entries.iter().find(|entry| is_meant(entry));
        found
            .filter(|entry| entry.size <= MAX_SHOWN_BYTES)
            .map(|entry| self.contents.entry(entry))
            .transpose()
    }

    /// The signatures of images and charts by whoever built the bundle.
    pub(crate) fn own_image_signatures(&self) -> Result<Vec<OwnSignature>, ContentError> {
        let mut found = Vec::new();
        for record in self.index().image_signatures() {
            let content = self.content(record.statement)?;
            let Some(manifest) = self.manifest(record.target.digest) else {
                continue;
            };
            let signatures = signatures_of(&manifest, |layer| {
                content.clone().filter(|_| layer == record.statement)
            });
            let of_subject = signatures
                .into_iter()
                .find(|signature| signature.is_of(record.subject));
            found.extend(of_subject.map(|signature| OwnSignature {
                subject: record.subject,
                signature: signature.signature().clone(),
            }));
        }
        Ok(found)
    }

    pub(crate) fn sboms(&self, image: &ImageRecord) -> Vec<PlatformSboms> {
        sboms::of_image(image, &self.contents.documents)
    }

    /// What an SBOM is, byte for byte: the layers of its manifest that are one, or an entry.
    pub(crate) fn sbom_contents(&self, sbom: &FoundSbom) -> Result<Vec<Shown>, ContentError> {
        if sbom.source == SbomSource::Generated {
            return self.contents_of([sbom.digest].into_iter());
        }
        let layers = self.layers(sbom.digest);
        let is_sbom = |layer: &&Descriptor| {
            let predicate = layer.annotations.get(PREDICATE_TYPE);
            predicate.is_none_or(|predicate| SbomFormat::of_predicate(predicate).is_some())
        };
        self.contents_of(layers.iter().filter(is_sbom).map(|layer| layer.digest))
    }

    /// An artifact about an image, byte for byte: its manifest, and its layers.
    pub(crate) fn referrer_contents(
        &self,
        referrer: &ReferrerRecord,
    ) -> Result<Vec<Shown>, ContentError> {
        let manifest = referrer.target.digest;
        let layers = self.layers(manifest).into_iter().map(|layer| layer.digest);
        self.contents_of([manifest].into_iter().chain(layers))
    }

    fn layers(&self, manifest: Digest) -> Vec<Descriptor> {
        self.parts(manifest)
            .map(|(_, layers)| layers)
            .unwrap_or_default()
    }

    fn contents_of(
        &self,
        digests: impl Iterator<Item = Digest>,
    ) -> Result<Vec<Shown>, ContentError> {
        let entries = &self.index().entries;
        let found =
            digests.filter_map(|digest| entries.iter().find(|entry| entry.sha256 == digest));
        found
            .map(|entry| Ok((entry.sha256, self.whole(entry)?)))
            .collect()
    }

    /// How many bytes of configurations and layers the bundle has of an image, each content once.
    pub(crate) fn carried_bytes(&self, image: &ImageRecord) -> u64 {
        let mut sizes: BTreeMap<Digest, u64> = BTreeMap::new();
        for manifest in image.manifests.iter().filter(|manifest| manifest.carried) {
            if let Some((config, layers)) = self.parts(manifest.digest) {
                sizes.extend(
                    std::iter::once(config)
                        .chain(layers)
                        .map(|part| (part.digest, part.size)),
                );
            }
        }
        sizes.values().sum()
    }

    /// Configuration and layers of an included image or attestation manifest; nothing for one that
    /// was left out.
    pub(crate) fn parts(&self, manifest: Digest) -> Option<(Descriptor, Vec<Descriptor>)> {
        match self.manifest(manifest)?.kind().clone() {
            ManifestKind::Image { config, layers, .. } => Some((config, layers)),
            ManifestKind::Index { .. } => None,
        }
    }

    fn manifest(&self, digest: Digest) -> Option<Manifest> {
        let bytes = self.contents.documents.get(blob_path(digest).as_str())?;
        Manifest::parse(bytes.clone(), None).ok()
    }
}
