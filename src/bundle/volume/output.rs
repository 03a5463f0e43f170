//! Where a bundle is written: one file, or the volumes of a set, by position from several threads.
//!
//! The bytes of the bundle go where the plan says, the head into every volume. Entries that cross a
//! border are hashed in pieces while they pass; the records, which hold these digests, are written
//! last, and no file gets its name before all are durable.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    VolumeError, VolumePlan, VolumeSize,
    check::is_first,
    record::{PieceRecord, VolumeRecord},
};
use crate::{
    archive::{Layout, Placed},
    bundle::{BundleFile, index::INDEX_NAME},
    sign::SLOTS,
};
use rune_core::{
    digest::{Digest, Sha256},
    fsx::{self, PartialFile, PathError},
};

#[derive(Debug, Clone)]
pub struct Destination {
    name: Utf8PathBuf,
    paths: Vec<Utf8PathBuf>,
    plan: Option<VolumePlan>,
}

impl From<&Utf8Path> for Destination {
    fn from(path: &Utf8Path) -> Self {
        Self {
            name: path.to_owned(),
            paths: vec![path.to_owned()],
            plan: None,
        }
    }
}

/// How many bytes are before the first entry that is not of the head: the record of a delta, the
/// bundle index, and the slots.
fn head_bytes(layout: &Layout) -> u64 {
    let entries = layout.entries();
    let is_index = |placed: &Placed| placed.name().as_str() == INDEX_NAME;
    let behind = entries.iter().skip_while(|placed| !is_index(placed));
    behind.take(SLOTS + 1).last().map_or(0, Placed::end_offset)
}

impl Destination {
    /// The file of a bundle of this layout, or, with a size, the volumes named after it.
    pub(crate) fn new(
        name: &Utf8Path,
        layout: &Layout,
        size: Option<VolumeSize>,
    ) -> Result<Self, VolumeError> {
        let Some(size) = size else {
            return Ok(name.into());
        };
        let plan = VolumePlan::new(head_bytes(layout), layout.total_bytes(), size.bytes())?;
        Ok(Self {
            name: name.to_owned(),
            paths: plan.paths(name),
            plan: Some(plan),
        })
    }

    pub(crate) fn name(&self) -> &Utf8Path {
        &self.name
    }

    pub(crate) fn paths(&self) -> &[Utf8PathBuf] {
        &self.paths
    }

    /// The volumes, if it is a set: path and size of each.
    pub(crate) fn parts_list(&self) -> Vec<(&Utf8Path, u64)> {
        let Some(plan) = self.plan else {
            return Vec::new();
        };
        plan.numbers()
            .zip(&self.paths)
            .map(|(number, path)| (path.as_path(), plan.file_bytes(number)))
            .collect()
    }

    /// What a record of the progress is about: the bundle, cut as it is.
    pub(in crate::bundle) fn id(&self, bundle: Digest) -> Digest {
        self.plan.map_or(bundle, |plan| plan.set_id(bundle))
    }

    pub(in crate::bundle) fn sizes(&self, bundle_bytes: u64) -> Vec<u64> {
        match self.plan {
            Some(plan) => plan
                .numbers()
                .map(|number| plan.file_bytes(number))
                .collect(),
            None => vec![bundle_bytes],
        }
    }

    pub(in crate::bundle) fn cuts(&self, placed: &Placed) -> bool {
        self.plan
            .is_some_and(|plan| plan.volumes_of(placed).count() > 1)
    }
}

/// The files that a bundle is being written to. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::bundle) struct Output {
    files: Arc<[OutputFile]>,
    plan: Option<VolumePlan>,
    /// The digests of pieces, by volume and whether the entry begins in an earlier one.
    pieces: Arc<Mutex<BTreeMap<(u64, bool), Digest>>>,
}

#[derive(Debug)]
struct OutputFile {
    file: PartialFile,
    number: u64,
    range: Range<u64>,
    offset: u64,
    bytes: u64,
}

impl Output {
    /// Opens what there is of the files under their working names, or creates them.
    pub(in crate::bundle) fn open(
        destination: &Destination,
        bundle_bytes: u64,
    ) -> Result<Self, PathError> {
        let files = destination.paths.iter().zip(1..).map(|(path, number)| {
            let (range, offset, bytes) = match &destination.plan {
                Some(plan) => (
                    plan.range(number),
                    plan.offset(number),
                    plan.file_bytes(number),
                ),
                None => (0..u64::MAX, 0, bundle_bytes),
            };
            Ok(OutputFile {
                file: PartialFile::open(path)?,
                number,
                range,
                offset,
                bytes,
            })
        });
        Ok(Self {
            files: files.collect::<Result<_, PathError>>()?,
            plan: destination.plan,
            pieces: Arc::default(),
        })
    }

