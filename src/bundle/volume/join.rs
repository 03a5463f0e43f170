//! Putting volumes together to one file, in any order and one at a time.
//!
//! The file grows as `<destination>.partial`, and its journal says which volumes are in it. Each is
//! verified while it is copied. What only several volumes prove together is verified when the last
//! one is in, before the file gets its name.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Destination, Output, RewriteError, Volume, VolumeError, VolumePlan,
    check::{LoneVolume, Part},
    find_set,
    rewrite_error::WrongEntry,
    split::write_frame,
    unite,
};
use crate::bundle::{
    AuthenticatedHead, BundleFile, PartsError, UnverifiedHead,
    contents::Contents,
    delta::DeltaStart,
    journal::{self, Journal, Progressed},
    materialise::{check_free, check_room},
    parts::Places,
};
use rune_core::{digest::Digest, fsx, progress::Progress};

/// Volumes of one set, and the head that they and what was joined before have.
#[derive(Debug)]
pub(crate) struct VolumesToJoin {
    volumes: BTreeMap<u64, Volume>,
    plan: VolumePlan,
    /// What is before the head, when they are volumes of a delta.
    delta: Option<DeltaStart>,
    head: UnverifiedHead,
}

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Joined {
    pub(crate) added: Vec<u64>,
    /// The volumes that are still to come; without any the bundle has its name.
    pub(crate) missing: Vec<u64>,
    pub(crate) count: u64,
}

impl VolumesToJoin {
    /// Opens volumes, and those of the same set that lie beside the first or in directories that
    /// are named. Nothing is trusted.
    pub(crate) fn open(
        first: &Utf8Path,
        more: &[Utf8PathBuf],
        destination: &Utf8Path,
    ) -> Result<Self, PartsError> {
        let volumes = find_set(&Places::new(first, more), true)?
            .ok_or_else(|| VolumeError::NoVolume(first.to_owned()))?;
        let some = volumes.values().next().ok_or(VolumeError::Layout)?;
        let (plan, delta) = (some.plan, some.delta.clone());
        let before = head_before(&volumes, &plan, destination);
        let partial = fsx::partial_path(destination);
        let heads = volumes
            .values()
            .map(|volume| (volume.path(), volume.head()))
            .chain(before.as_ref().map(|head| (partial.as_path(), head)));
        let head = unite(heads)?;
        Ok(Self {
            volumes,
            plan,
            delta,
            head,
        })
    }

    pub(crate) const fn is_of_delta(&self) -> bool {
        self.delta.is_some()
    }

    pub(crate) const fn total_bytes(&self) -> u64 {
        self.plan.bundle_bytes()
    }

    /// What its volumes have in common, and those of no other set.
    fn set_id(&self) -> Digest {
        let id = self.delta.as_ref().map(DeltaStart::digest);
        self.plan.set_id(id.unwrap_or_else(|| self.head.digest()))
    }

    pub(crate) const fn head(&self) -> &UnverifiedHead {
        &self.head
    }
}

/// The head of what earlier runs have joined, with the signatures of their volumes. That of a
/// delta is not read, because nobody signs its volumes.
fn head_before(
    volumes: &BTreeMap<u64, Volume>,
    plan: &VolumePlan,
    destination: &Utf8Path,
) -> Option<UnverifiedHead> {
    let bundle = volumes.values().next()?.head().digest();
    if !fsx::exists(&journal::path_of(destination))
        || Journal::read(destination, plan.set_id(bundle))
            .ok()?
            .is_empty()
    {
        return None;
    }
    let file: BundleFile = fsx::open(&fsx::partial_path(destination)).ok()?.into();
    file.read_head().ok().filter(|head| head.digest() == bundle)
}

/// Adds volumes to what was joined before; with the last one the bundle gets its name. What was
/// joined of intact volumes is kept for the next run after a failure.
pub(crate) fn join(
    source: VolumesToJoin,
    head: &AuthenticatedHead,
    destination: &Utf8Path,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Joined, RewriteError> {
    let id = source.set_id();
    let VolumesToJoin {
        volumes,
        plan,
        delta,
        ..
    } = source;
    let some = volumes.values().next().ok_or(VolumeError::Layout)?;
    let narrowed = some.head_of(head)?;
    let head = narrowed.as_ref().unwrap_or(head);
    let layout = head.layout();
    let files = Destination::from(destination);
    check_free(&files)?;
    check_room(&files, layout.total_bytes())?;
    if Journal::is_of_other(destination, id)? {
        return Err(RewriteError::OtherSet(destination.to_owned()));
    }
    let output = Output::open(&files, layout.total_bytes())?;
    let (mut journal, recorded) = Journal::open(destination, id, output.is_allocated()?)?;
    if recorded.is_empty() {
        output.clear()?;
    }
    output.allocate()?;
    write_frame(&output, delta.as_ref(), head)?;
    let mut present = BTreeSet::new();
    for number in plan.numbers() {
        let is_present = match recorded.get(&position(number)) {
            Some(Progressed::Done) => true,
            // The machine was started anew: what is on its disk is read again.
            Some(Progressed::Bytes(_)) if !volumes.contains_key(&number) => {
                let file = output.reader()?;
                let part = Part {
                    file: &file,
                    head,
                    plan: &plan,
                    number,
                    record: None,
                };
                part.read(threads, progress, &|_, _| Ok(())).is_ok()
            }
            _ => false,
        };
        if is_present {
            present.insert(number);
        }
    }
    journal.keep(id, present.iter().copied().map(position))?;
    let mut added = Vec::new();
    for (number, volume) in volumes {
        if !present.contains(&number) {
            copy(volume, head, &output, threads, progress)?;
            output.sync()?;
            journal.note(position(number))?;
            present.insert(number);
        }
        added.push(number);
    }
    let missing: Vec<u64> = plan
        .numbers()
        .filter(|number| !present.contains(number))
        .collect();
    if missing.is_empty() {
        let wrong = wrong_entries(&output.reader()?, head, &plan);
        if !wrong.is_empty() {
            let doubtful: BTreeSet<u64> = wrong
                .iter()
                .flat_map(|entry| entry.volumes.clone())
                .collect();
            journal.keep(id, present.difference(&doubtful).copied().map(position))?;
            return Err(RewriteError::Shared(wrong));
        }
        // What a delta refers to is elsewhere.
        if delta.is_none() {
            Contents::open(output.reader()?, head.index(), layout, None)?;
        }
        output.finish(head.digest(), layout)?;
        journal.remove()?;
    } else {
        output.sync()?;
    }
    Ok(Joined {
        added,
        missing,
        count: plan.count(),
    })
}

fn position(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Verifies a volume while it is copied to where it belongs.
fn copy(
    volume: Volume,
    head: &AuthenticatedHead,
    output: &Output,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(), RewriteError> {
    let volume = LoneVolume::open(volume, head)?;
    let write = |bytes: &[u8], offset| output.write_at(bytes, offset);
    Ok(volume.part(head).read(threads, progress, &write)?)
}

fn wrong_entries(
    file: &BundleFile,
    head: &AuthenticatedHead,
    plan: &VolumePlan,
) -> Vec<WrongEntry> {
    let mut wrong = Vec::new();
    for (record, placed) in head.entries() {
        let volumes: Vec<u64> = plan.volumes_of(placed).collect();
        let content = placed.content();
        if volumes.len() > 1 && file.digest_of(&content) != Some(record.sha256) {
            wrong.push(WrongEntry {
                path: record.path.clone(),
                volumes,
            });
        }
    }
    wrong
}
