//! Opening volumes: one alone, or all of a set as one bundle.

use std::{collections::BTreeMap, fs::File, io::Read as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    VolumeError, VolumePlan,
    plan::{RECORD_END, SetName},
    record::VolumeRecord,
};
use crate::{
    archive::BLOCK_BYTES,
    bundle::{
        BundleFile, UnverifiedHead, Volumes,
        archive::At,
        file::{Piece, PieceKind},
        parts::{PartsError, Places},
    },
};
use rune_core::fsx::{self, Action, PathError};

/// A volume of which only record and head were read; nothing in it is trusted.
#[derive(Debug)]
pub struct Volume {
    pub(super) path: Utf8PathBuf,
    pub(super) file: File,
    pub(super) head: UnverifiedHead,
    pub(super) record: VolumeRecord,
    pub(super) plan: VolumePlan,
}

impl Volume {
    /// Opens a file that begins as a volume does; nothing when it begins otherwise.
    ///
    /// # Errors
    /// When it cannot be read, record or head is damaged, or it has another length than it should.
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
        let mut source = std::io::BufReader::new(At::new(&whole, RECORD_END));
        let head = UnverifiedHead::read(&mut source).map_err(|source| VolumeError::Head {
            path: path.to_owned(),
            source,
        })?;
        let plan = record.plan(head.index_size()).ok_or_else(damaged)?;
        if record.bundle != head.digest() {
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
            head,
            record,
            plan,
        }))
    }

    fn open_named(path: &Utf8Path) -> Result<Self, VolumeError> {
        Self::open(path)?.ok_or_else(|| VolumeError::NoVolume(path.to_owned()))
    }

    /// The head as it stands in this volume.
    pub const fn head(&self) -> &UnverifiedHead {
        &self.head
    }

    pub const fn number(&self) -> u64 {
        self.record.number
    }

    pub const fn count(&self) -> u64 {
        self.record.count
    }

    pub fn path(&self) -> &Utf8Path {
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

    /// Why another volume is not of the same set.
    fn difference(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (&self.record, &other.record);
        if ours.bundle != theirs.bundle {
            return Some(format!("it is of the bundle {}", theirs.bundle));
        }
        (ours.volume_bytes != theirs.volume_bytes).then(|| {
            format!(
                "its volumes have {} bytes, not {}",
                theirs.volume_bytes, ours.volume_bytes
            )
        })
    }
}

/// The volumes of the set of which a file is one, by number, as far as they are found: beside it by
/// their names, and where `places` says. Nothing when the file is no volume.
///
/// # Errors
/// When a volume is damaged at its beginning, of another set, or there twice.
pub(in crate::bundle) fn find_set(
    places: &Places<'_>,
    is_only: bool,
) -> Result<Option<BTreeMap<u64, Volume>>, PartsError> {
    let Some(first) = Volume::open(places.first()).map_err(PartsError::from)? else {
        return Ok(None);
    };
    let (number, count) = (first.number(), first.count());
    let own = first.path.file_name().unwrap_or_default();
    let mut paths = Vec::new();
    // What is under a name is decided by the record.
    if let Some(name) = SetName::of(own, count) {
        for other in name.volumes().filter(|other| other != own) {
            paths.extend(places.find(&other)?);
        }
    }
    let mut volumes = BTreeMap::from([(number, first)]);
    let mut used = vec![places.first().to_owned()];
    for path in paths {
        add(&mut volumes, Volume::open_named(&path)?)?;
        used.push(path);
    }
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
///
/// # Errors
/// When one is missing, or two have different signatures in one slot.
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
///
/// # Errors
/// When two have different signatures in one slot.
pub(in crate::bundle) fn unite<'a>(
    heads: impl Iterator<Item = (&'a Utf8Path, &'a UnverifiedHead)>,
) -> Result<UnverifiedHead, VolumeError> {
    let mut heads = heads;
    let (first, head) = heads.next().ok_or(VolumeError::Layout)?;
    let mut united = head.clone();
    let mut origins: Vec<&Utf8Path> = united.slots().iter().map(|_| first).collect();
    for (path, head) in heads {
        for (slot, bytes) in head.slots().iter().enumerate() {
            let (Some(ours), Some(origin)) = (united.slots().get(slot), origins.get_mut(slot))
            else {
                continue;
            };
            if crate::bundle::cosign::is_part(bytes, ours) {
                continue;
            }
            if !crate::bundle::cosign::is_part(ours, bytes) {
                return Err(VolumeError::Slot {
                    slot,
                    first: origin.to_owned(),
                    second: path.to_owned(),
                });
            }
            *origin = path;
            united.set_slot(slot, bytes.clone());
        }
    }
    Ok(united)
}
