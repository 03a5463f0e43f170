//! How a bundle is cut into volumes: which of its bytes are in which file. A function of three
//! numbers: the size of its head, of the bundle, and of a volume. A delta is cut as a bundle is;
//! its record is a part of the head.

use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};

use super::VolumeError;
use crate::archive::{BLOCK_BYTES, Placed};
use rune_core::digest::{Digest, Sha256};

/// What a volume begins with: the header of its record and the record.
pub(in crate::bundle) const RECORD_END: u64 = 4096;

/// The most volumes of a set: each is an open file.
const MAX_VOLUMES: u64 = 999;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VolumePlan {
    head_bytes: u64,
    bundle_bytes: u64,
    volume_bytes: u64,
    /// How many bytes behind the head each volume but the last has.
    stride: u64,
}

/// A part of an entry's content that is in one volume, while the rest is in others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SharedPiece<'a> {
    pub(super) placed: &'a Placed,
    pub(super) range: Range<u64>,
}

impl VolumePlan {
    /// Cuts a bundle of `bundle_bytes`, of which each volume has the first `head_bytes`, into files
    /// of at most `volume_bytes`.
    pub(in crate::bundle) fn new(
        head_bytes: u64,
        bundle_bytes: u64,
        volume_bytes: u64,
    ) -> Result<Self, VolumeError> {
        let fixed_bytes = RECORD_END.saturating_add(head_bytes);
        let left = volume_bytes.saturating_sub(fixed_bytes);
        let stride = left.saturating_sub(left % BLOCK_BYTES);
        if stride == 0 {
            return Err(VolumeError::TooSmall {
                volume_bytes,
                needed_bytes: fixed_bytes.saturating_add(BLOCK_BYTES),
            });
        }
        let plan = Self {
            head_bytes,
            bundle_bytes,
            volume_bytes,
            stride,
        };
        if plan.count() > MAX_VOLUMES {
            return Err(VolumeError::TooMany {
                volume_bytes,
                count: plan.count(),
                most: MAX_VOLUMES,
            });
        }
        Ok(plan)
    }

    pub(super) const fn bundle_bytes(&self) -> u64 {
        self.bundle_bytes
    }

    pub(crate) const fn volume_bytes(&self) -> u64 {
        self.volume_bytes
    }

    pub(crate) fn count(&self) -> u64 {
        self.bundle_bytes
            .saturating_sub(self.head_bytes)
            .div_ceil(self.stride)
            .max(1)
    }

    pub(in crate::bundle) fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        1..=self.count()
    }

    /// The bytes of the bundle that a volume has, besides its own copy of the head.
    pub(in crate::bundle) fn range(&self, number: u64) -> Range<u64> {
        let border = |number: u64| {
            let begin = self.stride.saturating_mul(number);
            self.head_bytes.saturating_add(begin).min(self.bundle_bytes)
        };
        let begin = match number {
            0 | 1 => 0,
            number => border(number.saturating_sub(1)),
        };
        begin..border(number)
    }

    /// Where these bytes begin in the file of the volume: the first one has no other copy of the
    /// head.
    pub(in crate::bundle) const fn offset(&self, number: u64) -> u64 {
        if number <= 1 {
            RECORD_END
        } else {
            RECORD_END.saturating_add(self.head_bytes)
        }
    }

    pub(in crate::bundle) fn file_bytes(&self, number: u64) -> u64 {
        let range = self.range(number);
        self.offset(number)
            .saturating_add(range.end.saturating_sub(range.start))
    }

    /// Whether a volume has a copy of the head besides its bytes of the bundle.
    pub(in crate::bundle) const fn has_copy_of_head(number: u64) -> bool {
        number > 1
    }

    pub(in crate::bundle) const fn head_bytes(&self) -> u64 {
        self.head_bytes
    }

    /// What the volumes of one set have in common, and those of no other.
    pub(in crate::bundle) fn set_id(&self, bundle: Digest) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(format!("rune-bundle volumes {bundle} {}", self.volume_bytes).as_bytes());
        hasher.finish()
    }

    /// The piece of an entry's content that a volume has, when it has not all of it.
    pub(super) fn piece<'a>(&self, number: u64, placed: &'a Placed) -> Option<SharedPiece<'a>> {
        let volume = self.range(number);
        let content = placed.content();
        let range = content.start.max(volume.start)..content.end.min(volume.end);
        (!range.is_empty() && range != content).then_some(SharedPiece { placed, range })
    }

    /// The volumes that have some of the content of an entry.
    pub(super) fn volumes_of(&self, placed: &Placed) -> impl Iterator<Item = u64> + use<> {
        let content = placed.content();
        let plan = *self;
        plan.numbers().filter(move |number| {
            let volume = plan.range(*number);
            content.start < volume.end && volume.start < content.end
        })
    }

    pub(in crate::bundle) fn paths(&self, bundle: &Utf8Path) -> Vec<Utf8PathBuf> {
        let text = bundle.as_str();
        let name = SetName {
            stem: text.strip_suffix(".tar").unwrap_or(text).to_owned(),
            count: self.count(),
        };
        self.numbers()
            .map(|number| name.volume(number).into())
            .collect()
    }
}

