//! What a repository has, and what of it somebody else has to do with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    oci::{Manifest, ManifestKind},
    registry::{RegistryError, RepositoryWriter},
};
use rune_core::digest::Digest;

#[derive(Debug, Default)]
pub(super) struct Snapshot {
    tags: BTreeMap<String, Digest>,
    documents: BTreeMap<Digest, Document>,
    /// What the registry itself lists as referrers.
    referrers: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The subjects of lists that are about nothing and name nothing.
    dead: BTreeSet<Digest>,
}

#[derive(Debug, Clone)]
struct Document {
    bytes: Vec<u8>,
    names: BTreeSet<Digest>,
}

/// A tag under which something about a manifest is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EvidenceTag {
    List(Digest),
    /// A signature or the like, as cosign keeps it.
    About(Digest),
}

impl EvidenceTag {
    pub(super) fn parse(tag: &str) -> Option<Self> {
        let rest = tag.strip_prefix("sha256-")?;
        let subject = Digest::from_hex(rest.get(..64)?).ok()?;
        match rest.get(64..)? {
            "" => Some(Self::List(subject)),
            suffix => suffix.starts_with('.').then_some(Self::About(subject)),
        }
    }
}

impl Document {
    fn new(bytes: Vec<u8>) -> Self {
        let mut names = BTreeSet::new();
        if let Ok(document) = serde_json::from_slice(&bytes) {
            find_digests(&document, &mut names);
        }
        Self { bytes, names }
    }
}

