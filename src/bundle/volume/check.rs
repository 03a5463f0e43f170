//! Verifying one volume alone: what the signed index proves, and what only its own record says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, Write},
    ops::Range,
};

use super::{
    Volume, VolumeError, VolumePlan,
    plan::SharedPiece,
    record::{PieceRecord, VolumeRecord},
};
use crate::{
    archive::{CheckError, EntryName, Placed},
    bundle::{
        AuthenticatedHead, BundleFile, BundleSource, ContentError, EntryRecord,
        archive::{At, Sink, read_contents},
        content_error::Problem,
    },
};
use rune_core::{digest::Sha256, fsx::PathError, progress::Progress};

const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedVolume {
    /// Whether it is of a delta; `begin` and `end` are then bytes of that.
    #[serde(rename = "delta")]
    pub(crate) is_of_delta: bool,
    pub(crate) number: u64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// The bytes of the bundle that it has: from `begin` to before `end`.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// How many entries it has from their first to their last byte.
    pub(crate) entries: usize,
    pub(crate) shared: Vec<SharedEntry>,
}

/// An entry of which other volumes have the rest: the digest of what is here is in the record
/// alone, which is not signed.
#[derive(Debug, serde::Serialize)]
pub(crate) struct SharedEntry {
    pub(crate) path: EntryName,
    pub(crate) bytes: u64,
    pub(crate) volumes: Vec<u64>,
}

/// Where what is read goes: bytes, and their position in the bundle.
pub(super) type Take<'a> = &'a (dyn Fn(&[u8], u64) -> Result<(), PathError> + Sync);

/// Verifies a volume alone. Fails when anything in it is not as it was made.
pub fn verify_volume(
    volume: Volume,
    head: &AuthenticatedHead,
    threads: usize,
    progress: &dyn Progress,
) -> Result<CheckedVolume, ContentError> {
    let narrowed = volume.head_of(head).map_err(ContentError::of_whole)?;
    let head = narrowed.as_ref().unwrap_or(head);
    let is_of_delta = volume.is_of_delta();
    let volume = LoneVolume::open(volume, head).map_err(ContentError::of_whole)?;
    volume.part(head).read(threads, progress, &|_, _| Ok(()))?;
    let LoneVolume { record, plan, .. } = volume;
    let bytes = plan.range(record.number);
    let shared = pieces(&plan, head, record.number).map(|piece| SharedEntry {
        path: piece.placed.name().clone(),
        bytes: length(&piece.range),
        volumes: plan
            .volumes_of(piece.placed)
            .filter(|other| *other != record.number)
            .collect(),
    });
    let shared = shared.collect();
    let entries = head.layout().entries().iter();
    Ok(CheckedVolume {
        is_of_delta,
        number: record.number,
        count: record.count,
        bytes: plan.file_bytes(record.number),
        entries: entries.filter(|placed| is_within(placed, &bytes)).count(),
        begin: bytes.start,
        end: bytes.end,
        shared,
    })
}

impl Volume {
    /// The head before the entries that a delta has, when it is a volume of one.
    pub(super) fn head_of(
        &self,
        head: &AuthenticatedHead,
    ) -> Result<Option<AuthenticatedHead>, VolumeError> {
        let narrowed = self.delta.as_ref().map(|start| start.head_of(head));
        narrowed
            .transpose()
            .map_err(|_| VolumeError::Record(self.path.clone()))
    }
}

pub(super) struct LoneVolume {
    file: BundleFile,
    record: VolumeRecord,
    plan: VolumePlan,
}

impl LoneVolume {
    pub(super) fn open(volume: Volume, head: &AuthenticatedHead) -> Result<Self, VolumeError> {
        if volume.plan.bundle_bytes() != head.layout().total_bytes() {
            return Err(VolumeError::Record(volume.path));
        }
        Ok(Self {
            record: volume.record.clone(),
            plan: volume.plan,
            file: BundleFile::new(vec![volume.into_piece(false)]),
        })
    }

    pub(super) fn part<'a>(&'a self, head: &'a AuthenticatedHead) -> Part<'a> {
        Part {
            file: &self.file,
            head,
            plan: &self.plan,
            number: self.record.number,
            record: Some(&self.record),
        }
    }
}

/// The bytes of the bundle that one volume has, in a file that has at least these.
pub(super) struct Part<'a> {
    pub(super) file: &'a BundleFile,
    pub(super) head: &'a AuthenticatedHead,
    pub(super) plan: &'a VolumePlan,
    pub(super) number: u64,
    /// The record of the volume; without it the pieces of entries are read and not checked.
    pub(super) record: Option<&'a VolumeRecord>,
}

