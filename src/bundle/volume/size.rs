//! How large a volume may be, as people say it.

use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VolumeSize(u64);

#[derive(Debug, thiserror::Error)]
#[error("write fat32, github, dvd, or a number with a unit, for example 4GB or 650MiB")]
pub(crate) struct VolumeSizeError;

const NAMED: [(&str, u64); 3] = [
    // The largest file of the file system.
    ("fat32", (4 << 30) - 1),
    // The largest asset of a release is smaller than 2 GiB.
    ("github", (2 << 30) - 1),
    // A disc of one layer has 4,700,372,992 bytes, of which its file system takes some.
    ("dvd", 4_690_000_000),
];

/// Units as this program prints them, and as `split -b` takes them.
const UNITS: [(&str, u64); 12] = [
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
];

impl VolumeSize {
    pub(crate) const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for VolumeSize {
    type Err = VolumeSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, bytes)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(Self(*bytes));
        }
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text.strip_prefix(digits).unwrap_or_default().trim_start();
        let factor = match unit {
            "" => Some(1),
            unit => UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, factor)| *factor),
        };
        let number: u64 = digits.parse().map_err(|_| VolumeSizeError)?;
        factor
            .and_then(|factor| number.checked_mul(factor))
            .map(Self)
            .ok_or(VolumeSizeError)
    }
}

#[cfg(test)]
mod tests {
    use super::VolumeSize;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, bytes) in [
            ("fat32", 4_294_967_295),
            ("github", 2_147_483_647),
            ("1000", 1000),
            ("4GB", 4_000_000_000),
            ("4 GB", 4_000_000_000),
            ("650MiB", 681_574_400),
            ("1G", 1 << 30),
        ] {
            assert_eq!(text.parse::<VolumeSize>().unwrap().bytes(), bytes, "{text}");
        }
        for text in [
            "",
            "GB",
            "FAT32",
            "4.5GB",
            "-1",
            "1 000",
            "99999999999TB",
            "4gb",
        ] {
            assert!(text.parse::<VolumeSize>().is_err(), "{text}");
        }
    }
}
