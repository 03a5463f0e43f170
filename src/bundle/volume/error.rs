//! Why volumes cannot be made or read.

use camino::Utf8PathBuf;

use rune_core::{failure::Failure, fsx::PathError};

use crate::bundle::HeadError;

#[derive(Debug, thiserror::Error, Failure)]
pub enum VolumeError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(
        "the head does not fit: a volume of this bundle has at least {needed_bytes} bytes, not \
         {volume_bytes}"
    )]
    #[failure(Usage: "choose a size of at least {needed_bytes} bytes")]
    TooSmall {
        volume_bytes: u64,
        needed_bytes: u64,
    },
    #[error("volumes of {volume_bytes} bytes would be {count}, and a set has at most {most}")]
    #[failure(Usage: "choose a larger size")]
    TooMany {
        volume_bytes: u64,
        count: u64,
        most: u64,
    },
    #[error("the fixed part of a volume is malformed")]
    #[failure(Internal)]
    Layout,
    #[error("the record of the volume `{0}` is damaged")]
    #[failure(Content: "copy `{0}` again from its source; the other volumes need not be copied")]
    Record(Utf8PathBuf),
    #[error("cannot read the volume `{path}`")]
    #[failure(inner: "copy `{path}` again from its source; the other volumes need not be copied")]
    Head {
        path: Utf8PathBuf,
        #[source]
        source: HeadError,
    },
    #[error("volume {number} of {count} (`{path}`) has {found} bytes, not {expected}")]
    #[failure(Content: "copy `{path}` again from its source; the other volumes need not be copied")]
    Length {
        path: Utf8PathBuf,
        number: u64,
        count: u64,
        found: u64,
        expected: u64,
    },
    #[error("`{path}` is a volume of another set than `{first}`: {difference}")]
    #[failure(Content: "take the volume of that number from the same set, and move `{path}` \
        elsewhere")]
    Foreign {
        path: Utf8PathBuf,
        first: Utf8PathBuf,
        difference: String,
    },
    #[error("`{0}` is not a volume")]
    #[failure(Usage: "name volumes, such as rune-0.1.0.bundle.volume-1-of-7")]
    NoVolume(Utf8PathBuf),
    #[error("volume {number} of {count} is there twice: `{first}` and `{second}`")]
    #[failure(Conflict: "keep one of `{first}` and `{second}`; `verify` says whether it is intact")]
    Doubled {
        number: u64,
        count: u64,
        first: Utf8PathBuf,
        second: Utf8PathBuf,
    },
    #[error("{} of {count} {}", volumes(.numbers), are_missing(.numbers))]
    #[failure(NotFound: match .name {
        Some(name) => format!("copy `{name}` beside the others, or pass --part"),
        None => "pass --part with their paths, or a directory".to_owned(),
    })]
    Missing {
        numbers: Vec<u64>,
        count: u64,
        /// The name of the first one, when the others are named by a pattern.
        name: Option<String>,
    },
    #[error("signature slot {slot} of `{path}` is damaged: other volumes have a signature there")]
    #[failure(Content: "copy `{path}` again from its source; the other volumes need not be copied")]
    DamagedSlot { slot: usize, path: Utf8PathBuf },
    #[error("signature slot {slot} has one signature in `{first}` and another in `{second}`")]
    #[failure(Conflict: "two people have signed different volumes; copy one of these files again \
        from its source and sign all volumes at once")]
    Slot {
        slot: usize,
        first: Utf8PathBuf,
        second: Utf8PathBuf,
    },
}

const fn are_missing(numbers: &[u64]) -> &'static str {
    if numbers.len() == 1 {
        "is missing"
    } else {
        "are missing"
    }
}

/// Numbers of volumes in a sentence, those that follow each other as a range.
pub(crate) fn volumes(numbers: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.saturating_add(1) == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let ranges: Vec<String> = ranges
        .into_iter()
        .map(|(first, last)| match last.saturating_sub(first) {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first} to {last}"),
        })
        .collect();
    let noun = if numbers.len() == 1 {
        "volume"
    } else {
        "volumes"
    };
    format!("{noun} {}", ranges.join(", "))
}

#[cfg(test)]
mod tests {
    use super::volumes;

    #[test]
    fn volumes_that_follow_each_other_are_a_range() {
        assert_eq!(volumes(&[4]), "volume 4");
        assert_eq!(volumes(&[1, 2, 4, 5, 6, 9]), "volumes 1, 2, 4 to 6, 9");
    }
}
