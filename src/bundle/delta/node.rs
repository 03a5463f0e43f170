//! A node's containerd as a base: what it has of a bundle, and a delta that is used there.
//!
//! A content store has blobs by their digest alone, of the platform of the node. What it gives is
//! hashed like everything else.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Base, BaseRecord, Delta, DeltaError, Held, Missing, Tally,
    base::{Place, Places},
};
use crate::{
    bundle::{
        AuthenticatedHead, BundleIndex, Documents, OpenBundle, archive::document_entries,
        materialise::FilePart,
    },
    containerd::Containerd,
};
use rune_core::{
    digest::{Digest, Sha256},
    progress::Progress,
};

/// What it is called in deltas and lists: an address says nothing elsewhere.
const NAME: &str = "containerd";

/// The part of a bundle that a delta has, and which of the rest a containerd has.
#[derive(Debug)]
pub(crate) struct NodeDelta {
    bundle: Arc<OpenBundle>,
    held: BTreeSet<Digest>,
    containerd: Arc<Containerd>,
}

fn record() -> BaseRecord {
    BaseRecord {
        name: NAME.to_owned(),
        bundle: None,
    }
}

impl Base {
    /// The entries of a bundle that a containerd says it has.
    pub(crate) fn of_containerd(
        containerd: &Arc<Containerd>,
        index: &BundleIndex,
    ) -> Result<Self, DeltaError> {
        let held = containerd.contents()?;
        let entries = index.entries.iter();
        let places: Places = entries
            .filter(|entry| held.contains(&entry.sha256))
            .map(|entry| {
                let part = FilePart::of_containerd(containerd, entry.sha256);
                ((entry.sha256, entry.size), Place::File(part))
            })
            .collect();
        Ok(Self::new(containerd.to_string(), record(), places))
    }
}

impl Held {
    /// Adds what a containerd has and gives back as it should be, and says where something else is.
    pub(crate) fn add_containerd(
        &mut self,
        containerd: &Containerd,
        progress: &dyn Progress,
    ) -> Result<Vec<Digest>, DeltaError> {
        self.bases.push(record());
        let mut wrong = Vec::new();
        let contents = containerd.contents()?;
        progress.begin_steps("checking blobs", contents.len() as u64);
        for digest in contents {
            let (mut hasher, mut bytes) = (Sha256::new(), 0_u64);
            let read = containerd.read(digest, |piece| {
                hasher.update(piece);
                bytes = bytes.saturating_add(piece.len() as u64);
                true
            });
            progress.advance(1);
            match read {
                // It was deleted since it was listed, because nothing refers to it.
                Err(_) if !containerd.contents()?.contains(&digest) => continue,
                read => read?,
            }
            if hasher.finish() != digest {
                wrong.push(digest);
            } else if self.digests.insert(digest) {
                self.bytes = self.bytes.saturating_add(bytes);
            }
        }
        progress.end();
        Ok(wrong)
    }
}

impl NodeDelta {
    /// Opens what a delta has of its bundle, and asks a containerd for what it has. Documents are
    /// read there, because they say what else is needed.
    pub(crate) fn open(
        delta: &Delta,
        head: AuthenticatedHead,
        containerd: &Arc<Containerd>,
    ) -> Result<Self, DeltaError> {
        let index = head.index();
        let contents = delta.contents(index)?;
        let base = Base::of_containerd(containerd, index)?;
        let mut documents = Documents::new();
        for entry in document_entries(index) {
            let bytes = match contents.bytes_of(entry.sha256, entry.size) {
                Some(bytes) => Some(bytes),
                None => base.document(entry)?,
            };
            documents.extend(bytes.map(|bytes| (entry.path.clone(), bytes)));
        }
        let (file, places) = (contents.file.clone(), contents.places.clone());
        let held = base.into_places().into_keys();
        Ok(Self {
            held: held.map(|(digest, _)| digest).collect(),
            containerd: Arc::clone(containerd),
            bundle: OpenBundle::of_some(file, head, documents, places)?,
        })
    }

    pub(crate) const fn bundle(&self) -> &Arc<OpenBundle> {
        &self.bundle
    }

    pub(crate) const fn containerd(&self) -> &Arc<Containerd> {
        &self.containerd
    }

    pub(crate) fn has(&self, digest: Digest) -> bool {
        self.held.contains(&digest)
    }

    /// How much of what is needed only the containerd has. Fails when neither it nor the delta has
    /// something.
    pub(crate) fn rest(&self, needed: &BTreeSet<Digest>) -> Result<Tally, DeltaError> {
        let (mut missing, mut present) = (Vec::new(), Tally::default());
        let mut seen = BTreeSet::new();
        for entry in &self.bundle.index().entries {
            let is_elsewhere = needed.contains(&entry.sha256)
                && self.bundle.size(entry.sha256).is_none()
                && seen.insert(entry.sha256);
            if is_elsewhere && self.has(entry.sha256) {
                present.add(entry);
            } else if is_elsewhere {
                missing.push(Missing {
                    path: entry.path.clone(),
                    size: entry.size,
                });
            }
        }
        if missing.is_empty() {
            Ok(present)
        } else {
            Err(DeltaError::NotAtDestination {
                missing,
                destination: self.containerd.to_string(),
            })
        }
    }
}
