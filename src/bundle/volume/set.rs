//! Opening volumes: one alone, or all of a set as one bundle.

use std::{collections::BTreeMap, fs::File, io::Read as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    VolumeError, VolumePlan,
    plan::{RECORD_END, SetName},
    record::VolumeRecord,
};
use crate::{
    archive::{BLOCK_BYTES, Layout},
    bundle::{
        BundleFile, UnverifiedHead, Volumes,
        archive::At,
        cosign::is_part,
        delta::DeltaStart,
        file::{Piece, PieceKind},
        index::head_entries,
        parts::{PartsError, Places},
    },
    sign::{SLOTS, Slot},
};
use rune_core::fsx::{self, Action, PathError};

/// Only record and head were read; nothing in it is trusted.
#[derive(Debug)]
pub struct Volume {
    pub(super) path: Utf8PathBuf,
    pub(super) file: File,
    /// What is before the head, when it is a volume of a delta.
    pub(super) delta: Option<DeltaStart>,
    pub(super) head: UnverifiedHead,
    pub(super) record: VolumeRecord,
    pub(super) plan: VolumePlan,
}

impl Volume {
    /// Opens a file that begins as a volume does; nothing when it begins otherwise.
    pub fn open(path: &Utf8Path) -> Result<Option<Self>, VolumeError> {
        // A pipe that is opened and closed again would have lost its writer.
        if fsx::exists(path) && !fsx::is_file(path) {
            return Ok(None);
        }
        let file = fsx::open(path)?;
        let whole = BundleFile::whole(fsx::duplicate(&file, path)?, path.to_owned());
        let mut begin = Vec::new();
        At::new(&whole, 0)
            .take(RECORD_END)
            .read_to_end(&mut begin)
            .map_err(PathError::of(Action::Read, path))?;
        let block = usize::try_from(BLOCK_BYTES).map_err(|_| VolumeError::Layout)?;
        let (header, record) = begin.split_at(block.min(begin.len()));
        if header != VolumeRecord::header()? {
            return Ok(None);
        }
        let damaged = || VolumeError::Record(path.to_owned());
        let record = VolumeRecord::from_bytes(record).ok_or_else(damaged)?;
        let delta = DeltaStart::read(&whole, RECORD_END, path).map_err(|_| damaged())?;
        let before = delta.as_ref().map_or(0, DeltaStart::end);
        let at = RECORD_END.saturating_add(before);
        let mut source = std::io::BufReader::new(At::new(&whole, at));
        let head = UnverifiedHead::read(&mut source).map_err(|source| VolumeError::Head {
            path: path.to_owned(),
            source,
        })?;
        let index_bytes = head.index_size();
        let (head_bytes, id) = match &delta {
            Some(start) if start.bundle() == head.digest() => {
                (start.head_bytes(index_bytes).ok(), start.digest())
            }
            Some(_) => return Err(damaged()),
            None => (head_bytes(index_bytes), head.digest()),
        };
        let plan = head_bytes.and_then(|bytes| record.plan(bytes));
        let plan = plan.ok_or_else(damaged)?;
        if record.bundle != id {
            return Err(damaged());
        }
        let found = whole.length()?;
        let expected = plan.file_bytes(record.number);
        if found != expected {
            return Err(VolumeError::Length {
                path: path.to_owned(),
                number: record.number,
                count: record.count,
                found,
                expected,
            });
        }
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            delta,
            head,
            record,
            plan,
        }))
    }

    fn open_named(path: &Utf8Path) -> Result<Self, VolumeError> {
        Self::open(path)?.ok_or_else(|| VolumeError::NoVolume(path.to_owned()))
    }

    pub const fn head(&self) -> &UnverifiedHead {
        &self.head
    }

    pub(crate) const fn is_of_delta(&self) -> bool {
        self.delta.is_some()
    }

    pub(crate) const fn number(&self) -> u64 {
        self.record.number
    }

    pub(crate) const fn count(&self) -> u64 {
        self.record.count
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// What it has of the bundle; the last one of a set that is read as a whole to its end.
    pub(super) fn into_piece(self, is_of_set: bool) -> Piece {
        let mut range = self.plan.range(self.record.number);
        if is_of_set && self.record.number == self.record.count {
            range.end = u64::MAX;
        }
        Piece {
            offset: self.plan.offset(self.record.number),
            range,
            kind: PieceKind::Volume {
                number: self.record.number,
                count: self.record.count,
                shared: self.record.shared(),
            },
            file: self.file,
            path: self.path,
        }
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (&self.record, &other.record);
        if ours.bundle != theirs.bundle {
            let what = if other.is_of_delta() {
                "delta"
            } else {
                "bundle"
            };
            return Some(format!("it is of the {what} {}", theirs.bundle));
        }
        (ours.volume_bytes != theirs.volume_bytes).then(|| {
            format!(
                "its volumes have {} bytes, not {}",
                theirs.volume_bytes, ours.volume_bytes
            )
        })
    }
}

fn head_bytes(index_bytes: u64) -> Option<u64> {
    let layout = Layout::new(head_entries(index_bytes).ok()?).ok()?;
    Some(layout.trailer_offset())
}