/// The name that all volumes of a set have in common: `STEM.volume-3-of-7`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SetName {
    stem: String,
    count: u64,
}

impl SetName {
    /// Reads it from the name of a volume of a set of so many; none when it is called otherwise.
    pub(super) fn of(name: &str, count: u64) -> Option<Self> {
        let (stem, place) = name.rsplit_once(".volume-")?;
        let number = place.split_once("-of-")?.0.parse().ok()?;
        let set = Self {
            stem: stem.to_owned(),
            count,
        };
        ((1..=count).contains(&number) && set.volume(number) == name).then_some(set)
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = String> + use<'_> {
        (1..=self.count).map(|number| self.volume(number))
    }

    /// Numbers have as many digits as the last, so that names sort as the volumes do.
    pub(super) fn volume(&self, number: u64) -> String {
        let (stem, count) = (&self.stem, self.count.to_string());
        format!(
            "{stem}.volume-{number:0>width$}-of-{count}",
            width = count.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{SetName, VolumePlan};

    /// A bundle index of 3,000 bytes with header and padding, and eight slots with headers.
    const HEAD_BYTES: u64 = 512 + 3072 + 8 * (512 + 8192);

    #[test]
    fn volumes_have_every_byte_once_and_are_never_larger() {
        for (bundle_bytes, volume_bytes) in [
            (200_000, 90_000),
            (200_000, 80_001),
            (1 << 40, (1 << 32) - 1),
            (100_000, 1 << 32),
        ] {
            let plan = VolumePlan::new(HEAD_BYTES, bundle_bytes, volume_bytes).unwrap();
            let mut end = 0;
            for number in plan.numbers() {
                let range = plan.range(number);
                assert_eq!(range.start, end);
                assert!(!range.is_empty());
                assert!(plan.file_bytes(number) <= volume_bytes);
                end = range.end;
            }
            assert_eq!(end, bundle_bytes);
        }
    }

    #[test]
    fn a_volume_without_room_behind_the_head_is_refused() {
        // The record, the head, one block.
        let needed = 4096 + HEAD_BYTES + 512;
        assert!(VolumePlan::new(HEAD_BYTES, 200_000, needed).is_ok());
        assert!(VolumePlan::new(HEAD_BYTES, 200_000, needed - 1).is_err());
        assert!(VolumePlan::new(HEAD_BYTES, 1 << 40, needed).is_err());
    }

    #[test]
    fn names_sort_as_the_volumes_do() {
        let plan = VolumePlan::new(HEAD_BYTES, 1_000_000, 85_000).unwrap();
        let paths = plan.paths("out/b.tar".into());
        assert!(paths.len() > 9, "{paths:?}");
        assert!(paths.is_sorted());
        let count = paths.len().to_string();
        let first = format!("out/b.volume-{:0width$}-of-{count}", 1, width = count.len());
        assert_eq!(paths[0], first);
        let name = SetName::of("b.volume-3-of-7", 7).unwrap();
        assert_eq!(name.volume(4), "b.volume-4-of-7");
        for other in [
            "b.volume-8-of-7",
            "b.volume-3-of-8",
            "b.volume-03-of-7",
            "b",
        ] {
            assert_eq!(SetName::of(other, 7), None, "{other}");
        }
    }
}
