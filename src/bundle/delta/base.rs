//! What a delta is put together with: places that have entries by digest, and the plan of the
//! bundle with all of them.

use std::{collections::BTreeMap, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};

use super::{BaseRecord, Delta, DeltaContents, DeltaError, Held, Tally};
use crate::{
    archive::{EntryName, Placed},
    bundle::{
        AuthenticatedHead, BundleFile, EntryRecord,
        head::placed_entries,
        materialise::{Content, FilePart, Plan},
    },
    oci::Descriptor,
    registry::RepositoryName,
};
use rune_core::{digest::Digest, fsx, progress::Progress};

/// The list of entries in the directory of an unpacked bundle, and the most bytes that are read of
/// it.
const SUMS: &str = "SHA256SUMS";
const MAX_SUMS_BYTES: u64 = 64 << 20;

/// Where entries are that a delta lacks. What it says it has is checked when it is read.
#[derive(Debug)]
pub(crate) struct Base {
    name: String,
    record: BaseRecord,
    places: Places,
}

pub(super) type Places = BTreeMap<(Digest, u64), Place>;

#[derive(Debug, Clone)]
pub(super) enum Place {
    File(FilePart),
    Registry {
        /// As people name it.
        registry: Arc<str>,
        name: RepositoryName,
        descriptor: Box<Descriptor>,
    },
}

/// How much each base has, by its name.
type Used<'a> = Vec<(&'a str, Tally)>;

#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) path: EntryName,
    pub(crate) size: u64,
}

impl Base {
    pub(super) const fn new(name: String, record: BaseRecord, places: Places) -> Self {
        Self {
            name,
            record,
            places,
        }
    }

    pub(crate) fn open(path: &Utf8Path, more: &[Utf8PathBuf]) -> Result<Self, DeltaError> {
        if fsx::is_dir(path) {
            Self::of_directory(path)
        } else {
            Self::of_bundle(path, more)
        }
    }

    fn of_bundle(path: &Utf8Path, more: &[Utf8PathBuf]) -> Result<Self, DeltaError> {
        let unreadable = |source| DeltaError::Base {
            path: path.to_owned(),
            source,
        };
        let file = BundleFile::open(path, more, false)?;
        let head = file.read_head().map_err(unreadable)?;
        let (index, _) = head.peek()?;
        let layout = index.layout(head.index_size())?;
        let parts = placed_entries(&index, &layout).map(|(entry, placed)| {
            let part = FilePart::new(path, &file, placed.content_offset());
            ((entry.sha256, entry.size), Place::File(part))
        });
        let record = BaseRecord {
            name: format!("{} {}", index.name, index.version),
            bundle: Some(head.digest()),
        };
        Ok(Self::new(path.to_string(), record, parts.collect()))
    }

    /// What the list in the directory names and is there.
    fn of_directory(path: &Utf8Path) -> Result<Self, DeltaError> {
        let list = path.join(SUMS);
        if !fsx::is_file(&list) {
            return Err(DeltaError::NotUnpacked(path.to_owned()));
        }
        let text = fsx::read_to_string(&list, MAX_SUMS_BYTES)?;
        let mut parts = BTreeMap::new();
        for line in text.lines() {
            let named = line.split_once("  ").and_then(|(hex, name)| {
                Some((Digest::from_hex(hex).ok()?, EntryName::new(name).ok()?))
            });
            let (digest, name) = named.ok_or_else(|| DeltaError::Sums(list.clone()))?;
            let file = path.join(name.as_str());
            if fsx::is_file(&file) {
                let size = fsx::file_size(&file)?;
                parts.insert((digest, size), Place::File(FilePart::of_file(file)));
            }
        }
        let itself = (Digest::of(text.as_bytes()), text.len() as u64);
        parts.insert(itself, Place::File(FilePart::of_file(list)));
        let record = BaseRecord {
            name: path.file_name().unwrap_or(path.as_str()).to_owned(),
            bundle: None,
        };
        Ok(Self::new(path.to_string(), record, parts))
    }

    pub(super) fn has(&self, entry: &EntryRecord) -> bool {
        self.places.contains_key(&(entry.sha256, entry.size))
    }

    /// A document that it has in a file, if it is as its digest says.
    pub(super) fn document(&self, entry: &EntryRecord) -> Result<Option<Vec<u8>>, DeltaError> {
        let Some(Place::File(part)) = self.places.get(&(entry.sha256, entry.size)) else {
            return Ok(None);
        };
        let bytes = part.bytes(entry.size)?;
        Ok((Digest::of(&bytes) == entry.sha256).then_some(bytes))
    }

    pub(super) fn into_places(self) -> Places {
        self.places
    }