/// The volumes of the set of which a file is one, by number, as far as they are found: beside it by
/// their names, and where `places` says. Nothing when the file is not a volume.
pub(in crate::bundle) fn find_set(
    places: &Places<'_>,
    is_only: bool,
) -> Result<Option<BTreeMap<u64, Volume>>, PartsError> {
    let Some(first) = Volume::open(places.first()).map_err(PartsError::from)? else {
        return Ok(None);
    };
    let count = first.count();
    let own = first.path.file_name().unwrap_or_default();
    let mut paths = Vec::new();
    // What is under a name is decided by the record.
    if let Some(name) = SetName::of(own, count) {
        for other in name.volumes().filter(|other| other != own) {
            paths.extend(places.find(&other)?);
        }
    }
    let mut used = vec![places.first().to_owned()];
    let mut found = vec![first];
    for path in paths {
        found.push(Volume::open_named(&path)?);
        used.push(path);
    }
    let mut volumes = of_one_set(found)?;
    // Those that were given another name.
    while let Some(path) = places.stranger(&used) {
        match Volume::open(&path)? {
            Some(volume) if is_only || is_of(&volumes, &volume) => add(&mut volumes, volume)?,
            None if is_only => return Err(VolumeError::NoVolume(path).into()),
            _ => {}
        }
        used.push(path);
    }
    Ok(Some(volumes))
}

/// Puts volumes in order; the set is that of most of them.
fn of_one_set(found: Vec<Volume>) -> Result<BTreeMap<u64, Volume>, VolumeError> {
    let alike = |volume: &Volume| {
        let is_alike = |other: &&Volume| volume.difference(other).is_none();
        found.iter().filter(is_alike).count()
    };
    // Of several the first.
    let most = found.iter().map(alike).max().unwrap_or_default();
    let reference = found.iter().position(|volume| alike(volume) == most);
    let mut volumes = BTreeMap::new();
    let mut found: Vec<Option<Volume>> = found.into_iter().map(Some).collect();
    let reference = reference.and_then(|position| found.get_mut(position)?.take());
    for volume in reference.into_iter().chain(found.into_iter().flatten()) {
        add(&mut volumes, volume)?;
    }
    Ok(volumes)
}

fn is_of(volumes: &BTreeMap<u64, Volume>, volume: &Volume) -> bool {
    volumes
        .values()
        .next()
        .is_none_or(|first| first.difference(volume).is_none())
}

fn add(volumes: &mut BTreeMap<u64, Volume>, volume: Volume) -> Result<(), VolumeError> {
    if let Some(first) = volumes.values().next()
        && let Some(difference) = first.difference(&volume)
    {
        return Err(VolumeError::Foreign {
            path: volume.path,
            first: first.path.clone(),
            difference,
        });
    }
    if let Some(other) = volumes.get(&volume.number()) {
        return Err(VolumeError::Doubled {
            number: volume.number(),
            count: volume.count(),
            first: other.path.clone(),
            second: volume.path,
        });
    }
    volumes.insert(volume.number(), volume);
    Ok(())
}

/// Reads all volumes of a set as one bundle.
pub(in crate::bundle) fn open_set(
    volumes: BTreeMap<u64, Volume>,
) -> Result<BundleFile, VolumeError> {
    let Some(first) = volumes.values().next() else {
        return Err(VolumeError::Layout);
    };
    let count = first.count();
    let missing: Vec<u64> = (1..=count)
        .filter(|number| !volumes.contains_key(number))
        .collect();
    if let Some(number) = missing.first() {
        let name = first
            .path
            .file_name()
            .and_then(|name| SetName::of(name, count));
        return Err(VolumeError::Missing {
            name: name.map(|name| name.volume(*number)),
            numbers: missing,
            count,
        });
    }
    let shown = Volumes {
        volume_bytes: first.record.volume_bytes,
        files: volumes.values().map(|volume| volume.path.clone()).collect(),
    };
    let head = unite(volumes.values().map(|volume| (volume.path(), &volume.head)))?;
    let pieces = volumes
        .into_values()
        .map(|volume| volume.into_piece(true))
        .collect();
    Ok(BundleFile::new(pieces).with_volumes(head, shown))
}

/// The head with the signatures of all: a slot that is blank in one volume and signed in another is
/// signed, and one that was written in part is what it is in full elsewhere.
pub(in crate::bundle) fn unite<'a>(
    heads: impl Iterator<Item = (&'a Utf8Path, &'a UnverifiedHead)>,
) -> Result<UnverifiedHead, VolumeError> {
    let heads: Vec<_> = heads.collect();
    let (_, first) = heads.first().ok_or(VolumeError::Layout)?;
    let mut united = UnverifiedHead::clone(first);
    for slot in 0..SLOTS {
        let held: Vec<(&Utf8Path, &[u8])> = heads
            .iter()
            .filter_map(|(path, head)| Some((*path, head.slots().get(slot)?.as_slice())))
            .collect();
        if let Some(bytes) = unite_slot(slot, &held)? {
            united.set_slot(slot, bytes.to_vec());
        }
    }
    Ok(united)
}

/// What a slot is when it is this in the single volumes.
fn unite_slot<'a>(
    slot: usize,
    held: &[(&Utf8Path, &'a [u8])],
) -> Result<Option<&'a [u8]>, VolumeError> {
    let is_signed = |bytes: &[u8]| matches!(Slot::parse(bytes), Ok(Slot::Signed(_)));
    let is_blank = |bytes: &[u8]| matches!(Slot::parse(bytes), Ok(Slot::Blank));
    let Some((first, whole)) = held.iter().find(|(_, bytes)| is_signed(bytes)) else {
        // What no volume has whole is for the verb to decide.
        let written = held.iter().find(|(_, bytes)| !is_blank(bytes));
        return Ok(written.or_else(|| held.first()).map(|(_, bytes)| *bytes));
    };
    for (path, bytes) in held {
        if !is_part(bytes, whole) {
            return Err(if is_signed(bytes) {
                VolumeError::Slot {
                    slot,
                    first: first.to_path_buf(),
                    second: path.to_path_buf(),
                }
            } else {
                VolumeError::DamagedSlot {
                    slot,
                    path: path.to_path_buf(),
                }
            });
        }
    }
    Ok(Some(whole))
}