impl Part<'_> {
    /// Reads all of it, and hands the bytes of entries on.
    pub(super) fn read(
        &self,
        threads: usize,
        progress: &dyn Progress,
        take: Take<'_>,
    ) -> Result<(), ContentError> {
        let range = self.plan.range(self.number);
        let layout = self.head.layout();
        let whole: BTreeMap<&EntryName, &Placed> = layout
            .entries()
            .iter()
            .filter(|placed| is_within(placed, &range))
            .map(|placed| (placed.name(), placed))
            .collect();
        let names: BTreeSet<EntryName> = whole.keys().map(|name| (*name).clone()).collect();
        let open = |entry: &EntryRecord| {
            let offset = whole
                .get(&entry.path)
                .map_or(u64::MAX, |placed| placed.content_offset());
            Ok(Box::new(Taker { take, offset }) as Sink<'_>)
        };
        let source = BundleSource::File(self.file.clone().without_end());
        read_contents(source, self.head, threads, progress, Some(&names), &open)?;
        self.check_record()?;
        for placed in layout.entries() {
            let is_cut = !is_within(placed, &range)
                && placed.header_offset() < range.end
                && range.start < placed.end_offset();
            if is_cut {
                self.read_cut(placed, &range, take, progress)
                    .map_err(|problem| ContentError::of_entry(problem, self.file, placed))?;
            }
        }
        let trailer = meet(&(layout.trailer_offset()..layout.total_bytes()), &range);
        let trailer = self.bytes(&trailer).map_err(ContentError::of_whole)?;
        if trailer.iter().any(|byte| *byte != 0) {
            return Err(ContentError::of_whole(CheckError::Trailer));
        }
        Ok(())
    }

    /// The record must be about the pieces that the bundle index gives.
    fn check_record(&self) -> Result<(), ContentError> {
        let Some(record) = self.record else {
            return Ok(());
        };
        let is_first = |piece: &SharedPiece<'_>| is_first(self.plan, self.number, piece);
        let (first, last): (Vec<_>, Vec<_>) =
            pieces(self.plan, self.head, self.number).partition(is_first);
        let fits = |record: &Option<PieceRecord>, pieces: &[SharedPiece<'_>]| match (record, pieces)
        {
            (None, []) => true,
            (Some(record), [piece]) => record.is_of(piece),
            _ => false,
        };
        if fits(&record.first, &first) && fits(&record.last, &last) {
            return Ok(());
        }
        let path = self.file.parts().next().map(|(path, _)| path.to_owned());
        Err(ContentError::of_whole(VolumeError::Record(
            path.unwrap_or_default(),
        )))
    }

    /// What there is of an entry that is not whole.
    fn read_cut(
        &self,
        placed: &Placed,
        range: &Range<u64>,
        take: Take<'_>,
        progress: &dyn Progress,
    ) -> Result<(), Problem> {
        let header = meet(&(placed.header_offset()..placed.content_offset()), range);
        let expected = placed.header();
        let within = |position: u64| {
            usize::try_from(position.saturating_sub(placed.header_offset())).unwrap_or(usize::MAX)
        };
        if !header.is_empty()
            && Some(self.bytes(&header)?.as_slice())
                != expected.get(within(header.start)..within(header.end))
        {
            return Err(CheckError::Header(placed.name().clone()).into());
        }
        let padding = meet(&(placed.content().end..placed.end_offset()), range);
        if self.bytes(&padding)?.iter().any(|byte| *byte != 0) {
            return Err(CheckError::Padding(placed.name().clone()).into());
        }
        let content = meet(&placed.content(), range);
        let mut hasher = Sha256::new();
        let mut source = At::new(self.file, content.start);
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut offset = content.start;
        progress.begin("checking", content.end.saturating_sub(offset));
        while offset < content.end {
            let left = usize::try_from(content.end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let chunk = buffer.get_mut(..left.min(CHUNK_BYTES)).unwrap_or_default();
            placed.fill(&mut source, chunk)?;
            hasher.update(chunk);
            take(chunk, offset).map_err(Problem::Write)?;
            offset = offset.saturating_add(chunk.len() as u64);
            progress.advance(chunk.len() as u64);
        }
        progress.end();
        let actual = hasher.finish();
        let Some(piece) = self.plan.piece(self.number, placed) else {
            // Only its header or padding is cut; the content is here, or elsewhere.
            return self.check_whole(placed, &content, actual);
        };
        let Some(record) = self.record else {
            return Ok(());
        };
        let said = if is_first(self.plan, self.number, &piece) {
            &record.first
        } else {
            &record.last
        };
        match said {
            Some(said) if said.digest != actual => Err(Problem::Piece {
                path: placed.name().clone(),
                expected: said.digest,
                actual,
            }),
            _ => Ok(()),
        }
    }

    fn check_whole(
        &self,
        placed: &Placed,
        content: &Range<u64>,
        actual: rune_core::digest::Digest,
    ) -> Result<(), Problem> {
        let expected = self
            .head
            .entries()
            .find(|(record, _)| record.path == *placed.name())
            .map(|(record, _)| record.sha256);
        match expected {
            Some(expected)
                if length(content) == placed.size()
                    && expected != actual
                    && !content.is_empty() =>
            {
                Err(Problem::Digest {
                    path: placed.name().clone(),
                    expected,
                    actual,
                })
            }
            _ => Ok(()),
        }
    }

    fn bytes(&self, range: &Range<u64>) -> Result<Vec<u8>, CheckError> {
        let mut bytes = Vec::new();
        At::new(self.file, range.start)
            .take(length(range))
            .read_to_end(&mut bytes)
            .map_err(CheckError::Read)?;
        Ok(bytes)
    }
}

/// Every piece that a volume has of an entry that it shares.
pub(super) fn pieces<'a>(
    plan: &VolumePlan,
    head: &'a AuthenticatedHead,
    number: u64,
) -> impl Iterator<Item = SharedPiece<'a>> {
    let plan = *plan;
    head.layout()
        .entries()
        .iter()
        .filter_map(move |placed| plan.piece(number, placed))
}

/// Whether a piece is of an entry that begins in an earlier volume.
pub(super) fn is_first(plan: &VolumePlan, number: u64, piece: &SharedPiece<'_>) -> bool {
    piece.placed.content_offset() < plan.range(number).start
}

fn is_within(placed: &Placed, range: &Range<u64>) -> bool {
    range.start <= placed.header_offset() && placed.end_offset() <= range.end
}

fn meet(one: &Range<u64>, other: &Range<u64>) -> Range<u64> {
    one.start.max(other.start)..one.end.min(other.end)
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

struct Taker<'a> {
    take: Take<'a>,
    offset: u64,
}

impl Write for Taker<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.take)(bytes, self.offset).map_err(|error| error.source)?;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