    /// Whether all files have their size, so that what was written to them counts.
    pub(in crate::bundle) fn is_allocated(&self) -> Result<bool, PathError> {
        for file in &*self.files {
            if file.file.size()? != file.bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Empties the files: whatever another run left must not shine through the padding.
    pub(in crate::bundle) fn clear(&self) -> Result<(), PathError> {
        self.files.iter().try_for_each(|file| file.file.allocate(0))
    }

    pub(in crate::bundle) fn allocate(&self) -> Result<(), PathError> {
        self.files
            .iter()
            .try_for_each(|file| file.file.allocate(file.bytes))
    }

    /// Writes bytes of the bundle to where they belong.
    pub(in crate::bundle) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), PathError> {
        self.each_file(offset, bytes.len(), |file, part, at| {
            file.write_at(bytes.get(part).unwrap_or_default(), at)
        })
    }

    /// Reads bytes of the bundle from where they were written.
    pub(in crate::bundle) fn read_at(
        &self,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), PathError> {
        self.each_file(offset, buffer.len(), |file, part, at| {
            file.read_at(buffer.get_mut(part).unwrap_or_default(), at)
        })
    }

    fn each_file(
        &self,
        offset: u64,
        length: usize,
        mut act: impl FnMut(&PartialFile, Range<usize>, u64) -> Result<(), PathError>,
    ) -> Result<(), PathError> {
        let end = offset.saturating_add(length as u64);
        let within =
            |position: u64| usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX);
        for file in &*self.files {
            let begin = offset.max(file.range.start);
            let until = end.min(file.range.end);
            if begin < until {
                let at = begin
                    .saturating_sub(file.range.start)
                    .saturating_add(file.offset);
                act(&file.file, within(begin)..within(until), at)?;
            }
        }
        Ok(())
    }

    pub(super) fn reader(&self) -> Result<BundleFile, VolumeError> {
        match &*self.files {
            [file] if self.plan.is_none() => {
                Ok(BundleFile::whole(file.file.reader()?, Utf8PathBuf::new()))
            }
            _ => Err(VolumeError::Layout),
        }
    }

    /// Waits until what was written is durable.
    pub(in crate::bundle) fn sync(&self) -> Result<(), PathError> {
        self.files.iter().try_for_each(|file| file.file.sync())
    }

    pub(in crate::bundle) fn hasher(&self, placed: &Placed) -> ContentHasher {
        let content = placed.content_offset();
        let mut pieces = Vec::new();
        if let Some(plan) = &self.plan {
            for number in plan.numbers() {
                if let Some(piece) = plan.piece(number, placed) {
                    pieces.push(Border {
                        end: piece.range.end.saturating_sub(content),
                        volume: number,
                        is_first: is_first(plan, number, &piece),
                    });
                }
            }
        }
        pieces.reverse();
        ContentHasher {
            whole: Sha256::new(),
            piece: Sha256::new(),
            done_bytes: 0,
            borders: pieces,
            digests: Arc::clone(&self.pieces),
        }
    }

    /// Writes what the volumes have besides the bytes of the bundle, and makes everything durable.
    fn seal(&self, bundle: Digest, layout: &Layout) -> Result<(), VolumeError> {
        let Some(plan) = &self.plan else {
            return Ok(());
        };
        let head_bytes = usize::try_from(plan.head_bytes()).map_err(|_| VolumeError::Layout)?;
        let mut head = vec![0; head_bytes];
        self.read_at(&mut head, 0)?;
        let digests = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        for file in &*self.files {
            let mut record = VolumeRecord::new(plan, bundle, file.number);
            for placed in layout.entries() {
                let Some(piece) = plan.piece(file.number, placed) else {
                    continue;
                };
                let is_first = is_first(plan, file.number, &piece);
                let digest = digests
                    .get(&(file.number, is_first))
                    .ok_or(VolumeError::Layout)?;
                let said = Some(PieceRecord::new(&piece, *digest));
                if is_first {
                    record.first = said;
                } else {
                    record.last = said;
                }
            }
            let record = record.to_bytes()?;
            file.file.write_at(&record, 0)?;
            if VolumePlan::has_copy_of_head(file.number) {
                file.file.write_at(&head, record.len() as u64)?;
            }
        }
        Ok(self.sync()?)
    }

    /// Makes everything durable and gives the files their names.
    pub(in crate::bundle) fn finish(
        self,
        bundle: Digest,
        layout: &Layout,
    ) -> Result<(), VolumeError> {
        self.seal(bundle, layout)?;
        for file in &*self.files {
            file.file.clone().finish()?;
        }
        Ok(())
    }

    /// Gives the files their names that a run which was killed while doing so has not got to.
    pub(in crate::bundle) fn finish_names(destination: &Destination) -> Result<(), PathError> {
        for path in &destination.paths {
            if fsx::is_taken(path) {
                PartialFile::remove_second_name(path)?;
            } else {
                PartialFile::open(path)?.finish()?;
            }
        }
        Ok(())
    }
}

/// Hashes the content of an entry, and each piece of it that a volume has.
#[derive(Debug)]
pub(in crate::bundle) struct ContentHasher {
    whole: Sha256,
    piece: Sha256,
    done_bytes: u64,
    /// The borders that are still to come, the last one first.
    borders: Vec<Border>,
    digests: Arc<Mutex<BTreeMap<(u64, bool), Digest>>>,
}

#[derive(Debug)]
struct Border {
    /// How many bytes of the content are before it.
    end: u64,
    volume: u64,
    is_first: bool,
}

impl ContentHasher {
    pub(in crate::bundle) fn update(&mut self, bytes: &[u8]) {
        self.whole.update(bytes);
        self.update_pieces(bytes);
    }

    /// The same for whoever knows the digest of the whole content otherwise.
    pub(in crate::bundle) fn update_pieces(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(border) = self.borders.last() {
            let left = usize::try_from(border.end.saturating_sub(self.done_bytes));
            let (piece, behind) = rest.split_at(left.unwrap_or(usize::MAX).min(rest.len()));
            self.piece.update(piece);
            self.done_bytes = self.done_bytes.saturating_add(piece.len() as u64);
            if self.done_bytes < border.end {
                return;
            }
            let digest = std::mem::replace(&mut self.piece, Sha256::new()).finish();
            self.digests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((border.volume, border.is_first), digest);
            self.borders.pop();
            rest = behind;
        }
    }

    pub(in crate::bundle) fn finish(self) -> Digest {
        self.whole.finish()
    }
}