/// Whatever the type of a document is: what looks like a digest may lead to something.
fn find_digests(value: &Value, found: &mut BTreeSet<Digest>) {
    match value {
        Value::String(text) => found.extend(text.parse::<Digest>()),
        Value::Array(values) => values.iter().for_each(|value| find_digests(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| find_digests(value, found)),
        _ => {}
    }
}

impl Snapshot {
    pub(super) async fn take(writer: &RepositoryWriter) -> Result<Self, RegistryError> {
        let mut snapshot = Self::default();
        for tag in writer.tags().await? {
            if let Some(bytes) = writer.manifest(&tag).await? {
                let digest = Digest::of(&bytes);
                snapshot.tags.insert(tag, digest);
                snapshot
                    .documents
                    .entry(digest)
                    .or_insert_with(|| Document::new(bytes));
            }
        }
        Ok(snapshot)
    }

    /// Fetches manifests that need not have a tag.
    pub(super) async fn fetch(
        &mut self,
        writer: &RepositoryWriter,
        manifests: impl IntoIterator<Item = Digest>,
    ) -> Result<(), RegistryError> {
        for digest in manifests {
            if !self.has(digest)
                && let Some(bytes) = writer.manifest(&digest.to_string()).await?
            {
                self.documents.insert(digest, Document::new(bytes));
            }
        }
        Ok(())
    }

    /// Fetches manifests that need not have a tag, and what the registry lists about them.
    pub(super) async fn look_at(
        &mut self,
        writer: &RepositoryWriter,
        manifests: impl IntoIterator<Item = Digest>,
    ) -> Result<(), RegistryError> {
        for digest in manifests {
            self.fetch(writer, [digest]).await?;
            if self.has(digest) {
                self.ask_about(writer, digest).await?;
            }
        }
        Ok(())
    }

    async fn ask_about(
        &mut self,
        writer: &RepositoryWriter,
        subject: Digest,
    ) -> Result<(), RegistryError> {
        let listed = writer.referrers(subject).await?.unwrap_or_default();
        let listed: BTreeSet<Digest> = listed.manifests.iter().map(|entry| entry.digest).collect();
        self.fetch(writer, listed.iter().copied()).await?;
        self.referrers.insert(subject, listed);
        Ok(())
    }

    /// The same repository now: tags anew, manifests as they were, and what is about `digest`.
    pub(super) async fn again(
        &self,
        writer: &RepositoryWriter,
        digest: Digest,
    ) -> Result<Self, RegistryError> {
        let mut now = Self::take(writer).await?;
        for (known, document) in &self.documents {
            now.documents
                .entry(*known)
                .or_insert_with(|| document.clone());
        }
        now.referrers = self.referrers.clone();
        now.dead = self.dead.clone();
        now.ask_about(writer, digest).await?;
        Ok(now)
    }

    pub(super) async fn find_dead_lists(
        &mut self,
        writer: &RepositoryWriter,
    ) -> Result<(), RegistryError> {
        for subject in self.lists_about_nothing() {
            let listed = self.listed_about(subject);
            self.fetch(writer, listed.iter().copied().chain([subject]))
                .await?;
            if !self.has(subject) && !listed.iter().any(|entry| self.has(*entry)) {
                self.dead.insert(subject);
            }
        }
        Ok(())
    }

    pub(super) fn is_dead(&self, subject: Digest) -> bool {
        self.dead.contains(&subject)
    }

    pub(super) fn forget(&mut self, digest: Digest) {
        self.documents.remove(&digest);
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = (&String, Digest)> {
        self.tags.iter().map(|(tag, digest)| (tag, *digest))
    }

    pub(super) fn manifest(&self, digest: Digest) -> Option<Manifest> {
        let document = self.documents.get(&digest)?;
        Manifest::parse(document.bytes.clone(), None).ok()
    }

    pub(super) fn has(&self, digest: Digest) -> bool {
        self.documents.contains_key(&digest)
    }

    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.documents.keys().copied()
    }

    /// The blobs of a manifest and their sizes, and the manifest itself.
    pub(super) fn blobs(&self, digest: Digest) -> BTreeMap<Digest, u64> {
        let Some(manifest) = self.manifest(digest) else {
            return BTreeMap::new();
        };
        let own = manifest.descriptor();
        let parts = match manifest.kind() {
            ManifestKind::Image { config, layers, .. } => {
                std::iter::once(config).chain(layers).collect()
            }
            ManifestKind::Index { .. } => Vec::new(),
        };
        parts
            .into_iter()
            .chain([&own])
            .map(|blob| (blob.digest, blob.size))
            .collect()
    }

    /// The entries of the list of referrers that lies under a tag.
    pub(super) fn listed_about(&self, subject: Digest) -> BTreeSet<Digest> {
        let list = self.tags.get(&crate::registry::ReferrerList::tag(subject));
        list.and_then(|list| self.documents.get(list))
            .map(|list| list.names.clone())
            .unwrap_or_default()
    }

    /// The subjects of such lists that are not there.
    pub(super) fn lists_about_nothing(&self) -> BTreeSet<Digest> {
        self.tags
            .keys()
            .filter_map(|tag| match EvidenceTag::parse(tag) {
                Some(EvidenceTag::List(subject)) if !self.has(subject) => Some(subject),
                _ => None,
            })
            .collect()
    }

    pub(super) fn is_index(&self, digest: Digest) -> bool {
        self.manifest(digest)
            .is_some_and(|manifest| matches!(manifest.kind(), ManifestKind::Index { .. }))
    }

    pub(super) fn names(&self, digest: Digest) -> impl Iterator<Item = Digest> {
        let document = self.documents.get(&digest).into_iter();
        document.flat_map(|document| document.names.iter().copied())
    }

    /// What the registry itself lists as referrers, by subject.
    pub(super) fn referrers(&self) -> impl Iterator<Item = (Digest, &BTreeSet<Digest>)> {
        let referrers = self.referrers.iter();
        referrers.map(|(subject, listed)| (*subject, listed))
    }

    pub(super) fn tags_of(&self, digest: Digest) -> Vec<&str> {
        self.tags()
            .filter(|(_, meaning)| *meaning == digest)
            .map(|(tag, _)| tag.as_str())
            .collect()
    }
}