    pub(super) const fn places_mut(&mut self) -> &mut Places {
        &mut self.places
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds what it says it has. It is not trusted: what turns out not to be there is
    /// named when the delta is applied.
    pub(crate) fn add_to(&self, held: &mut Held) {
        held.bases.push(self.record.clone());
        let digests = self.places.keys().map(|(digest, _)| *digest);
        held.digests.extend(digests);
    }

    /// Adds what can be read and is what it should be, and says where something else is.
    pub(crate) fn check_into(
        &self,
        held: &mut Held,
        progress: &dyn Progress,
    ) -> Result<Vec<Digest>, DeltaError> {
        held.bases.push(self.record.clone());
        progress.begin("checking", self.places.keys().map(|(_, size)| size).sum());
        let mut wrong = Vec::new();
        for ((digest, size), place) in &self.places {
            let is_right = match place {
                Place::File(part) => part.digest(*size)? == *digest,
                // It is hashed when it is fetched.
                Place::Registry { .. } => true,
            };
            if is_right {
                held.digests.insert(*digest);
                held.bytes = held.bytes.saturating_add(*size);
            } else {
                wrong.push(*digest);
            }
            progress.advance(*size);
        }
        progress.end();
        Ok(wrong)
    }

    fn content(&self, entry: &EntryRecord) -> Option<Content> {
        Some(match self.places.get(&(entry.sha256, entry.size))? {
            Place::File(part) => content(part.clone(), entry),
            Place::Registry {
                registry,
                name,
                descriptor,
            } => Content::Blob {
                image: Arc::clone(registry),
                name: name.clone(),
                descriptor: descriptor.clone(),
            },
        })
    }
}

fn content(part: FilePart, entry: &EntryRecord) -> Content {
    Content::Part {
        part: Box::new(part),
        entry: entry.path.clone(),
        size: entry.size,
        digest: entry.sha256,
    }
}

impl Plan {
    /// The plan of a bundle that lies in a file.
    pub(crate) fn of_bundle(head: &AuthenticatedHead, path: &Utf8Path, file: &BundleFile) -> Self {
        Self::of_head(head, |entry, placed| {
            content(FilePart::new(path, file, placed.content_offset()), entry)
        })
    }

    /// The plan of a delta that lies in a file, for writing it to other files.
    pub(crate) fn of_delta_file(
        delta: &Delta,
        head: &AuthenticatedHead,
    ) -> Result<Self, DeltaError> {
        // Also every byte around the entries.
        delta.contents(head.index())?;
        let entries = Self::of_bundle(&delta.start.head_of(head)?, &delta.path, &delta.file);
        let record = Content::Bytes(delta.start.bytes().into());
        Ok(Self {
            digest: delta.start.digest(),
            contents: std::iter::once(record).chain(entries.contents).collect(),
            ..entries
        })
    }

    /// The plan of the bundle of a delta, and how much of it each base has.
    pub(crate) fn of_delta<'b>(
        head: &AuthenticatedHead,
        delta: &DeltaContents<'_>,
        bases: &'b [Base],
    ) -> Result<(Self, Used<'b>), DeltaError> {
        let own = |entry: &EntryRecord| {
            let placed = delta.places.get(&entry.sha256)?;
            let part = FilePart::new(delta.path, delta.file, placed.content_offset());
            Some(content(part, entry))
        };
        Self::of_places(head, own, bases).map_err(|missing| DeltaError::Missing {
            missing,
            looked_in: bases.iter().map(|base| base.name.clone()).collect(),
            bases: delta.bases.to_vec(),
        })
    }

    /// The plan of the bundle that bases have together, and how much of it each has.
    pub(crate) fn of_bases<'b>(
        head: &AuthenticatedHead,
        bases: &'b [Base],
    ) -> Result<(Self, Used<'b>), Vec<Missing>> {
        let empty = |entry: &EntryRecord| (entry.size == 0).then(|| Content::Bytes(Arc::new([])));
        Self::of_places(head, empty, bases)
    }

    fn of_places<'b>(
        head: &AuthenticatedHead,
        own: impl Fn(&EntryRecord) -> Option<Content>,
        bases: &'b [Base],
    ) -> Result<(Self, Used<'b>), Vec<Missing>> {
        let mut used: Used<'_> = bases
            .iter()
            .map(|base| (base.name.as_str(), Tally::default()))
            .collect();
        let mut missing = Vec::new();
        let plan = Self::of_head(head, |entry, _| {
            if let Some(content) = own(entry) {
                return content;
            }
            let found = bases
                .iter()
                .zip(&mut used)
                .find_map(|(base, used)| Some((base.content(entry)?, used)));
            if let Some((content, (_, tally))) = found {
                tally.add(entry);
                return content;
            }
            missing.push(Missing {
                path: entry.path.clone(),
                size: entry.size,
            });
            Content::Bytes(Vec::new().into())
        });
        if missing.is_empty() {
            Ok((plan, used))
        } else {
            Err(missing)
        }
    }

    fn of_head(
        head: &AuthenticatedHead,
        mut content: impl FnMut(&EntryRecord, &Placed) -> Content,
    ) -> Self {
        let unverified = head.unverified();
        let fixed = std::iter::once(unverified.index_bytes())
            .chain(unverified.slots().iter().map(Vec::as_slice));
        let contents = fixed
            .map(|bytes| Content::Bytes(bytes.into()))
            .chain(head.entries().map(|(entry, placed)| content(entry, placed)))
            .collect();
        Self {
            digest: head.digest(),
            layout: head.layout().clone(),
            contents,
        }
    }
}
