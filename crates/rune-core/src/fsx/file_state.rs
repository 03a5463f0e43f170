//! What a file looks like and where it lies: enough to know, until the machine is started again or
//! the file system is unmounted, that nobody wrote to the file.
//!
//! Only file systems of this machine that set the times of a file with every change, on disks that
//! are not removed and changed elsewhere. Of every other file there is no state.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to the file system"
)]

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use camino::Utf8Path;
use rustix::fs::{AtFlags, StatxFlags, fdatasync, fstatfs, major, minor, statx};
use serde::{Deserialize, Serialize};

use super::{Stamp, ownership::who_else_may_write, read_to_string};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How much older than a check the times of a file must be: a later change within the same tick of
/// the file system's clock would not be seen. The coarsest have ticks of a second.
const AGE: Duration = Duration::from_secs(2);

/// `STATX_MNT_ID_UNIQUE`, since Linux 6.8: unlike the older number it is never used again.
const UNIQUE_MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Disks whose content others can change, by the beginning of their name or of what they hang on:
/// images in files, disks of other machines, and USB.
const SHARED_DISKS: [&str; 6] = ["loop", "nbd", "rbd", "drbd", "session", "usb"];

/// What a file looks like, where it lies, and in which boot of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileState {
    boot_id: String,
    mount_id: u64,
    stamp: Stamp,
}

/// Which boot of the machine this is. None when the system does not say.
pub fn boot_id() -> Option<String> {
    let text = read_to_string(Utf8Path::new(BOOT_ID), 256).ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

impl FileState {
    /// The state of an open file. None when another user may write to it, or a change could stay
    /// unseen where it lies.
    pub fn of(file: &File) -> Option<Self> {
        let found = file.metadata().ok()?;
        let is_usable = found.is_file()
            && who_else_may_write(&found).is_none()
            && is_on_fixed_disk(file, Stamp::from(&found).device());
        if !is_usable {
            return None;
        }
        Some(Self {
            boot_id: boot_id()?,
            mount_id: mount_id(file)?,
            stamp: Stamp::from(&found),
        })
    }

    /// The same before a check of the content that begins at a moment. None when the file changed
    /// so shortly before that a change during the check could have the same time.
    pub fn before_check(file: &File, start: SystemTime) -> Option<Self> {
        // Who has mapped the file to write to it must touch its times again from here on.
        fdatasync(file).ok()?;
        let state = Self::of(file)?;
        let newest = state.stamp.newest()?;
        start
            .duration_since(newest)
            .is_ok_and(|age| age >= AGE)
            .then_some(state)
    }

    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }
}

fn mount_id(file: &File) -> Option<u64> {
    let asked = StatxFlags::MNT_ID | UNIQUE_MOUNT_ID;
    let found = statx(file, c"", AtFlags::EMPTY_PATH, asked).ok()?;
    StatxFlags::from_bits_retain(found.stx_mask)
        .intersects(asked)
        .then_some(found.stx_mnt_id)
}

fn is_on_fixed_disk(file: &File, device: u64) -> bool {
    let Ok(status) = fstatfs(file) else {
        return false;
    };
    // The field is signed on some machines; the magic numbers have 32 bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the magic numbers have 32 bits"
    )]
    let magic = status.f_type as u32;
    match magic {
        // ext4, XFS
        0xef53 | 0x5846_5342 => {
            let disk = format!("/sys/dev/block/{}:{}", major(device), minor(device));
            is_fixed(Path::new(&disk))
        }
        // btrfs, whose files do not say on which of its disks they are.
        0x9123_683e => are_btrfs_disks_fixed(),
        // tmpfs
        0x0102_1994 => true,
        _ => false,
    }
}

/// Whether all disks of all btrfs file systems of the machine stay where they are.
fn are_btrfs_disks_fixed() -> bool {
    let disks = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let all = disks(Path::new("/sys/fs/btrfs"));
    let all: Vec<_> = all
        .iter()
        .flat_map(|system| disks(&system.join("devices")))
        .collect();
    !all.is_empty() && all.iter().all(|disk| is_fixed(disk))
}

fn is_fixed(disk: &Path) -> bool {
    let Ok(disk) = fs::canonicalize(disk) else {
        return false;
    };
    let says = |place: &Path, name: &str, values: &[&str]| {
        fs::read_to_string(place.join(name)).is_ok_and(|text| values.contains(&text.trim()))
    };
    let is_shared = |place: &Path| {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let kind = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        SHARED_DISKS.contains(&kind)
            || says(place, "removable", &["1", "removable"])
            || says(place, "type", &["SD"])
    };
    !disk.ancestors().any(is_shared)
        && fs::read_dir(disk.join("slaves"))
            .into_iter()
            .flatten()
            .all(|below| below.is_ok_and(|below| is_fixed(&below.path())))
}
